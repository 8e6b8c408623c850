"""What claims come to on the results at hand: our figure of each, its interval, and the figure of every seed.

In: `Claims`, `Evidence`, and the hash of the data by its name. Out: a `Measured` for a claim, or `CannotTellError`
where results are missing or nothing can be divided. The interval of a quotient is a paired bootstrap over queries of
means, seeds averaged for each query first; seeds are paired as well: of each recipe only those that all recipes of the
claim have, so that no arm is of trainings that another lacks. A figure of identifiers has the range over seeds in place
of an interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shelfwalk.evaluation.best_beams import beam_share, best_rate_ratio
from shelfwalk.evaluation.claims import (
    BeamsClaim,
    Claims,
    FigureClaim,
    LostShareClaim,
    MeasuredClaim,
    RatioClaim,
    RatioOfRatiosClaim,
)
from shelfwalk.evaluation.efficiency_budget import BEAM_GRID, grid_measure
from shelfwalk.evaluation.evidence import Evidence, Found
from shelfwalk.evaluation.query_values import QueryValues
from shelfwalk.evaluation.significance import TAILS, resampled_means
from shelfwalk.evaluation.strata import ALL

Values = NDArray[np.float64]


class CannotTellError(Exception):
    """Why nothing can be measured; the message is a sentence without its full stop."""


@dataclass(frozen=True)
class Measured:
    """Ours with its interval, the figure of each seed that all recipes of the claim have, remarks.

    Of a quotient also the ids of its queries and `resamples` float64, the quotient over each resample of these; empty
    for other figures.
    """

    ours: float
    low: float
    high: float
    of_seeds: Mapping[int, float]
    remarks: tuple[str, ...] = ()
    query_ids: tuple[str, ...] = ()
    resamples: Values = field(default_factory=lambda: np.empty(0), repr=False)


@dataclass(frozen=True)
class ClaimFigures:
    """Measures claims of a file; `hashes` names the content of each data by its name, where it is known."""

    claims: Claims
    evidence: Evidence
    hashes: Mapping[str, str]
    resamples: int

    def measure(self, claim: MeasuredClaim) -> Measured:
        """Measure a claim; raises CannotTellError, or UserError where the values per query are lost."""
        if isinstance(claim, FigureClaim):
            return self._figure(claim)
        if isinstance(claim, BeamsClaim):
            return self._beams(claim)
        if isinstance(claim, LostShareClaim):
            return self._lost_share(claim)
        if isinstance(claim, RatioClaim):
            return self._ratio(claim, self._paired(claim.data, claim.recipes))
        return self._ratio_of_ratios(claim)

    def _ratio_of_ratios(self, claim: RatioOfRatiosClaim) -> Measured:
        ratios = [self.claims.ratio(ratio) for ratio in claim.ratios]
        if ratios[0].data != ratios[1].data:
            raise CannotTellError("the two ratios are not over the same data")
        found = self._paired(ratios[0].data, self.claims.recipes(claim))
        first, second = (self._ratio(ratio, found) for ratio in ratios)
        if first.query_ids != second.query_ids:
            raise CannotTellError("the two ratios are not over the same queries")
        if not (second.resamples.all() and all(second.of_seeds.values())):
            raise CannotTellError("the second ratio is too near to 0 to divide by")
        # Paired: of the same queries in one order, and with one seed, both drew the same resamples.
        resamples = first.resamples / second.resamples
        low, high = np.quantile(resamples, TAILS).tolist()
        of_seeds = {seed: ratio / second.of_seeds[seed] for seed, ratio in first.of_seeds.items()}
        return Measured(first.ours / second.ours, low, high, of_seeds, _remarks(found))

    def _ratio(self, claim: RatioClaim, found: Mapping[str, Found]) -> Measured:
        arms = (*claim.treatment, *claim.control)
        above = np.arange(len(arms)) < len(claim.treatment)
        return self._quotient(claim, found, arms, np.stack([above, ~above]).astype(float), "control's")

    def _lost_share(self, claim: LostShareClaim) -> Measured:
        found, arms = self._paired(claim.data, claim.recipes), (claim.whole, claim.treatment, claim.control)
        return self._quotient(claim, found, arms, np.array([[1.0, -1.0, 0.0], [1.0, 0.0, -1.0]]), "whole gain's")

    def _quotient(
        self,
        claim: RatioClaim | LostShareClaim,
        found: Mapping[str, Found],
        arms: Sequence[str],
        weights: Values,
        whose: str,
    ) -> Measured:
        """One weighted sum of the arms' means over another; `weights` float [2, arms]."""
        of_arms = [self._arm(found, arm, claim.metric) for arm in arms]
        columns = np.stack([_averaged(of_arm) for of_arm in of_arms], axis=1)
        members = self._members(found, claim.stratum) & np.isfinite(columns).all(axis=1)
        if not members.any():
            raise CannotTellError(f"no query has a {claim.metric} in every arm")
        seeds = _seeds_of(found)
        means = [columns[members].mean(axis=0)]
        means += [np.array([of_arm[seed][members].mean() for of_arm in of_arms]) for seed in seeds]
        resampled = resampled_means(columns[members], resamples=self.resamples)
        above, below = weights @ np.concatenate([means, resampled]).T
        if not (below * below[0] > 0).all():
            raise CannotTellError(f"the {whose} {claim.metric} is too near to 0 to divide by")
        ours, *others = (above / below).tolist()
        resamples = np.array(others[len(seeds) :])
        low, high = np.quantile(resamples, TAILS).tolist()
        of_seeds = dict(zip(seeds, others, strict=False))
        query_ids = tuple(compress(self._first_values(found).query_ids, members))
        return Measured(ours, low, high, of_seeds, _remarks(found), query_ids, resamples)

    def _beams(self, claim: BeamsClaim) -> Measured:
        found, arms = self._paired(claim.data, claim.recipes), (claim.treatment, claim.control)
        beams = self._common_beams(found, arms)
        rates = [self._arm(found, arm, grid_measure(beam)) for arm in arms for beam in beams]
        columns = np.stack([_averaged(of_beam) for of_beam in rates], axis=1)
        compared = beam_share if claim.kind == "smallest beam" else best_rate_ratio
        ours, beam, of_control = compared(beams, *np.split(columns.mean(axis=0), 2))
        if not np.isfinite(ours):
            raise CannotTellError(
                f"no beam up to {beams[-1]} reaches the best hit rate of {claim.control}, or that is 0"
            )
        resampled = resampled_means(columns, resamples=self.resamples)
        figures = [compared(beams, *np.split(drawn, 2))[0] for drawn in resampled]
        # Where a resample never reaches it the figure is infinite, between which and others there is nothing.
        low, high = np.quantile(figures, TAILS, method="nearest").tolist()
        of_seed = {seed: np.array([of_beam[seed].mean() for of_beam in rates]) for seed in _seeds_of(found)}
        of_seeds = {seed: compared(beams, *np.split(means, 2))[0] for seed, means in of_seed.items()}
        remarks = (*_remarks(found), f"beam {beam:.0f} of {of_control}")
        return Measured(ours, low, high, of_seeds, remarks)

    def _common_beams(self, found: Mapping[str, Found], arms: Sequence[str]) -> list[int]:
        """The beams at which every run of every arm was measured."""
        beams = [beam for beam in BEAM_GRID if all(self._has(found, arm, grid_measure(beam)) for arm in arms)]
        if not beams:
            raise CannotTellError(f"the results of {' and '.join(arms)} have no {grid_measure(BEAM_GRID[0])}")
        return beams

    def _has(self, found: Mapping[str, Found], arm: str, metric: str) -> bool:
        """Whether every run of an arm has the metric."""
        recipe, _, channel = arm.partition("/")
        values = [self.evidence.values(file, record).values for file, record in found[recipe].runs]
        return all(metric in of_run.get(channel, {}) for of_run in values)

    def _figure(self, claim: FigureClaim) -> Measured:
        found = {recipe: self._found(claim.data, recipe) for recipe in claim.recipes}
        figures = _figures(found[claim.recipe], claim.figure)
        divisors = dict.fromkeys(figures, 1.0)
        if claim.over is not None or claim.over_recipe is not None:
            divisors = _figures(found[claim.over_recipe or claim.recipe], claim.over or claim.figure)
        seeds = sorted(figures.keys() & divisors.keys())
        if not seeds:
            raise CannotTellError(f"{' and '.join(claim.recipes)} have no seed in common")
        if any(divisors[seed] == 0 for seed in seeds):
            raise CannotTellError(f"{claim.over or claim.figure} is 0, by which nothing can be divided")
        of_seeds = {seed: figures[seed] / divisors[seed] for seed in seeds}
        values = list(of_seeds.values())
        remarks = (*_remarks(found), "range over seeds")
        return Measured(float(np.mean(values)), min(values), max(values), of_seeds, remarks)

    def _paired(self, data: str, recipes: Sequence[str]) -> dict[str, Found]:
        """The runs of each recipe, all of the same seeds and the same queries."""
        of_recipes = {recipe: self._found(data, recipe) for recipe in recipes}
        seeds = _seeds_of(of_recipes)
        if not seeds:
            raise CannotTellError(f"{' and '.join(of_recipes)} have no seed in common")
        found = {recipe: runs.only(seeds) for recipe, runs in of_recipes.items()}
        if len({record.queries_hash for runs in found.values() for _, record in runs.runs}) > 1:
            raise CannotTellError(f"the results of {', '.join(found)} count different queries: evaluate them alike")
        return found

    def _found(self, data: str, recipe: str) -> Found:
        if not self.hashes.get(data):
            raise CannotTellError(f"the data {data} is not at hand: name it with --data {data}=FOLDER")
        found = self.evidence.of(self.hashes[data], recipe)
        if not found.runs:
            raise CannotTellError(
                f"no result of {recipe} on {data} ({self.hashes[data]}) is at hand: run with --data {data}=FOLDER"
            )
        return found

    def _arm(self, found: Mapping[str, Found], arm: str, metric: str) -> dict[int, Values]:
        """The metric of one arm by seed: float64 [queries]."""
        recipe, _, channel = arm.partition("/")
        of_seeds = {}
        for file, record in found[recipe].runs:
            measured = self.evidence.values(file, record).values.get(channel, {})
            if metric not in measured:
                raise CannotTellError(f"the results of {arm} have no {metric}")
            of_seeds[record.seed] = measured[metric]
        return of_seeds

    def _members(self, found: Mapping[str, Found], stratum: str) -> NDArray[np.bool_]:
        values = self._first_values(found)
        if stratum == ALL:
            return np.ones(len(values.query_ids), dtype=bool)
        for labels in values.labels.values():
            if (labels == stratum).any():
                return np.asarray(labels == stratum)
        raise CannotTellError(f"no query of these results is known to be {stratum}")

    def _first_values(self, found: Mapping[str, Found]) -> QueryValues:
        """The values of one of the runs, which are all of the same queries."""
        return self.evidence.values(*next(iter(found.values())).runs[0])


def _averaged(of_seeds: Mapping[int, Values]) -> Values:
    return np.asarray(np.stack(list(of_seeds.values())).mean(axis=0))


def _seeds_of(found: Mapping[str, Found]) -> list[int]:
    """The seeds that all recipes have, ascending."""
    return sorted(set.intersection(*(set(runs.seeds) for runs in found.values())))


def _figures(found: Found, name: str) -> dict[int, float]:
    """A figure of the identifiers by seed, of those that have it: results of before a figure lack it."""
    by_seed = {record.seed: _figure_of(record.identifiers, name) for _, record in found.runs}
    figures = {seed: figure for seed, figure in by_seed.items() if figure is not None}
    if not figures:
        raise CannotTellError(f"the results have no figure {name} of the identifiers")
    return figures


def _figure_of(identifiers: Mapping[str, Any], name: str) -> float | None:
    """The figure of a name like `levels.2.gini`, None where there is none; levels count from 1."""
    value: Any = identifiers
    for part in name.split("."):
        try:
            value = value[int(part) - 1] if part.isdigit() else value[part]
        except (KeyError, IndexError, TypeError):
            return None
    if not isinstance(value, int | float):
        raise CannotTellError(f"{name} of the identifiers is no number")
    return float(value)


def _remarks(found: Mapping[str, Found]) -> tuple[str, ...]:
    return tuple(f"{recipe} as an earlier version of its recipe" for recipe, runs in found.items() if runs.earlier)

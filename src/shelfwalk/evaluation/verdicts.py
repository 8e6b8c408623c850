"""Judges published claims by the results at hand.

In: `Claims`, `Evidence`, and the hash of the data by its name. Out: for each claim a `ClaimVerdict`: *holds* where the
whole interval of ours lies in the claim's band, *does not hold* where the whole of it lies outside, *cannot tell* (and
why) where it lies across an end of the band, seeds are too few or results are missing, *not built* where a recipe does
not exist. A ratio's interval is a paired bootstrap over queries of the ratio of means, seeds averaged for each query
first; a figure of identifiers has the range over seeds instead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shelfwalk.errors import UserError
from shelfwalk.evaluation.claims import (
    Claim,
    Claims,
    FigureClaim,
    RatioClaim,
    RatioOfRatiosClaim,
    SmallestBeamClaim,
    StructuralClaim,
)
from shelfwalk.evaluation.efficiency_budget import BEAM_GRID, grid_measure
from shelfwalk.evaluation.evidence import Evidence, Found
from shelfwalk.evaluation.significance import RESAMPLES, TAILS, resampled_means
from shelfwalk.evaluation.smallest_beam import beam_share
from shelfwalk.evaluation.strata import ALL
from shelfwalk.recipes.recipe import recipe_names

Verdict = Literal["holds", "does not hold", "cannot tell", "not built"]
_MeasuredClaim = RatioClaim | RatioOfRatiosClaim | SmallestBeamClaim | FigureClaim
VERDICTS: tuple[Verdict, ...] = ("holds", "does not hold", "cannot tell", "not built")


@dataclass(frozen=True)
class ClaimVerdict:
    """What became of one claim; `ours`, `low` and `high` are None where nothing was measured, `seeds` is how many.

    `high` is infinite where the interval has no end: a beam that some resamples never find.
    """

    id: str
    claim: str
    source: str
    published: float | str
    ours: float | None
    low: float | None
    high: float | None
    seeds: int
    verdict: Verdict
    why: str

    def to_json(self) -> dict[str, Any]:
        """All but the id as plain values for `json.dumps`; an infinite `high`, which JSON has no word for, is None."""
        values = {name: value for name, value in vars(self).items() if name != "id"}
        return values | {"high": None} if self.high == math.inf else values


class _CannotTellError(Exception):
    """Why nothing can be measured; the message is a sentence without its full stop."""


@dataclass(frozen=True)
class _Measurement:
    """Ours with its interval, of how many seeds and queries, and remarks.

    `resamples` float64: a ratio over each resample of the queries; empty for a figure.
    """

    ours: float
    low: float
    high: float
    seeds: int
    remarks: tuple[str, ...] = ()
    queries: int = 0
    resamples: NDArray[np.float64] = field(default_factory=lambda: np.empty(0), repr=False)


def judge(
    claims: Claims, evidence: Evidence, hashes: Mapping[str, str], *, resamples: int = RESAMPLES
) -> tuple[ClaimVerdict, ...]:
    """Judge every claim of a file; `hashes` names the content of each data by its name, where it is known."""
    judging = _Judging(claims, evidence, hashes, resamples)
    return tuple(judging.verdict(claim) for claim in claims.claims)


@dataclass(frozen=True)
class _Judging:
    claims: Claims
    evidence: Evidence
    hashes: Mapping[str, str]
    resamples: int

    def verdict(self, claim: Claim) -> ClaimVerdict:
        unknown = [name for name in self.claims.recipes(claim) if name not in recipe_names()]
        if unknown:
            return _unmeasured(claim, "not built", f"no recipe is called {' or '.join(unknown)} yet")
        if isinstance(claim, StructuralClaim):
            if not claim.checked_by:
                return _unmeasured(claim, "cannot tell", "no test checks it yet")
            return _unmeasured(claim, "holds", f"a test asserts it: {', '.join(claim.checked_by)}")
        try:
            measured = self._measure(claim)
        except (_CannotTellError, UserError) as error:
            return _unmeasured(claim, "cannot tell", str(error).removesuffix("."))
        return _judged(claim, measured, self._seeds_needed(claim))

    def _measure(self, claim: _MeasuredClaim) -> _Measurement:
        if isinstance(claim, FigureClaim):
            return self._figure(claim)
        if isinstance(claim, SmallestBeamClaim):
            return self._smallest_beam(claim)
        if isinstance(claim, RatioClaim):
            return self._ratio(claim)
        first, second = (self._ratio(self.claims.ratio(ratio)) for ratio in claim.ratios)
        if first.queries != second.queries or not second.resamples.all():
            raise _CannotTellError("the two ratios are not over the same queries, or the second is too near to 0")
        # Paired: both drew the same resamples, as they have as many queries and the same seed.
        resamples = first.resamples / second.resamples
        low, high = np.quantile(resamples, TAILS).tolist()
        remarks = tuple(dict.fromkeys((*first.remarks, *second.remarks)))
        return _Measurement(first.ours / second.ours, low, high, min(first.seeds, second.seeds), remarks)

    def _ratio(self, claim: RatioClaim) -> _Measurement:
        found = {recipe: self._found(claim.data, recipe) for recipe in claim.recipes}
        _refuse_unpaired(found)
        arms = (*claim.treatment, *claim.control)
        columns = np.stack([self._arm(found, arm, claim.metric) for arm in arms], axis=1)
        members = self._members(found, claim.stratum) & np.isfinite(columns).all(axis=1)
        if not members.any():
            raise _CannotTellError(f"no query has a {claim.metric} in every arm")
        split = len(claim.treatment)
        means = columns[members].mean(axis=0)
        resampled = resampled_means(columns[members], resamples=self.resamples)
        above, below = resampled[:, :split].sum(axis=1), resampled[:, split:].sum(axis=1)
        if not (below > 0).all():
            raise _CannotTellError(f"the control's {claim.metric} is too near to 0 to divide by")
        seeds = min(len(runs.seeds) for runs in found.values())
        ours = float(means[:split].sum() / means[split:].sum())
        low, high = np.quantile(above / below, TAILS).tolist()
        return _Measurement(ours, low, high, seeds, _remarks(found), int(members.sum()), above / below)

    def _smallest_beam(self, claim: SmallestBeamClaim) -> _Measurement:
        found = {recipe: self._found(claim.data, recipe) for recipe in claim.recipes}
        _refuse_unpaired(found)
        arms = (claim.treatment, claim.control)
        beams = [beam for beam in BEAM_GRID if all(self._has(found, arm, grid_measure(beam)) for arm in arms)]
        if not beams:
            raise _CannotTellError(f"the results of {' and '.join(arms)} have no {grid_measure(BEAM_GRID[0])}")
        columns = [self._arm(found, arm, grid_measure(beam)) for arm in arms for beam in beams]
        resampled = resampled_means(np.stack(columns, axis=1), resamples=self.resamples)
        shares = [beam_share(beams, *np.split(rates, 2))[0] for rates in resampled]
        share, beam, of_control = beam_share(beams, *np.split(np.mean(columns, axis=1), 2))
        if not np.isfinite(share):
            raise _CannotTellError(f"no beam up to {beams[-1]} reaches the best hit rate of {claim.control}")
        # Where a resample never reaches it the share is infinite, between which and others there is nothing.
        low, high = np.quantile(shares, TAILS, method="nearest").tolist()
        seeds = min(len(runs.seeds) for runs in found.values())
        remarks = (*_remarks(found), f"beam {beam:.0f} of {of_control}")
        return _Measurement(share, low, high, seeds, remarks, len(columns[0]))

    def _has(self, found: Mapping[str, Found], arm: str, metric: str) -> bool:
        """Whether every run of an arm has the metric."""
        recipe, _, channel = arm.partition("/")
        values = [self.evidence.values(file, record).values for file, record in found[recipe].runs]
        return all(metric in of_run.get(channel, {}) for of_run in values)

    def _figure(self, claim: FigureClaim) -> _Measurement:
        found = {recipe: self._found(claim.data, recipe) for recipe in claim.recipes}
        figures = _figures(found[claim.recipe], claim.figure)
        divisors = dict.fromkeys(figures, 1.0)
        if claim.over is not None or claim.over_recipe is not None:
            divisors = _figures(found[claim.over_recipe or claim.recipe], claim.over or claim.figure)
        if 0 in divisors.values():
            raise _CannotTellError(f"{claim.over or claim.figure} is 0, by which nothing can be divided")
        values = [figures[seed] / divisors[seed] for seed in figures.keys() & divisors.keys()]
        if not values:
            raise _CannotTellError(f"{' and '.join(claim.recipes)} have no seed in common")
        ours = float(np.mean(values))
        remarks = (*_remarks(found), "range over seeds")
        return _Measurement(ours, min(values), max(values), len(values), remarks)

    def _found(self, data: str, recipe: str) -> Found:
        if not self.hashes.get(data):
            raise _CannotTellError(f"the data {data} is not at hand: name it with --data {data}=FOLDER")
        found = self.evidence.of(self.hashes[data], recipe)
        if not found.runs:
            raise _CannotTellError(
                f"no result of {recipe} on {data} ({self.hashes[data]}) is at hand: run with --data {data}=FOLDER"
            )
        return found

    def _arm(self, found: Mapping[str, Found], arm: str, metric: str) -> NDArray[np.float64]:
        """The metric of one arm, averaged over seeds: float64 [queries]."""
        recipe, _, channel = arm.partition("/")
        values = []
        for file, record in found[recipe].runs:
            measured = self.evidence.values(file, record).values.get(channel, {})
            if metric not in measured:
                raise _CannotTellError(f"the results of {arm} have no {metric}")
            values.append(measured[metric])
        return np.asarray(np.stack(values).mean(axis=0))

    def _members(self, found: Mapping[str, Found], stratum: str) -> NDArray[np.bool_]:
        file, record = next(iter(found.values())).runs[0]
        values = self.evidence.values(file, record)
        if stratum == ALL:
            return np.ones(len(values.query_ids), dtype=bool)
        for labels in values.labels.values():
            if (labels == stratum).any():
                return np.asarray(labels == stratum)
        raise _CannotTellError(f"no query of these results is known to be {stratum}")

    def _seeds_needed(self, claim: _MeasuredClaim) -> int:
        if isinstance(claim, RatioOfRatiosClaim):
            return max(self.claims.ratio(ratio).seeds for ratio in claim.ratios)
        return claim.seeds


def _refuse_unpaired(found: Mapping[str, Found]) -> None:
    hashes = {record.queries_hash for runs in found.values() for _, record in runs.runs}
    if len(hashes) > 1:
        raise _CannotTellError(f"the results of {', '.join(found)} count different queries: evaluate them alike")


def _figures(found: Found, name: str) -> dict[int, float]:
    """A figure of the identifiers by seed."""
    return {record.seed: _figure_of(record.identifiers, name) for _, record in found.runs}


def _figure_of(identifiers: Mapping[str, Any], name: str) -> float:
    """The figure of a name like `levels.2.gini`; levels count from 1."""
    value: Any = identifiers
    for part in name.split("."):
        try:
            value = value[int(part) - 1] if part.isdigit() else value[part]
        except (KeyError, IndexError, TypeError):
            raise _CannotTellError(f"the results have no figure {name} of the identifiers") from None
    if not isinstance(value, int | float):
        raise _CannotTellError(f"{name} of the identifiers is no number")
    return float(value)


def _remarks(found: Mapping[str, Found]) -> tuple[str, ...]:
    return tuple(f"{recipe} as an earlier version of its recipe" for recipe, runs in found.items() if runs.earlier)


def _unmeasured(claim: Claim, verdict: Verdict, why: str) -> ClaimVerdict:
    return ClaimVerdict(claim.id, claim.claim, claim.source, claim.published, None, None, None, 0, verdict, why)


def _judged(claim: _MeasuredClaim, measured: _Measurement, needed: int) -> ClaimVerdict:
    verdict, why = _place(claim.above, claim.below, measured.low, measured.high)
    why = f"the interval is {why} the band, {claim.band}"
    if measured.seeds < needed:
        verdict, why = "cannot tell", f"{measured.seeds} of the {needed} seeds that a verdict needs"
    why = "; ".join((why, *measured.remarks))
    figures = (measured.ours, measured.low, measured.high, measured.seeds)
    return ClaimVerdict(claim.id, claim.claim, claim.source, claim.published, *figures, verdict, why)


def _place(above: float | None, below: float | None, low: float, high: float) -> tuple[Verdict, str]:
    """Where an interval lies: inside the band, outside of it, or across one of its ends."""
    floor = -np.inf if above is None else above
    ceiling = np.inf if below is None else below
    if floor < low and high < ceiling:
        return "holds", "inside"
    if high <= floor or low >= ceiling:
        return "does not hold", "outside"
    return "cannot tell", "across an end of"


def counts(verdicts: Sequence[ClaimVerdict]) -> dict[Verdict, int]:
    """How many claims came to each verdict."""
    return {verdict: sum(found.verdict == verdict for found in verdicts) for verdict in VERDICTS}

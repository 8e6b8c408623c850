"""The scores of systems on one part of the queries, and their differences to a baseline.

In: systems, a baseline, measures, and which queries are in the part. Out: for each system and measure a `Score`: the
mean over seeds and queries with its 95 % bootstrap interval, and the difference to the baseline, averaged over seeds
for each query and then tested over queries (paired randomisation test). What is over the same queries shares resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shelfwalk.evaluation.significance import (
    Interval,
    bootstrap_intervals,
    randomisation_tests,
    value_differences,
)
from shelfwalk.evaluation.systems import System
from shelfwalk.evaluation.table import SIGNIFICANT, is_merit

Verdict = Literal["better", "worse", "no difference shown"]

_PRICES = (("HitRate@beam", "Items@beam"), ("HitRate@items", "Beams@items"))
"""What a hit rate costs, which is always told with it."""


@dataclass(frozen=True)
class Difference:
    """A system minus the baseline: mean, 95 % interval, p-values, queries won and lost.

    `seeds` are the lowest and highest mean difference of one of its seeds to the baseline's mean over seeds;
    `corrected` is the p-value after Holm's correction, None for a measure that is not tested.
    """

    interval: Interval
    seeds: tuple[float, float]
    p_value: float
    corrected: float | None
    wins: int
    losses: int

    @property
    def verdict(self) -> Verdict | None:
        """What the difference shows; None for a measure that is not tested."""
        if self.corrected is None:
            return None
        if self.corrected >= SIGNIFICANT:
            return "no difference shown"
        return "better" if self.interval.mean > 0 else "worse"


@dataclass(frozen=True)
class Score:
    """A system on one measure: mean over seeds and queries with its interval, and the mean of each seed.

    `difference` is None for the baseline itself; `price` is the mean number of items (of a hit rate @ beam) or of
    identifiers (of one @ items) that it costs, None for other measures.
    """

    mean: Interval
    seed_means: tuple[float, ...]
    difference: Difference | None
    price: float | None


@dataclass(frozen=True)
class Sampling:
    """How many resamples of the queries and random sign patterns are drawn, from which seed."""

    resamples: int
    permutations: int
    seed: int


@dataclass(frozen=True)
class _Entry:
    """One system on one measure: `values` float64 [seeds, members]; `mean` and the baseline's, `base`, [members]."""

    system: str
    measure: str
    members: NDArray[np.bool_]
    values: NDArray[np.float64]
    mean: NDArray[np.float64]
    base: NDArray[np.float64]
    is_baseline: bool
    price: float | None


def score_systems(
    systems: Sequence[System],
    baseline: System,
    measures: Sequence[str],
    members: NDArray[np.bool_],
    sampling: Sampling,
) -> dict[str, dict[str, Score]]:
    """Score every system on every measure that it has, over the queries `members`, bool [queries].

    A measure counts on those queries on which the system and the baseline both have a value; where there are none, the
    score is left out. `corrected` of a difference is its plain p-value, None for a measure that is not tested.
    """
    entries = [_entry(system, baseline, measure, members) for system in systems for measure in measures]
    groups: dict[bytes, list[_Entry]] = {}
    for entry in entries:
        if entry is not None:
            groups.setdefault(entry.members.tobytes(), []).append(entry)
    found = {key: score for group in groups.values() for key, score in _scored(group, sampling).items()}
    return {
        system.name: {measure: found[system.name, measure] for measure in measures if (system.name, measure) in found}
        for system in systems
    }


def _entry(system: System, baseline: System, measure: str, members: NDArray[np.bool_]) -> _Entry | None:
    if measure not in system.values:
        return None
    mean, base = system.per_query(measure), baseline.per_query(measure)
    members = members & np.isfinite(mean) & np.isfinite(base)
    if not members.any():
        return None
    return _Entry(
        system=system.name,
        measure=measure,
        members=members,
        values=system.values[measure][:, members],
        mean=mean[members],
        base=base[members],
        is_baseline=system.name == baseline.name,
        price=_price(system, measure, members),
    )


def _scored(group: Sequence[_Entry], sampling: Sampling) -> dict[tuple[str, str], Score]:
    """Score entries over the same queries."""
    means = np.stack([entry.mean for entry in group], axis=1)
    differences = value_differences(means, np.stack([entry.base for entry in group], axis=1))
    columns = np.concatenate([means, differences], axis=1)
    intervals = bootstrap_intervals(columns, seed=sampling.seed, resamples=sampling.resamples)
    tests = randomisation_tests(differences, seed=sampling.seed, permutations=sampling.permutations)
    scores = {}
    for column, entry in enumerate(group):
        seed_means = entry.values.mean(axis=1)
        found = None
        if not entry.is_baseline:
            interval, (p_value, _) = intervals[len(group) + column], tests[column]
            found = _difference(entry, interval, p_value, differences[:, column])
        scores[entry.system, entry.measure] = Score(intervals[column], tuple(seed_means.tolist()), found, entry.price)
    return scores


def _difference(entry: _Entry, interval: Interval, p_value: float, differences: NDArray[np.float64]) -> Difference:
    by_seed = value_differences(entry.values, entry.base).mean(axis=1)
    return Difference(
        interval=interval,
        seeds=(float(by_seed.min()), float(by_seed.max())),
        p_value=p_value,
        corrected=p_value if is_merit(entry.measure) else None,
        wins=int((differences > 0).sum()),
        losses=int((differences < 0).sum()),
    )


def _price(system: System, measure: str, members: NDArray[np.bool_]) -> float | None:
    for hit_rate, price in _PRICES:
        cost = measure.replace(hit_rate, price)
        if measure.startswith(hit_rate) and cost in system.values:
            return float(system.per_query(cost)[members].mean())
    return None

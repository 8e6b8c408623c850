"""A comparison of systems with a baseline, turned into verdicts.

In: `Systems`. Out: a `SystemComparison`: for each part of the queries, system and measure the mean over seeds and
queries with its 95 % bootstrap interval, and the difference to the baseline: averaged over seeds for each query, then
tested over queries (paired randomisation test), with the p-values of the whole table corrected by Holm. A verdict is
given only where the corrected p-value is below 0.05, and only on measures of which more is better.

Averaging over seeds first tests the system, not one training run of it; how far the runs lie apart is the range beside
the difference, which no p-value here takes in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shelfwalk.channels.names import BASELINE
from shelfwalk.errors import UserError
from shelfwalk.evaluation.significance import RESAMPLES, holm
from shelfwalk.evaluation.strata import ALL, PARTS
from shelfwalk.evaluation.system_scores import Sampling, Score, score_systems
from shelfwalk.evaluation.systems import System, Systems

COMPARED_MEASURES = ("R@100", "nDCG@10")
_PERMUTATIONS_A_TEST = 200
"""So that the smallest p-value, corrected for all tests of a table, can still be far below 0.05."""


@dataclass(frozen=True)
class ComparedPart:
    """One part of the queries: `scores[system][measure]`, without the measures that a system lacks."""

    name: str
    queries: int
    scores: Mapping[str, Mapping[str, Score]]


@dataclass(frozen=True)
class SystemComparison:
    """All systems against `baseline`; `tests` is how many tests the p-values are corrected for."""

    systems: Systems
    baseline: str
    measures: tuple[str, ...]
    parts: tuple[ComparedPart, ...]
    tests: int


def compare_systems(
    systems: Systems,
    *,
    baseline: str | None = None,
    measures: Sequence[str] = COMPARED_MEASURES,
    parts: Sequence[str] = (ALL,),
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> SystemComparison:
    """Compare every system with `baseline`, by default the fusion without the generative channel, else the first one.

    `parts` are "all" or labels of strata.py. Raises UserError for a baseline, measure or part that is not there.
    """
    against = _default_baseline(systems) if baseline is None else systems.named(baseline)
    _refuse_unknown_measures(systems, against, measures)
    tests = len(systems.systems) * len(measures) * len(parts)
    sampling = Sampling(resamples, max(resamples, _PERMUTATIONS_A_TEST * tests), seed)
    compared = []
    for part in parts:
        members = _members(systems, part)
        scores = score_systems(systems.systems, against, measures, members, sampling)
        compared.append(ComparedPart(part, int(members.sum()), scores))
    corrected, tests = _corrected(compared)
    return SystemComparison(systems, against.name, tuple(measures), corrected, tests)


def _default_baseline(systems: Systems) -> System:
    fusions = [system for system in systems.systems if system.members[0].endswith(f"/{BASELINE}")]
    return (fusions or systems.systems)[0]


def _refuse_unknown_measures(systems: Systems, baseline: System, measures: Sequence[str]) -> None:
    for measure in measures:
        if not any(measure in system.values for system in systems.systems):
            known = ", ".join(dict.fromkeys(name for system in systems.systems for name in system.values))
            raise UserError(f'There is no measure "{measure}" in these results: take one of {known}.')
        if measure not in baseline.values:
            able = ", ".join(system.name for system in systems.systems if measure in system.values)
            raise UserError(f'The baseline {baseline.name} has no "{measure}": take another baseline, one of {able}.')


def _members(systems: Systems, part: str) -> NDArray[np.bool_]:
    """Which queries are in a part: bool [queries]."""
    if part == ALL:
        return np.ones(len(systems.texts), dtype=bool)
    for kind, labels in systems.labels.items():
        if part in PARTS[kind] and (labels == part).any():
            return np.asarray(labels == part)
    known = [name for kind, labels in systems.labels.items() for name in PARTS[kind] if (labels == name).any()]
    raise UserError(f'No query of these results is in the part "{part}": take one of {", ".join((ALL, *known))}.')


def _corrected(parts: Sequence[ComparedPart]) -> tuple[tuple[ComparedPart, ...], int]:
    """Correct the p-values of all tests of the table together; also how many these are."""
    p_values = [
        score.difference.corrected
        for part in parts
        for measured in part.scores.values()
        for score in measured.values()
        if score.difference is not None and score.difference.corrected is not None
    ]
    corrected = iter(holm(np.array(p_values, dtype=np.float64)).tolist())

    def settle(score: Score) -> Score:
        if score.difference is None or score.difference.corrected is None:
            return score
        return replace(score, difference=replace(score.difference, corrected=next(corrected)))

    # In the same order as above, as the iterator hands the corrected values out one by one.
    settled = tuple(
        replace(
            part,
            scores={
                system: {measure: settle(score) for measure, score in measured.items()}
                for system, measured in part.scores.items()
            },
        )
        for part in parts
    )
    return settled, len(p_values)

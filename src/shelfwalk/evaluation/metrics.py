"""Ranking measures per query, through ir-measures (trec_eval underneath).

In: rankings and judgements. Out: one value per measure and query that counts (see `judgements`).

Names are ir-measures' own without the relevance level: `R@100` is its `R(rel=2)@100` when grades from 2 on are
relevant. nDCG uses the grades themselves as gains. Two prefixes are added:

- `Judged-R@100` is ir-measures' `R(judged_only=True)@100`: unjudged items are removed from the ranking before it is
  scored, so a channel is not punished for items that nobody graded (the "condensed lists" of Sakai, "Alternatives to
  Bpref", SIGIR 2007). Such a list can only be as deep as the judged items among those that the channel returned.
- `Unjudged@10` is 1 − ir-measures' `Judged@10`: the share of unjudged items among those returned in the top 10, and 0
  for an empty answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shelfwalk.errors import UserError
from shelfwalk.evaluation.judgements import GradedQueries, grade_queries, refuse_unknown_queries
from shelfwalk.evaluation.rankings import Rankings

PLAIN_MEASURES = ("R@10", "R@100", "R@300", "nDCG@10", "RR")
JUDGED_ONLY = "Judged-"
UNJUDGED = "Unjudged@10"
DEFAULT_MEASURES = (*PLAIN_MEASURES, *(JUDGED_ONLY + name for name in PLAIN_MEASURES), UNJUDGED)

_NAME = re.compile(r"(?P<condensed>Judged-)?(?P<kind>[A-Za-z]+)(?:@(?P<cutoff>[1-9][0-9]*))?")


@dataclass(frozen=True)
class PerQuery:
    """Values of one channel: `values[measure]` is float64 [queries], aligned with `query_ids`.

    `query_ids` are the queries that count, in the order of the rankings; `left_out` is how many of the rankings'
    queries do not count because no item is relevant to them.
    """

    channel: str
    query_ids: tuple[str, ...]
    values: Mapping[str, NDArray[np.float64]]
    left_out: int

    def means(self) -> dict[str, float]:
        """Return the mean of each measure over the queries."""
        return {measure: float(values.mean()) for measure, values in self.values.items()}


def score(
    rankings: Rankings,
    judgements: pa.Table,
    measures: Sequence[str] = DEFAULT_MEASURES,
    relevant_grade: int | None = None,
) -> PerQuery:
    """Score rankings against a judgements table (query_id, item_id, grade).

    `relevant_grade` is by default 2 when some grade goes above 1, else 1. Raises UserError for an unknown measure, bad
    judgements, or judgements of a query that the rankings do not hold (an empty answer is an empty list).
    """
    return score_graded(rankings, grade_queries(judgements, relevant_grade), measures)


def score_graded(rankings: Rankings, graded: GradedQueries, measures: Sequence[str]) -> PerQuery:
    """Score rankings against judgements that were checked before; otherwise as `score`."""
    import ir_measures

    refuse_unknown_queries(graded, rankings.query_ids, f"the rankings of channel {rankings.channel!r}")
    counted = set(graded.counted())
    query_ids = tuple(query_id for query_id in rankings.query_ids if query_id in counted)
    position = {query_id: index for index, query_id in enumerate(query_ids)}
    library = {name: _library_measure(name, graded.relevant_grade) for name in measures}
    grades = {query_id: dict(graded.grades[query_id]) for query_id in query_ids}
    columns = {measure: np.zeros(len(query_ids)) for measure in library.values()}
    try:
        evaluator = ir_measures.evaluator(list(columns), grades)
    except ValueError as error:
        raise UserError(f"ir-measures cannot compute one of the measures {', '.join(measures)} here.") from error
    run = _run(rankings, counted)
    for metric in evaluator.iter_calc(run):
        columns[metric.measure][position[metric.query_id]] = metric.value
    answered = np.array([query_id in run for query_id in query_ids], dtype=bool)
    values = {
        name: np.where(answered, 1.0 - columns[measure], 0.0) if name.startswith("Unjudged") else columns[measure]
        for name, measure in library.items()
    }
    return PerQuery(rankings.channel, query_ids, values, len(rankings.query_ids) - len(query_ids))


def _library_measure(name: str, relevant_grade: int) -> Any:
    # ir_measures.parse_measure is not used: it needs parts of `ast` that Python 3.14 no longer has.
    import ir_measures

    match = _NAME.fullmatch(name)
    kind = match["kind"].replace("Unjudged", "Judged") if match else ""
    if match is None or kind not in ir_measures.measures.registry:
        raise UserError(f"There is no measure {name!r}; examples are {', '.join(DEFAULT_MEASURES)}.")
    measure = ir_measures.measures.registry[kind]
    settings: dict[str, Any] = {}
    if match["cutoff"]:
        settings[measure.AT_PARAM] = int(match["cutoff"])
    if match["condensed"]:
        settings["judged_only"] = True
    if "rel" in measure.SUPPORTED_PARAMS:
        settings["rel"] = relevant_grade
    measure = measure(**settings)
    try:
        measure.validate_params()
    except AssertionError as error:
        raise UserError(f"The measure {name!r} is incomplete or has no such form: {error}.") from error
    return measure


def _run(rankings: Rankings, counted: set[str]) -> dict[str, dict[str, float]]:
    """Give each item a score that falls with its rank: equal or rounded scores would let a tool reorder ties by id."""
    return {
        query_id: {item_id: float(len(items) - rank) for rank, item_id in enumerate(items)}
        for query_id, items in zip(rankings.query_ids, rankings.item_ids, strict=True)
        if items and query_id in counted
    }

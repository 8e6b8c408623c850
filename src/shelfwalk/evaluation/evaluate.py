"""One evaluation: several channels over the same queries and the same judgements.

In: rankings per channel, judgements, queries, what the generative channel's beams reached, what shoppers were shown,
and which items came after the log. Out: `Evaluation`: means, 95 % bootstrap intervals and values per query of each
measure, paired comparisons, parts of the query set, recall curves and the overlap of the channels. The protocol: same
queries, same judgements, paired over queries; only queries with at least one relevant item count, and how many do not
is reported.

A value per query is NaN where the measure has none (`pvr@k` of a query for which nothing was shown, `ColdR@k` of one
without a relevant item that is cold); its mean and interval are those of the others.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shelfwalk.errors import UserError
from shelfwalk.evaluation.beams import BeamHits, beam_values
from shelfwalk.evaluation.cold_recall import COLD_RECALL, cold_recall
from shelfwalk.evaluation.efficiency_budget import efficiency_values
from shelfwalk.evaluation.exposures import exposure_values
from shelfwalk.evaluation.item_budget import budget_values
from shelfwalk.evaluation.judgements import GradedQueries, grade_queries, refuse_unknown_queries
from shelfwalk.evaluation.metrics import DEFAULT_MEASURES, PerQuery, score_graded
from shelfwalk.evaluation.overlap import Overlap, overlap
from shelfwalk.evaluation.rankings import Rankings
from shelfwalk.evaluation.significance import (
    RESAMPLES,
    Interval,
    PairedDifference,
    bootstrap_intervals,
    mean_interval,
    paired_difference,
)
from shelfwalk.evaluation.strata import Labels, Stratum, query_labels, strata

FUSIONS = ("bm25+dense", "fused", "ranked")
COMPARED = (
    ("fused", "bm25+dense"),
    ("ranked", "fused"),
    ("generative", "dense"),
    ("generative", "bm25"),
    ("bm25+dense", "dense"),
    ("bm25+dense", "bm25"),
)
COMPARED_MEASURES = ("R@100", "nDCG@10")
OVERLAP_CUTOFF = 100
CURVE_CUTOFFS = tuple(sorted({round(cutoff) for cutoff in np.geomspace(1, 300, 48).tolist()}))


@dataclass(frozen=True)
class Comparison:
    """`first` − `second` on one measure, paired over queries."""

    first: str
    second: str
    measure: str
    outcome: PairedDifference


@dataclass(frozen=True)
class Evaluation:
    """What was measured.

    `per_query[channel].values[measure]`, `relevant_counts`, `texts` and `labels[kind]` (str, "" where unknown) are
    aligned with `query_ids`, the queries that count; `left_out` is the number of queries without a relevant item.
    `curves[channel]` float64 [cutoffs] is the mean R@k for each k of `CURVE_CUTOFFS`.
    """

    query_ids: tuple[str, ...]
    texts: tuple[str, ...]
    relevant_counts: NDArray[np.int64]
    left_out: int
    relevant_grade: int
    per_query: Mapping[str, PerQuery]
    intervals: Mapping[str, Mapping[str, Interval]]
    comparisons: tuple[Comparison, ...]
    labels: Mapping[str, Labels]
    strata: tuple[Stratum, ...]
    curves: Mapping[str, NDArray[np.float64]]
    overlap: Overlap

    @property
    def figures(self) -> dict[str, dict[str, float]]:
        """The mean over queries by channel and measure."""
        return {
            channel: {measure: interval.mean for measure, interval in measured.items()}
            for channel, measured in self.intervals.items()
        }

    def to_json(self) -> dict[str, Any]:
        """Return all but the values per query as plain dictionaries, lists, strings and numbers for `json.dumps`."""
        return {
            "figures": self.figures,
            "intervals": {
                channel: {measure: [interval.low, interval.high] for measure, interval in measured.items()}
                for channel, measured in self.intervals.items()
            },
            "queries": len(self.query_ids),
            "left_out": self.left_out,
            "relevant_grade": self.relevant_grade,
            "comparisons": [_comparison_json(comparison) for comparison in self.comparisons],
            "strata": [asdict(stratum) for stratum in self.strata],
            "overlap": {
                "cutoff": self.overlap.cutoff,
                "found_by": [[list(found.channels), found.pairs] for found in self.overlap.found_by],
            },
        }


def evaluate(
    channels: Sequence[Rankings],
    judgements: pa.Table,
    queries: pa.Table,
    beams: BeamHits | None = None,
    *,
    measures: Sequence[str] = DEFAULT_MEASURES,
    relevant_grade: int | None = None,
    exposures: Mapping[str, Collection[str]] | None = None,
    cold_items: Collection[str] | None = None,
    own_values: Mapping[str, Mapping[str, Mapping[str, float]]] | None = None,
    compared: Sequence[tuple[str, str]] = COMPARED,
    compared_measures: Sequence[str] = COMPARED_MEASURES,
    fusions: Collection[str] = FUSIONS,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Evaluation:
    """Measure `channels` on `queries` against `judgements` (query_id, item_id, grade).

    Every channel must answer the same queries in the same order, and every query with a relevant item. `queries` has
    query_id and query, and columns of `EVALUATION_QUERIES` where something is known, which add parts of the query set.
    `beams` adds hit rates to its channel, and with `exposures` (the items shown for a query) pvr; `cold_items` (those
    that came after the log) adds their recall to every channel; `own_values` adds further measures by channel, measure
    and query_id, undefined for a query that it lacks. Pairs in `compared` whose channels are missing are skipped;
    `fusions` are left out when it is counted what a channel alone found.
    Raises UserError for bad judgements, an unknown measure or band, ValueError for channels that do not fit together.
    """
    graded = grade_queries(judgements, relevant_grade)
    texts = dict(zip(queries.column("query_id").to_pylist(), queries.column("query").to_pylist(), strict=True))
    refuse_unknown_queries(graded, texts, "the queries")
    _check_channels(channels, texts, beams)
    per_query = {rankings.channel: score_graded(rankings, graded, measures) for rankings in channels}
    query_ids = per_query[channels[0].channel].query_ids
    sources = [rankings for rankings in channels if rankings.channel not in fusions]
    shared = overlap(sources, graded, query_ids, OVERLAP_CUTOFF)
    per_query = _with_own_measures(per_query, shared, beams, graded, exposures or {})
    per_query = _with_cold_recall(per_query, channels, graded, cold_items or ())
    per_query = {name: _with_values(scored, (own_values or {}).get(name, {})) for name, scored in per_query.items()}
    labels = query_labels(queries, query_ids)
    return Evaluation(
        query_ids=query_ids,
        texts=tuple(texts[query_id] for query_id in query_ids),
        relevant_counts=np.array([len(graded.relevant(query_id)) for query_id in query_ids], dtype=np.int64),
        left_out=len(texts) - len(query_ids),
        relevant_grade=graded.relevant_grade,
        per_query=per_query,
        intervals={name: _intervals(scored, resamples, seed) for name, scored in per_query.items()},
        comparisons=_comparisons(per_query, compared, compared_measures, resamples, seed),
        labels=labels,
        strata=strata(per_query, labels),
        curves={rankings.channel: _curve(rankings, graded) for rankings in channels},
        overlap=shared,
    )


def _check_channels(channels: Sequence[Rankings], texts: Mapping[str, str], beams: BeamHits | None) -> None:
    if not channels:
        raise ValueError("an evaluation needs at least one channel")
    if len({rankings.channel for rankings in channels}) < len(channels):
        raise ValueError("two channels have the same name")
    if beams is not None and all(rankings.channel != beams.channel for rankings in channels):
        raise ValueError(f"the beams belong to channel {beams.channel!r}, which has no rankings")
    if any(rankings.query_ids != channels[0].query_ids for rankings in channels):
        raise ValueError("the channels answer different queries, or in a different order")
    strange = [query_id for query_id in channels[0].query_ids if query_id not in texts]
    if strange:
        raise UserError(
            f"The rankings answer query {strange[0]!r}, which is not among the queries; give the matching ones."
        )


def _with_own_measures(
    per_query: Mapping[str, PerQuery],
    shared: Overlap,
    beams: BeamHits | None,
    graded: GradedQueries,
    exposures: Mapping[str, Collection[str]],
) -> dict[str, PerQuery]:
    added: dict[str, dict[str, NDArray[np.float64]]] = {name: {} for name in per_query}
    for name, exclusive in shared.exclusive.items():
        added[name][f"ExclusiveR@{shared.cutoff}"] = exclusive
    if beams is not None:
        query_ids = per_query[beams.channel].query_ids
        added[beams.channel] |= beam_values(beams, graded, query_ids) | budget_values(beams, graded, query_ids)
        if beams.items is not None:
            added[beams.channel] |= efficiency_values(beams.query_ids, beams.clusters, beams.items, graded, query_ids)
        if any(exposures.get(query_id) for query_id in query_ids):
            added[beams.channel] |= exposure_values(beams, exposures, query_ids)
    return {name: replace(scored, values={**scored.values, **added[name]}) for name, scored in per_query.items()}


def _with_cold_recall(
    per_query: Mapping[str, PerQuery],
    channels: Sequence[Rankings],
    graded: GradedQueries,
    cold_items: Collection[str],
) -> dict[str, PerQuery]:
    """The values with the recall of cold items, unless none is relevant to any query."""
    found = {
        rankings.channel: cold_recall(rankings, graded, per_query[rankings.channel].query_ids, cold_items)
        for rankings in channels
    }
    if not any(np.isfinite(values).any() for values in found.values()):
        return dict(per_query)
    return {
        name: replace(scored, values={**scored.values, COLD_RECALL: found[name]}) for name, scored in per_query.items()
    }


def _with_values(scored: PerQuery, added: Mapping[str, Mapping[str, float]]) -> PerQuery:
    """The values with further measures; one that no query has is left out."""
    columns = {
        measure: np.array([values.get(query_id, np.nan) for query_id in scored.query_ids])
        for measure, values in added.items()
    }
    defined = {measure: column for measure, column in columns.items() if np.isfinite(column).any()}
    return replace(scored, values={**scored.values, **defined})


def _intervals(scored: PerQuery, resamples: int, seed: int) -> dict[str, Interval]:
    whole = {measure: values for measure, values in scored.values.items() if np.isfinite(values).all()}
    columns = np.stack(list(whole.values()), axis=1)
    found = dict(zip(whole, bootstrap_intervals(columns, seed=seed, resamples=resamples), strict=True))
    for measure, values in scored.values.items():
        if measure not in whole:
            found[measure] = mean_interval(values[np.isfinite(values)], seed=seed, resamples=resamples)
    return found


def _comparisons(
    per_query: Mapping[str, PerQuery],
    compared: Sequence[tuple[str, str]],
    measures: Sequence[str],
    resamples: int,
    seed: int,
) -> tuple[Comparison, ...]:
    return tuple(
        Comparison(first, second, measure, paired_difference(mine, theirs, seed=seed, resamples=resamples))
        for first, second in compared
        for measure in measures
        if (mine := _values(per_query, first, measure)) is not None
        and (theirs := _values(per_query, second, measure)) is not None
    )


def _values(per_query: Mapping[str, PerQuery], channel: str, measure: str) -> NDArray[np.float64] | None:
    return per_query[channel].values.get(measure) if channel in per_query else None


def _curve(rankings: Rankings, graded: GradedQueries) -> NDArray[np.float64]:
    scored = score_graded(rankings, graded, [f"R@{cutoff}" for cutoff in CURVE_CUTOFFS])
    return np.array(list(scored.means().values()))


def _comparison_json(comparison: Comparison) -> dict[str, Any]:
    outcome = comparison.outcome
    return {
        "first": comparison.first,
        "second": comparison.second,
        "measure": comparison.measure,
        "difference": outcome.mean,
        "interval": [outcome.low, outcome.high],
        "p": outcome.p_value,
        "wins": outcome.wins,
        "losses": outcome.losses,
        "ties": outcome.ties,
    }

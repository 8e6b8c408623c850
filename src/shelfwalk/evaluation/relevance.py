"""How well a shelf's relevance model tells relevant items from others (DSIRM, arXiv 2606.04374, table of AUC).

In: a shelf with a ranker, evaluation queries and judgements. Out: `RelevanceScores`: judged pairs with the model's
probability and the depth at which the identifiers agree; from them areas under the ROC curve with bootstrap intervals
over queries, and the share of relevant pairs at each depth.

The pairs of a query are the first 100 items of `bm25+dense`, which recipes that share their towers share, so that their
models are asked about the same pairs; what nobody judged counts as irrelevant. A query from which the model learnt, in
any spelling, is left out, and so is one whose items are all relevant or all irrelevant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shelfwalk.channels.channel import Request
from shelfwalk.channels.names import BASELINE
from shelfwalk.channels.relevance_ranker import RelevanceRanker
from shelfwalk.data.leaks import leaking_queries
from shelfwalk.errors import UserError
from shelfwalk.evaluation.judgements import grade_queries
from shelfwalk.evaluation.significance import RESAMPLES, TAILS, Interval
from shelfwalk.shelf.shelf import Shelf

POOL = 100
_AT_ONCE = 1_000
"""Resamples that are counted together."""
WRONG_ORDER = "1-AUC"
"""The measure: the share of a query's pairs of a relevant and an irrelevant item that stand in the wrong order."""


@dataclass(frozen=True)
class DepthRate:
    """How many pairs agree on exactly so many levels, and the share of them that is relevant (NaN where none does)."""

    depth: int
    pairs: int
    relevant_share: float


@dataclass(frozen=True)
class RelevanceScores:
    """Judged pairs, query by query: `query_rows` int64, `item_rows` int64, `relevant` bool, `probabilities` float32,
    all [pairs]; `depths` int64 [pairs], None without identifiers, of `levels`. `query_ids` and `texts` [queries]."""

    query_ids: tuple[str, ...]
    texts: tuple[str, ...]
    query_rows: NDArray[np.int64]
    item_rows: NDArray[np.int64]
    relevant: NDArray[np.bool_]
    probabilities: NDArray[np.float32]
    depths: NDArray[np.int64] | None
    levels: int

    def wrong_order(self) -> dict[str, float]:
        """`1-AUC` of each query."""
        bounds = np.searchsorted(self.query_rows, np.arange(len(self.query_ids) + 1))
        return {
            query: 1 - area_under_curve(self.probabilities[begin:end], self.relevant[begin:end])
            for query, begin, end in zip(self.query_ids, bounds[:-1], bounds[1:], strict=True)
        }

    def areas(
        self,
        universe: Sequence[str] | None = None,
        *,
        by: NDArray[np.generic] | None = None,
        resamples: int = RESAMPLES,
        seed: int = 0,
    ) -> NDArray[np.float64]:
        """The area over the pairs of all queries together, and after it that of each resample of the queries.

        Of the model's probabilities, or of another score [pairs] that pairs are ordered `by`.
        Float64 [1 + resamples]. Queries are drawn from `universe`, by default these; scores that are given the same one
        share the resamples, so that their differences are paired.
        """
        names = self.query_ids if universe is None else universe
        number_of = {query: number for number, query in enumerate(names)}
        queries, random = len(names), np.random.default_rng(seed)
        place = np.array([number_of[query] for query in self.query_ids])[self.query_rows]
        counted = _PairCounts.of(self.probabilities if by is None else by, self.relevant, place, queries)
        drawn = [random.integers(0, queries, queries) for _ in range(resamples)]
        weights = [np.ones(queries), *(np.bincount(one, minlength=queries) for one in drawn)]
        blocks = [counted.areas(np.stack(weights[at : at + _AT_ONCE])) for at in range(0, len(weights), _AT_ONCE)]
        return np.concatenate(blocks)

    def area(self, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
        """The area over the pairs of all queries together, with its 95 % bootstrap interval over queries."""
        areas = self.areas(resamples=resamples, seed=seed)
        low, high = np.quantile(areas[1:], TAILS).tolist()
        return Interval(float(areas[0]), low, high)

    def label_rates(self) -> tuple[DepthRate, ...]:
        """The share of relevant pairs at each depth of agreement, from none on; empty without identifiers."""
        if self.depths is None:
            return ()
        counts = np.bincount(self.depths, minlength=self.levels + 1)
        relevant = np.bincount(self.depths, self.relevant, self.levels + 1)
        shares = np.where(counts > 0, relevant / np.maximum(counts, 1), np.nan)
        rows = zip(counts.tolist(), shares.tolist(), strict=True)
        return tuple(DepthRate(depth, count, share) for depth, (count, share) in enumerate(rows))


def least_step(rates: Sequence[DepthRate]) -> float | None:
    """The least factor by which the share of relevant pairs grows from one depth that pairs have to the next.

    At least 1 where it never falls; None where no depth with a relevant pair is followed by another.
    """
    shares = [rate.relevant_share for rate in rates if rate.pairs]
    return min((deeper / share for share, deeper in pairwise(shares) if share > 0), default=None)


def area_under_curve(scores: NDArray[np.float32], relevant: NDArray[np.bool_]) -> float:
    """The share of (relevant, irrelevant) pairs with the relevant one scored higher, ties as half; NaN without one."""
    counted = _PairCounts.of(scores, relevant, np.zeros(len(scores), np.int64), 1)
    return float(counted.areas(np.ones((1, 1)))[0])


@dataclass(frozen=True)
class _PairCounts:
    """How often relevant pairs of one query score above irrelevant ones of another, float64.

    `ordered` [queries, queries], ties as half; `relevant` and `irrelevant` [queries] how many there are of each.
    """

    ordered: NDArray[np.float64]
    relevant: NDArray[np.float64]
    irrelevant: NDArray[np.float64]

    @classmethod
    def of(
        cls, scores: NDArray[np.generic], relevant: NDArray[np.bool_], query_rows: NDArray[np.int64], queries: int
    ) -> _PairCounts:
        above, of_above = scores[relevant], query_rows[relevant]
        below, of_below = scores[~relevant], query_rows[~relevant]
        ordered = np.zeros((queries, queries))
        for query in np.unique(of_below):
            own = np.sort(below[of_below == query])
            passed = np.searchsorted(own, above, "left") + np.searchsorted(own, above, "right")
            ordered[:, query] = np.bincount(of_above, passed / 2, queries)
        counts = (np.bincount(rows, minlength=queries).astype(np.float64) for rows in (of_above, of_below))
        return cls(ordered, *counts)

    def areas(self, weights: NDArray[np.generic]) -> NDArray[np.float64]:
        """The area where each query counts so often: [draws, queries] → [draws]; NaN where one kind counts nothing."""
        drawn = weights.astype(np.float64)
        right = ((drawn @ self.ordered) * drawn).sum(axis=1)
        total = (drawn @ self.relevant) * (drawn @ self.irrelevant)
        areas: NDArray[np.float64] = np.divide(right, total, out=np.full(len(drawn), np.nan), where=total > 0)
        return areas


def score_relevance(
    shelf: Shelf,
    queries: pa.Table,
    judgements: pa.Table,
    relevant_grade: int | None = None,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> RelevanceScores:
    """Ask the shelf's relevance model about the pairs of every query.

    Raises UserError if the shelf has no ranker, or no query has pairs of both kinds.
    """
    ranker, graded = shelf.ranker, grade_queries(judgements, relevant_grade)
    texts, ids = queries["query"].to_pylist(), queries["query_id"].to_pylist()
    learnt = {place for _, place in leaking_queries(shelf.ranker_queries, texts)}
    item_ids = shelf.items["item_id"]
    parts: list[_Part] = []
    for place, (query_id, text) in enumerate(zip(ids, texts, strict=True)):
        progress("Asking the relevance model", place + 1, len(texts))
        if place in learnt:
            continue
        rows = shelf.hits(text, POOL, (BASELINE,))[BASELINE].rows[:POOL]
        wanted = graded.relevant(query_id)
        relevant = np.array([item in wanted for item in item_ids.take(pa.array(rows)).to_pylist()], bool)
        if relevant.any() and not relevant.all():
            request = Request(text, shelf.encoder.encode([text])[0])
            parts.append(_Part(query_id, text, rows, relevant, *_asked(ranker, request, rows)))
    if not parts:
        raise UserError(
            "No query has both relevant and irrelevant items among its first ones that the ranker has not learnt from:"
            " an order cannot be measured."
        )
    return _together(parts, 0 if ranker.features.match is None else ranker.features.match.channel.trie.levels)


@dataclass(frozen=True)
class _Part:
    query_id: str
    text: str
    rows: NDArray[np.int64]
    relevant: NDArray[np.bool_]
    probabilities: NDArray[np.float32]
    depths: NDArray[np.int64] | None


def _asked(
    ranker: RelevanceRanker, request: Request, rows: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.int64] | None]:
    match = ranker.features.match
    if match is None:
        return ranker.probabilities(request, rows), None
    identifiers = match.of_query(request)
    features = ranker.features.of(request, rows, identifiers)
    return ranker.model.probabilities(features), match.depths(identifiers, rows)


def _together(parts: list[_Part], levels: int) -> RelevanceScores:
    depths = [part.depths for part in parts if part.depths is not None]
    return RelevanceScores(
        tuple(part.query_id for part in parts),
        tuple(part.text for part in parts),
        np.repeat(np.arange(len(parts)), [len(part.rows) for part in parts]),
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.relevant for part in parts]),
        np.concatenate([part.probabilities for part in parts]),
        np.concatenate(depths) if depths else None,
        levels,
    )

"""The ranker: reorders the first items of a fused list by the relevance model.

In: a request and the fused hits. Out: the same items, the first ones by the probability that they are relevant. With
the match feature (DSIRM, arXiv 2606.04374) it asks for the query's identifiers first: from the cache of frequent
queries, or live from the generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfwalk.channels.channel import Evidence, Hits, Request
from shelfwalk.channels.generative import GenerativeChannel
from shelfwalk.channels.names import RANKED
from shelfwalk.channels.pair_features import PairFeatures
from shelfwalk.ranking.prefix_match import match_depths, prefix_match
from shelfwalk.ranking.query_identifiers import QueryCache, QueryIdentifiers
from shelfwalk.ranking.ranker_settings import RankerSettings
from shelfwalk.ranking.relevance_model import RelevanceModel

FloatArray = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class IdentifierMatch:
    """Predicts a query's identifiers, K of them, and compares them with the items'."""

    channel: GenerativeChannel
    settings: RankerSettings
    cache: QueryCache | None = None

    def of_query(self, request: Request) -> QueryIdentifiers:
        """The identifiers of a query, from the cache where it has them: [K, levels] and [K]."""
        kept = None if self.cache is None else self.cache.find(request.query)
        return self.live([request])[0] if kept is None else kept

    def live(self, requests: Sequence[Request]) -> list[QueryIdentifiers]:
        """The identifiers of queries, predicted now; a request's filter has no part in them."""
        plain = [Request(request.query, request.vector) for request in requests]
        found = QueryIdentifiers.of(self.channel.generate(plain, self.settings.candidates), self.settings.candidates)
        return [QueryIdentifiers(*arrays) for arrays in zip(found.codes, found.log_probabilities, strict=True)]

    def of_rows(self, identifiers: QueryIdentifiers, rows: Rows) -> FloatArray:
        """The match feature of catalogue rows: float32 [rows]."""
        codes = self.channel.trie.codes_of(rows)
        return prefix_match(identifiers.codes, identifiers.log_probabilities, codes, self.settings.aggregation)

    def depths(self, identifiers: QueryIdentifiers, rows: Rows) -> npt.NDArray[np.int64]:
        """The deepest agreement of each row with any of the query's identifiers: int64 [rows]."""
        found: npt.NDArray[np.int64] = match_depths(identifiers.codes, self.channel.trie.codes_of(rows)).max(axis=-1)
        return found


@dataclass(frozen=True)
class RelevanceFeatures:
    """The features of queries and items, with the match feature where there are identifiers to compare."""

    plain: PairFeatures
    match: IdentifierMatch | None

    def of(self, request: Request, rows: Rows, identifiers: QueryIdentifiers | None = None) -> FloatArray:
        """Features of catalogue rows, float32 [rows, features]; `identifiers` of the query, if known already."""
        plain = self.plain.of(request, rows)
        if self.match is None:
            return plain
        known = self.match.of_query(request) if identifiers is None else identifiers
        return np.column_stack((plain, self.match.of_rows(known, rows))).astype(np.float32)


class RelevanceRanker:
    """Orders items by the probability that they are relevant."""

    name = RANKED

    def __init__(self, model: RelevanceModel, features: RelevanceFeatures, depth: int) -> None:
        """`depth`: how many of the first items are reordered."""
        self.model = model
        self.features = features
        self.depth = depth

    def probabilities(self, request: Request, rows: Rows) -> FloatArray:
        """The probability that each catalogue row is relevant: float32 [rows]."""
        return self.model.probabilities(self.features.of(request, rows))

    def reordered(self, request: Request, fused: Hits, k: int) -> Hits:
        """The best `k` of the fused items: the first `depth` by their probability, the others behind them as they were.

        Equal probabilities keep the fused order. The scores of the others are 0 and less, by their fused rank.
        """
        head = fused.rows[: self.depth]
        match = self.features.match
        identifiers = None if match is None else match.of_query(request)
        found = self.model.probabilities(self.features.of(request, head, identifiers)) if len(head) else np.empty(0)
        order = np.argsort(-found, kind="stable")
        rows = np.concatenate((head[order], fused.rows[self.depth :]))[:k]
        behind = -np.arange(len(fused.rows) - len(head), dtype=np.float32)
        scores = np.concatenate((found[order], behind)).astype(np.float32)[:k]

        def evidence(position: int) -> Evidence:
            reason = self._reason(rows[position], scores[position], position < len(head), match, identifiers)
            return Evidence(self.name, position + 1, float(scores[position]), reason)

        return Hits(rows, scores, evidence)

    def _reason(
        self,
        row: np.int64,
        score: np.float32,
        reordered: bool,
        match: IdentifierMatch | None,
        identifiers: QueryIdentifiers | None,
    ) -> str:
        if not reordered:
            return f"behind the first {self.depth} fused items, which alone are reordered"
        words = f"relevance {float(score):.2f}"
        if match is None or identifiers is None:
            return words
        depth, levels = int(match.depths(identifiers, np.array([row]))[0]), match.channel.trie.levels
        return f"{words}; its identifier agrees with the query's on {depth} of {levels} levels"

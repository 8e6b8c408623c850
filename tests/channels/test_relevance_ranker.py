"""The match of identifiers, and the ranker's order, over a generator that says what it is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.channels.channel import Evidence, Hits, Request
from shelfwalk.channels.relevance_ranker import IdentifierMatch, RelevanceFeatures, RelevanceRanker
from shelfwalk.constraints.trie import Trie
from shelfwalk.generators.beam_search import Beams
from shelfwalk.ranking.query_identifiers import QueryCache, QueryIdentifiers
from shelfwalk.ranking.ranker_settings import RankerSettings
from shelfwalk.ranking.relevance_model import RelevanceModel

ITEMS = np.array([[0, 0, 0], [0, 0, 1], [0, 1, 1], [1, 0, 0], [1, 1, 1]], np.int32)
VECTOR = np.ones(2, np.float32)


@dataclass
class ToldChannel:
    """Generates the identifiers that it was made with, for every query."""

    told: list[list[int]]
    asked: list[int] = field(default_factory=list)

    @property
    def trie(self) -> Trie:
        return Trie.build(ITEMS, level_sizes=(2, 2, 2))

    def generate(self, requests: Sequence[Request], beam: int) -> Beams:
        assert all(request.item_filter is None for request in requests)
        self.asked.append(len(requests))
        codes = np.array([self.told[:beam]] * len(requests), np.int32)
        scores = np.tile(-np.arange(codes.shape[1], dtype=np.float32), (len(requests), 1))
        return Beams(codes, np.zeros((*codes.shape[:2], 1), np.int64), scores)


class FirstFeature:
    """The catalogue row itself, as the one plain feature."""

    def of(self, request: Request, rows: Any) -> Any:
        return np.asarray(rows, np.float32)[:, None]


def matching(told: list[list[int]], cache: QueryCache | None = None, **settings: Any) -> IdentifierMatch:
    return IdentifierMatch(ToldChannel(told), RankerSettings(**settings), cache)


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [
        ("max", [0.5, 1.0, 0.25, 0.25, 0.25]),
        ("first", [0.5, 1.0, 0.25, 0.0, 0.0]),
        ("mean", [0.25, 0.5, 0.125, 0.125, 0.125]),
    ],
)
def test_items_by_their_agreement_with_the_predicted_identifiers(aggregation: str, expected: list[float]) -> None:
    # The second one is of no item at level 2: its own first level agrees with the last two items.
    match = matching([[0, 0, 1], [1, 2, 2]], aggregation=aggregation)
    (found,) = match.live([Request("mug", VECTOR)])
    assert match.of_rows(found, np.arange(5)).tolist() == expected
    assert match.depths(found, np.arange(5)).tolist() == [2, 3, 1, 1, 1]


def test_what_the_cache_has_is_not_asked_for() -> None:
    kept = QueryIdentifiers(np.array([[[1, 1, 1]]], np.int32), np.zeros((1, 1), np.float32))
    match = matching([[0, 0, 0]], QueryCache.of(["blue mug"], kept))
    channel: Any = match.channel
    assert match.of_query(Request(" Blue  MUG", VECTOR)).codes.tolist() == [[1, 1, 1]]
    assert channel.asked == []
    assert match.of_query(Request("mug", VECTOR)).codes[0].tolist() == [0, 0, 0]
    assert channel.asked == [1]


def test_no_more_identifiers_than_asked_for_and_padding_for_fewer() -> None:
    found = matching(ITEMS.tolist(), candidates=2).live([Request("mug", VECTOR)] * 3)
    assert [one.codes.shape for one in found] == [(2, 3)] * 3
    (one,) = matching([[0, 0, 0]], candidates=4).live([Request("mug", VECTOR)])
    assert (one.log_probabilities > -np.inf).tolist() == [True, False, False, False]


def told_of(position: int) -> Evidence:
    return Evidence("fused", position + 1, 0.0, "fused")


def ranker(weight: float, match: IdentifierMatch | None, depth: int) -> RelevanceRanker:
    """Probability rises with the catalogue row where `weight` is above 0, and with the match where there is one."""
    names = ("row",) if match is None else ("row", "identifier match")
    weights = np.array([[weight], [20.0]], np.float32)[: len(names)]
    ones = np.ones(len(names), np.float32)
    model = RelevanceModel(names, 0 * ones, ones, (weights,), (np.zeros(1, np.float32),))
    plain: Any = FirstFeature()
    return RelevanceRanker(model, RelevanceFeatures(plain, match), depth)


@given(st.permutations(range(5)), st.integers(1, 7), st.integers(1, 6), st.sampled_from([-1.0, 0.0, 1.0]))
def test_the_first_ones_are_sorted_and_the_others_stay(rows: list[int], depth: int, k: int, weight: float) -> None:
    fused = Hits(np.array(rows), -np.arange(5, dtype=np.float32), told_of)
    found = ranker(weight, None, depth).reordered(Request("mug", VECTOR), fused, k)
    head = sorted(rows[:depth], key=lambda row: (-weight * row, rows.index(row)))
    assert found.rows.tolist() == [*head, *rows[depth:]][:k]
    assert (np.diff(found.scores) <= 0).all()
    for place in range(len(found)):
        evidence = found.evidence(place)
        assert (evidence.rank, evidence.channel) == (place + 1, "ranked")
        assert evidence.reason.startswith("relevance" if place < depth else f"behind the first {depth}")


def test_the_match_lifts_what_agrees_and_is_told() -> None:
    fused = Hits(np.array([3, 2, 1, 0]), np.zeros(4, np.float32), told_of)
    found = ranker(0.0, matching([[0, 0, 1]]), 10).reordered(Request("mug", VECTOR), fused, 4)
    assert found.rows.tolist() == [1, 0, 2, 3]
    assert [found.evidence(place).reason[-23:] for place in range(4)] == [
        f"query's on {depth} of 3 levels"[-23:] for depth in (3, 2, 1, 0)
    ]

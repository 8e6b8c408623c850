"""Settling weights: only held-out phrases count, the choice is the best by plain recall, and ties go as told."""

from __future__ import annotations

import statistics
from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.channels.channel import Evidence, Hits, Request
from shelfwalk.channels.fusion import RANK_CONSTANT
from shelfwalk.data.query_item_pairs import QueryItemPairs
from shelfwalk.ranking.in_cluster import Candidates, InClusterWeights
from shelfwalk.shelf import settling
from shelfwalk.shelf.pair_step import TrainingPairs
from shelfwalk.shelf.settling import HeldOutQuery, held_out_requests, mean_recall, settle_fusion, settle_in_cluster


def request(text: str) -> Request:
    return Request(text, np.zeros(2, np.float32))


class FixedChannel:
    """Answers each query with a list that is given."""

    def __init__(self, name: str, rows: dict[str, list[int]]) -> None:
        self.name = name
        self._rows = rows
        self.depths: set[int] = set()

    def search(self, request: Request, k: int) -> Hits:
        self.depths.add(k)
        rows = np.array(self._rows[request.query], np.int64)
        return Hits(rows, -np.arange(len(rows), dtype=np.float32), lambda position: Evidence(self.name, 1, 0.0, ""))


def pairs_of(items_of_query: dict[str, list[int]]) -> QueryItemPairs:
    return QueryItemPairs.of((query, item) for query, items in items_of_query.items() for item in items)


def held_out(pairs: QueryItemPairs, logged: tuple[str, ...] = ()) -> TrainingPairs:
    return TrainingPairs(pairs.queries, np.isin(pairs.queries, logged), QueryItemPairs.of(()), pairs)


def test_phrases_are_the_queries_that_several_items_gave() -> None:
    pairs = pairs_of({"hub": [4, 1, 9], "a title's own": [4], "twice one": [2, 2, 2], "lamp": [7, 8, 9, 10]})
    vectors = np.arange(8, dtype=np.float32).reshape(4, 2)
    found = held_out_requests(held_out(pairs), vectors)
    assert [(query.request.query, query.relevant, query.is_logged) for query in found] == [
        ("hub", {1, 4, 9}, False),
        ("lamp", {7, 8, 9, 10}, False),
    ]
    np.testing.assert_array_equal([query.request.vector for query in found], vectors[[0, 3]])


def test_without_phrases_all_held_out_queries_count_and_no_others() -> None:
    """Queries of the training part stand in the same list, but have no pair here: nothing is right for them."""
    queries = ("trained", "hub", "also trained", "lamp")
    pairs = QueryItemPairs(queries, np.array([1, 3, 3], np.int32), np.array([5, 6, 7], np.int32))
    found = held_out_requests(held_out(pairs), np.zeros((4, 2), np.float32))
    assert [(query.request.query, query.relevant) for query in found] == [("hub", {5}), ("lamp", {6, 7})]
    assert held_out_requests(held_out(pairs_of({})), np.zeros((0, 2), np.float32)) == []


def test_held_out_queries_of_a_log_count_alone_and_with_any_number_of_items() -> None:
    pairs = pairs_of({"hub": [4, 1, 9], "for my desk": [3], "lamp": [7, 8, 9, 10]})
    found = held_out_requests(held_out(pairs, logged=("for my desk",)), np.zeros((3, 2), np.float32))
    assert [(query.request.query, query.relevant, query.is_logged) for query in found] == [("for my desk", {3}, True)]


def test_phrases_are_bounded() -> None:
    pairs = pairs_of({f"phrase {number}": [0, 1, 2] for number in range(settling.MOST_QUERIES + 5)})
    found = held_out_requests(held_out(pairs), np.zeros((len(pairs.queries), 2), np.float32))
    assert len(found) == settling.MOST_QUERIES


lists = st.lists(st.integers(0, 29), unique=True, max_size=12)


def plain_recall(lists_of: list[list[int]], weights: tuple[float, ...], relevant: set[int], cutoff: int) -> float:
    """Reciprocal rank fusion, one item after the other."""
    points: dict[int, np.float32] = {}
    for rows, weight in zip(lists_of, weights, strict=True):
        for rank, row in enumerate(rows, start=1):
            points[row] = points.get(row, 0.0) + weight / (RANK_CONSTANT + rank)
    best = sorted(points, key=lambda row: (-np.float32(points[row]), row))[:cutoff]
    return len(relevant & set(best)) / min(len(relevant), cutoff)


@given(st.lists(st.tuples(lists, lists, lists, st.sets(st.integers(0, 29), min_size=1)), max_size=4))
def test_fusion_weights_are_the_best_by_plain_recall(cases: list[tuple[Any, ...]]) -> None:
    names = ("bm25", "dense", "generative")
    channels = {
        name: FixedChannel(name, {str(row): case[place] for row, case in enumerate(cases)})
        for place, name in enumerate(names)
    }
    queries = [HeldOutQuery(request(str(row)), frozenset(case[3])) for row, case in enumerate(cases)]
    with pytest.MonkeyPatch.context() as patch:
        # So short that the weights decide what is among the first.
        patch.setattr(settling, "CUTOFF", 5)
        settled = settle_fusion(channels, queries)
    assert all(channel.depths <= {settling.DEPTH} for channel in channels.values())
    choices = [weights for weights in product((0.25, 0.5, 1.0), repeat=3) if 1.0 in weights]
    expected = {
        weights: float(np.mean([plain_recall(list(case[:3]), weights, case[3], 5) for case in cases])) if cases else 0.0
        for weights in choices
    }
    assert settled.recalls == pytest.approx({"/".join(map(str, weights)): mean for weights, mean in expected.items()})
    best = max(settled.recalls.values())
    equal = [weights for weights in choices if settled.recalls["/".join(map(str, weights))] == best]
    assert settled.chosen in equal
    assert sum(settled.chosen) == max(map(sum, equal))


def test_fusion_prefers_equal_weights_where_nothing_speaks_against() -> None:
    channels = {name: FixedChannel(name, {"q": [1, 2]}) for name in ("bm25", "dense")}
    settled = settle_fusion(channels, [HeldOutQuery(request("q"), frozenset({1}))])
    assert settled.chosen == (1.0, 1.0)
    assert set(settled.recalls) == {"1.0/1.0", "1.0/0.5", "0.5/1.0", "1.0/0.25", "0.25/1.0"}


def in_cluster_channel(cosines: list[float], shares: list[float], probabilities: list[float]) -> Any:
    """Four items, each a cluster of its own, with given scores."""
    ones = np.ones(4, np.int64)
    candidates = Candidates(np.arange(4), np.arange(4), np.log(np.array(probabilities, np.float32)), ones)
    given = (candidates, np.array(cosines, np.float32), np.array(shares, np.float32))
    return SimpleNamespace(candidates=lambda request: given)


@pytest.mark.parametrize(
    ("cosines", "shares", "probabilities", "smallest", "by_clicks"),
    [
        # The cosine alone finds item 0, and no path speaks against it.
        ([0.9, 0.5, 0.5, 0.5], [0, 0, 0, 0], [0.25, 0.25, 0.25, 0.25], (0.0, 0.0), (0.1, 0.0)),
        # Its words bring it before the others, from 0.2 on.
        ([0.5, 0.65, 0.6, 0.6], [1, 0, 0, 0], [0.25, 0.25, 0.25, 0.25], (0.0, 0.2), (0.1, 0.2)),
        # Its path is more probable by a factor of e^20.
        ([0.5, 0.85, 0.6, 0.6], [0, 0, 0, 0], [1, np.exp(-20), np.exp(-20), np.exp(-20)], (0.02, 0.0), (0.1, 0.0)),
        # The others' paths are, by a factor of e^30: more than a hundredth of that is too much.
        ([0.9, 0.5, 0.5, 0.5], [0, 0, 0, 0], [np.exp(-30), 1, 1, 1], (0.0, 0.0), (0.01, 0.0)),
    ],
)
def test_in_cluster_weights_are_the_smallest_that_find_the_item_and_by_clicks_the_largest_of_paths(
    monkeypatch: pytest.MonkeyPatch,
    cosines: list[float],
    shares: list[float],
    probabilities: list[float],
    smallest: tuple[float, float],
    by_clicks: tuple[float, float],
) -> None:
    monkeypatch.setattr(settling, "CUTOFF", 1)
    channel = in_cluster_channel(cosines, shares, probabilities)
    for is_logged, chosen in ((False, smallest), (True, by_clicks)):
        settled = settle_in_cluster(channel, [HeldOutQuery(request("q"), frozenset({0}), is_logged)])
        assert settled.chosen == chosen
        assert len(settled.recalls) == len(settling.PATH_WEIGHTS) * len(settling.WORD_WEIGHTS)
        assert settled.recalls["/".join(map(str, chosen))] == 1.0


PATHS, WORDS = (0.0, 0.02, 0.1), (0.0, 0.3)


def worse(best: list[float], found: list[float]) -> bool:
    differences = [one - other for one, other in zip(best, found, strict=True)]
    error = statistics.stdev(differences) / len(differences) ** 0.5 if len(differences) > 1 else 0.0
    return statistics.mean(differences) > 1.96 * error


@given(st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=12))
def test_of_what_is_not_shown_to_be_worse_the_largest_path_weight_is_chosen(found: list[list[bool]]) -> None:
    """Queries that each choice of weights answers or does not, and the rule spelt out."""
    choices = list(product(PATHS, WORDS))

    def candidates(request: Request) -> tuple[Any, Any, Any]:
        return SimpleNamespace(rows=np.array([7]), query=int(request.query)), None, None

    def scores(candidates: Any, cosines: Any, words: Any, weights: InClusterWeights) -> list[bool]:
        return [found[candidates.query][choices.index((weights.path, weights.words))]]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settling, "PATH_WEIGHTS", PATHS)
        patch.setattr(settling, "WORD_WEIGHTS", WORDS)
        patch.setattr(settling, "in_cluster_scores", scores)
        patch.setattr(settling, "best_positions", lambda rows, scores, k: np.flatnonzero(scores))
        channel: Any = SimpleNamespace(candidates=candidates)
        queries = [HeldOutQuery(request(str(query)), frozenset({7}), True) for query in range(len(found))]
        settled = settle_in_cluster(channel, queries)
    recalls = {choice: [float(of_query[place]) for of_query in found] for place, choice in enumerate(choices)}
    highest = max(choices, key=lambda choice: statistics.mean(recalls[choice]))
    as_good = [choice for choice in choices if not worse(recalls[highest], recalls[choice])]
    path = max(as_good)[0]
    expected = max(
        (choice for choice in as_good if choice[0] == path), key=lambda choice: (sum(recalls[choice]), -choice[1])
    )
    assert settled.chosen == expected


def test_without_queries_nothing_is_weighed() -> None:
    channel = in_cluster_channel([1, 1, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1])
    assert settle_in_cluster(channel, []).chosen == (0.0, 0.0)
    assert settle_fusion({"bm25": FixedChannel("bm25", {})}, []).chosen == (1.0,)


def test_the_recall_of_a_channel_is_the_mean_over_queries_of_what_its_first_hundred_hold() -> None:
    long = list(range(150))
    channel = FixedChannel("bm25", {"hub": [4, 1, 3], "lamp": [], "desk": long[:100]})
    asked = [
        HeldOutQuery(request("hub"), frozenset({1, 9})),
        HeldOutQuery(request("lamp"), frozenset({2})),
        HeldOutQuery(request("desk"), frozenset(long)),
    ]
    assert mean_recall(channel, asked) == pytest.approx((0.5 + 0.0 + 1.0) / 3)
    assert channel.depths == {100}
    assert mean_recall(channel, []) == 0.0

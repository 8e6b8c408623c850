"""Fusion against reciprocal ranks added up in a dictionary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.channels.channel import Evidence, Hits
from shelfwalk.channels.fusion import RANK_CONSTANT, evidence_of_row, fuse

NAMES = ["bm25", "dense", "generative"]
LISTS = st.fixed_dictionaries({name: st.lists(st.integers(0, 30), unique=True, max_size=20) for name in NAMES})
WEIGHTS = st.dictionaries(st.sampled_from(NAMES), st.sampled_from([0.0, 0.25, 0.5, 1.0, 3.0]))


def hits_of(lists: Mapping[str, Sequence[int]]) -> dict[str, Hits]:
    """Hits with falling scores, which must not matter, and evidence that says whose and which it is."""

    def hits(name: str, rows: Sequence[int]) -> Hits:
        scores = np.linspace(9, 1, len(rows)).astype(np.float32)
        return Hits(
            np.array(rows, np.int64), scores, lambda place: Evidence(name, place + 1, 0.5, f"{name} of {rows[place]}")
        )

    return {name: hits(name, rows) for name, rows in lists.items()}


@given(lists=LISTS, weights=WEIGHTS, k=st.integers(1, 40))
def test_fused_hits_are_those_of_added_reciprocal_ranks(
    lists: dict[str, list[int]], weights: dict[str, float], k: int
) -> None:
    points: dict[int, float] = {}
    for name, weight in weights.items():
        for rank, row in enumerate(lists[name], start=1):
            if weight:
                points[row] = points.get(row, 0.0) + weight / (RANK_CONSTANT + rank)
    expected = sorted(points, key=lambda row: (-np.float32(points[row]), row))[:k]
    fused = fuse(hits_of(lists), weights, k)
    assert fused.rows.tolist() == expected
    assert fused.scores.tolist() == [np.float32(points[row]) for row in expected]
    assert (fused.rows.dtype, fused.scores.dtype) == (np.int64, np.float32)


def test_of_equal_points_the_smaller_row_comes_first() -> None:
    fused = fuse(hits_of({"bm25": [9, 4], "dense": [4, 9]}), {"bm25": 1.0, "dense": 1.0}, 10)
    assert fused.rows.tolist() == [4, 9]
    assert fused.scores[0] == fused.scores[1]


def test_one_channel_alone_keeps_its_order() -> None:
    hits = hits_of({"bm25": [7, 3, 5], "dense": []})
    assert fuse(hits, {"bm25": 0.25, "dense": 1.0}, 10).rows.tolist() == [7, 3, 5]


def test_a_channel_of_weight_zero_neither_adds_items_nor_is_named() -> None:
    fused = fuse(hits_of({"bm25": [1, 2], "dense": [2, 8]}), {"bm25": 1.0, "dense": 0.0}, 10)
    assert fused.rows.tolist() == [1, 2]
    assert fused.evidence(1).reason == "bm25 rank 2"


def test_channels_that_found_nothing_fuse_to_nothing() -> None:
    fused = fuse(hits_of({"bm25": [], "dense": []}), {"bm25": 1.0, "dense": 1.0}, 10)
    assert len(fused) == 0


def test_evidence_names_every_channel_that_found_the_item_and_its_rank() -> None:
    fused = fuse(hits_of({"bm25": [7, 3], "dense": [5, 8, 3]}), {"bm25": 1.0, "dense": 1.0}, 10)
    evidence = fused.evidence(0)
    assert fused.rows[0] == 3
    assert (evidence.channel, evidence.rank, evidence.reason) == ("fused", 1, "bm25 rank 2; dense rank 3")
    assert evidence.score == fused.scores[0]
    assert fused.evidence(1).reason == "dense rank 1"


@given(lists=LISTS, names=st.lists(st.sampled_from(NAMES), unique=True), row=st.integers(0, 30))
def test_evidence_of_a_row_is_that_of_the_channels_that_found_it(
    lists: dict[str, list[int]], names: list[str], row: int
) -> None:
    found = evidence_of_row(hits_of(lists), names, row)
    assert [(part.channel, part.rank, part.reason) for part in found] == [
        (name, lists[name].index(row) + 1, f"{name} of {row}") for name in names if row in lists[name]
    ]

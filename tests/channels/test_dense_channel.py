"""The dense channel against a sort of all dot products."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.channels.channel import Request
from shelfwalk.channels.dense import DenseChannel
from shelfwalk.constraints.item_filter import ItemFilter


def whole_numbers(seed: int, *shape: int) -> npt.NDArray[np.float32]:
    """Their dot products are exact whatever the order of the sums, and many are equal."""
    return np.random.default_rng(seed).integers(-2, 3, shape).astype(np.float32)


@given(seed=st.integers(0, 2**32), items=st.integers(1, 700), k=st.sampled_from([1, 2, 7, 99, 100, 101, 300, 1_000]))
def test_hits_are_the_largest_dot_products_with_the_smaller_row_first(seed: int, items: int, k: int) -> None:
    vectors, query = whole_numbers(seed, items, 5), whole_numbers(seed + 1, 5)
    products = (vectors @ query).tolist()
    hits = DenseChannel(vectors).search(Request("", query), k)
    rows, scores = hits.rows.tolist(), hits.scores.tolist()
    assert scores == sorted(products, reverse=True)[:k] == [products[row] for row in rows]
    assert rows == sorted(set(rows), key=lambda row: (-products[row], row))
    assert (hits.rows.dtype, hits.scores.dtype) == (np.int64, np.float32)


@given(
    seed=st.integers(0, 2**32),
    items=st.integers(1, 300),
    k=st.sampled_from([1, 7, 100, 300]),
    share=st.sampled_from([0.0, 0.05, 0.45, 0.55, 0.95, 1.0]),
)
def test_a_filter_leaves_the_nearest_of_what_passes(seed: int, items: int, k: int, share: float) -> None:
    vectors, query = whole_numbers(seed, items, 5), whole_numbers(seed + 1, 5)
    allowed = np.random.default_rng(seed).random(items) < share
    products = (vectors @ query).tolist()
    hits = DenseChannel(vectors).search(Request("", query, ItemFilter(allowed)), k)
    rows, scores = hits.rows.tolist(), hits.scores.tolist()
    assert scores == sorted(np.array(products)[allowed], reverse=True)[:k] == [products[row] for row in rows]
    assert all(allowed[row] for row in rows)
    assert rows == sorted(set(rows), key=lambda row: (-products[row], row))


def test_items_that_pass_but_stand_behind_all_others_are_found() -> None:
    # The best half is filtered out.
    vectors = np.linspace(1, 0, 100, dtype=np.float32)[:, None]
    allowed = np.arange(100) >= 50
    for extra in (False, True):
        allowed[0] = extra
        hits = DenseChannel(vectors).search(Request("", np.ones(1, np.float32), ItemFilter(allowed)), 10)
        assert hits.rows.tolist() == np.flatnonzero(allowed)[:10].tolist()


def test_vectors_that_are_memory_mapped_and_threads_change_nothing(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(500, 16)).astype(np.float32)
    request = Request("", generator.normal(size=16).astype(np.float32))
    np.save(tmp_path / "vectors.npy", vectors)
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    expected = DenseChannel(vectors).search(request, 50)
    hits = DenseChannel(mapped, threads=2).search(request, 50)
    assert hits.rows.tolist() == expected.rows.tolist() == np.argsort(-(vectors @ request.vector))[:50].tolist()
    assert hits.scores == pytest.approx(expected.scores)


def test_evidence_is_the_cosine_of_the_hit() -> None:
    vectors = np.array([[0, 1], [1, 0], [0.6, 0.8]], np.float32)
    hits = DenseChannel(vectors).search(Request("", np.array([1, 0], np.float32)), 3)
    assert hits.rows.tolist() == [1, 2, 0]
    evidence = hits.evidence(1)
    assert (evidence.channel, evidence.rank, evidence.reason) == ("dense", 2, "meaning: cosine 0.60")
    assert evidence.score == pytest.approx(0.6)

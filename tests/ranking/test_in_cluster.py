"""In-cluster scoring against loops over paths and items."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.constraints.item_filter import ItemFilter
from shelfwalk.constraints.trie import Trie
from shelfwalk.generators.beam_search import Beams
from shelfwalk.ranking.in_cluster import Candidates, InClusterWeights, expand, in_cluster_scores

SEEDS = st.integers(0, 2**32)


def random_trie(generator: np.random.Generator, items: int) -> Trie:
    return Trie.build(generator.integers(0, 3, (items, 2)).astype(np.int32))


def random_beams(generator: np.random.Generator, trie: Trie, queries: int, width: int) -> Beams:
    """Some leaves in any order for every query, with falling scores; what a query lacks is filled up at the end."""
    states = np.full((queries, width, 1), -1, np.int64)
    scores = np.full((queries, width), -np.inf, np.float32)
    for query in range(queries):
        found = int(generator.integers(0, min(width, trie.leaves) + 1))
        states[query, :found, 0] = trie.first_leaf + generator.permutation(trie.leaves)[:found]
        scores[query, :found] = -np.sort(generator.random(found) * 9)
    return Beams(np.zeros((queries, width, 2), np.int32), states, scores)


def slow_expand(
    beams: Beams, query: int, trie: Trie, most_items: int | None, allowed: npt.NDArray[np.bool_]
) -> list[tuple[int, int, float, int]]:
    taken: list[tuple[int, int, float, int]] = []
    for path, (state, score) in enumerate(zip(beams.states[query, :, 0], beams.scores[query].tolist(), strict=True)):
        if state == -1 or (most_items is not None and len(taken) >= most_items):
            break
        members = trie.items_of(state - trie.first_leaf).tolist()
        taken += [(row, path, score, len(members)) for row in members if allowed[row]]
    return taken


@given(
    seed=SEEDS,
    items=st.integers(1, 30),
    width=st.integers(1, 12),
    most_items=st.none() | st.integers(1, 40),
    share=st.sampled_from([0.5, 1.0]),
)
def test_items_are_taken_path_by_path(seed: int, items: int, width: int, most_items: int | None, share: float) -> None:
    generator = np.random.default_rng(seed)
    trie = random_trie(generator, items)
    beams = random_beams(generator, trie, 3, width)
    allowed = generator.random(items) < share
    identifiers = trie if allowed.all() else trie.narrowed(ItemFilter(allowed))
    for query in range(3):
        taken = expand(beams, query, identifiers, most_items)
        columns = (taken.rows, taken.paths, taken.log_probabilities, taken.cluster_sizes)
        assert list(zip(*(column.tolist() for column in columns), strict=True)) == slow_expand(
            beams, query, trie, most_items, allowed
        )


@pytest.mark.parametrize(("most_items", "rows"), [(1, [4]), (2, [4, 0, 2]), (4, [4, 0, 2, 1, 3]), (9, [4, 0, 2, 1, 3])])
def test_the_path_that_reaches_the_limit_is_taken_whole(most_items: int, rows: list[int]) -> None:
    trie = Trie.build(np.array([[0, 0], [0, 1], [0, 0], [0, 1], [1, 0]], np.int32))
    states = trie.first_leaf + np.array([[[2], [0], [1]]])
    beams = Beams(trie.paths()[[2, 0, 1]][None], states, np.array([[-1, -2, -3]], np.float32))
    assert expand(beams, 0, trie, most_items).rows.tolist() == rows


@given(
    seed=SEEDS,
    items=st.integers(1, 30),
    path=st.floats(0, 2),
    words=st.floats(0, 2),
    weight=st.floats(0, 2),
    history=st.lists(st.integers(0, 35), max_size=8),
)
def test_the_score_is_the_formula(
    seed: int, items: int, path: float, words: float, weight: float, history: list[int]
) -> None:
    generator = np.random.default_rng(seed)
    trie = random_trie(generator, items)
    candidates = expand(random_beams(generator, trie, 1, 9), 0, trie)
    cosines, shares = generator.random((2, len(candidates.rows)), np.float32)
    weights = InClusterWeights(path, words, weight)
    scores = in_cluster_scores(candidates, cosines, shares, weights, np.array(history, np.int32))
    expected = [
        cosine + path * (log_probability - math.log(size)) + words * share + weight * (row in history)
        for row, cosine, share, size, log_probability in zip(
            candidates.rows.tolist(),
            cosines.tolist(),
            shares.tolist(),
            candidates.cluster_sizes.tolist(),
            candidates.log_probabilities.tolist(),
            strict=True,
        )
    ]
    assert scores.dtype == np.float32
    assert scores.tolist() == pytest.approx(expected, abs=1e-4)


@given(seed=SEEDS, items=st.integers(1, 30))
def test_without_weights_the_cosine_alone_decides(seed: int, items: int) -> None:
    generator = np.random.default_rng(seed)
    trie = random_trie(generator, items)
    candidates = expand(random_beams(generator, trie, 1, 9), 0, trie)
    cosines, shares = generator.random((2, len(candidates.rows)), np.float32)
    scores = in_cluster_scores(candidates, cosines, shares, InClusterWeights(0.0, 0.0))
    assert scores.tolist() == cosines.tolist()


def scores_of(sizes: list[int], log_probabilities: list[float], weights: InClusterWeights) -> npt.NDArray[np.float32]:
    """The score of one item of each of some clusters, all with cosine 0 and no word."""
    paths = np.arange(len(sizes))
    candidates = Candidates(paths, paths, np.array(log_probabilities, np.float32), np.array(sizes))
    zeros = np.zeros(len(sizes), np.float32)
    return in_cluster_scores(candidates, zeros, zeros, weights)


def test_a_probability_is_shared_among_the_items_of_a_cluster() -> None:
    alone, shared = scores_of([1, 8], [math.log(0.1), math.log(0.8)], InClusterWeights(0.5, 0.0))
    assert alone == pytest.approx(shared, abs=1e-6)

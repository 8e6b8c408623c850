"""The beam search against slow searches over dictionaries, with tables of random scores for a model."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfwalk.constraints.trie import Trie
from shelfwalk.generators.beam_search import Beams, beam_search

Floats = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int32]
Prefix = tuple[int, ...]
Scored = list[tuple[Prefix, float]]


class TableGenerator:
    """Scores drawn from (seed, query, prefix), not normalised; the query is the one number of its vector.

    Its cache is the prefix of every beam, so that a wrong reordering or a wrong token gives other scores.
    """

    def __init__(
        self, level_sizes: tuple[int, ...], seed: int, shape: Callable[[Floats], Floats] | None = None
    ) -> None:
        self.level_sizes = level_sizes
        self._seed = seed
        self._shape = shape or (lambda logits: logits)

    def row(self, query: int, prefix: Prefix) -> Floats:
        logits = np.random.default_rng([self._seed, query, *prefix]).normal(size=self.level_sizes[len(prefix)]) * 3
        return self._shape(logits.astype(np.float32))

    def encode(self, query_vectors: Floats) -> list[int]:
        return query_vectors[:, 0].astype(int).tolist()

    def start(self, queries: int) -> Codes:
        return np.empty((queries, 1, 0), np.int32)

    def step(self, memory: list[int], cache: Codes, tokens: Codes | None, level: int) -> tuple[Floats, Codes]:
        if tokens is not None:
            cache = np.concatenate((cache, tokens[:, :, None]), axis=2)
        assert cache.shape[2] == level
        rows = [
            [self.row(query, tuple(beam)) for beam in beams]
            for query, beams in zip(memory, cache.tolist(), strict=True)
        ]
        return np.array(rows, np.float32), cache

    def reorder(self, cache: Codes, parents: npt.NDArray[np.int64]) -> Codes:
        return np.stack([beams[order] for beams, order in zip(cache, parents, strict=True)])


def in_steps_of_one(logits: Floats) -> Floats:
    """Whole numbers: many equal scores."""
    return np.round(logits)


def with_impossible_codes(logits: Floats) -> Floats:
    """Every code drawn below a half is impossible, at times all of them."""
    return np.where(logits < 0.5, -np.inf, logits).astype(np.float32)


def all_alike(logits: Floats) -> Floats:
    return np.zeros_like(logits)


def best(scored: Scored, width: int) -> Scored:
    """The best, the smaller path first among equals; what is impossible is none."""
    return sorted(((path, score) for path, score in scored if score > -np.inf), key=lambda x: (-x[1], x[0]))[:width]


def exhaustive_search(generator: TableGenerator, codes: Codes, query: int, width: int) -> Scored:
    scored = []
    for path in {tuple(row) for row in codes.tolist()}:
        score = np.float32(0)
        for level, token in enumerate(path):
            score += generator.row(query, path[:level])[token]
        scored.append((path, float(score)))
    return best(scored, width)


def slow_beam_search(generator: TableGenerator, codes: Codes, query: int, width: int) -> Scored:
    paths = {tuple(row) for row in codes.tolist()}
    beams: Scored = [((), 0.0)]
    for level in range(codes.shape[1]):
        rows = {prefix: generator.row(query, prefix) for prefix, _ in beams}
        extended = [
            (path, float(np.float32(score) + rows[prefix][path[-1]]))
            for prefix, score in beams
            for path in {path[: level + 1] for path in paths if path[:level] == prefix}
        ]
        beams = best(extended, width)
    return beams


def found(beams: Beams, query: int) -> Scored:
    """The paths of a query, after checking that the rest of its row says that there are no more."""
    count = beams.found(query)
    codes, states, scores = beams.codes[query], beams.states[query], beams.scores[query]
    assert np.all(states[:count] >= 0) and np.all(scores[:count] > -np.inf)
    assert np.all(states[count:] == -1) and np.all(codes[count:] == -1) and np.all(scores[count:] == -np.inf)
    return [(tuple(path), float(score)) for path, score in zip(codes[:count].tolist(), scores[:count], strict=True)]


def searched(generator: TableGenerator, codes: Codes, queries: int, width: int) -> Beams:
    trie = Trie.build(codes)
    # A warning about −inf or NaN arithmetic would be a mistake.
    with np.errstate(invalid="raise"):
        beams = beam_search(generator, trie, np.arange(queries, dtype=np.float32)[:, None], width)
    assert beams.codes.shape == (*beams.states.shape, codes.shape[1]) and beams.scores.shape == beams.states.shape
    assert (beams.codes.dtype, beams.states.dtype, beams.scores.dtype) == (np.int32, np.int64, np.float32)
    assert beams.states.shape[1] <= width
    for query in range(queries):
        count = beams.found(query)
        paths = beams.codes[query, :count]
        assert np.array_equal(trie.paths(beams.states[query, :count]), paths)
        assert {tuple(path) for path in paths.tolist()} <= {tuple(path) for path in codes.tolist()}
    return beams


shapes = st.sampled_from([None, in_steps_of_one, with_impossible_codes, all_alike])


@st.composite
def problems(draw: st.DrawFn) -> tuple[TableGenerator, Codes]:
    """A catalogue of 1 to 40 items on 1 to 4 levels of unequal sizes, and a model."""
    sizes = tuple(draw(st.lists(st.integers(1, 6), min_size=1, max_size=4)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    codes = rng.integers(0, sizes, size=(draw(st.integers(1, 40)), len(sizes))).astype(np.int32)
    return TableGenerator(sizes, draw(st.integers(0, 2**32)), draw(shapes)), codes


@settings(max_examples=250, deadline=None)
@given(problems(), st.integers(1, 3), st.integers(0, 20))
def test_wide_enough_it_ranks_all_paths(problem: tuple[TableGenerator, Codes], queries: int, more: int) -> None:
    generator, codes = problem
    width = len({tuple(row) for row in codes.tolist()}) + more
    beams = searched(generator, codes, queries, width)
    for query in range(queries):
        assert found(beams, query) == exhaustive_search(generator, codes, query, width)


@settings(max_examples=250, deadline=None)
@given(problems(), st.integers(1, 3), st.integers(1, 12))
def test_at_every_width_it_equals_the_slow_search(
    problem: tuple[TableGenerator, Codes], queries: int, width: int
) -> None:
    generator, codes = problem
    beams = searched(generator, codes, queries, width)
    for query in range(queries):
        assert found(beams, query) == slow_beam_search(generator, codes, query, width)


@settings(max_examples=60, deadline=None)
@given(problems(), st.lists(st.integers(0, 9), min_size=1, max_size=5), st.integers(1, 6))
def test_a_query_gets_the_same_alone_as_in_a_batch(
    problem: tuple[TableGenerator, Codes], queries: list[int], width: int
) -> None:
    generator, codes = problem
    trie = Trie.build(codes)
    vectors = np.array(queries, np.float32)[:, None]
    together = beam_search(generator, trie, vectors, width)
    for number in range(len(queries)):
        assert found(together, number) == found(beam_search(generator, trie, vectors[number : number + 1], width), 0)


def test_wider_beams_go_on_where_narrower_ones_end() -> None:
    # True of one level, where nothing is cut off on the way.
    codes = np.arange(30, dtype=np.int32)[:, None]
    generator = TableGenerator((30,), seed=4, shape=in_steps_of_one)
    rankings = [found(searched(generator, codes, 1, width), 0) for width in (1, 2, 7, 29, 30, 31)]
    for narrow, wide in pairwise(rankings):
        assert wide[: len(narrow)] == narrow
    assert [len(ranking) for ranking in rankings] == [1, 2, 7, 29, 30, 30]


def test_a_model_without_preferences_gives_the_first_paths_in_order() -> None:
    codes = np.random.default_rng(2).integers(0, 5, size=(80, 3)).astype(np.int32)
    generator = TableGenerator((5, 5, 5), seed=0, shape=all_alike)
    paths = sorted({tuple(path) for path in codes.tolist()})
    for width in (1, 3, 10, len(paths)):
        assert [path for path, _ in found(searched(generator, codes, 2, width), 1)] == paths[:width]


def test_a_narrow_beam_keeps_the_best_prefixes_not_the_best_paths() -> None:
    # Code 0 is likelier than 1, but what follows it is shared by two, so that the best path begins with 1.
    class Model(TableGenerator):
        def row(self, query: int, prefix: Prefix) -> Floats:
            return np.log(np.array({(): [0.55, 0.45], (0,): [0.5, 0.5], (1,): [1.0, 0.0]}[prefix], np.float32) + 1e-9)

    codes = np.array([[0, 0], [0, 1], [1, 0]], np.int32)
    model = Model((2, 2), seed=0)
    assert [path for path, _ in found(searched(model, codes, 1, 1), 0)] == [(0, 0)]
    assert [path for path, _ in found(searched(model, codes, 1, 2), 0)] == [(1, 0), (0, 0)]


def test_a_catalogue_of_one_item_gives_it_at_every_width() -> None:
    codes = np.array([[2, 0, 1]], np.int32)
    generator = TableGenerator((3, 3, 3), seed=1)
    for width in (1, 50):
        assert [path for path, _ in found(searched(generator, codes, 2, width), 1)] == [(2, 0, 1)]


def test_paths_that_the_model_holds_impossible_are_not_found() -> None:
    def only_code_one(logits: Floats) -> Floats:
        return np.where(np.arange(len(logits)) == 1, 0, -np.inf).astype(np.float32)

    generator = TableGenerator((3, 3), seed=1, shape=only_code_one)
    beams = searched(generator, np.array([[0, 1], [1, 1], [1, 2]], np.int32), 1, 5)
    assert found(beams, 0) == [((1, 1), 0.0)]
    beams = searched(generator, np.array([[0, 1], [1, 0], [2, 2]], np.int32), 2, 5)
    assert [found(beams, query) for query in range(2)] == [[], []]


def test_a_code_that_the_model_does_not_know_is_an_error() -> None:
    # Never the score of the next beam, which lies behind it.
    with pytest.raises(IndexError):
        searched(TableGenerator((3, 3), seed=1), np.array([[0, 3], [2, 0]], np.int32), 1, 5)


def test_no_queries_give_no_beams() -> None:
    beams = searched(TableGenerator((3, 3), seed=1), np.array([[0, 1], [2, 0]], np.int32), 0, 5)
    assert beams.codes.shape[0] == beams.states.shape[0] == beams.scores.shape[0] == 0


@pytest.mark.parametrize("width", [0, -1])
def test_refuses_a_width_below_one(width: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        searched(TableGenerator((3,), seed=1), np.array([[0]], np.int32), 1, width)

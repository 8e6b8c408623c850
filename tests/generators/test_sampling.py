"""Samples without replacement against all paths written out with their probabilities."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_search import Codes, Floats, Prefix, TableGenerator, paths_of, problems

from shelfwalk.constraints.constraint import END
from shelfwalk.constraints.item_filter import ItemFilter
from shelfwalk.constraints.trie import Trie
from shelfwalk.generators.sampling import Samples, sample_paths

Problem = tuple[TableGenerator, Codes]


def constrained_distribution(
    generator: TableGenerator, paths: set[Prefix], query: int, temperature: float = 1.0
) -> dict[Prefix, float]:
    """The log-probability of every path, each step renormalised over what may follow in `paths`."""
    levels = len(generator.level_sizes)
    found = {}
    for path in paths:
        total = 0.0
        for length in range(len(path) + (len(path) < levels)):
            row = generator.row(query, path[:length]).astype(np.float64) / temperature
            allowed = {(*other, END)[length] for other in paths if other[:length] == path[:length] and length < levels}
            taken = path[length] if length < len(path) else END
            scores = {token: row[token] for token in allowed}
            total += scores[taken] - np.log(sum(np.exp(score) for score in scores.values()))
        found[path] = total
    return found


def drawn(samples: Samples, query: int) -> list[tuple[Prefix, float]]:
    own = samples.query == query
    assert np.all(np.diff(samples.keys[own]) <= 0)
    return [
        (tuple(code for code in path if code != END), float(score))
        for path, score in zip(samples.codes[own].tolist(), samples.log_probabilities[own], strict=True)
    ]


def vectors_of(queries: int) -> Floats:
    return np.arange(queries, dtype=np.float32)[:, None]


@settings(max_examples=200)
@given(problems(), st.integers(1, 50), st.integers(0, 2**32), st.sampled_from([0.5, 1.0, 3.0]))
def test_paths_are_distinct_valid_and_carry_their_exact_log_probability(
    problem: Problem, count: int, seed: int, temperature: float
) -> None:
    generator, codes = problem
    paths, trie = paths_of(codes.tolist()), Trie.build(codes)
    samples = sample_paths(generator, trie, vectors_of(2), count, [seed, seed + 1], temperature)
    for query in range(2):
        with np.errstate(divide="ignore", invalid="ignore"):
            expected = constrained_distribution(generator, paths, query, temperature)
        possible = {path: score for path, score in expected.items() if score > -np.inf}
        found = drawn(samples, query)
        assert len({path for path, _ in found}) == len(found) <= count
        assert [score for _, score in found] == pytest.approx([possible[path] for path, _ in found], abs=1e-4)
        if len(possible) == len(paths):
            assert len(found) == min(count, len(paths))
    assert np.array_equal(trie.paths(samples.states[:, 0]), samples.codes)


@settings(max_examples=60)
@given(problems(), st.lists(st.integers(0, 9), min_size=1, max_size=5), st.integers(1, 6))
def test_a_query_draws_the_same_alone_as_in_a_batch(problem: Problem, queries: list[int], count: int) -> None:
    generator, codes = problem
    trie, vectors = Trie.build(codes), np.array(queries, np.float32)[:, None]
    seeds = [100 + place for place in range(len(queries))]
    together = sample_paths(generator, trie, vectors, count, seeds)
    for place in range(len(queries)):
        alone = sample_paths(generator, trie, vectors[place : place + 1], count, seeds[place : place + 1])
        assert drawn(together, place) == drawn(alone, 0)


class OneQuery(TableGenerator):
    """The same table for every query, looked up for many at once."""

    def __init__(self, level_sizes: tuple[int, ...], seed: int, *, ends: bool = False) -> None:
        super().__init__(level_sizes, seed, ends=ends)
        self._rows: dict[Prefix, Floats] = {}

    def row(self, query: int, prefix: Prefix) -> Floats:
        if prefix not in self._rows:
            self._rows[prefix] = super().row(0, prefix) / 2
        return self._rows[prefix]


@pytest.mark.parametrize("several_lengths", [False, True])
def test_ordered_samples_follow_the_law_of_drawing_without_replacement(several_lengths: bool) -> None:
    codes = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0], [1, 0, 1], [0, 0, 0]], np.int32)
    if several_lengths:
        codes = np.array([[0, END, END], [0, 1, END], [0, 1, 0], [1, END, END], [1, 1, 1]], np.int32)
    generator = OneQuery((2, 2, 2), seed=5, ends=several_lengths)
    probability = {
        path: np.exp(score) for path, score in constrained_distribution(generator, paths_of(codes.tolist()), 0).items()
    }
    assert sum(probability.values()) == pytest.approx(1)
    draws = 20_000
    samples = sample_paths(generator, Trie.build(codes), vectors_of(draws), 3, range(draws))
    assert np.bincount(samples.query).tolist() == [3] * draws
    orders = [tuple(map(tuple, triple)) for triple in samples.codes.reshape(draws, 3, 3).tolist()]
    counted = {order: orders.count(order) for order in set(orders)}
    for triple in permutations(probability, 3):
        left, expected = 1.0, float(draws)
        for path in triple:
            expected *= probability[path] / left
            left -= probability[path]
        filled = tuple((*path, END, END)[:3] for path in triple)
        # Five standard deviations; the seeds are fixed.
        assert abs(counted.get(filled, 0) - expected) <= 5 * max(expected, 1.0) ** 0.5


def test_keys_are_perturbed_log_probabilities() -> None:
    # The largest of all keys is that of the whole distribution: a Gumbel of mean 0.5772 and variance π² / 6.
    codes = np.array([[0, 0], [0, 1], [1, 1]], np.int32)
    samples = sample_paths(OneQuery((2, 2), seed=1), Trie.build(codes), vectors_of(20_000), 1, range(20_000))
    assert samples.keys.mean() == pytest.approx(np.euler_gamma, abs=0.04)
    assert samples.keys.var() == pytest.approx(np.pi**2 / 6, abs=0.08)


def test_every_query_has_its_own_filter() -> None:
    codes = np.array([[0, 0], [0, 1], [1, 1], [1, 0]], np.int32)
    trie = Trie.build(codes)
    filters = [ItemFilter.of_rows(rows, 4) for rows in ([1], [0, 2], [])]
    samples = sample_paths(
        TableGenerator((2, 2), seed=1), [trie.narrowed(one) for one in filters], vectors_of(3), 4, [1, 2, 3]
    )
    assert [sorted(path for path, _ in drawn(samples, query)) for query in range(3)] == [[(0, 1)], [(0, 0), (1, 1)], []]
    # Alone, the one path that is left is certain.
    assert drawn(samples, 0)[0][1] == pytest.approx(0, abs=1e-6)


def test_no_queries_draw_nothing() -> None:
    samples = sample_paths(TableGenerator((2,), seed=1), Trie.build(np.array([[0]], np.int32)), vectors_of(0), 3, [])
    assert len(samples.query) == len(samples.codes) == 0


@pytest.mark.parametrize(("count", "seeds"), [(0, [1]), (3, []), (3, [1, 2])])
def test_refuses_to_draw_nothing_or_without_a_seed_a_query(count: int, seeds: list[int]) -> None:
    with pytest.raises(ValueError, match="seed for each"):
        sample_paths(TableGenerator((2,), seed=1), Trie.build(np.array([[0]], np.int32)), vectors_of(1), count, seeds)


def test_an_end_that_the_model_does_not_know_is_an_error() -> None:
    trie = Trie.build(np.array([[0, END], [1, 0]], np.int32))
    with pytest.raises(ValueError, match="knows no end"):
        sample_paths(TableGenerator((2, 2), seed=1), trie, vectors_of(1), 3, [1])

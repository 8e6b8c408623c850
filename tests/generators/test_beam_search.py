"""The beam search against slow searches over dictionaries, with tables of random scores for a model."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_search import (
    Codes,
    Floats,
    Prefix,
    TableGenerator,
    all_alike,
    exhaustive_search,
    found,
    in_steps_of_one,
    paths_of,
    problems,
    slow_beam_search,
)

from shelfwalk.constraints.constraint import END
from shelfwalk.constraints.item_filter import ItemFilter
from shelfwalk.constraints.live_trie import LiveTrie
from shelfwalk.constraints.trie import Trie
from shelfwalk.generators.beam_search import Beams, beam_search
from shelfwalk.generators.scoring import Scoring

Problem = tuple[TableGenerator, Codes]
PENALTIES = st.sampled_from([0.0, 1.0, -0.7, 3.0])


def vectors_of(queries: int) -> Floats:
    return np.arange(queries, dtype=np.float32)[:, None]


def searched(
    generator: TableGenerator, codes: Codes, queries: int, width: int, scoring: Scoring | None = None
) -> Beams:
    trie = Trie.build(codes)
    # A warning about −inf or NaN arithmetic would be a mistake.
    with np.errstate(invalid="raise"):
        beams = beam_search(generator, trie, vectors_of(queries), width, scoring or Scoring())
    assert beams.codes.shape == (*beams.scores.shape, codes.shape[1]) and beams.states.shape == (*beams.scores.shape, 1)
    assert (beams.codes.dtype, beams.states.dtype, beams.scores.dtype) == (np.int32, np.int64, np.float32)
    assert beams.scores.shape[1] <= width
    for query in range(queries):
        count = beams.found(query)
        paths = beams.codes[query, :count]
        assert np.array_equal(trie.paths(beams.states[query, :count, 0]), paths)
        assert {tuple(path) for path in paths.tolist()} <= {tuple(path) for path in codes.tolist()}
    return beams


@settings(max_examples=400)
@given(problems(), st.integers(1, 3), st.integers(0, 20), PENALTIES)
def test_wide_enough_it_ranks_all_paths(problem: Problem, queries: int, more: int, penalty: float) -> None:
    generator, codes = problem
    paths = paths_of(codes.tolist())
    beams = searched(generator, codes, queries, len(paths) + more, Scoring(length_penalty=penalty))
    for query in range(queries):
        assert found(beams, query) == exhaustive_search(generator, paths, query, len(paths), penalty)


@settings(max_examples=400)
@given(problems(), st.integers(1, 3), st.integers(1, 12), PENALTIES)
def test_at_every_width_it_equals_the_slow_search(problem: Problem, queries: int, width: int, penalty: float) -> None:
    generator, codes = problem
    beams = searched(generator, codes, queries, width, Scoring(length_penalty=penalty))
    for query in range(queries):
        assert found(beams, query) == slow_beam_search(generator, paths_of(codes.tolist()), query, width, penalty)


@settings(max_examples=60)
@given(problems(), st.lists(st.integers(0, 9), min_size=1, max_size=5), st.integers(1, 6))
def test_a_query_gets_the_same_alone_as_in_a_batch(problem: Problem, queries: list[int], width: int) -> None:
    generator, codes = problem
    trie = Trie.build(codes)
    vectors = np.array(queries, np.float32)[:, None]
    together = beam_search(generator, trie, vectors, width)
    for number in range(len(queries)):
        assert found(together, number) == found(beam_search(generator, trie, vectors[number : number + 1], width), 0)


@settings(max_examples=100)
@given(problems(), st.lists(st.integers(1, 30), min_size=1, max_size=4), st.integers(0, 2**32))
def test_every_query_of_a_batch_has_its_own_filter_and_width(problem: Problem, widths: list[int], seed: int) -> None:
    generator, codes = problem
    random, trie = np.random.default_rng(seed), Trie.build(codes)
    filters = [ItemFilter(random.random(len(codes)) < share) for share in random.choice([0.0, 0.1, 0.6], len(widths))]
    live = LiveTrie(trie)
    live.change(remove=[0])
    # Beside filtered tries, one that changes, whose states are wider where something was added.
    constraints = [trie.narrowed(one) for one in filters]
    beams = beam_search(generator, [*constraints, live.snapshot(), trie], vectors_of(len(widths) + 2), [*widths, 5, 7])
    seen = [one.allowed for one in filters] + [np.arange(len(codes)) > 0, np.ones(len(codes), bool)]
    for query, (allowed, width) in enumerate(zip(seen, [*widths, 5, 7], strict=True)):
        paths = paths_of(codes[allowed].tolist())
        assert found(beams, query) == slow_beam_search(generator, paths, query, width)


def test_identifiers_added_to_a_live_trie_are_found_in_a_batch_with_others() -> None:
    codes = np.array([[0, 0], [1, 1]], np.int32)
    live = LiveTrie(Trie.build(codes, level_sizes=(2, 2)))
    before = live.snapshot()
    live.change(add=[2], codes=np.array([[1, 0]], np.int32))
    generator = TableGenerator((2, 2), seed=3)
    beams = beam_search(generator, [before, live.snapshot(), before], vectors_of(3), 4)
    for query, paths in enumerate([{(0, 0), (1, 1)}, {(0, 0), (1, 0), (1, 1)}, {(0, 0), (1, 1)}]):
        assert found(beams, query) == exhaustive_search(generator, paths, query, 4)


@settings(max_examples=150)
@given(
    problems(),
    st.sampled_from([1e-3, 0.5, 2.0, 1e4]),
    PENALTIES,
    st.integers(1, 50),
)
def test_no_invalid_path_at_any_temperature(problem: Problem, temperature: float, penalty: float, width: int) -> None:
    # `searched` holds every path against the catalogue.
    generator, codes = problem
    beams = searched(generator, codes, 2, width, Scoring(temperature, penalty))
    paths = paths_of(codes.tolist())
    if width >= len(paths):
        for query in range(2):
            # None is lost either, but for those that have no probability at this temperature any more.
            known = {path for path, _ in exhaustive_search(generator, paths, query, len(paths))}
            assert {path for path, _ in found(beams, query)} == known


@settings(max_examples=100)
@given(st.integers(0, 2**32), st.floats(0.05, 20))
def test_a_temperature_divides_logits_and_normalises_again(seed: int, temperature: float) -> None:
    random = np.random.default_rng(seed)
    logits = random.normal(size=(3, 2, 7)) * 5
    logits[0, 0, 2:5] = -np.inf
    logits[1, 1] = -np.inf
    logits -= np.log(np.maximum(np.exp(logits).sum(axis=-1, keepdims=True), 1e-300))
    steps = np.minimum(logits, 0).astype(np.float32)
    with np.errstate(invalid="raise", divide="raise"):
        tempered = Scoring(temperature).tempered(steps)
    powers = np.exp(logits) ** (1 / temperature)
    expected = powers / np.maximum(powers.sum(axis=-1, keepdims=True), 1e-300)
    assert np.exp(tempered.astype(np.float64)) == pytest.approx(expected, abs=1e-5)
    assert tempered.dtype == np.float32 and np.all(tempered <= 0)
    assert Scoring(1.0).tempered(steps) is steps


@pytest.mark.parametrize(
    ("temperature", "penalty"), [(0.0, 0.0), (-1.0, 0.0), (np.inf, 0.0), (np.nan, 0.0), (1, np.nan)]
)
def test_refuses_a_scoring_that_is_none(temperature: float, penalty: float) -> None:
    with pytest.raises(ValueError, match="temperature"):
        Scoring(temperature, penalty)


def test_wider_beams_go_on_where_narrower_ones_end() -> None:
    # True of one level, where nothing is cut off on the way.
    codes = np.arange(30, dtype=np.int32)[:, None]
    generator = TableGenerator((30,), seed=4, shape=in_steps_of_one)
    narrower = [found(searched(generator, codes, 1, width), 0) for width in range(1, 31)]
    for shorter, longer in pairwise(narrower):
        assert longer[:-1] == shorter


def test_of_equal_paths_those_with_the_smaller_codes_win() -> None:
    codes = np.random.default_rng(2).integers(0, 5, size=(80, 3)).astype(np.int32)
    generator = TableGenerator((5, 5, 5), seed=0, shape=all_alike)
    paths = sorted({tuple(path) for path in codes.tolist()})
    for width in (1, 3, 10, len(paths)):
        assert [path for path, _ in found(searched(generator, codes, 2, width), 1)] == paths[:width]


def test_of_equal_paths_the_shorter_wins() -> None:
    codes = np.array([[1, END], [1, 0], [0, 2], [0, END]], np.int32)
    generator = TableGenerator((2, 3), seed=0, shape=all_alike, ends=True)
    assert [path for path, _ in found(searched(generator, codes, 1, 9), 0)] == [(0,), (0, 2), (1,), (1, 0)]


def test_a_narrow_beam_keeps_the_best_prefixes_not_the_best_paths() -> None:
    # Code 0 is likelier than 1, but what follows it is shared by two, so that the best path begins with 1.
    class Model(TableGenerator):
        def row(self, query: int, prefix: Prefix) -> Floats:
            return np.log(np.array({(): [0.55, 0.45], (0,): [0.5, 0.5], (1,): [1.0, 0.0]}[prefix], np.float32) + 1e-9)

    codes = np.array([[0, 0], [0, 1], [1, 0]], np.int32)
    model = Model((2, 2), seed=0)
    assert [path for path, _ in found(searched(model, codes, 1, 1), 0)] == [(0, 0)]
    assert [path for path, _ in found(searched(model, codes, 1, 2), 0)] == [(1, 0), (0, 0)]


class EarlyEnds(TableGenerator):
    """Holds the end far likelier than any code behind the first."""

    def row(self, query: int, prefix: Prefix) -> Floats:
        codes = np.full(self.level_sizes[len(prefix)] + 1, -5.0 if prefix else -1.0, np.float32)
        codes[-1] = -0.1
        return codes


def test_a_search_stops_as_soon_as_no_open_path_can_enter_the_best() -> None:
    lengths = np.repeat([1, 2, 4], 3)
    codes = np.tile(np.arange(3, dtype=np.int32)[:, None], (3, 4))
    codes[np.arange(4) >= lengths[:, None]] = END
    generator = EarlyEnds((3, 3, 3, 3), seed=0, ends=True)
    beams = searched(generator, codes, 1, 3)
    assert [path for path, _ in found(beams, 0)] == [(0,), (1,), (2,)]
    # The root and three paths of one code; none of two codes was ever scored.
    assert generator.rows_scored == 1 + 3
    # Longer paths are favoured so much that the same model must be asked to the end.
    longest = searched(generator, codes, 1, 3, Scoring(length_penalty=4.0))
    assert {len(path) for path, _ in found(longest, 0)} == {4}


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


def test_scores_that_are_no_numbers_are_no_paths() -> None:
    def with_nan(logits: Floats) -> Floats:
        return np.where(np.arange(len(logits)) == 0, np.nan, logits).astype(np.float32)

    generator = TableGenerator((3, 3), seed=1, shape=with_nan)
    beams = searched(generator, np.array([[0, 1], [1, 0], [1, 2]], np.int32), 1, 5)
    assert [path for path, _ in found(beams, 0)] == [(1, 2)]


def test_a_code_that_the_model_does_not_know_is_an_error() -> None:
    # Never the score of the next beam, which lies behind it.
    with pytest.raises(IndexError):
        searched(TableGenerator((3, 3), seed=1), np.array([[0, 3], [2, 0]], np.int32), 1, 5)


def test_an_end_that_the_model_does_not_know_is_an_error() -> None:
    with pytest.raises(ValueError, match="knows no end"):
        searched(TableGenerator((3, 3), seed=1), np.array([[0, END], [2, 0]], np.int32), 1, 5)


def test_a_generator_that_stops_before_the_paths_do_returns_none() -> None:
    trie = Trie.build(np.array([[0, 1, 2]], np.int32))
    assert beam_search(TableGenerator((3, 3), seed=1), trie, vectors_of(1), 5).found(0) == 0


def test_no_queries_give_no_beams() -> None:
    beams = searched(TableGenerator((3, 3), seed=1), np.array([[0, 1], [2, 0]], np.int32), 0, 5)
    assert beams.codes.shape[0] == beams.states.shape[0] == beams.scores.shape[0] == 0


@pytest.mark.parametrize("width", [0, -1])
@pytest.mark.parametrize("queries", [0, 1])
def test_refuses_a_width_below_one(width: int, queries: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        searched(TableGenerator((3,), seed=1), np.array([[0]], np.int32), queries, width)


@pytest.mark.parametrize("widths", [[], [3], [1, 2, 3]])
def test_refuses_another_number_of_widths_than_of_queries(widths: list[int]) -> None:
    trie = Trie.build(np.array([[0]], np.int32))
    with pytest.raises(ValueError, match="2 queries need one beam width"):
        beam_search(TableGenerator((3,), seed=1), trie, vectors_of(2), widths)

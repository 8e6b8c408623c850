"""Models that are tables of random scores, and slow searches over dictionaries to hold the beam search against."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from shelfwalk.constraints.constraint import END
from shelfwalk.generators.beam_search import Beams

Floats = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int32]
Prefix = tuple[int, ...]
Scored = list[tuple[Prefix, float]]


class TableGenerator:
    """Scores drawn from (seed, query, prefix), not normalised; the query is the one number of its vector.

    Its cache is the prefix of every beam, so that a wrong reordering or a wrong token gives other scores. One that
    knows ends has a column for them behind the codes, and scores of at most 0.
    """

    def __init__(
        self,
        level_sizes: tuple[int, ...],
        seed: int,
        shape: Callable[[Floats], Floats] | None = None,
        *,
        ends: bool = False,
    ) -> None:
        self.level_sizes = level_sizes
        self.end_column = -1 if ends else None
        self.rows_scored = 0
        self._seed = seed
        self._shape = shape or (lambda logits: logits)

    def row(self, query: int, prefix: Prefix) -> Floats:
        size = self.level_sizes[len(prefix)] + (self.end_column is not None)
        logits = np.random.default_rng([self._seed, query, *prefix]).normal(size=size) * 3
        return self._shape((logits if self.end_column is None else -np.abs(logits)).astype(np.float32))

    def encode(self, query_vectors: Floats) -> list[int]:
        return query_vectors[:, 0].astype(int).tolist()

    def start(self, queries: int) -> Codes:
        return np.empty((queries, 1, 0), np.int32)

    def step(self, memory: list[int], cache: Codes, tokens: Codes | None, level: int) -> tuple[Floats, Codes]:
        if tokens is not None:
            cache = np.concatenate((cache, tokens[:, :, None]), axis=2)
        assert cache.shape[2] == level
        self.rows_scored += cache.shape[0] * cache.shape[1]
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
    """Some codes are impossible, at times all of them."""
    return np.where(np.abs(logits) < 1, -np.inf, logits).astype(np.float32)


def all_alike(logits: Floats) -> Floats:
    return np.zeros_like(logits)


shapes = st.sampled_from([None, in_steps_of_one, with_impossible_codes, all_alike])


@st.composite
def problems(draw: st.DrawFn, several_lengths: bool | None = None) -> tuple[TableGenerator, Codes]:
    """A catalogue of 1 to 40 items on 1 to 4 levels of unequal sizes, and a model."""
    sizes = tuple(draw(st.lists(st.integers(1, 6), min_size=1, max_size=4)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    codes = rng.integers(0, sizes, size=(draw(st.integers(1, 40)), len(sizes))).astype(np.int32)
    ends = draw(st.booleans()) if several_lengths is None else several_lengths
    if ends:
        codes[np.arange(len(sizes)) >= rng.integers(1, len(sizes) + 1, len(codes))[:, None]] = END
    return TableGenerator(sizes, draw(st.integers(0, 2**32)), draw(shapes), ends=ends), codes


def paths_of(codes: Iterable[Iterable[int]]) -> set[Prefix]:
    """The distinct identifiers, without what fills them up."""
    return {tuple(code for code in row if code != END) for row in codes}


def ranked(path: Prefix, total: np.float32, penalty: float) -> float:
    return float(np.float32(total) / np.float32(float(len(path)) ** penalty))


def best(scored: Scored, width: int) -> Scored:
    """The best, the smaller path first among equals; what is impossible is none."""
    return sorted(((path, score) for path, score in scored if score > -np.inf), key=lambda x: (-x[1], x[0]))[:width]


def exhaustive_search(
    generator: TableGenerator, paths: set[Prefix], query: int, width: int, penalty: float = 0.0
) -> Scored:
    scored = []
    for path in paths:
        total = np.float32(0)
        for level, token in enumerate(path):
            total += generator.row(query, path[:level])[token]
        if len(path) < len(generator.level_sizes):
            total += generator.row(query, path)[-1]
        scored.append((path, ranked(path, total, penalty)))
    return best(scored, width)


def slow_beam_search(
    generator: TableGenerator, paths: set[Prefix], query: int, width: int, penalty: float = 0.0
) -> Scored:
    """As long as any path is open, and with every path that ended kept to the last."""
    ended: Scored = []
    beams: Scored = [((), 0.0)]
    for level in range(len(generator.level_sizes)):
        rows = {prefix: generator.row(query, prefix) for prefix, _ in beams}
        ended += [
            (prefix, ranked(prefix, np.float32(score) + rows[prefix][-1], penalty))
            for prefix, score in beams
            if prefix in paths
        ]
        extended = [
            (path, float(np.float32(score) + rows[prefix][path[-1]]))
            for prefix, score in beams
            for path in {path[: level + 1] for path in paths if path[:level] == prefix and len(path) > level}
        ]
        beams = best(extended, width)
    whole = [(path, ranked(path, np.float32(score), penalty)) for path, score in beams]
    return best(ended + whole, width)


def found(beams: Beams, query: int) -> Scored:
    """The paths of a query, after checking that the rest of its row says that there are no more."""
    count = beams.found(query)
    codes, states, scores = beams.codes[query], beams.states[query], beams.scores[query]
    assert np.all(states[:count].max(axis=-1) >= 0) and np.all(scores[:count] > -np.inf)
    assert np.all(states[count:] == -1) and np.all(codes[count:] == -1) and np.all(scores[count:] == -np.inf)
    return [
        (tuple(code for code in path if code != END), float(score))
        for path, score in zip(codes[:count].tolist(), scores[:count], strict=True)
    ]

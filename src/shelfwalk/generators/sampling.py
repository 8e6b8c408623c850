"""Samples of identifiers without replacement, for rollouts: stochastic beam search.

In: a generator, a constraint (or one a query), query vectors, and a seed a query. Out: distinct paths of every query in
the order in which they were drawn, each with its exact log-probability.

The distribution is the generator's, at each step renormalised over the tokens that the constraint allows; drawing from
it path by path, each time from what is left, gives the same law. W. Kool, H. van Hoof and M. Welling, "Stochastic beams
and where to find them" (ICML 2019, arXiv 1903.06059): algorithm 1, with the numerically stable maximum of their
appendix B.3. Paths that have ended keep their perturbed log-probability and compete with open ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfwalk.constraints.constraint import END, Constraint
from shelfwalk.constraints.constraint_batch import ConstraintBatch
from shelfwalk.constraints.ranges import ranges
from shelfwalk.generators.generator import FloatArray, Generator, P
from shelfwalk.generators.scoring import Scoring

NO_CODE = -1
_Doubles = npt.NDArray[np.float64]
_Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Samples:
    """Paths of all queries together, by query, then in the order of drawing.

    `query` int64 [samples]; `codes` int32 [samples, levels], −1 behind the end of a shorter path; `states` int64
    [samples, integers of a state]; `log_probabilities` float64 [samples]; `keys` float64 [samples], the perturbed
    log-probabilities by which they were drawn, descending within a query.
    """

    query: _Numbers
    codes: npt.NDArray[np.int32]
    states: _Numbers
    log_probabilities: _Doubles
    keys: _Doubles


@dataclass(frozen=True)
class _Paths:
    """Paths, open and ended, of all queries, by query. `row`: the row of an open path in the generator's cache."""

    query: _Numbers
    codes: npt.NDArray[np.int32]
    states: _Numbers
    log_probabilities: _Doubles
    keys: _Doubles
    is_open: npt.NDArray[np.bool_]
    row: _Numbers

    def take(self, places: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> _Paths:
        return _Paths(*(getattr(self, name)[places] for name in self.__dataclass_fields__))

    def with_more(self, other: _Paths) -> _Paths:
        names = self.__dataclass_fields__
        return _Paths(*(np.concatenate((getattr(self, name), getattr(other, name))) for name in names))


def sample_paths(
    generator: Generator[P],
    constraint: Constraint | Sequence[Constraint],
    prompts: P,
    count: int,
    seeds: Sequence[int],
    temperature: float = 1.0,
) -> Samples:
    """Draw `count` distinct paths for every prompt, each of which is a query, or all where there are fewer.

    `seeds` [queries]: the same seed draws the same paths, whatever else is in the batch. Raises ValueError if `count`
    is below 1, if there is not one seed a query, or if a path may end early and the generator knows no end.
    """
    queries, levels = len(prompts), len(generator.level_sizes)
    if count < 1 or len(seeds) != queries:
        raise ValueError(f"draw at least 1 path with a seed for each of {queries} queries, not {count}, {len(seeds)}")
    constraints = ConstraintBatch(constraint, queries)
    chance = [np.random.default_rng(seed) for seed in seeds]
    paths = _opening(constraints, chance, levels)
    memory, cache = (generator.encode(prompts), generator.start(queries)) if queries else (None, None)
    tokens: npt.NDArray[np.int32] | None = None
    for level in range(levels):
        if not paths.is_open.any():
            break
        steps, cache = generator.step(memory, cache, tokens, level)
        steps = Scoring(temperature).tempered(steps)
        paths = _extended(paths, steps, constraints, chance, generator.end_column, level)
        paths = _drawn(paths, count)
        if level + 1 < levels and paths.is_open.any():
            paths, parents, tokens = _side_by_side(paths, queries, steps.shape[1], level)
            cache = generator.reorder(cache, parents)
    paths = paths.take(np.flatnonzero(~paths.is_open | constraints.complete(paths.query, paths.states)))
    order = np.lexsort((-paths.keys, paths.query))
    paths = paths.take(order)
    return Samples(paths.query, paths.codes, paths.states, paths.log_probabilities, paths.keys)


def _opening(constraints: ConstraintBatch, chance: Sequence[np.random.Generator], levels: int) -> _Paths:
    queries = np.arange(len(chance))
    codes = np.full((len(chance), levels), NO_CODE, np.int32)
    keys = np.array([own.gumbel() for own in chance], np.float64)
    is_open = np.ones(len(chance), bool)
    return _Paths(queries, codes, constraints.initial(), np.zeros(len(chance)), keys, is_open, queries)


def _extended(
    paths: _Paths,
    steps: FloatArray,
    constraints: ConstraintBatch,
    chance: Sequence[np.random.Generator],
    end_column: int | None,
    level: int,
) -> _Paths:
    """All extensions of the open paths, with their keys, and the paths that have ended, by query."""
    opened = paths.take(paths.is_open)
    sets = constraints.allowed(opened.query, opened.states)
    counts = sets.ends - sets.begins
    parents, tokens = np.repeat(np.arange(len(counts)), counts), sets.tokens[ranges(sets.begins, counts)]
    if end_column is None and np.any(tokens == END):
        raise ValueError("paths may end early, but the generator knows no end")
    columns = np.where(tokens == END, (end_column or 0) % steps.shape[-1], tokens)
    scores = steps.reshape(-1, steps.shape[-1])[opened.row[parents], columns].astype(np.float64)
    # What the generator holds impossible is not drawn, and a path with nothing possible behind it ends nowhere.
    possible = np.flatnonzero(scores > -np.inf)
    parents, tokens, scores = parents[possible], tokens[possible].astype(np.int32), scores[possible]
    if not len(parents):
        return paths.take(~paths.is_open)
    first = np.flatnonzero(np.concatenate(([True], parents[1:] != parents[:-1])))
    sizes = np.diff(np.append(first, len(parents)))
    log_probabilities = opened.log_probabilities[parents] + _normalised(scores, first, sizes)
    noise = [chance[query].gumbel(size=number) for query, number in _runs(opened.query[parents])]
    keys = _conditioned(log_probabilities + np.concatenate(noise), opened.keys[parents], first, sizes)
    codes = opened.codes[parents]
    codes[:, level] = tokens
    query = opened.query[parents]
    states = constraints.advance(query, opened.states[parents], tokens)
    more = _Paths(query, codes, states, log_probabilities, keys, tokens != END, opened.row[parents])
    return paths.take(~paths.is_open).with_more(more)


def _normalised(scores: _Doubles, first: _Numbers, sizes: _Numbers) -> _Doubles:
    """Log-probabilities within each set, whose scores stand together from `first` on."""
    highest = np.repeat(np.maximum.reduceat(scores, first), sizes)
    totals = np.log(np.add.reduceat(np.exp(scores - highest), first))
    normalised: _Doubles = scores - highest - np.repeat(totals, sizes)
    return normalised


def _conditioned(perturbed: _Doubles, maxima: _Doubles, first: _Numbers, sizes: _Numbers) -> _Doubles:
    """Perturbed log-probabilities of each set, given that the largest of them is its parent's, `maxima`."""
    highest = np.repeat(np.maximum.reduceat(perturbed, first), sizes)
    below = perturbed - highest
    with np.errstate(divide="ignore"):
        # log(1 − exp(below)), exact at both ends.
        gap = np.where(below > -0.69, np.log(-np.expm1(below)), np.log1p(-np.exp(below)))
    shift = maxima - perturbed + gap
    conditioned: _Doubles = maxima - np.maximum(shift, 0) - np.log1p(np.exp(-np.abs(shift)))
    return conditioned


def _drawn(paths: _Paths, count: int) -> _Paths:
    """The `count` paths of each query with the largest keys, by query."""
    order = np.lexsort((-paths.keys, paths.query))
    query = paths.query[order]
    places = np.arange(len(query)) - np.searchsorted(query, query)
    return paths.take(order[places < count])


def _side_by_side(
    paths: _Paths, queries: int, beams: int, level: int
) -> tuple[_Paths, _Numbers, npt.NDArray[np.int32]]:
    """The open paths in rows of the generator's cache: the parent of each [queries, width] and its last code."""
    places = np.flatnonzero(paths.is_open)
    query = paths.query[places]
    slots = np.arange(len(places)) - np.searchsorted(query, query)
    width = int(slots.max()) + 1
    parents, tokens = np.zeros((queries, width), np.int64), np.zeros((queries, width), np.int32)
    parents[query, slots] = paths.row[places] % beams
    tokens[query, slots] = paths.codes[places, level]
    row = paths.row.copy()
    row[places] = query * width + slots
    moved = _Paths(paths.query, paths.codes, paths.states, paths.log_probabilities, paths.keys, paths.is_open, row)
    return moved, parents, tokens


def _runs(query: _Numbers) -> list[tuple[int, int]]:
    """Each query in turn, with how many entries of it stand together."""
    numbers, counts = np.unique(query, return_counts=True)
    return list(zip(numbers.tolist(), counts.tolist(), strict=True))

"""The one beam search: rollouts, evaluation, benchmarks and service all call it.

In: a generator, a constraint, query vectors. Out: the best complete paths of every query with their log-probabilities.

Only tokens that the constraint allows are ever scored, so every returned path exists, at every width. A query with
fewer paths than the width gets all of them; with a width of at least the number of prefixes at every level the result
is the exhaustive ranking. Scores are sums of the generator's log-probabilities over all codes of a level, not
renormalised over the allowed ones. Beams stand in the order of their paths until the end, so that ties go to the path
with the smaller codes and a result does not depend on how queries are batched.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from shelfwalk.constraints.constraint import Constraint, TokenSets
from shelfwalk.generators.generator import FloatArray, Generator

NO_PATH = -1


@dataclass(frozen=True)
class Beams:
    """The paths found for each query, best first.

    `codes` int32 [queries, beams, levels], `states` int64 [queries, beams] (the constraint's state at the end of the
    path) and `scores` float32 [queries, beams], log-probabilities; there are as many beams as the width, or as the most
    paths of any query where that is less. Where a query has fewer paths, the rest of its row is −1, −1 and −inf.
    """

    codes: npt.NDArray[np.int32]
    states: npt.NDArray[np.int64]
    scores: FloatArray

    def found(self, query: int) -> int:
        """How many paths this query has."""
        return int(np.sum(self.states[query] != NO_PATH))


def beam_search(generator: Generator, constraint: Constraint, query_vectors: FloatArray, width: int) -> Beams:
    """Return the `width` most probable paths of every query vector of [queries, dimensions].

    Raises ValueError if `width` is below 1.
    """
    if width < 1:
        raise ValueError(f"the beam width must be at least 1, not {width}")
    queries = len(query_vectors)
    if queries == 0:
        levels = len(generator.level_sizes)
        return Beams(np.empty((0, 0, levels), np.int32), np.empty((0, 0), np.int64), np.empty((0, 0), np.float32))
    memory = generator.encode(query_vectors)
    cache = generator.start(queries)
    beams = Beams(
        np.zeros((queries, 1, 0), np.int32),
        constraint.initial(queries)[:, None],
        np.zeros((queries, 1), np.float32),
    )
    for level in range(len(generator.level_sizes)):
        last = beams.codes[:, :, -1] if level else None
        log_probabilities, cache = generator.step(memory, cache, last, level)
        beams, parents = _extend(beams, log_probabilities, constraint, width)
        if level + 1 < len(generator.level_sizes):
            cache = generator.reorder(cache, parents)
    return _best_first(beams)


def _extend(
    beams: Beams, log_probabilities: FloatArray, constraint: Constraint, width: int
) -> tuple[Beams, npt.NDArray[np.int64]]:
    """Extend every live beam by one allowed token and keep the best `width` of each query, in the order of their paths.

    Also returns which beam each new one continues, [queries, width].
    """
    queries, count = beams.states.shape
    live = np.flatnonzero(beams.states.ravel() != NO_PATH)
    sets = constraint.allowed(beams.states.ravel()[live])
    owners = np.repeat(live, np.diff(sets.offsets))
    candidates = _score_candidates(beams, log_probabilities, sets, owners)
    query, slot, kept = _best_of_each_query(candidates, owners // count, queries, width)
    shape = (queries, int(slot.max(initial=0)) + 1)
    states = np.full(shape, NO_PATH, np.int64)
    scores = np.full(shape, -np.inf, np.float32)
    tokens = np.zeros(shape, np.int32)
    parents = np.zeros(shape, np.int64)
    tokens[query, slot] = sets.tokens[kept]
    scores[query, slot] = candidates[kept]
    parents[query, slot] = owners[kept] % count
    states[query, slot] = constraint.advance(beams.states.ravel()[owners[kept]], sets.tokens[kept])
    # What the generator holds impossible is no path, even where the constraint has it.
    impossible = np.isneginf(scores)
    states[impossible] = NO_PATH
    tokens[impossible] = 0
    history = np.take_along_axis(beams.codes, parents[:, :, None], axis=1)
    return Beams(np.concatenate((history, tokens[:, :, None]), axis=2), states, scores), parents


def _score_candidates(
    beams: Beams, log_probabilities: FloatArray, sets: TokenSets, owners: npt.NDArray[np.int64]
) -> FloatArray:
    """The score of every allowed extension: gathered, so that no mask over all codes is ever made."""
    size = log_probabilities.shape[-1]
    steps = log_probabilities.reshape(-1, size)[owners, sets.tokens]
    scores: FloatArray = beams.scores.ravel()[owners] + steps
    return scores


def _best_of_each_query(
    scores: FloatArray, query_of: npt.NDArray[np.int64], queries: int, width: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The best `width` candidates of every query: query, slot and candidate number of each that is kept.

    Candidates of a query stand together, in the order of their paths, and slots keep that order. Of equal scores at
    the edge the earlier paths are kept.
    """
    bounds = np.searchsorted(query_of, np.arange(queries + 1))
    kept = []
    for begin, end in pairwise(bounds):
        own = scores[begin:end]
        if len(own) <= width:
            kept.append(np.arange(begin, end))
            continue
        edge = np.partition(own, len(own) - width)[len(own) - width]
        above = np.flatnonzero(own > edge)
        at_edge = np.flatnonzero(own == edge)[: width - len(above)]
        kept.append(begin + np.sort(np.concatenate((above, at_edge))))
    counts = [len(part) for part in kept]
    query = np.repeat(np.arange(queries), counts)
    slot = np.concatenate([np.arange(count) for count in counts])
    return query, slot, np.concatenate(kept)


def _best_first(beams: Beams) -> Beams:
    """Order complete paths by score; equal scores keep the order of their paths."""
    order = np.argsort(-beams.scores, axis=1, kind="stable")
    codes = np.take_along_axis(beams.codes, order[:, :, None], axis=1)
    states = np.take_along_axis(beams.states, order, axis=1)
    codes[states == NO_PATH] = NO_PATH
    return Beams(codes, states, np.take_along_axis(beams.scores, order, axis=1))

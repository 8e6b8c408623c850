"""The one beam search: rollouts, evaluation, benchmarks and service all call it.

In: a generator, a constraint (or one a query), query vectors. Out: the best complete paths of every query with their
scores.

Only tokens that the constraint allows are ever scored, so every returned path exists, at every width, temperature and
length penalty. A query with fewer paths than the width gets all of them; with a width of at least the number of
prefixes at every level the result is the exhaustive ranking. Scores are sums of the generator's log-probabilities over
all codes of a level, not renormalised over the allowed ones. Beams stand in the order of their paths until the end, so
that ties go to the path with the smaller codes and a result does not depend on how queries are batched.

Where paths may end early, those that ended wait apart: a query's beams are its best `width` open paths of each length,
and an open path is dropped as soon as nothing that may follow can lift it among the `width` best that ended. That is
exact, since log-probabilities are at most 0; the search stops when no open path is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfwalk.constraints.constraint import END, Constraint, TokenRanges
from shelfwalk.constraints.constraint_batch import NO_STATE, ConstraintBatch
from shelfwalk.generators.beam_kernels import best_extensions, ending_paths
from shelfwalk.generators.finished_paths import FinishedPaths
from shelfwalk.generators.generator import FloatArray, Generator, P
from shelfwalk.generators.scoring import Scoring

PLAIN = Scoring()
WORTH_A_BOUND = 0.1
"""The share of all codes that must be allowed for the highest of all codes to be looked for first."""


@dataclass(frozen=True)
class Beams:
    """The paths found for each query, best first.

    `codes` int32 [queries, beams, levels], −1 behind the end of a shorter path; `states` int64 [queries, beams,
    integers of a state] (the constraint's state at the end of the path); `scores` float32 [queries, beams]:
    log-probabilities, over the length to the power of the length penalty. There are as many beams as the largest width,
    or as the most paths of any query where that is less. Where a query has fewer, the rest of its row is −1, −1, −inf.
    """

    codes: npt.NDArray[np.int32]
    states: npt.NDArray[np.int64]
    scores: FloatArray

    def found(self, query: int) -> int:
        """How many paths this query has."""
        return int(np.sum(self.scores[query] > -np.inf))


def beam_search(
    generator: Generator[P],
    constraint: Constraint | Sequence[Constraint],
    prompts: P,
    width: int | Sequence[int],
    scoring: Scoring = PLAIN,
) -> Beams:
    """Return the `width` best paths of every prompt, each of which is a query.

    `constraint` and `width` are for all queries, or one for each. Raises ValueError if a width is below 1, if their
    number is not that of the queries, or if a path may end early and the generator knows no end.
    """
    queries, levels = len(prompts), len(generator.level_sizes)
    widths = _widths(width, queries)
    constraints = ConstraintBatch(constraint, queries)
    search = _Search(constraints, widths, scoring, levels, generator.end_column)
    beams, finished = search.opening(), FinishedPaths.none(levels, constraints.width)
    if queries:
        memory, cache = generator.encode(prompts), generator.start(queries)
    for level in range(levels if queries else 0):
        steps, cache = generator.step(memory, cache, beams.codes[:, :, -1] if level else None, level)
        beams, parents, finished = search.extended(beams, finished, scoring.tempered(steps))
        if beams.scores.shape[1] == 0:
            break
        if level + 1 < levels:
            cache = generator.reorder(cache, parents)
    return Beams(*search.with_whole(finished, beams).side_by_side(queries))


@dataclass(frozen=True)
class _Search:
    """What stays the same at every level of a search."""

    constraints: ConstraintBatch
    widths: npt.NDArray[np.int64]
    scoring: Scoring
    levels: int
    end_column: int | None

    def opening(self) -> Beams:
        """One empty path a query."""
        queries = len(self.widths)
        codes, scores = np.zeros((queries, 1, 0), np.int32), np.zeros((queries, 1), np.float32)
        return Beams(codes, self.constraints.initial()[:, None], scores)

    def extended(
        self, beams: Beams, finished: FinishedPaths, steps: FloatArray
    ) -> tuple[Beams, npt.NDArray[np.int64], FinishedPaths]:
        """Every open path by one allowed token, the best kept in the order of paths; which beam each continues
        [queries, beams]; and what has ended."""
        queries, count = beams.scores.shape
        live = np.flatnonzero(beams.scores.ravel() > -np.inf)
        states = beams.states.reshape(queries * count, -1)
        sets = self.constraints.allowed(live // count, states[live])
        columns = np.ascontiguousarray(steps, np.float32).reshape(queries * count, -1)
        of_rows, found = beams.scores.ravel(), (live, sets.begins, sets.ends, sets.tokens)
        end_column = -1 if self.end_column is None else self.end_column % columns.shape[1]
        ended, ended_scores = ending_paths(of_rows, columns, *found, end_column)
        highest = _highest(of_rows, columns, live, sets)
        rows, tokens, scores, counts = best_extensions(of_rows, columns, highest, count, *found, self.widths)
        if len(ended):
            finished = self._with_ended(finished, beams, ended, ended_scores)
        parents = rows % count
        history = np.take_along_axis(beams.codes, parents[:, :, None], axis=1)
        codes = np.concatenate((history, tokens[:, :, None]), axis=2)
        taken = np.arange(tokens.shape[1]) < counts[:, None]
        moved = np.full((*tokens.shape, states.shape[1]), NO_STATE, np.int64)
        from_rows = rows[taken]
        moved[taken] = self.constraints.advance(from_rows // count, states[from_rows], tokens[taken])
        extended = Beams(codes, moved, scores)
        if len(finished):
            extended, parents = self._hopeful(extended, parents, finished)
        return extended, parents, finished

    def _with_ended(
        self, finished: FinishedPaths, beams: Beams, rows: npt.NDArray[np.int64], sums: FloatArray
    ) -> FinishedPaths:
        """What has finished, with the paths of these rows of beams, which end after the codes they have."""
        queries, count, length = beams.codes.shape
        query = rows // count
        states = beams.states.reshape(queries * count, -1)[rows]
        states = self.constraints.advance(query, states, np.full(len(rows), END, np.int32))
        codes = beams.codes.reshape(queries * count, length)[rows]
        return finished.with_more(query, codes, states, self.scoring.ranked(sums, length), self.widths)

    def _hopeful(
        self, beams: Beams, parents: npt.NDArray[np.int64], finished: FinishedPaths
    ) -> tuple[Beams, npt.NDArray[np.int64]]:
        """The open paths that may still enter the best of their query, and whom they continue."""
        highest = self.scoring.highest(beams.scores, beams.codes.shape[2], self.levels)
        hopeful = (beams.scores > -np.inf) & (highest >= finished.lowest(self.widths)[:, None])
        order = np.argsort(~hopeful, axis=1, kind="stable")[:, : int(hopeful.sum(axis=1).max(initial=0))]
        scores = np.take_along_axis(np.where(hopeful, beams.scores, np.float32(-np.inf)), order, axis=1)
        codes = np.take_along_axis(beams.codes, order[:, :, None], axis=1)
        states = np.take_along_axis(beams.states, order[:, :, None], axis=1)
        return Beams(codes, states, scores), np.take_along_axis(parents, order, axis=1)

    def with_whole(self, finished: FinishedPaths, beams: Beams) -> FinishedPaths:
        """What has finished, with the open paths that are whole as they are."""
        query, slot = np.nonzero(beams.scores > -np.inf)
        whole = self.constraints.complete(query, beams.states[query, slot])
        query, slot = query[whole], slot[whole]
        scores = self.scoring.ranked(beams.scores[query, slot], max(beams.codes.shape[2], 1))
        return finished.with_more(query, beams.codes[query, slot], beams.states[query, slot], scores, self.widths)


def _highest(scores: FloatArray, steps: FloatArray, live: npt.NDArray[np.int64], sets: TokenRanges) -> FloatArray:
    """The most that extensions of each live row can score; infinity where finding it out costs more than it saves."""
    if int((sets.ends - sets.begins).sum()) < WORTH_A_BOUND * len(live) * steps.shape[1]:
        return np.full(len(live), np.inf, np.float32)
    highest: FloatArray = scores[live] + (steps if len(live) == len(steps) else steps[live]).max(axis=1)
    # Not a number is no bound.
    return np.where(np.isnan(highest), np.float32(np.inf), highest)


def _widths(width: int | Sequence[int], queries: int) -> npt.NDArray[np.int64]:
    several = isinstance(width, Sequence | np.ndarray)
    widths = np.array(width, np.int64) if several else np.full(queries, width, np.int64)
    if widths.shape != (queries,):
        raise ValueError(f"{queries} queries need one beam width or {queries}, not {widths.shape}")
    if np.any(widths < 1) or (not several and int(np.asarray(width)) < 1):
        raise ValueError(f"the beam width must be at least 1, not {width}")
    return widths

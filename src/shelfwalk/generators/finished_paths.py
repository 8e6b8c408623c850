"""Paths that a search has completed, kept best first for every query.

In: complete paths of a length. Out: the best of each query, with ties in the order of paths: by codes, and a path
before those that go on from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfwalk.generators.generator import FloatArray

NO_CODE = -1


@dataclass(frozen=True)
class FinishedPaths:
    """Paths of all queries together, by query, then best first.

    `query` int64 [paths], `codes` int32 [paths, levels] (−1 behind the end), `states` int64 [paths, integers of a
    state], `scores` float32 [paths].
    """

    query: npt.NDArray[np.int64]
    codes: npt.NDArray[np.int32]
    states: npt.NDArray[np.int64]
    scores: FloatArray

    @classmethod
    def none(cls, levels: int, state_width: int) -> FinishedPaths:
        """No path of any query."""
        codes, states = np.empty((0, levels), np.int32), np.empty((0, state_width), np.int64)
        return cls(np.empty(0, np.int64), codes, states, np.empty(0, np.float32))

    def __len__(self) -> int:
        return len(self.query)

    def with_more(
        self,
        query: npt.NDArray[np.int64],
        codes: npt.NDArray[np.int32],
        states: npt.NDArray[np.int64],
        scores: FloatArray,
        widths: npt.NDArray[np.int64],
    ) -> FinishedPaths:
        """These and more, whose codes [paths, length] may be shorter; at most `widths` [queries] of each query."""
        filled = np.full((len(codes), self.codes.shape[1]), NO_CODE, np.int32)
        filled[:, : codes.shape[1]] = codes
        all_query, all_scores = np.concatenate((self.query, query)), np.concatenate((self.scores, scores))
        all_codes = np.concatenate((self.codes, filled))
        order = np.lexsort((*all_codes.T[::-1], -all_scores, all_query))
        slots = _places_in_query(all_query[order], len(widths))
        kept = order[slots < widths[all_query[order]]]
        all_states = np.concatenate((self.states, states))
        return FinishedPaths(all_query[kept], all_codes[kept], all_states[kept], all_scores[kept])

    def lowest(self, widths: npt.NDArray[np.int64]) -> FloatArray:
        """What a path must score to be among the best `widths` of each query, −inf for one with fewer: [queries]."""
        lowest = np.full(len(widths), -np.inf, np.float32)
        last = _places_in_query(self.query, len(widths)) == widths[self.query] - 1
        lowest[self.query[last]] = self.scores[last]
        return lowest

    def side_by_side(self, queries: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], FloatArray]:
        """Codes, states and scores with a row a query, as wide as the longest; −1, −1 and −inf fill up the others."""
        slots = _places_in_query(self.query, queries)
        shape = (queries, int(slots.max(initial=-1)) + 1)
        codes = np.full((*shape, self.codes.shape[1]), NO_CODE, np.int32)
        states = np.full((*shape, self.states.shape[1]), -1, np.int64)
        scores = np.full(shape, -np.inf, np.float32)
        codes[self.query, slots], states[self.query, slots] = self.codes, self.states
        scores[self.query, slots] = self.scores
        return codes, states, scores


def _places_in_query(query: npt.NDArray[np.int64], queries: int) -> npt.NDArray[np.int64]:
    """The place of each path among those of its query, from 0; paths of a query stand together."""
    first = np.searchsorted(query, np.arange(queries))
    return np.arange(len(query)) - first[query]

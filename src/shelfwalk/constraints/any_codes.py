"""No constraint: every code of every level may follow any prefix, whether or not an item has such an identifier.

In: level sizes. Out: a `Constraint` that a search without one walks, to see what the catalogue's own is worth.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from shelfwalk.constraints.constraint import TokenSets
from shelfwalk.constraints.ranges import offsets_of, ranges


class AnyCodes:
    """A `Constraint` that allows all codes; a state is the number of levels behind it, [states, 1]."""

    def __init__(self, level_sizes: Sequence[int]) -> None:
        """Raises ValueError unless there is a level and each has a code."""
        # Behind the last level nothing follows.
        self._sizes = np.array([*level_sizes, 0], np.int64)
        if not len(level_sizes) or self._sizes[:-1].min() < 1:
            raise ValueError(f"the level sizes {list(level_sizes)} make no identifier")

    def initial(self, batch: int) -> npt.NDArray[np.int64]:
        """See `Constraint.initial`."""
        return np.zeros((batch, 1), np.int64)

    def allowed(self, states: npt.NDArray[np.int64]) -> TokenSets:
        """See `Constraint.allowed`: all codes of the level, none behind the last."""
        counts = self._sizes[states[:, 0]]
        return TokenSets(offsets_of(counts), ranges(np.zeros_like(counts), counts).astype(np.int32))

    def advance(self, states: npt.NDArray[np.int64], tokens: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """See `Constraint.advance`; raises ValueError for a token that the level does not have."""
        if np.any((tokens < 0) | (tokens >= self._sizes[states[:, 0]])):
            raise ValueError("a token is not a code of its level")
        return states + 1

    def complete(self, states: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """See `Constraint.complete`: behind the last level."""
        return np.asarray(states[:, 0] == len(self._sizes) - 1)

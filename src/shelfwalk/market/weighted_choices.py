"""Drawing from many small distributions at once: one binary search for a whole batch.

In: for each row the options and their weights, once; then rows and draws. Out: an option for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class WeightedChoices:
    """The options of all rows, one row after another.

    `reached` float64 [options]: the row's number plus the chance of this option or one before it, so ascending.
    `options` int32 [options].
    """

    reached: npt.NDArray[np.float64]
    options: npt.NDArray[np.int32]

    @classmethod
    def of(
        cls, options: Sequence[npt.NDArray[np.int32]], weights: Sequence[npt.NDArray[np.float64]]
    ) -> WeightedChoices:
        """Build from the options and the positive weights of each row; every row has at least one."""
        reached = []
        for row, weight in enumerate(weights):
            shares = np.cumsum(weight) / weight.sum()
            shares[-1] = 1.0
            reached.append(row + shares)
        return cls(np.concatenate(reached), np.concatenate(options).astype(np.int32))

    def choose(self, rows: npt.NDArray[np.int32], draws: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
        """Choose an option of each row, int32 of the same shape; `draws` are uniform in [0, 1)."""
        return self.options[self.places(rows, draws)]

    def places(self, rows: npt.NDArray[np.int32], draws: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Where in `options` the choice for each row stands."""
        # A draw close to 1 must not be rounded up into the next row.
        aims = np.minimum(rows + draws, np.nextafter(rows + 1.0, 0.0))
        places: npt.NDArray[np.int64] = np.searchsorted(self.reached, aims, side="right")
        return places

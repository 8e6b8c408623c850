"""What is wanted of an item: the need behind a session, and the part of it that the query says.

A batch of wishes is one `Wishes`; a *need* holds all that the shopper wants, the *intent* of a query only what its
words say. Both are graded against items by the same function (grades.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MOST_VALUES = 3
"""Attribute values in one wish."""


@dataclass(frozen=True)
class Wishes:
    """A batch of wishes; -1 (or 0 to 1 for the price) where nothing is asked.

    `category` int32 [wishes]: a node of the tree; items in or below it fit. `brand` int32 [wishes]. `values` int32
    [wishes, 3]: attribute values, padded with -1. `price_low` and `price_high` float32 [wishes]: the price levels
    within a category that fit, 0 and 1 where any does.
    """

    category: npt.NDArray[np.int32]
    brand: npt.NDArray[np.int32]
    values: npt.NDArray[np.int32]
    price_low: npt.NDArray[np.float32]
    price_high: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.category)

    def take(self, rows: npt.NDArray[np.int64]) -> Wishes:
        """Return the wishes of these rows, in their order."""
        return Wishes(
            self.category[rows], self.brand[rows], self.values[rows], self.price_low[rows], self.price_high[rows]
        )

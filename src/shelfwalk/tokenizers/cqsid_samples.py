"""What CQ-SID's tokeniser learns from: every pair of a query and an item once, and every item that is in none.

In: the number of items, and the pairs. Out: two arrays of rows, and batches of them in an order drawn from the seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfwalk.tokenizers.learning_pairs import LearningPairs


@dataclass(frozen=True)
class Samples:
    """`item_rows` and `query_rows`, int32 [samples]: an item and its query, −1 where the item has none."""

    item_rows: npt.NDArray[np.int32]
    query_rows: npt.NDArray[np.int32]

    @classmethod
    def of(cls, items: int, pairs: LearningPairs | None) -> Samples:
        """All pairs, and after them the items without one."""
        paired = np.empty(0, np.int32) if pairs is None else pairs.pairs.item_rows
        queries = np.empty(0, np.int32) if pairs is None else pairs.pairs.query_rows
        alone = np.setdiff1d(np.arange(items, dtype=np.int32), paired)
        return cls(np.concatenate((paired, alone)), np.concatenate((queries, np.full(len(alone), -1, np.int32))))

    def __len__(self) -> int:
        return len(self.item_rows)

    def batches(self, size: int, random: np.random.Generator) -> Sequence[npt.NDArray[np.int64]]:
        """Rows of the samples in a random order, in batches of nearly equal size, at most `size`."""
        # A small last one would make a noisy step and a poor source of new codes.
        return np.array_split(random.permutation(len(self)), -(-len(self) // size))

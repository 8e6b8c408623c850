"""The vectors that a build goes on with: the pretrained encoder's, or the towers' where the recipe has them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfwalk.shelf import layout
from shelfwalk.shelf.pair_step import QUERY_VECTORS
from shelfwalk.shelf.steps import StepResult


@dataclass(frozen=True)
class Vectors:
    """Which finished step has the vectors of the items, and which those of the training queries."""

    of_items: StepResult
    of_queries: StepResult

    def items(self) -> npt.NDArray[np.float32]:
        """Unit vectors of the catalogue [items, dimensions], memory-mapped."""
        vectors: npt.NDArray[np.float32] = np.load(
            self.of_items.folder / layout.VECTORS, mmap_mode="r", allow_pickle=False
        )
        return vectors

    def queries(self) -> npt.NDArray[np.float32]:
        """Unit vectors of the distinct training queries [queries, dimensions], memory-mapped."""
        vectors: npt.NDArray[np.float32] = np.load(
            self.of_queries.folder / QUERY_VECTORS, mmap_mode="r", allow_pickle=False
        )
        return vectors

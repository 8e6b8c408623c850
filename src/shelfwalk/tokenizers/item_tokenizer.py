"""The contract of an item tokeniser: what every way from an item to its identifier offers.

In: items and their vectors. Out: codes, int32 [items, levels], one number a level, −1 where an identifier lacks one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shelfwalk.errors import UserError
from shelfwalk.tokenizers.learning_pairs import LearningPairs

Codes = npt.NDArray[np.int32]
"""[items, levels]"""
Vectors = npt.NDArray[np.float32]
"""[items, dimensions]"""
Progress = Callable[[str, int, int], None]
"""Told of (what is being done, steps done, steps in all)."""

_ROWS_AT_A_TIME = 65_536


class ItemTokenizer(Protocol):
    """Gives items identifiers; the same item with the same vector gets the same one, whatever else is encoded.

    Fitting needs items and vectors; what else a tokeniser learns from it takes from the pairs, and most need none.
    """

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """The number of codes of each level: once fitted, perhaps fewer than asked for."""
        ...

    def fit(
        self,
        items: pa.Table,
        vectors: Vectors,
        pairs: LearningPairs | None = None,
        *,
        progress: Progress | None = None,
        checkpoints: Path | None = None,
    ) -> Self:
        """Learn the codebooks from `items` and their vectors, float32 [items, dimensions]; returns itself.

        `pairs`: queries with the items that they were about, for tokenisers that learn from them as well.
        `checkpoints`: a folder where an interrupted fit of the same data and settings finds what it had. Raises
        UserError if there are no items, ValueError for vectors that do not fit the items or are not finite.
        """
        ...

    def encode(self, items: pa.Table, vectors: Vectors) -> Codes:
        """The codes of `items`: int32 [items, levels], −1 for a level that an identifier lacks.

        Raises ValueError for vectors that do not fit the items or the fitted dimensions, or are not finite.
        """
        ...

    def save(self, folder: Path) -> None:
        """Write all that encoding needs into `folder`, made if missing; the inverse is `open_tokenizer`."""
        ...


def checked_vectors(items: pa.Table, vectors: Vectors, dimensions: int | None = None) -> Vectors:
    """The vectors as float32 [items, dimensions], not copied if they are that already.

    Raises ValueError if they do not fit `items` or `dimensions`, or hold a number that is not finite.
    """
    checked = np.asarray(vectors, np.float32)
    if checked.ndim != 2 or len(checked) != items.num_rows or checked.shape[1] == 0:
        raise ValueError(f"vectors must be [{items.num_rows} items, dimensions], not {list(checked.shape)}")
    if dimensions is not None and checked.shape[1] != dimensions:
        raise ValueError(f"the tokeniser was fitted on {dimensions} dimensions, not {checked.shape[1]}")
    for start in range(0, len(checked), _ROWS_AT_A_TIME):
        finite = np.isfinite(checked[start : start + _ROWS_AT_A_TIME]).all(axis=1)
        if not finite.all():
            raise ValueError(f"the vector of row {start + int(np.argmin(finite))} holds a number that is not finite")
    return checked


def vectors_to_fit(items: pa.Table, vectors: Vectors) -> Vectors:
    """As `checked_vectors`; raises UserError if there are no items."""
    checked = checked_vectors(items, vectors)
    if len(checked) == 0:
        raise UserError("There are no items to learn identifiers from: give a catalogue with at least one item.")
    return checked


def checked_level_sizes(level_sizes: tuple[int, ...]) -> tuple[int, ...]:
    """The level sizes; raises UserError unless there is at least one level and each has at least one code."""
    if not level_sizes or min(level_sizes) < 1:
        raise UserError(
            f"The level sizes {list(level_sizes)} make no identifier: give at least one level, each of 1 code or more."
        )
    return tuple(level_sizes)

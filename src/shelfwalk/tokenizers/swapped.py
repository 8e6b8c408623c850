"""A tokeniser with two levels of its identifiers in each other's place: the hourglass's probe of the token order.

In: any tokeniser, items and their vectors. Out: its codes, int32 [items, levels], with two columns exchanged, so that a
generator learns to say the one level before the other (arXiv 2407.21488). Which items share an identifier stays.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa

from shelfwalk.errors import UserError
from shelfwalk.tokenizers.item_tokenizer import Codes, ItemTokenizer, Progress, Vectors
from shelfwalk.tokenizers.learning_pairs import LearningPairs
from shelfwalk.tokenizers.tokenizer_files import read_description, write_description

_INNER = "inner"


class SwappedTokenizer:
    """An `ItemTokenizer` with levels `first` and `second`, counted from 1, exchanged."""

    kind = "swapped"

    def __init__(self, inner: ItemTokenizer, first: int = 1, second: int = 2) -> None:
        """Raises UserError for levels that the identifiers do not have, or one level twice."""
        levels = len(inner.level_sizes)
        if first == second or not 1 <= min(first, second) <= max(first, second) <= levels:
            raise UserError(
                f"Levels {first} and {second} of identifiers of {levels} levels cannot change places: give two of them."
            )
        self.inner = inner
        self.first = first
        self.second = second

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """The number of codes of each level, in the new order."""
        sizes = self.inner.level_sizes
        return tuple(sizes[level] for level in self._order)

    @property
    def _order(self) -> list[int]:
        order = list(range(len(self.inner.level_sizes)))
        order[self.first - 1], order[self.second - 1] = self.second - 1, self.first - 1
        return order

    def fit(
        self,
        items: pa.Table,
        vectors: Vectors,
        pairs: LearningPairs | None = None,
        *,
        progress: Progress | None = None,
        checkpoints: Path | None = None,
    ) -> Self:
        """See `ItemTokenizer.fit`."""
        self.inner.fit(items, vectors, pairs=pairs, progress=progress, checkpoints=checkpoints)
        return self

    def encode(self, items: pa.Table, vectors: Vectors) -> Codes:
        """See `ItemTokenizer.encode`."""
        return np.ascontiguousarray(self.inner.encode(items, vectors)[:, self._order])

    def save(self, folder: Path) -> None:
        """Write the inner tokeniser into a folder of its own, and `tokenizer.json`."""
        self.inner.save(folder / _INNER)
        levels = {"first": self.first, "second": self.second}
        write_description(folder, self.kind, {"level_sizes": self.level_sizes, **levels})

    @classmethod
    def open(cls, folder: Path, open_inner: Callable[[Path], ItemTokenizer]) -> Self:
        """Read what `save` wrote, the inner tokeniser with `open_inner`.

        Raises UserError if a file is missing or damaged.
        """
        facts = read_description(folder)
        return cls(open_inner(folder / _INNER), facts["first"], facts["second"])

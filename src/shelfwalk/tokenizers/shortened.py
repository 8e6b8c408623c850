"""A tokeniser whose identifiers lose a level, all of them or those with its commonest codes (level_removal.py).

In: any tokeniser with at least two levels, items and their vectors. Out: shortened codes, int32 [items, levels]; where
the removal is adaptive, −1 ends those that lost a level. Which codes are the commonest is settled when it is fitted, so
an item's identifier never depends on what comes later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa

from shelfwalk.tokenizers.item_tokenizer import Codes, ItemTokenizer, Progress, Vectors
from shelfwalk.tokenizers.learning_pairs import LearningPairs
from shelfwalk.tokenizers.level_removal import Removal, ShortenedLevels
from shelfwalk.tokenizers.tokenizer_files import read_description, write_description

_INNER = "inner"


class ShortenedTokenizer:
    """An `ItemTokenizer` with a level less for some items or for all."""

    kind = "shortened"

    def __init__(self, inner: ItemTokenizer, removal: Removal | None = None) -> None:
        self.inner = inner
        self.removal = removal or Removal()
        self._levels: ShortenedLevels | None = None

    @property
    def levels(self) -> ShortenedLevels:
        """How identifiers are shortened; raises ValueError before fitting."""
        if self._levels is None:
            raise ValueError("the tokeniser is not fitted yet")
        return self._levels

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """The number of codes of each level; raises ValueError before fitting."""
        return self.levels.level_sizes

    def fit(
        self,
        items: pa.Table,
        vectors: Vectors,
        pairs: LearningPairs | None = None,
        *,
        progress: Progress | None = None,
        checkpoints: Path | None = None,
    ) -> Self:
        """See `ItemTokenizer.fit`; also raises UserError for a level that the identifiers do not have."""
        # Before the long work as well as after it, when a level may have shrunk.
        ShortenedLevels.of(_no_codes(self.inner), self.inner.level_sizes, self.removal)
        self.inner.fit(items, vectors, pairs=pairs, progress=progress, checkpoints=checkpoints)
        self._levels = ShortenedLevels.of(self.inner.encode(items, vectors), self.inner.level_sizes, self.removal)
        return self

    def encode(self, items: pa.Table, vectors: Vectors) -> Codes:
        """See `ItemTokenizer.encode`; −1 ends an identifier that lost a level that others keep."""
        return self.levels.shorten(self.inner.encode(items, vectors))

    def save(self, folder: Path) -> None:
        """Write the inner tokeniser into a folder of its own, and `tokenizer.json`."""
        levels = self.levels
        self.inner.save(folder / _INNER)
        facts = {"level_sizes": self.level_sizes, "sizes": levels.sizes, "removal": asdict(self.removal)}
        write_description(folder, self.kind, {**facts, "head": levels.head})

    @classmethod
    def open(cls, folder: Path, open_inner: Callable[[Path], ItemTokenizer]) -> Self:
        """Read what `save` wrote, the inner tokeniser with `open_inner`.

        Raises UserError if a file is missing or damaged.
        """
        facts = read_description(folder)
        removal = Removal(**facts["removal"])
        tokenizer = cls(open_inner(folder / _INNER), removal)
        tokenizer._levels = ShortenedLevels(tuple(facts["sizes"]), removal, tuple(facts["head"]))
        return tokenizer


def _no_codes(tokenizer: ItemTokenizer) -> Codes:
    return np.empty((0, len(tokenizer.level_sizes)), np.int32)

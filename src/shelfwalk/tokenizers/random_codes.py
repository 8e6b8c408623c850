"""Random codes: identifiers that say nothing of the item, the control that any other kind has to be ahead of.

In: items, by their ids; vectors are not looked at. Out: codes, int32 [items, levels], each as likely as another.

A control of TIGER's (arXiv 2305.05065, section 4.2). Codes are drawn from a hash of seed and item id, so that an item
has the same ones whenever and with whatever else it comes.
"""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa

from shelfwalk.tokenizers.item_tokenizer import (
    Codes,
    Progress,
    Vectors,
    checked_level_sizes,
    checked_vectors,
    vectors_to_fit,
)
from shelfwalk.tokenizers.learning_pairs import LearningPairs
from shelfwalk.tokenizers.tokenizer_files import read_description, write_description

_DRAWN_BYTES = 8
"""A level: what is left over of 2**64 by its size favours no code that anyone could see."""


class RandomTokenizer:
    """An `ItemTokenizer` by chance."""

    kind = "random"

    def __init__(self, level_sizes: tuple[int, ...], *, seed: int = 0) -> None:
        """Raises UserError for sizes that make no identifier."""
        self.level_sizes = checked_level_sizes(tuple(level_sizes))
        self.seed = seed

    def fit(
        self,
        items: pa.Table,
        vectors: Vectors,
        pairs: LearningPairs | None = None,
        *,
        progress: Progress | None = None,
        checkpoints: Path | None = None,
    ) -> Self:
        """See `ItemTokenizer.fit`; there is nothing to learn."""
        vectors_to_fit(items, vectors)
        return self

    def encode(self, items: pa.Table, vectors: Vectors) -> Codes:
        """See `ItemTokenizer.encode`; no level is ever absent."""
        checked_vectors(items, vectors)
        drawn = [self._drawn(level, items) for level in range(len(self.level_sizes))]
        return np.stack(drawn, axis=1).astype(np.int32)

    def save(self, folder: Path) -> None:
        """Write `tokenizer.json`, which is all there is."""
        write_description(folder, self.kind, {"level_sizes": self.level_sizes, "seed": self.seed})

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read what `save` wrote; raises UserError if it is missing or damaged."""
        facts = read_description(folder)
        return cls(tuple(facts["level_sizes"]), seed=facts["seed"])

    def _drawn(self, level: int, items: pa.Table) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
        salt = f"{self.seed}.{level}".encode()
        hashes = (
            blake2b(item.encode(), digest_size=_DRAWN_BYTES, key=salt).digest() for item in items["item_id"].to_pylist()
        )
        return np.frombuffer(b"".join(hashes), "<u8") % np.uint64(self.level_sizes[level])

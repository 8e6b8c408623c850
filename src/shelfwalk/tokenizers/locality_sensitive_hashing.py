"""Locality-sensitive hashing: on which sides of random hyperplanes an item's vector lies; nothing is learnt.

In: vectors, float32 [items, dimensions]. Out: codes, int32 [items, levels], each of as many bits as its level has
hyperplanes; several items may share an identifier.

A control of TIGER's (arXiv 2305.05065, section 4.2), with 8 hyperplanes a level. Departure: they pass through the
catalogue's mean and not through the origin, so that vectors that all point much the same way, as texts' do, lie on both
sides of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shelfwalk.errors import UserError
from shelfwalk.tokenizers.item_tokenizer import (
    Codes,
    Progress,
    Vectors,
    checked_level_sizes,
    checked_vectors,
    vectors_to_fit,
)
from shelfwalk.tokenizers.learning_pairs import LearningPairs
from shelfwalk.tokenizers.tokenizer_files import load_arrays, read_description, save_arrays, write_description


class LSHTokenizer:
    """An `ItemTokenizer` by random hyperplanes; of the vectors it takes their mean and no more."""

    kind = "lsh"

    def __init__(self, level_sizes: tuple[int, ...], *, seed: int = 0) -> None:
        """Raises UserError for a level whose codes are not those of some number of hyperplanes, a power of two."""
        self.level_sizes = checked_level_sizes(tuple(level_sizes))
        self.seed = seed
        if not all(is_power_of_two(size) for size in self.level_sizes):
            raise UserError(f"Hyperplanes make no {list(level_sizes)} codes: give powers of two, 2 or more.")
        self._hyperplanes: tuple[npt.NDArray[np.float32], ...] = ()
        self._thresholds: tuple[npt.NDArray[np.float32], ...] = ()

    def fit(
        self,
        items: pa.Table,
        vectors: Vectors,
        pairs: LearningPairs | None = None,
        *,
        progress: Progress | None = None,
        checkpoints: Path | None = None,
    ) -> Self:
        """See `ItemTokenizer.fit`; needs no pairs and keeps no checkpoints."""
        checked = vectors_to_fit(items, vectors)
        random = np.random.default_rng(self.seed)
        mean = checked.mean(axis=0, dtype=np.float64)
        normals = [random.normal(size=(size.bit_length() - 1, checked.shape[1])) for size in self.level_sizes]
        self._hyperplanes = tuple(normal.astype(np.float32) for normal in normals)
        self._thresholds = tuple((normal @ mean).astype(np.float32) for normal in self._hyperplanes)
        return self

    def encode(self, items: pa.Table, vectors: Vectors) -> Codes:
        """See `ItemTokenizer.encode`; no level is ever absent."""
        if not self._hyperplanes:
            raise ValueError("the tokeniser is not fitted yet")
        checked = checked_vectors(items, vectors, self._hyperplanes[0].shape[1])
        levels = zip(self._hyperplanes, self._thresholds, strict=True)
        return np.stack([_sides(checked, normals, thresholds) for normals, thresholds in levels], axis=1)

    def save(self, folder: Path) -> None:
        """Write two npy files a level, and `tokenizer.json`."""
        save_arrays(folder, "hyperplanes", self._hyperplanes)
        save_arrays(folder, "thresholds", self._thresholds)
        write_description(folder, self.kind, {"level_sizes": self.level_sizes, "seed": self.seed})

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read what `save` wrote; raises UserError if a file is missing or damaged."""
        facts = read_description(folder)
        tokenizer = cls(tuple(facts["level_sizes"]), seed=facts["seed"])
        tokenizer._hyperplanes = load_arrays(folder, "hyperplanes", len(tokenizer.level_sizes))
        tokenizer._thresholds = load_arrays(folder, "thresholds", len(tokenizer.level_sizes))
        return tokenizer


def is_power_of_two(size: int) -> bool:
    """Whether this many codes are those of one hyperplane or more."""
    return size >= 2 and size & (size - 1) == 0


def _sides(
    vectors: Vectors, normals: npt.NDArray[np.float32], thresholds: npt.NDArray[np.float32]
) -> npt.NDArray[np.int32]:
    """One bit a hyperplane, the first the highest: int32 [items]."""
    # einsum's rounding of one row is the same alone and among others; a matrix product's is not.
    above = np.einsum("id,hd->ih", vectors, normals) > thresholds
    bits = np.left_shift(1, np.arange(len(normals))[::-1])
    return np.asarray(above @ bits, np.int32)

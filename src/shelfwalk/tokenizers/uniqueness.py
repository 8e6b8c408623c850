"""TIGER's uniqueness token (arXiv 2305.05065, section 3.1): one more level numbers the items of a shared identifier.

In: any tokeniser, items and their vectors. Out: its codes and, as the last level, 0, 1, 2 ... within each identifier:
int32 [items, levels + 1], unique for every item.

A registry of all items ever encoded keeps this stable: an item keeps its number for as long as the codes of its vector
stay the same, in whatever order and company it comes again. If they change, it moves: it takes the next number of its
new identifier. No other item is ever touched, so a number that a moved item leaves stays empty unless it was the last.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shelfwalk.errors import UserError
from shelfwalk.tokenizers.identifier_registry import IdentifierRegistry, ids_of, path_keys
from shelfwalk.tokenizers.item_tokenizer import Codes, ItemTokenizer, Progress, Vectors
from shelfwalk.tokenizers.learning_pairs import LearningPairs
from shelfwalk.tokenizers.tokenizer_files import read_description, write_description

SMALLEST_LEVEL = 16
_INNER = "inner"


class UniqueTokenizer:
    """An `ItemTokenizer` that gives every item an identifier of its own.

    `size` is the number of codes of the last level; by default the smallest power of two that is at least 16 and twice
    the largest number of items that share an identifier when it is fitted: room for as many again.
    """

    kind = "unique"

    def __init__(self, inner: ItemTokenizer, *, size: int | None = None) -> None:
        if size is not None and size < 1:
            raise UserError(f"The uniqueness level cannot have {size} codes: give 1 or more, or none for a default.")
        self.inner = inner
        self._asked_size = size
        self._size = size
        self._registry: IdentifierRegistry | None = None

    @property
    def registry(self) -> IdentifierRegistry:
        """All items known and their identifiers; raises ValueError before fitting."""
        if self._registry is None:
            raise ValueError("the tokeniser is not fitted yet")
        return self._registry

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """The number of codes of each level, the uniqueness level last; raises ValueError before its size is known."""
        if self._size is None:
            raise ValueError("the tokeniser is not fitted yet")
        return (*self.inner.level_sizes, self._size)

    def fit(
        self,
        items: pa.Table,
        vectors: Vectors,
        pairs: LearningPairs | None = None,
        *,
        progress: Progress | None = None,
        checkpoints: Path | None = None,
    ) -> Self:
        """See `ItemTokenizer.fit`; forgets all items that it knew and registers `items`.

        Also raises UserError if more items share an identifier than the uniqueness level has codes, and ValueError if
        an item_id comes twice.
        """
        self._registry = None
        self.inner.fit(items, vectors, pairs=pairs, progress=progress, checkpoints=checkpoints)
        empty = IdentifierRegistry.empty(len(self.inner.level_sizes) + 1)
        registry, identifiers = self._numbered(empty, items, vectors)
        largest = int(identifiers[:, -1].max()) + 1
        self._size = self._asked_size or max(SMALLEST_LEVEL, 1 << (2 * largest - 1).bit_length())
        self._refuse_overflow(identifiers)
        self._registry = registry
        return self

    def encode(self, items: pa.Table, vectors: Vectors) -> Codes:
        """See `ItemTokenizer.encode`; items that were never encoded are registered, so save the tokeniser afterwards.

        Also raises UserError, and registers nothing, if an identifier has more items than the uniqueness level has
        codes, and ValueError if an item_id comes twice.
        """
        registry, identifiers = self._numbered(self.registry, items, vectors)
        self._refuse_overflow(identifiers)
        self._registry = registry
        return identifiers

    def save(self, folder: Path) -> None:
        """Write the inner tokeniser into a folder of its own, the registry as Parquet, and `tokenizer.json`."""
        registry = self.registry
        self.inner.save(folder / _INNER)
        registry.save(folder)
        write_description(folder, self.kind, {"level_sizes": self.level_sizes})

    @classmethod
    def open(cls, folder: Path, open_inner: Callable[[Path], ItemTokenizer]) -> Self:
        """Read what `save` wrote, the inner tokeniser with `open_inner`.

        Raises UserError if a file is missing or damaged.
        """
        sizes = read_description(folder)["level_sizes"]
        tokenizer = cls(open_inner(folder / _INNER), size=sizes[-1])
        tokenizer._registry = IdentifierRegistry.open(folder, len(sizes))
        return tokenizer

    def _numbered(
        self, registry: IdentifierRegistry, items: pa.Table, vectors: Vectors
    ) -> tuple[IdentifierRegistry, Codes]:
        """The registry with these items as well, and their whole identifiers: int32 [items, levels]."""
        item_ids, prefixes = ids_of(items), self.inner.encode(items, vectors)
        rows = registry.rows_of(item_ids)
        known = rows >= 0
        staying = known.copy()
        staying[known] = (registry.codes[rows[known], :-1] == prefixes[known]).all(axis=1)
        numbers = np.empty(len(rows), np.int32)
        numbers[staying] = registry.codes[rows[staying], -1]
        numbers[~staying] = _next_numbers(registry.codes, prefixes[~staying], self.inner.level_sizes)
        identifiers = np.column_stack([prefixes, numbers]).astype(np.int32)
        return registry.with_codes(item_ids, rows, identifiers), identifiers

    def _refuse_overflow(self, identifiers: Codes) -> None:
        size = self.level_sizes[-1]
        over = np.flatnonzero(identifiers[:, -1] >= size)
        if len(over) == 0:
            return
        worst = identifiers[over[np.argmax(identifiers[over, -1])]]
        raise UserError(
            f"{worst[-1] + 1} items need a number of their own under the identifier {'-'.join(map(str, worst[:-1]))},"
            f" but the uniqueness level has only {size}: give it more codes, or the levels before it, and build again."
        )


def _next_numbers(held: Codes, prefixes: Codes, prefix_sizes: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """For items that come to these prefixes in this order, the numbers after those `held` already."""
    keys, bucket = np.unique(path_keys(prefixes, prefix_sizes), return_inverse=True)
    held_keys = path_keys(held[:, :-1], prefix_sizes)
    place = np.searchsorted(keys, held_keys)
    concerned = np.flatnonzero(place < len(keys))
    concerned = concerned[keys[place[concerned]] == held_keys[concerned]]
    first = np.zeros(len(keys), np.int64)
    np.maximum.at(first, place[concerned], held[concerned, -1].astype(np.int64) + 1)
    return first[bucket] + _occurrence(bucket)


def _occurrence(buckets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many earlier entries equal each entry."""
    order = np.argsort(buckets, kind="stable")
    ordered = buckets[order]
    earlier = np.empty(len(buckets), np.int64)
    earlier[order] = np.arange(len(buckets)) - np.searchsorted(ordered, ordered)
    return earlier

"""Per-request filters: which items a request may see, as one bit an item.

In: a table of items, prepared once, and what a request asks for (in stock, a category with all below it, brands, a
price band, an attribute such as the seller). Out: an `ItemFilter`, which constraints and channels honour exactly.
Filters combine with &, | and ~.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property, reduce
from operator import and_

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Bitmap = npt.NDArray[np.bool_]


class ItemFilter:
    """The catalogue rows that a request may see.

    Compared by identity: what was prepared for a filter is kept as long as the object lives, so keep the object of a
    filter that many requests share.
    """

    def __init__(self, allowed: Bitmap) -> None:
        """`allowed` [items]; rows beyond its end (items that came later) are not let through."""
        if allowed.ndim != 1 or allowed.dtype != np.bool_:
            raise ValueError(f"a filter is one row of booleans, not {allowed.dtype} {allowed.shape}")
        self.allowed = allowed.copy() if allowed.flags.writeable else allowed
        self.allowed.flags.writeable = False

    @classmethod
    def of_rows(cls, rows: npt.NDArray[np.int64] | Sequence[int], items: int) -> ItemFilter:
        """Lets through exactly these rows of a catalogue of `items`; raises IndexError for a row outside it."""
        chosen = np.asarray(rows, np.int64)
        if len(chosen) and not 0 <= chosen.min() <= chosen.max() < items:
            raise IndexError(f"a filter's rows must lie in 0 to {items - 1}")
        allowed = np.zeros(items, bool)
        allowed[chosen] = True
        return _owned(allowed)

    @cached_property
    def count(self) -> int:
        """How many items pass; 0 means that a search will find nothing."""
        return int(np.count_nonzero(self.allowed))

    @cached_property
    def rows(self) -> npt.NDArray[np.int64]:
        """The rows that pass, ascending."""
        return np.flatnonzero(self.allowed)

    def passes(self, rows: npt.NDArray[np.int64]) -> Bitmap:
        """Which of the given catalogue rows pass: [rows]."""
        known = rows < len(self.allowed)
        if len(self.allowed) == 0:
            return known
        return known & self.allowed[np.where(known, rows, 0)]

    def __and__(self, other: ItemFilter) -> ItemFilter:
        both = min(len(self.allowed), len(other.allowed))
        return _owned(self.allowed[:both] & other.allowed[:both])

    def __or__(self, other: ItemFilter) -> ItemFilter:
        shorter, longer = sorted((self.allowed, other.allowed), key=len)
        either = longer.copy()
        either[: len(shorter)] |= shorter
        return _owned(either)

    def __invert__(self) -> ItemFilter:
        return _owned(~self.allowed)


class FilterColumns:
    """The columns of a table of items in the form in which a filter is one comparison.

    Each column is prepared when it is first asked for.
    """

    def __init__(self, items: pa.Table) -> None:
        self._items = items

    def matching(
        self,
        in_stock: bool = False,
        category: Sequence[str] = (),
        brands: Sequence[str] = (),
        low: float | None = None,
        high: float | None = None,
    ) -> ItemFilter | None:
        """Items that fit all that is asked: of a request as it comes from outside. None where nothing is asked."""
        asked = [
            self.in_stock() if in_stock else None,
            self.in_category(category) if category else None,
            self.of_brand(brands) if brands else None,
            self.price_between(low, high) if (low, high) != (None, None) else None,
        ]
        given = [part for part in asked if part is not None]
        return reduce(and_, given) if given else None

    def in_stock(self) -> ItemFilter:
        """Items that are available."""
        return _owned(_as_booleans(self._items["available"]))

    def price_between(self, low: float | None = None, high: float | None = None) -> ItemFilter:
        """Items with a price of at least `low` and at most `high`; those without a price do not pass."""
        prices = self._prices
        allowed = ~np.isnan(prices)
        if low is not None:
            allowed &= prices >= low
        if high is not None:
            allowed &= prices <= high
        return _owned(allowed)

    def of_brand(self, brands: str | Iterable[str]) -> ItemFilter:
        """Items of any of the brands, as the catalogue spells them."""
        numbers, names = self._brands
        wanted = {brands} if isinstance(brands, str) else set(brands)
        return _owned(np.array([name in wanted for name in names])[numbers])

    def in_category(self, path: Sequence[str]) -> ItemFilter:
        """Items in the category with this path from the root, or anywhere below it; every item for an empty path."""
        allowed = np.ones(self._items.num_rows, bool)
        parent = 0
        for level, name in enumerate(path):
            nodes, numbers = self._categories[level] if level < len(self._categories) else (None, {})
            node = numbers.get((parent, name))
            if nodes is None or node is None:
                return _owned(np.zeros(self._items.num_rows, bool))
            allowed, parent = nodes == node, node
        return _owned(allowed)

    def with_attribute(self, name: str, values: str | Iterable[str]) -> ItemFilter:
        """Items whose attribute `name` (a seller, a colour) has one of the values."""
        wanted = [values] if isinstance(values, str) else list(values)
        value_set = pa.array(wanted, pa.string())
        found = [np.empty(0, bool)]
        for part in self._items["attributes"].chunks:
            # `keys` and `items` are those of the whole buffer, which a slice shares; its offsets point into it.
            pairs = pc.and_(pc.equal(part.keys, name), pc.is_in(part.items, value_set=value_set))
            matches = np.concatenate(([0], np.cumsum(_as_booleans(pairs))))
            found.append(np.diff(matches[np.asarray(part.offsets)]) > 0)
        return _owned(np.concatenate(found))

    @cached_property
    def _prices(self) -> npt.NDArray[np.float64]:
        return np.asarray(self._items["price"].fill_null(np.nan), np.float64)

    @cached_property
    def _brands(self) -> tuple[npt.NDArray[np.int64], list[str | None]]:
        return _numbered(self._items["brand"])

    @cached_property
    def _categories(self) -> list[tuple[npt.NDArray[np.int32], dict[tuple[int, str | None], int]]]:
        """For each level the node of every item (−1: it has no such level), and the node of each (parent, name)."""
        column = self._items["category"]
        lengths = np.asarray(pc.list_value_length(column).fill_null(0), np.int64)
        parents = np.zeros(len(lengths), np.int64)
        levels = []
        for level in range(int(lengths.max(initial=0))):
            deep = np.flatnonzero(lengths > level)
            numbers, names = _numbered(pc.list_element(column.take(pa.array(deep)), level))
            pairs, places = np.unique(parents[deep] * len(names) + numbers, return_inverse=True)
            nodes = np.full(len(lengths), -1, np.int32)
            nodes[deep] = places
            keys = [divmod(int(pair), len(names)) for pair in pairs]
            levels.append((nodes, {(parent, names[name]): place for place, (parent, name) in enumerate(keys)}))
            parents = nodes.astype(np.int64)
        return levels


def _owned(allowed: Bitmap) -> ItemFilter:
    """The filter of an array that nobody else holds: it need not be copied."""
    allowed.flags.writeable = False
    return ItemFilter(allowed)


def _as_booleans(column: pa.ChunkedArray | pa.Array) -> Bitmap:
    return np.asarray(column.fill_null(False), bool)


def _numbered(column: pa.ChunkedArray | pa.Array) -> tuple[npt.NDArray[np.int64], list[str | None]]:
    """The number of every entry among the distinct ones, and these; the last of them stands for null."""
    whole = pa.chunked_array([column]) if isinstance(column, pa.Array) else column
    parts = pc.dictionary_encode(whole).unify_dictionaries().chunks
    names: list[str | None] = parts[0].dictionary.to_pylist() if parts else []
    numbers = [np.asarray(part.indices.fill_null(len(names)), np.int64) for part in parts]
    return np.concatenate([np.empty(0, np.int64), *numbers]), [*names, None]

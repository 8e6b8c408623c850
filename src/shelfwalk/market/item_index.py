"""Items by category, brand and attribute value: a wish costs the size of what it asks for, not of the catalogue.

In: the tree and the features of a catalogue. Out: `ItemIndex`: the items of any node with all below it as one slice of
one array, and the posting lists of brands and values.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from shelfwalk.market.item_features import NONE, CategoryTree, ItemFeatures


@dataclass(frozen=True, eq=False)
class ItemIndex:
    """Where to find the items of a category, a brand or a value.

    `rows` int64 [items with a category]: item rows in the order of a depth-first walk of the tree. `first` and `end`
    int64 [nodes]: the items in or below a node are `rows[first[node] : end[node]]`. `leaf` bool [nodes]: no node below.
    """

    features: ItemFeatures
    parent: npt.NDArray[np.int32]
    leaf: npt.NDArray[np.bool_]
    rows: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]

    def in_category(self, node: int) -> npt.NDArray[np.int64]:
        """Return the rows of the items in or below a node."""
        return self.rows[self.first[node] : self.end[node]]

    def of_brand(self, brand: int) -> npt.NDArray[np.int64]:
        """Return the rows of a brand's items, ascending."""
        rows, offsets = self._brands
        return rows[offsets[brand] : offsets[brand + 1]] if brand + 1 < len(offsets) else rows[:0]

    def with_value(self, value: int) -> npt.NDArray[np.int64]:
        """Return the rows of the items that have an attribute value, ascending."""
        rows, offsets = self._values
        return rows[offsets[value] : offsets[value + 1]] if value + 1 < len(offsets) else rows[:0]

    @cached_property
    def popularity_sums(self) -> npt.NDArray[np.float64]:
        """Sums of popularity before each place of `rows`, float64 [len(rows) + 1], ascending from 0."""
        return np.concatenate(([0.0], np.cumsum(self.features.popularity[self.rows], dtype=np.float64)))

    @cached_property
    def _brands(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        return _postings(self.features.brand, np.arange(len(self.features)))

    @cached_property
    def _values(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        counts = np.diff(self.features.value_offsets)
        return _postings(self.features.values, np.repeat(np.arange(len(self.features)), counts))


def index_items(tree: CategoryTree, features: ItemFeatures) -> ItemIndex:
    """Index the items of a catalogue by category; brands and values are indexed when they are first asked for."""
    places, sizes = _walk(tree.parent)
    rows = np.flatnonzero(features.category != NONE)
    item_places = places[features.category[rows]]
    order = np.argsort(item_places, kind="stable")
    first = np.searchsorted(item_places[order], places, side="left")
    end = np.searchsorted(item_places[order], places + sizes, side="left")
    return ItemIndex(features, tree.parent, sizes == 1, rows[order], first, end)


def _walk(parent: npt.NDArray[np.int32]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Each node's place in a depth-first walk, and the number of nodes in its part of the tree, itself included."""
    sizes = np.ones(len(parent), np.int64)
    for node in range(len(parent) - 1, -1, -1):
        if parent[node] != NONE:
            sizes[parent[node]] += sizes[node]
    places = np.zeros(len(parent), np.int64)
    free = np.zeros(len(parent) + 1, np.int64)  # The next free place below each node; the last is for the roots.
    for node in range(len(parent)):
        places[node] = free[parent[node]]
        free[parent[node]] += sizes[node]
        free[node] = places[node] + 1
    return places, sizes


def _postings(
    keys: npt.NDArray[np.int32], rows: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    kept = keys != NONE
    keys, rows = keys[kept], rows[kept]
    offsets = np.concatenate(([0], np.cumsum(np.bincount(keys)))).astype(np.int64)
    return rows[np.argsort(keys, kind="stable")], offsets

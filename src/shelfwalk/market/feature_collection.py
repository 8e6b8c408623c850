"""Gathering the features of a catalogue chunk by chunk in flat arrays, and what only the whole catalogue can say.

In: the facts of one chunk after another. Out: `ItemFeatures`: popularity sums to 1, quality has mean 0 and deviation
1, and each price has its level within the category.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shelfwalk.market.item_facts import ItemFacts
from shelfwalk.market.item_features import NONE, ItemFeatures


class FeatureCollection:
    """The features of a catalogue of known size, filled from the front."""

    def __init__(self, items: int) -> None:
        self._filled = 0
        self._category = np.empty(items, np.int32)
        self._brand = np.empty(items, np.int32)
        self._price = np.empty(items, np.float32)
        self._attraction = np.empty(items, np.float32)
        self._quality = np.empty(items, np.float32)
        self._appears = np.empty(items, np.int64)
        self._offsets = np.zeros(items + 1, np.int64)
        self._values: list[npt.NDArray[np.int32]] = []

    def add(self, facts: ItemFacts, category: npt.NDArray[np.int32]) -> None:
        """Append the items of a chunk; `category` are their nodes of the tree."""
        rows = slice(self._filled, self._filled + len(facts))
        self._category[rows] = category
        self._brand[rows] = facts.brand
        self._price[rows] = facts.cents / 100
        self._attraction[rows] = facts.attraction
        self._quality[rows] = facts.quality
        self._appears[rows] = facts.appears
        values = np.sort(facts.values, axis=1)
        present = values != NONE
        self._offsets[rows.start + 1 : rows.stop + 1] = self._offsets[rows.start] + np.cumsum(present.sum(axis=1))
        self._values.append(values[present])
        self._filled = rows.stop

    def features(self) -> ItemFeatures:
        """The features of all items, once as many were added as were announced; the collection is empty then."""
        if self._filled != len(self._category):
            raise ValueError(f"{self._filled} items were added, {len(self._category)} were announced")
        values, self._values = np.concatenate(self._values), []
        return ItemFeatures(
            category=self._category,
            brand=self._brand,
            price=self._price,
            price_level=price_levels(self._category, self._price),
            popularity=shares_of(self._attraction),
            quality=standardised(self._quality),
            value_offsets=self._offsets,
            values=values,
            appears=self._appears,
        )


def price_levels(category: npt.NDArray[np.int32], price: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The share of the items of each item's category that are cheaper, float32 [items], from 0 to below 1."""
    order = np.lexsort((price, category))
    category, price = category[order], price[order]
    changes = np.flatnonzero(np.diff(category)) + 1
    starts = np.concatenate(([0], changes)) if len(category) else changes
    sizes = np.diff(np.append(starts, len(category)))
    new_price = np.concatenate(([True], (np.diff(category) != 0) | (np.diff(price) != 0)))[: len(category)]
    # Items of one price have the place of the first of them.
    first = np.maximum.accumulate(np.where(new_price, np.arange(len(category)), 0))
    levels = np.empty(len(category), np.float32)
    levels[order] = (first - np.repeat(starts, sizes)) / np.repeat(sizes, sizes)
    return levels


def shares_of(attraction: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Positive figures as shares that sum to 1, float32."""
    shares: npt.NDArray[np.float32] = (attraction / attraction.sum(dtype=np.float64)).astype(np.float32)
    return shares


def standardised(figures: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Figures with mean 0 and deviation 1, float32; zeros where all are equal."""
    deviation = figures.std(dtype=np.float64)
    found: npt.NDArray[np.float32] = ((figures - figures.mean(dtype=np.float64)) / (deviation or 1.0)).astype(
        np.float32
    )
    return found

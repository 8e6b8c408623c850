"""What the simulation knows of every item, in flat arrays, and the words in which shoppers speak of it.

In: a generated catalogue, which writes these while it makes items, or a real one, from whose table they are derived.
Out: `ItemFeatures`, `CategoryTree` and `Lexicon`, all that shoppers, needs, grades and clicks are computed from. They
are the hidden truth of a market: neither a shelf nor the search log ever holds them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

NONE = -1
"""Stands for no brand, no category, no value."""


@dataclass(frozen=True)
class CategoryTree:
    """The nodes of a category tree in the order of a walk, parents before children.

    `parent`, int32 [nodes]: the parent's node, -1 at a root. `paths[node]`: names from the root to the node. An item
    lies in any node, usually a leaf.
    """

    parent: npt.NDArray[np.int32]
    paths: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.parent)


@dataclass(frozen=True)
class Lexicon:
    """What things are called: the first phrase of each is the one in catalogue data, the others are what shoppers say.

    `categories[node]`, `brands[brand]` and `values[value]` are tuples of phrases, each at least one;
    `value_attributes[value]` is the name of the attribute that a value belongs to.
    """

    categories: tuple[tuple[str, ...], ...]
    brands: tuple[tuple[str, ...], ...]
    values: tuple[tuple[str, ...], ...]
    value_attributes: tuple[str, ...]


@dataclass(frozen=True)
class ItemFeatures:
    """One row an item, in the order of the catalogue.

    `category` int32 [items]: node of the tree. `brand` int32 [items]: -1 where there is none. `price` float32 [items],
    above 0. `price_level` float32 [items]: the share of its category's items that are cheaper, 0 to 1. `popularity`
    float32 [items]: positive, sums to 1. `quality` float32 [items]: what makes every shopper like an item more, mean 0,
    deviation 1. `value_offsets` int64 [items + 1] into `values` int32: the attribute values of each item, ascending.
    `appears` int64 [items]: when it first can be shown, microseconds since 1970 in UTC; 0 if from the start.
    """

    category: npt.NDArray[np.int32]
    brand: npt.NDArray[np.int32]
    price: npt.NDArray[np.float32]
    price_level: npt.NDArray[np.float32]
    popularity: npt.NDArray[np.float32]
    quality: npt.NDArray[np.float32]
    value_offsets: npt.NDArray[np.int64]
    values: npt.NDArray[np.int32]
    appears: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.category)

"""How well items fulfil a wish: the true grades of the market.

In: wishes (needs or the intents of queries) and items. Out: a grade, 0 to 3:

    3  the category fits (if one is asked) and so does everything else that is asked;
    2  the category fits, and at least half of the other things asked;
    1  the category fits, and less than half of the others; or everything else fits, in a sibling category;
    0  anything else.

The *other things* are the brand, each attribute value and the price band. A category fits an item in it or below it.
The *siblings* of a category are its parent's other children, with all below them, and what lies in the parent itself;
only a leaf has siblings here, for who asks for an inner node has been broad already. Where a wish asks for no category,
half of the others is worth 1 and less nothing: of "acme black" a black thing of another brand is hardly what was meant.
A wish that asks for nothing is fulfilled by everything. The rules are our own choice.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shelfwalk.market.catalogue import Catalogue
from shelfwalk.market.item_features import NONE, ItemFeatures
from shelfwalk.market.item_index import ItemIndex
from shelfwalk.market.wishes import Wishes


def grades(
    wishes: Wishes, row: int, catalogue: Catalogue, rows: npt.NDArray[np.int64] | None = None
) -> npt.NDArray[np.int8]:
    """Grade items for the wish in `row`, int8 [rows]; all items of the catalogue where `rows` is None."""
    items = np.arange(len(catalogue.features)) if rows is None else rows
    return pair_grades(wishes, np.full(len(items), row), catalogue, items)


def graded_items(
    wishes: Wishes, row: int, catalogue: Catalogue, index: ItemIndex
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int8]]:
    """Return the rows of all items with a grade of 1 or more for the wish in `row`, ascending int64, and the grades.

    `index` must be that of the catalogue; the cost is that of the items of the category and its siblings (of the brand
    and the values where no category is asked).
    """
    items = _candidates(wishes, row, index)
    found = grades(wishes, row, catalogue, items)
    return items[found > 0], found[found > 0]


def pair_grades(
    wishes: Wishes, wish_rows: npt.NDArray[np.int64], catalogue: Catalogue, items: npt.NDArray[np.int64]
) -> npt.NDArray[np.int8]:
    """Grade each item for the wish beside it, int8 [pairs]; `wish_rows` and `items` are rows, int64 [pairs]."""
    asked, fitting = _other_things(wishes, wish_rows, catalogue.features, items)
    category = wishes.category[wish_rows]
    own, near = _categories_fit(category, catalogue, items)
    everything = fitting == asked
    found = np.zeros(len(items), np.int8)
    found[near & everything] = 1
    found[own] = np.where(2 * fitting >= asked, 2, 1)[own] - (category == NONE)[own]
    found[own & everything] = 3
    return found


def values_held(
    features: ItemFeatures, items: npt.NDArray[np.int64], values: npt.NDArray[np.int32]
) -> npt.NDArray[np.bool_]:
    """Tell for each item whether it has the attribute value beside it, bool [items]; no item has NONE."""
    start, end = features.value_offsets[items], features.value_offsets[items + 1]
    held = np.zeros(len(items), bool)
    pending = np.flatnonzero((start < end) & (values != NONE))
    step = 0
    while len(pending):
        held[pending] = features.values[start[pending] + step] == values[pending]
        step += 1
        pending = pending[~held[pending] & (start[pending] + step < end[pending])]
    return held


def _other_things(
    wishes: Wishes, wish_rows: npt.NDArray[np.int64], features: ItemFeatures, items: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """How many things besides the category each wish asks for, and how many of them the item beside it fulfils."""
    brand = wishes.brand[wish_rows]
    low, high = wishes.price_low[wish_rows], wishes.price_high[wish_rows]
    level = features.price_level[items]
    priced = (low > 0) | (high < 1)
    asked = (brand != NONE).astype(np.int64) + priced
    fitting = ((brand != NONE) & (features.brand[items] == brand)).astype(np.int64)
    fitting += priced & (low <= level) & (level <= high)
    for place in range(wishes.values.shape[1]):
        value = wishes.values[wish_rows, place]
        asked += value != NONE
        fitting += values_held(features, items, value)
    return asked, fitting


def _categories_fit(
    asked: npt.NDArray[np.int32], catalogue: Catalogue, items: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Whether each item lies in or below the category asked (always where none is), and whether in it or a sibling."""
    parent = catalogue.tree.parent
    leaf = np.ones(len(parent), bool)
    leaf[parent[parent != NONE]] = False
    above = np.where((asked != NONE) & leaf[asked], parent[asked], NONE)
    node = catalogue.features.category[items]
    own, near = asked == NONE, np.zeros(len(items), bool)
    while (node != NONE).any():
        own |= (node == asked) & (node != NONE)
        near |= (node == above) & (node != NONE)
        node = np.where(node != NONE, parent[node], NONE)
    return own, near


def _candidates(wishes: Wishes, row: int, index: ItemIndex) -> npt.NDArray[np.int64]:
    """Rows of all items that can have a grade above 0 for a wish, ascending; also some that have none."""
    category, brand = int(wishes.category[row]), int(wishes.brand[row])
    if category != NONE:
        parent = int(index.parent[category])
        return np.sort(index.in_category(parent if index.leaf[category] and parent != NONE else category))
    values = wishes.values[row][wishes.values[row] != NONE]
    priced = wishes.price_low[row] > 0 or wishes.price_high[row] < 1
    if priced or (brand == NONE and len(values) == 0):
        return np.arange(len(index.features))
    parts = [index.with_value(int(value)) for value in values]
    if brand != NONE:
        parts.append(index.of_brand(brand))
    return np.unique(np.concatenate(parts))

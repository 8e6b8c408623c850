"""How much a shopper likes an item for what it is, whatever is needed.

In: pairs of a shopper and an item. Out: the taste part of utility (utility.py has the formula and its place in it).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shelfwalk.market.catalogue import Catalogue
from shelfwalk.market.item_features import NONE
from shelfwalk.market.shoppers import Shoppers

BRAND = 0.6
"""Weight of brand taste, whose deviation over brands is 1."""
STYLE = 1.0
"""Weight of style taste; the deviation over items is 1 divided by the root of their number of values."""
PRICE = 2.0
"""What a price level at the other end of the scale costs."""
QUALITY = 0.4
"""Weight of quality, whose deviation is 1."""


def tastes(
    catalogue: Catalogue, shoppers: Shoppers, shopper: npt.NDArray[np.int32], items: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """Return how much each of these shoppers likes the item beside it, float32 [pairs]; both are rows, [pairs]."""
    features = catalogue.features
    # An item is shown to many, so what depends on it alone is worked out once.
    distinct, which = np.unique(items, return_inverse=True)
    brands = _brand_places(catalogue, shoppers, distinct)[which]
    styles = _style_places(catalogue, shoppers, distinct)[which]
    found = BRAND * np.einsum("nd,nd->n", shoppers.brand_taste[shopper], brands)
    found += STYLE * np.einsum("nd,nd->n", shoppers.style_taste[shopper], styles)
    found -= PRICE * np.abs(features.price_level[items] - shoppers.price_taste[shopper])
    found += QUALITY * features.quality[items]
    return np.asarray(found, np.float32)


def _brand_places(catalogue: Catalogue, shoppers: Shoppers, items: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Where the brand of each item lies, float32 [items, dimensions]; nowhere in particular where it has none."""
    brand = catalogue.features.brand[items]
    found = np.zeros((len(items), shoppers.brand_taste.shape[1]), np.float32)
    found[brand != NONE] = shoppers.brand_places[brand[brand != NONE]]
    return found


def _style_places(catalogue: Catalogue, shoppers: Shoppers, items: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Mean place of the values of each item, float32 [items, dimensions]; 0 for an item without any."""
    features = catalogue.features
    start = features.value_offsets[items]
    counts = features.value_offsets[items + 1] - start
    found = np.zeros((len(items), shoppers.style_taste.shape[1]), np.float32)
    for step in range(int(counts.max(initial=0))):
        holding = counts > step
        found[holding] += shoppers.value_places[features.values[start[holding] + step]]
    return np.asarray(found / np.maximum(counts, 1)[:, None], np.float32)

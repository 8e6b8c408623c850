"""What an item is worth to a shopper on a visit, and how much of it taste alone explains.

In: shoppers, visits and the items of their pages. Out: utilities, unitless; a difference of 1 is about a threefold
chance.

    utility = RELEVANCE[grade for the need] + taste
    taste   = brand taste · place of the brand + style taste · mean place of the item's values
              − PRICE · |price level − price taste| + QUALITY · quality

The need is what the shopper wants, not only what the query says: two shoppers with one query want different items. The
form (a linear utility with taste as dot products) is the usual random-utility one; the weights are our own choice.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shelfwalk.market.catalogue import Catalogue
from shelfwalk.market.grades import pair_grades
from shelfwalk.market.item_features import NONE
from shelfwalk.market.needs import Visits
from shelfwalk.market.shoppers import Shoppers
from shelfwalk.market.tastes import tastes

RELEVANCE = (-3.0, -1.0, 0.5, 1.5)
"""Worth of the four grades."""


def utilities(
    catalogue: Catalogue, shoppers: Shoppers, visits: Visits, pages: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """Return the utility of each item shown, float32 [visits, places]; `pages` holds item rows, -1 where there is none.

    A place without an item has minus infinity.
    """
    places = np.flatnonzero(pages.ravel() != NONE)
    items = pages.ravel()[places]
    visit = places // pages.shape[1]
    worth = np.asarray(RELEVANCE, np.float32)[pair_grades(visits.needs, visit, catalogue, items)]
    found = np.full(pages.size, -np.inf, np.float32)
    found[places] = worth + tastes(catalogue, shoppers, visits.shopper[visit], items)
    return found.reshape(pages.shape)

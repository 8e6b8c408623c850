"""The item that a visit is about, before a word is said: one that the shopper could like and that is there to be had.

In: shoppers and moments. Out: an item each. A category comes from the shopper's interests of the moment (or, for a part
of the visits, from anywhere), some items from it by popularity, and of these one by taste: popular things are wanted
more, and by those whom they suit. An item that has not appeared yet is never drawn. Shares and weights are our own
choice.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shelfwalk.market.catalogue import Catalogue
from shelfwalk.market.item_index import ItemIndex
from shelfwalk.market.shoppers import Shoppers, interest_weights
from shelfwalk.market.tastes import tastes

_CONSIDERED = 8
_ELSEWHERE = 0.2
"""Share of the visits that no interest explains: gifts, repairs, curiosity."""
_ROUNDS = 8


def draw_targets(
    catalogue: Catalogue,
    index: ItemIndex,
    shoppers: Shoppers,
    shopper: npt.NDArray[np.int32],
    at: npt.NDArray[np.int64],
    random: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """Draw the item of each visit, rows int64 [visits]; `shopper` and `at` (microseconds) are [visits]."""
    first, end = _slices(index, shoppers, shopper, at, random)
    earliest = index.rows[np.argmin(catalogue.features.appears[index.rows])]
    targets = np.full(len(at), earliest)
    open_visits = np.arange(len(at))
    for _ in range(_ROUNDS):
        if len(open_visits) == 0:
            break
        items = _by_popularity(index, first[open_visits], end[open_visits], random)
        there = catalogue.features.appears[items] <= at[open_visits, None]
        who = np.repeat(shopper[open_visits], _CONSIDERED)
        liking = tastes(catalogue, shoppers, who, items.ravel()).reshape(items.shape) + random.gumbel(size=items.shape)
        best = np.where(there, liking, -np.inf).argmax(axis=1)
        found = there.any(axis=1)
        targets[open_visits[found]] = items[found, best[found]]
        open_visits = open_visits[~found]
        # A category of which nothing has appeared yet: look anywhere.
        first[open_visits], end[open_visits] = 0, len(index.rows)
    return targets


def _slices(
    index: ItemIndex,
    shoppers: Shoppers,
    shopper: npt.NDArray[np.int32],
    at: npt.NDArray[np.int64],
    random: np.random.Generator,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """First place and end of the part of `index.rows` that each visit looks in."""
    reached = np.cumsum(interest_weights(shoppers, shopper, at), axis=1)
    chosen = (random.random((len(at), 1)) > reached[:, :-1]).sum(axis=1)
    node = shoppers.interests[shopper, chosen]
    elsewhere = random.random(len(at)) < _ELSEWHERE
    return np.where(elsewhere, 0, index.first[node]), np.where(elsewhere, len(index.rows), index.end[node])


def _by_popularity(
    index: ItemIndex, first: npt.NDArray[np.int64], end: npt.NDArray[np.int64], random: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Items of each slice in proportion to their popularity, int64 [slices, considered]; an item can come twice."""
    sums = index.popularity_sums
    low, high = sums[first][:, None], sums[end][:, None]
    places = np.searchsorted(sums, low + random.random((len(first), _CONSIDERED)) * (high - low), side="right") - 1
    return index.rows[np.clip(places, first[:, None], end[:, None] - 1)]

"""A log of the market's own policy, and the pages that another system would have made of it.

In: the pages of the market's logging policy, and a system's ranked lists. Out: the same pages in the system's order. A
log can only tell of what it showed: so the system is asked to order the items of the page, not to bring its own; items
that its list lacks follow in the order of the policy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfwalk.evaluation.served_pages import RankedQueries

_VISITS_AT_ONCE = 1_024


@dataclass(frozen=True)
class PolicyLog:
    """Pages [visits, places] of a policy in its own order, and as shown for chance's sake; −1 where nothing is.

    `propensities` float64 [visits, places]: the probability that the shown item stood in its place, 1 at padding.
    """

    own: npt.NDArray[np.int64]
    shown: npt.NDArray[np.int64]
    propensities: npt.NDArray[np.float64]


def reordered(
    pages: npt.NDArray[np.int64], ranked: RankedQueries, query: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return the pages [visits, places] in the order of a system's lists; `query` [visits]: rows of `ranked`."""
    found = np.empty_like(pages)
    for start in range(0, len(pages), _VISITS_AT_ONCE):
        part = pages[start : start + _VISITS_AT_ONCE]
        lists = ranked.items[query[start : start + _VISITS_AT_ONCE]]
        depth = lists.shape[1]
        rank = np.full(part.shape, depth)
        for place in range(part.shape[1]):
            here = lists == part[:, place : place + 1]
            rank[:, place] = np.where(here.any(axis=1), here.argmax(axis=1), depth)
        # Padding is last, and what the list lacks keeps its order: the sort is stable.
        order = np.argsort(np.where(part >= 0, rank, depth + 1), axis=1, kind="stable")
        found[start : start + _VISITS_AT_ONCE] = np.take_along_axis(part, order, axis=1)
    return found


def place_groups(
    pages: npt.NDArray[np.int64], orders: tuple[npt.NDArray[np.int64], ...]
) -> tuple[npt.NDArray[np.int64], int]:
    """Group items by their places in several orders of their page: 1, 2, 3–4, 5–8 and so on; and how many groups.

    All [visits, places]; −1 at padding. Each order holds the items of the page.
    """
    steps = int(np.ceil(np.log2(pages.shape[1]))) + 1
    groups = np.zeros(pages.shape, np.int64)
    for order in orders:
        place_in_order = np.zeros(pages.shape, np.int64)
        for place in range(pages.shape[1]):
            place_in_order[pages == order[:, place : place + 1]] = place
        groups = groups * steps + np.ceil(np.log2(place_in_order + 1)).astype(np.int64)
    return np.where(pages >= 0, groups, -1), steps ** len(orders)

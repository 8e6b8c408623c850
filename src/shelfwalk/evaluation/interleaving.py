"""Team-draft interleaving: both systems on one page, and whose items are clicked more.

In: the pages of two systems for the same visits, and later what was clicked. Out: mixed pages with the team of each
item, and who won how many visits. From Radlinski, Kurup and Joachims, "How does clickthrough data reflect retrieval
quality?" (CIKM 2008), section 3 and figure 2: in each round a coin says which system picks first, and each puts its
best item that is not yet on the page; a visit is won by the team with more clicks.

Departures. Where one system has nothing left, the other fills the page and takes the credit (the paper stops there):
what only one of them finds is to its merit. And as shoppers come back, the sign test counts shoppers, not visits: a
shopper is won by the system that won more of the shopper's visits; ties are left out of the test, as in the paper.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfwalk.evaluation.shopper_means import Estimate, mean_over_shoppers, sums_by_shopper

FIRST, SECOND, NOBODY = 0, 1, -1


@dataclass(frozen=True)
class DraftedPages:
    """Mixed pages: items int64 [visits, places], padded with −1, and the team of each: 0 first, 1 second, −1 none."""

    pages: npt.NDArray[np.int64]
    teams: npt.NDArray[np.int8]


@dataclass(frozen=True)
class Interleaving:
    """Visits and shoppers won by each system and tied; the sign test over shoppers.

    `preference`: the mean over visits of +1 for one won by the second system, −1 for the first, 0 for a tie.
    """

    first_visits: int
    second_visits: int
    tied_visits: int
    first_shoppers: int
    second_shoppers: int
    tied_shoppers: int
    preference: Estimate
    p_value: float


def team_draft(first: npt.NDArray[np.int64], second: npt.NDArray[np.int64], rng: np.random.Generator) -> DraftedPages:
    """Mix two pages int64 [visits, places], best first and padded with −1, into one of as many places."""
    visits, places = first.shape
    pages = np.full((visits, places), -1, np.int64)
    teams = np.full((visits, places), NOBODY, np.int8)
    picked = np.zeros((2, visits), np.int64)
    left = np.stack([first >= 0, second >= 0])
    rows = np.arange(visits)
    for place in range(places):
        coin = rng.random(visits) < 0.5
        chooser = np.where(picked[FIRST] == picked[SECOND], coin, picked[FIRST] > picked[SECOND]).astype(np.int8)
        able: npt.NDArray[np.bool_] = np.any(left, axis=2)
        chooser = np.where(able[chooser, rows], chooser, 1 - chooser).astype(np.int8)
        filled = able.any(axis=0)
        best = left[chooser, rows].argmax(axis=1)
        item = np.where(chooser == FIRST, first[rows, best], second[rows, best])
        pages[:, place] = np.where(filled, item, -1)
        teams[:, place] = np.where(filled, chooser, NOBODY)
        picked[chooser, rows] += filled
        left[FIRST] &= first != item[:, None]
        left[SECOND] &= second != item[:, None]
    return DraftedPages(pages, teams)


def click_preferences(teams: npt.NDArray[np.int8], clicked: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return who won each visit by clicks: +1 the second system, −1 the first, 0 a tie; int64 [visits]."""
    for_second = (clicked & (teams == SECOND)).sum(axis=1)
    for_first = (clicked & (teams == FIRST)).sum(axis=1)
    won: npt.NDArray[np.int64] = np.sign(for_second - for_first).astype(np.int64)
    return won


def interleaving_outcome(preferences: npt.NDArray[np.int64], shopper: npt.NDArray[np.int32]) -> Interleaving:
    """Count and test who won the visits, `preferences` as `click_preferences` gives them."""
    of_shopper = sums_by_shopper(preferences[:, None].astype(np.float64), shopper)[:, 0]
    first, second = int((of_shopper < 0).sum()), int((of_shopper > 0).sum())
    return Interleaving(
        first_visits=int((preferences < 0).sum()),
        second_visits=int((preferences > 0).sum()),
        tied_visits=int((preferences == 0).sum()),
        first_shoppers=first,
        second_shoppers=second,
        tied_shoppers=len(of_shopper) - first - second,
        preference=mean_over_shoppers(preferences, shopper),
        p_value=sign_test(first, second),
    )


def sign_test(first: int, second: int) -> float:
    """Return the exact two-sided p-value of these wins under a fair coin; 1 without any."""
    total, fewer = first + second, min(first, second)
    logarithms = [
        math.lgamma(total + 1) - math.lgamma(wins + 1) - math.lgamma(total - wins + 1) - total * math.log(2)
        for wins in range(fewer + 1)
    ]
    return min(1.0, 2 * math.fsum(map(math.exp, logarithms)))

"""A/A runs: how often a test finds a difference where there is none.

In: what happened in sessions that all saw the same system, split again and again as if there were two. Out: for each
test the share of runs with p < 0.05, which should be 5 %, with its 95 % interval. The sessions are the same in every
run and only the coins differ, so that a run costs neither a search nor a response.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfwalk.evaluation.ab_test import MEASURES, draw_groups, p_values_of_splits
from shelfwalk.evaluation.interleaving import sign_test
from shelfwalk.evaluation.shopper_means import QUANTILE, Values

SIGNIFICANT = 0.05
_CELLS_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class FalsePositives:
    """Of `runs` of a test without a difference, `significant` had p < 0.05; their share with its 95 % interval."""

    test: str
    runs: int
    significant: int
    share: float
    low: float
    high: float


def count_false_positives(test: str, p_values: Values) -> FalsePositives:
    """Count the p-values below 0.05, float [runs]; the interval is Wilson's (1927) for a binomial share."""
    runs, significant = len(p_values), int((p_values < SIGNIFICANT).sum())
    share, spread = significant / runs, QUANTILE**2 / runs
    centre = (share + spread / 2) / (1 + spread)
    half = math.sqrt(spread * share * (1 - share) + spread**2 / 4) / (1 + spread)
    return FalsePositives(test, runs, significant, share, max(centre - half, 0.0), min(centre + half, 1.0))


def aa_splits(
    values: Values, shopper: npt.NDArray[np.int32], runs: int, rng: np.random.Generator
) -> tuple[FalsePositives, ...]:
    """Split the shoppers of sessions with `values` [sessions, measures] `runs` times and test each measure."""
    shoppers = len(np.unique(shopper))
    at_once = max(1, _CELLS_AT_ONCE // shoppers)
    blocks = [
        p_values_of_splits(values, shopper, draw_groups(shoppers, min(at_once, runs - start), rng))
        for start in range(0, runs, at_once)
    ]
    p_values = np.concatenate(blocks)
    return tuple(count_false_positives(name, p_values[:, column]) for column, name in enumerate(MEASURES))


def aa_drafts(
    clicked: npt.NDArray[np.bool_], shopper: npt.NDArray[np.int32], runs: int, rng: np.random.Generator
) -> FalsePositives:
    """Draft the pages of one system against itself `runs` times and test whose clicks, bool [visits, places], won.

    Two equal lists take turns: of the places 1 and 2, 3 and 4 and so on each side gets one, by the round's coin, so
    that what a round adds to one side's lead over the other is the difference of its two places, with either sign.
    """
    even, odd = clicked[:, 0::2], clicked[:, 1::2]
    leads = even.astype(np.int8)
    leads[:, : odd.shape[1]] -= odd
    visit, round_ = np.nonzero(leads)
    lead = leads[visit, round_]
    of_visit, place = np.unique(visit, return_inverse=True)
    _, shopper_place = np.unique(shopper[of_visit], return_inverse=True)
    p_values = np.empty(runs)
    for run in range(runs):
        signs = rng.integers(0, 2, len(lead)) * 2 - 1
        won = np.sign(np.bincount(place, signs * lead, len(of_visit)))
        of_shopper = np.bincount(shopper_place, won)
        p_values[run] = sign_test(int((of_shopper < 0).sum()), int((of_shopper > 0).sum()))
    return count_false_positives("interleaving", p_values)

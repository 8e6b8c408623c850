"""The user-split A/B test: every shopper sees one of two systems, and what they do is compared.

In: what happened in each session, who the shopper was, and the shopper's group. Out: for each measure the mean of
either group, their difference and relative lift with 95 % intervals, and a two-sided p-value. Shoppers, not sessions,
are split and counted as independent (see shopper_means.py).

The measures, each a mean over the sessions of a group: *click-through*: 1 if something was clicked; *conversion*: 1 if
something was bought; *GMV per session*: the sum paid.

Many splits of the same sessions are tested at once, so that A/A runs use the very test that they examine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from shelfwalk.errors import UserError
from shelfwalk.evaluation.shopper_means import Estimate, Values, estimate, sums_by_shopper, two_sided_p_value

if TYPE_CHECKING:
    from shelfwalk.market.clicks import Responses

MEASURES = ("click-through", "conversion", "GMV per session")
LEAST_SHOPPERS = 30
"""In each group: with fewer, the normal test promises more than it holds."""


@dataclass(frozen=True)
class MeasureOutcome:
    """One measure in both groups; `difference` is second − first, `lift` the same as a share of first (None if 0)."""

    measure: str
    first: Estimate
    second: Estimate
    difference: Estimate
    lift: Estimate | None
    p_value: float


@dataclass(frozen=True)
class AbTest:
    """Sessions and shoppers of both groups, and the outcome of each measure."""

    first_sessions: int
    second_sessions: int
    first_shoppers: int
    second_shoppers: int
    outcomes: tuple[MeasureOutcome, ...]


@dataclass(frozen=True)
class GroupMoments:
    """Means and their variances, float64 [splits, measures], of one group in each of several splits."""

    mean: Values
    variance: Values


def session_measures(responses: Responses) -> Values:
    """Return `MEASURES` of each session: float64 [sessions, 3]."""
    clicked, bought = responses.clicked.any(axis=1), responses.purchased.any(axis=1)
    return np.stack([clicked, bought, responses.paid.sum(axis=1, dtype=np.float64)], axis=1).astype(np.float64)


def check_shoppers(shoppers: int) -> None:
    """Raise UserError if so few shoppers cannot be split into two groups that a test needs."""
    if shoppers < 2 * LEAST_SHOPPERS:
        raise UserError(
            f"The sessions come from {shoppers:,} shoppers, but two groups need {LEAST_SHOPPERS} each: ask for more "
            "--sessions, or take a market with more shoppers."
        )


def draw_groups(shoppers: int, splits: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Put a random half of the shoppers into the second group, `splits` times: bool [splits, shoppers]."""
    halves = np.tile(np.arange(shoppers) % 2 == 1, (splits, 1))
    return rng.permuted(halves, axis=1)


def ab_test(values: Values, shopper: npt.NDArray[np.int32], in_second: npt.NDArray[np.bool_]) -> AbTest:
    """Compare the groups on `values` [sessions, measures]; `in_second` [sessions] is one for a shopper's sessions."""
    _, first_session = np.unique(shopper, return_index=True)
    group = in_second[first_session]
    first, second = moments_of_splits(values, shopper, group[None])
    outcomes = [
        _outcome(name, *(float(part[0, column]) for part in (first.mean, first.variance, second.mean, second.variance)))
        for column, name in enumerate(MEASURES)
    ]
    return AbTest(int((~in_second).sum()), int(in_second.sum()), int((~group).sum()), int(group.sum()), tuple(outcomes))


def p_values_of_splits(
    values: Values, shopper: npt.NDArray[np.int32], in_second: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """Return p-values float64 [splits, measures] of splits bool [splits, shoppers], the shoppers in ascending order."""
    first, second = moments_of_splits(values, shopper, in_second)
    differences, errors = second.mean - first.mean, np.sqrt(first.variance + second.variance)
    tested = [two_sided_p_value(*pair) for pair in zip(differences.ravel(), errors.ravel(), strict=True)]
    return np.array(tested).reshape(differences.shape)


def moments_of_splits(
    values: Values, shopper: npt.NDArray[np.int32], in_second: npt.NDArray[np.bool_]
) -> tuple[GroupMoments, GroupMoments]:
    """Return the moments of the first and the second group in each split of the shoppers, bool [splits, shoppers]."""
    sums = sums_by_shopper(np.column_stack([values, np.ones(len(values))]), shopper)
    totals, sessions = sums[:, :-1], sums[:, -1:]
    # What both moments are made of, summed over a group by one product of matrices for all splits.
    parts = np.concatenate([totals, totals**2, totals * sessions, sessions, sessions**2, sessions > 0], axis=1)
    return _moments(~in_second @ parts, values.shape[1]), _moments(in_second @ parts, values.shape[1])


def _moments(sums: Values, measures: int) -> GroupMoments:
    totals, squares, products = (sums[:, part * measures : (part + 1) * measures] for part in range(3))
    sessions, squared_sessions, shoppers = (sums[:, 3 * measures + part, None] for part in range(3))
    mean = totals / sessions
    scatter = np.maximum(squares - 2 * mean * products + mean**2 * squared_sessions, 0.0)
    return GroupMoments(mean, shoppers / (shoppers - 1) * scatter / sessions**2)


def _outcome(
    measure: str, first: float, first_variance: float, second: float, second_variance: float
) -> MeasureOutcome:
    difference = estimate(second - first, first_variance + second_variance)
    ratio = second / first if first > 0 else math.nan
    lift = estimate(ratio - 1, (second_variance + ratio**2 * first_variance) / first**2) if first > 0 else None
    return MeasureOutcome(
        measure,
        estimate(first, first_variance),
        estimate(second, second_variance),
        difference,
        lift,
        two_sided_p_value(difference.mean, difference.error),
    )

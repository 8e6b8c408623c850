"""Means per session whose interval respects that shoppers come back.

In: one value a session and the shopper of each session. Out: the mean with its 95 % interval. Sessions of one shopper
are alike, so that the shopper, not the session, is the independent unit; a mean over sessions is then a ratio of two
sums over shoppers, and its variance comes from the delta method (Deng, Knoblich and Lu, "Applying the delta method in
metric analytics", KDD 2018, equation 4):

    mean = Σ total / Σ count,   variance = n / (n − 1) · Σ (total − mean · count)² / (Σ count)²

with the sums over the n shoppers. Its interval is the normal one, which needs dozens of shoppers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

LEVEL = 0.95
QUANTILE = NormalDist().inv_cdf((1 + LEVEL) / 2)

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A mean, the ends of its 95 % interval, and its standard error."""

    mean: float
    low: float
    high: float
    error: float


def estimate(mean: float, variance: float) -> Estimate:
    """Return the estimate of a mean with this variance (of the mean, not of a single value)."""
    error = math.sqrt(max(variance, 0.0))
    return Estimate(mean, mean - QUANTILE * error, mean + QUANTILE * error, error)


def mean_over_shoppers(
    values: npt.ArrayLike, shopper: npt.NDArray[np.int32], counts: npt.ArrayLike | None = None
) -> Estimate:
    """Return Σ `values` / Σ `counts`, both float [sessions], with the interval over shoppers; counts are 1 by default.

    Raises ValueError where the counts sum to 0.
    """
    of_session = np.ones(len(shopper)) if counts is None else np.asarray(counts, np.float64)
    totals, sizes = sums_by_shopper(np.stack([np.asarray(values, np.float64), of_session], axis=1), shopper).T
    if not sizes.sum() > 0:
        raise ValueError("a mean needs at least one session that counts")
    mean = totals.sum() / sizes.sum()
    shoppers = int((sizes > 0).sum())
    correction = shoppers / max(shoppers - 1, 1)
    return estimate(float(mean), float(correction * np.square(totals - mean * sizes).sum() / sizes.sum() ** 2))


def sums_by_shopper(values: Values, shopper: npt.NDArray[np.int32]) -> Values:
    """Return the sums of `values` [sessions, columns] over each shopper's sessions: float64 [shoppers, columns]."""
    present, place = np.unique(shopper, return_inverse=True)
    columns = [np.bincount(place, column, len(present)) for column in values.T]
    return np.stack(columns, axis=1)


def two_sided_p_value(difference: float, error: float) -> float:
    """Return the p-value of a normal test of a difference with this standard error; 1 where both are 0."""
    if error > 0:
        return math.erfc(abs(difference) / error / math.sqrt(2))
    return 1.0 if difference == 0 else 0.0

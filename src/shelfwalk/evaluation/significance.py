"""How far a mean over queries, or a difference of two, can be trusted.

In: one value per query (of one channel, or of two on the same queries). Out: 95 % percentile bootstrap intervals
(Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13) and the paired randomisation test that
Smucker, Allan and Carterette, "A comparison of statistical significance tests for information retrieval evaluation"
(CIKM 2007) recommend: under the null hypothesis the sign of each query's difference is a coin toss. For several tests
of one table, Holm's correction ("A simple sequentially rejective multiple test procedure", 1979): of m p-values the
smallest is multiplied by m, the next by m − 1 and so on, none below the one before it.

Departure: queries without a difference are left out of the test, as their sign changes nothing; that keeps the test
exact for more inputs. Everything is seeded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
LEVEL = 0.95
TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
EXACT_UP_TO = 16
_CELLS_AT_ONCE = 1 << 22
_ROUNDING = 1e-10
"""Differences up to this are the arithmetic's and not the systems'.

Absolute: the rounding comes from the values, not from their difference, and a test of rounding alone may find it
significant. Values are measures from 0 to 1 or counts up to some ten thousand items, whose means over seeds are rounded
by 1e-11 at most; a single step of a measure, as that of the reciprocal rank at 1,000 over five seeds, is above 1e-7.
"""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A mean over queries with the ends of its bootstrap interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class PairedDifference:
    """First minus second over the same queries: mean, interval, two-sided p-value, and queries won, lost and tied."""

    mean: float
    low: float
    high: float
    p_value: float
    exact: bool
    wins: int
    losses: int
    ties: int


def bootstrap_intervals(values: Values, *, seed: int = 0, resamples: int = RESAMPLES) -> list[Interval]:
    """Return the 95 % interval of the mean of each column of `values`, float [queries, columns].

    All columns share the same resamples of the queries. Raises ValueError without a query or with values that are not
    finite.
    """
    lows, highs = np.quantile(resampled_means(values, seed=seed, resamples=resamples), TAILS, axis=0)
    columns = zip(values.mean(axis=0).tolist(), lows.tolist(), highs.tolist(), strict=True)
    return [Interval(mean, low, high) for mean, low, high in columns]


def resampled_means(values: Values, *, seed: int = 0, resamples: int = RESAMPLES) -> Values:
    """Return the means of the columns of `values`, float [queries, columns], over each resample of the queries.

    Float64 [resamples, columns]; the columns share the resamples, so a figure made of several stays paired. Raises
    ValueError without a query or with values that are not finite.
    """
    if values.ndim != 2 or not len(values) or not np.isfinite(values).all():
        raise ValueError("a bootstrap needs finite values [queries, columns] of at least one query")
    rng = np.random.default_rng(seed)
    sums = np.concatenate([counts @ values for counts in _resample_counts(rng, len(values), resamples)])
    return np.asarray(sums / len(values), dtype=np.float64)


def mean_interval(values: Values, *, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """Return the mean of `values`, float [queries], with its 95 % bootstrap interval; as `bootstrap_intervals`."""
    return bootstrap_intervals(np.asarray(values, dtype=np.float64)[:, None], seed=seed, resamples=resamples)[0]


def value_differences(first: Values, second: Values) -> Values:
    """Return `first` − `second`, float64, with 0 where they differ by no more than the arithmetic rounds.

    Everything that counts or tests differences takes them from here.
    """
    differences = np.asarray(first, dtype=np.float64) - second
    return np.where(np.abs(differences) <= _ROUNDING, 0.0, differences)


def paired_difference(
    first: Values, second: Values, *, seed: int = 0, resamples: int = RESAMPLES, permutations: int = RESAMPLES
) -> PairedDifference:
    """Compare two channels on the same queries: `first` − `second`, both float [queries], in the same query order.

    Raises ValueError when the lengths differ, there is no query, or a value is not finite.
    """
    if first.shape != second.shape:
        raise ValueError(f"a paired comparison needs the same queries, not {first.shape} and {second.shape}")
    differences = value_differences(first, second)
    interval = mean_interval(differences, seed=seed, resamples=resamples)
    p_value, exact = randomisation_test(differences, seed=seed, permutations=permutations)
    wins, losses = int((differences > 0).sum()), int((differences < 0).sum())
    ties = len(differences) - wins - losses
    return PairedDifference(interval.mean, interval.low, interval.high, p_value, exact, wins, losses, ties)


def randomisation_test(differences: Values, *, seed: int = 0, permutations: int = RESAMPLES) -> tuple[float, bool]:
    """Return the two-sided p-value of the mean of paired `differences`, float [queries], and whether it is exact.

    With at most 16 differences other than 0, all sign patterns are counted; otherwise `permutations` random ones, with
    the observed one added to both counts, so that p is never 0.
    """
    moved = differences[differences != 0]
    if not len(moved):
        return 1.0, True
    exact = len(moved) <= EXACT_UP_TO
    signs = _all_signs(len(moved)) if exact else _random_signs(len(moved), permutations, seed)
    # Sums of the same numbers in another order differ in the last digits; those must count as equal, not as smaller.
    threshold = abs(moved.sum()) - 1e-10 * np.abs(moved).sum()
    extreme = sum(int((np.abs(pattern @ moved) >= threshold).sum()) for pattern in signs)
    return (extreme / 2 ** len(moved) if exact else (extreme + 1) / (permutations + 1)), exact


def randomisation_tests(
    differences: Values, *, seed: int = 0, permutations: int = RESAMPLES
) -> list[tuple[float, bool]]:
    """Test each column of paired `differences`, float [queries, columns], as `randomisation_test` does.

    The columns share the random sign patterns, which are most of the work.
    """
    few = (differences != 0).sum(axis=0) <= EXACT_UP_TO
    thresholds = np.abs(differences.sum(axis=0)) - 1e-10 * np.abs(differences).sum(axis=0)
    extreme = np.zeros(differences.shape[1])
    for pattern in () if few.all() else _random_signs(len(differences), permutations, seed):
        extreme += (np.abs(pattern @ differences) >= thresholds).sum(axis=0)
    sampled = [((count + 1) / (permutations + 1), False) for count in extreme.tolist()]
    columns = zip(differences.T, few, sampled, strict=True)
    return [randomisation_test(values) if is_few else outcome for values, is_few, outcome in columns]


def holm(p_values: Values) -> Values:
    """Return the p-values of one table, float [tests], corrected for their number: float64 [tests], at most 1."""
    order = np.argsort(p_values, kind="stable")
    corrected = np.empty(len(p_values))
    corrected[order] = np.maximum.accumulate(np.arange(len(p_values), 0, -1) * p_values[order])
    return np.minimum(corrected, 1.0)


def _resample_counts(rng: np.random.Generator, queries: int, resamples: int) -> Iterator[Values]:
    """Yield blocks [resamples, queries] of how often each query was drawn."""
    for block in _blocks(resamples, queries):
        drawn = rng.integers(0, queries, (block, queries)) + np.arange(block)[:, None] * queries
        yield np.bincount(drawn.ravel(), minlength=block * queries).reshape(block, queries).astype(np.float64)


def _all_signs(count: int) -> Iterator[Values]:
    patterns = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
    yield 1.0 - 2.0 * patterns.astype(np.float64)


def _random_signs(count: int, permutations: int, seed: int) -> Iterator[Values]:
    rng = np.random.default_rng(seed)
    for block in _blocks(permutations, count):
        yield 1.0 - 2.0 * rng.integers(0, 2, (block, count), dtype=np.int8).astype(np.float64)


def _blocks(rows: int, columns: int) -> Iterator[int]:
    """Split `rows` so that a block of that many rows and `columns` stays small in memory."""
    size = max(1, _CELLS_AT_ONCE // columns)
    for start in range(0, rows, size):
        yield min(size, rows - start)

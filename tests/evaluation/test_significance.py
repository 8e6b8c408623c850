"""Bootstrap and randomisation test against enumeration, theory and their own symmetry."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfwalk.evaluation.significance import (
    bootstrap_intervals,
    holm,
    mean_interval,
    paired_difference,
    randomisation_test,
    randomisation_tests,
    resampled_means,
    value_differences,
)

DIFFERENCES = st.lists(st.sampled_from([-1.0, -0.5, -0.2, 0.0, 0.1, 0.2, 0.3, 0.7]), min_size=1, max_size=9)


@given(DIFFERENCES)
def test_small_samples_equal_the_enumeration_of_all_signs(differences: list[float]) -> None:
    observed = abs(sum(differences))
    sums = [
        abs(sum(sign * d for sign, d in zip(signs, differences, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    enumerated = sum(total >= observed - 1e-9 for total in sums) / len(sums)
    assert randomisation_test(np.array(differences)) == (pytest.approx(enumerated), True)


def test_sixteen_differences_are_exact_and_seventeen_are_sampled() -> None:
    assert randomisation_test(np.ones(16)) == (2 / 2**16, True)
    assert randomisation_test(np.append(np.ones(16), np.zeros(50))) == (2 / 2**16, True)
    p_value, exact = randomisation_test(np.ones(17), permutations=999)
    assert not exact
    assert p_value >= 1 / 1000, "the observed pattern counts too, so p is never 0"


def test_sampled_p_value_is_close_to_the_exact_one() -> None:
    # Twenty differences of equal size: the exact p-value is that of the sign test, by the binomial distribution.
    differences = np.array([0.1] * 15 + [-0.1] * 5)
    exact = 2 * sum(float(np.prod(np.arange(20, 20 - k, -1) / np.arange(k, 0, -1))) for k in range(6)) / 2**20
    p_value, _ = randomisation_test(differences, seed=4)
    assert p_value == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 10_000))


def test_no_difference_at_all_is_p_one() -> None:
    assert randomisation_test(np.zeros(30)) == (1.0, True)
    same = np.linspace(0, 1, 30)
    outcome = paired_difference(same, same)
    assert (outcome.mean, outcome.low, outcome.high, outcome.p_value, outcome.ties) == (0.0, 0.0, 0.0, 1.0, 30)


@given(st.lists(st.floats(0, 1) | st.integers(0, 20_000).map(float), min_size=1, max_size=20), st.integers(2, 9))
def test_the_rounding_of_a_mean_is_no_difference(values: list[float], copies: int) -> None:
    """The mean of equal numbers is that number, but for its last digits; measures and counts of items alike."""
    plain = np.array(values)
    mean = np.stack([plain] * copies).mean(axis=0)
    assert not value_differences(mean, plain).any()
    outcome = paired_difference(mean, plain, resamples=9)
    assert (outcome.p_value, outcome.wins, outcome.losses) == (1.0, 0, 0)


def test_the_smallest_step_of_a_measure_is_a_difference() -> None:
    """One of five seeds finds the item at rank 1,000 in place of 999, and no other query says anything."""
    first, second = np.zeros(40), np.zeros(40)
    first[7], second[7] = np.mean([0, 0, 0, 0, 1 / 999]), np.mean([0, 0, 0, 0, 1 / 1000])
    outcome = paired_difference(first, second, resamples=9)
    assert (outcome.wins, outcome.losses, outcome.ties) == (1, 0, 39)
    assert outcome.mean == pytest.approx((first[7] - second[7]) / 40)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=30), st.integers(0, 5))
def test_swapping_the_sides_mirrors_the_outcome(pairs: list[tuple[float, float]], seed: int) -> None:
    first, second = np.array(pairs).T
    there = paired_difference(first, second, seed=seed, resamples=200, permutations=200)
    back = paired_difference(second, first, seed=seed, resamples=200, permutations=200)
    assert (there.wins, there.losses, there.ties) == (back.losses, back.wins, back.ties)
    assert there.wins + there.losses + there.ties == len(pairs)
    np.testing.assert_allclose([there.mean, there.low, there.high], [-back.mean, -back.high, -back.low], atol=1e-12)
    assert there.p_value == back.p_value


def test_interval_equals_a_bootstrap_written_as_a_loop() -> None:
    values = np.random.default_rng(0).beta(2, 1, size=40)
    rng = np.random.default_rng(11)
    means = [values[rng.integers(0, 40, 40)].mean() for _ in range(4000)]
    interval = mean_interval(values, seed=5, resamples=4000)
    assert interval.mean == pytest.approx(values.mean())
    # Two independent sets of 4,000 resamples: quantiles agree within a few hundredths of the interval's width.
    width = np.quantile(means, 0.975) - np.quantile(means, 0.025)
    assert [interval.low, interval.high] == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.07 * width)


def test_intervals_cover_the_true_mean_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(7)
    trials = rng.uniform(size=(60, 400))
    covered = np.mean(
        [interval.low <= 0.5 <= interval.high for interval in bootstrap_intervals(trials, resamples=1000)]
    )
    assert 0.91 <= covered <= 0.98


def test_columns_share_resamples_and_equal_the_single_intervals() -> None:
    values = np.random.default_rng(1).uniform(size=(25, 3))
    together = bootstrap_intervals(values, seed=9, resamples=300)
    assert together == bootstrap_intervals(values, seed=9, resamples=300)
    for column, interval in enumerate(together):
        alone = mean_interval(values[:, column], seed=9, resamples=300)
        assert [alone.low, alone.mean, alone.high] == pytest.approx([interval.low, interval.mean, interval.high])
    assert bootstrap_intervals(values, seed=10, resamples=300) != together


def test_work_in_blocks_covers_all_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(2).uniform(size=(30, 2))
    whole = bootstrap_intervals(values, resamples=100)
    monkeypatch.setattr("shelfwalk.evaluation.significance._CELLS_AT_ONCE", 7 * 30)
    for one, other in zip(bootstrap_intervals(values, resamples=100), whole, strict=True):
        assert [one.low, one.high] == pytest.approx([other.low, other.high])
    assert randomisation_test(np.ones(30), permutations=100)[0] == pytest.approx(1 / 101)


def test_one_query_has_an_interval_of_no_width() -> None:
    interval = mean_interval(np.array([0.3]))
    assert (interval.low, interval.mean, interval.high) == (0.3, 0.3, 0.3)


@pytest.mark.parametrize("values", [np.empty((0, 2)), np.array([[np.nan]]), np.ones(3)])
def test_values_without_a_mean_are_refused(values: np.ndarray) -> None:
    with pytest.raises(ValueError, match="finite values"):
        bootstrap_intervals(values)


def test_different_queries_are_refused() -> None:
    with pytest.raises(ValueError, match="same queries"):
        paired_difference(np.ones(3), np.ones(4))


@given(
    st.lists(st.sampled_from([0.0, 0.001, 0.01, 0.012, 0.02, 0.03, 0.04, 0.2, 1.0]), max_size=7), st.floats(0.001, 1)
)
def test_holm_rejects_what_stepping_down_by_hand_rejects(p_values: list[float], level: float) -> None:
    """Holm's procedure as he wrote it: from the smallest on, stop at the first above level / tests that are left."""
    rejected = [False] * len(p_values)
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    for step, place in enumerate(order):
        if p_values[place] > level / (len(p_values) - step) + 1e-15:
            break
        rejected[place] = True
    corrected = holm(np.array(p_values))
    # Where the division is not exact, the last digit may go either way.
    clear = np.abs(corrected - level) > 1e-12
    assert (corrected <= level)[clear].tolist() == np.array(rejected, dtype=bool)[clear].tolist()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_never_helps(p_values: list[float]) -> None:
    plain, corrected = np.array(p_values), holm(np.array(p_values))
    assert np.all((corrected >= plain) & (corrected <= 1))
    assert np.all(np.diff(corrected[np.argsort(plain, kind="stable")]) >= 0)
    assert corrected.min() == min(1.0, len(p_values) * plain.min())


def test_resampled_columns_draw_the_same_queries() -> None:
    values = np.random.default_rng(3).uniform(size=(20, 2))
    means = resampled_means(np.column_stack([values, values.sum(axis=1)]), seed=2, resamples=50)
    np.testing.assert_allclose(means[:, 2], means[:, 0] + means[:, 1])
    assert np.ptp(means[:, 0]) > 0


def test_columns_tested_together_get_what_each_gets_alone() -> None:
    rng = np.random.default_rng(6)
    columns = rng.normal(0.1, 1, (200, 3))
    few = np.where(np.arange(200) < 9, columns[:, 0], 0.0)
    together = randomisation_tests(np.column_stack([columns, few, np.zeros(200)]), seed=3, permutations=500)
    alone = [randomisation_test(column, seed=3, permutations=500) for column in [*columns.T, few, np.zeros(200)]]
    assert together == alone, "without ties the sign patterns are the same, and few differences are counted exactly"
    assert [exact for _, exact in together] == [False, False, False, True, True]
    same = randomisation_tests(np.column_stack([few, few]))
    assert same[0] == same[1] == randomisation_test(few)

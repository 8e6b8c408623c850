"""The A/B test against slow formulas and the bootstrap, and A/A runs that show what its promises are worth."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from shelfwalk.errors import UserError
from shelfwalk.evaluation.aa_test import aa_drafts, aa_splits, count_false_positives
from shelfwalk.evaluation.ab_test import (
    LEAST_SHOPPERS,
    MEASURES,
    ab_test,
    check_shoppers,
    draw_groups,
    p_values_of_splits,
    session_measures,
)
from shelfwalk.evaluation.interleaving import click_preferences, interleaving_outcome, team_draft
from shelfwalk.evaluation.shopper_means import mean_over_shoppers, two_sided_p_value


def sessions(shoppers: int = 300, seed: int = 0, spread: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Measures [sessions, 3] and shoppers: each comes 1 to 20 times, and differs from the others in all measures."""
    rng = np.random.default_rng(seed)
    shopper = np.repeat(np.arange(shoppers, dtype=np.int32), rng.integers(1, 21, shoppers))
    rng.shuffle(shopper)
    chance = 1 / (1 + np.exp(-rng.normal(-0.5, spread, shoppers)))[shopper]
    clicked = rng.random(len(shopper)) < chance
    bought = clicked & (rng.random(len(shopper)) < 0.3)
    paid = bought * rng.lognormal(3, 1, len(shopper))
    return np.stack([clicked, bought, paid], axis=1).astype(np.float64), shopper


def groups_of(shopper: np.ndarray, seed: int = 0) -> np.ndarray:
    present, place = np.unique(shopper, return_inverse=True)
    return draw_groups(len(present), 1, np.random.default_rng(seed))[0][place]


def test_the_measures_of_a_session() -> None:
    clicked = np.array([[True, True, False], [False, False, False], [False, True, False]])
    purchased = np.array([[False, True, False], [False, False, False], [False, False, False]])
    paid = np.array([[0, 12.5, 0], [0, 0, 0], [0, 0, 0]], np.float32)
    responses = SimpleNamespace(clicked=clicked, purchased=purchased, paid=paid)
    assert session_measures(responses).tolist() == [[1, 1, 12.5], [0, 0, 0], [1, 0, 0]]


def test_a_mean_and_its_error_are_those_of_the_bootstrap_over_shoppers() -> None:
    values, shopper = sessions()
    found = mean_over_shoppers(values[:, 2], shopper)
    assert found.mean == pytest.approx(values[:, 2].mean())
    rng = np.random.default_rng(1)
    totals, counts = np.bincount(shopper, values[:, 2]), np.bincount(shopper)
    drawn = rng.integers(0, len(totals), (4_000, len(totals)))
    means = totals[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    assert found.error == pytest.approx(means.std(), rel=0.1)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), rel=0.1)


def test_with_one_session_a_shopper_the_error_is_the_plain_one() -> None:
    values = np.random.default_rng(2).normal(5, 2, 200)
    found = mean_over_shoppers(values, np.arange(200, dtype=np.int32))
    assert found.error == pytest.approx(values.std(ddof=1) / np.sqrt(200))


def test_a_mean_of_no_session_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one session"):
        mean_over_shoppers(np.zeros(2), np.arange(2, dtype=np.int32), np.zeros(2))


def test_each_group_is_the_mean_of_its_own_sessions() -> None:
    values, shopper = sessions()
    in_second = groups_of(shopper)
    test = ab_test(values, shopper, in_second)
    assert [outcome.measure for outcome in test.outcomes] == list(MEASURES)
    assert (test.first_sessions, test.second_sessions) == ((~in_second).sum(), in_second.sum())
    assert (test.first_shoppers, test.second_shoppers) == (150, 150)
    for column, outcome in enumerate(test.outcomes):
        first = mean_over_shoppers(values[~in_second, column], shopper[~in_second])
        second = mean_over_shoppers(values[in_second, column], shopper[in_second])
        for ours, slow in ((outcome.first, first), (outcome.second, second)):
            assert (ours.mean, ours.low, ours.high) == pytest.approx((slow.mean, slow.low, slow.high))
        error = np.hypot(first.error, second.error)
        assert outcome.difference.mean == pytest.approx(second.mean - first.mean)
        assert outcome.difference.error == pytest.approx(error)
        assert outcome.p_value == pytest.approx(two_sided_p_value(second.mean - first.mean, error))


def test_the_lift_is_relative_to_the_first_and_its_interval_covers_what_was_put_in() -> None:
    covered = 0
    for seed in range(100):
        values, shopper = sessions(seed=seed)
        in_second = groups_of(shopper, seed)
        values[in_second, 2] *= 1.3
        outcome = ab_test(values, shopper, in_second).outcomes[2]
        assert outcome.lift is not None
        assert outcome.lift.mean == pytest.approx(outcome.second.mean / outcome.first.mean - 1)
        covered += outcome.lift.low <= 0.3 <= outcome.lift.high
    assert 88 <= covered <= 100


def test_there_is_no_lift_over_nothing() -> None:
    values, shopper = sessions()
    in_second = groups_of(shopper)
    values[~in_second] = 0
    assert all(outcome.lift is None for outcome in ab_test(values, shopper, in_second).outcomes)


def test_groups_without_any_difference_have_a_p_value_of_one() -> None:
    values, shopper = sessions()
    test = ab_test(np.zeros_like(values), shopper, groups_of(shopper))
    assert [outcome.p_value for outcome in test.outcomes] == [1.0, 1.0, 1.0]


def test_a_real_difference_is_found() -> None:
    values, shopper = sessions(shoppers=3_000)
    in_second = groups_of(shopper)
    values[in_second, 0] = np.maximum(values[in_second, 0], np.random.default_rng(3).random(in_second.sum()) < 0.15)
    outcome = ab_test(values, shopper, in_second).outcomes[0]
    assert outcome.difference.low > 0
    assert outcome.p_value < 0.001


def test_groups_are_random_halves() -> None:
    groups = draw_groups(101, 500, np.random.default_rng(4))
    assert (groups.sum(axis=1) == 50).all()
    assert np.abs(groups.mean(axis=0) - 50 / 101).max() < 0.12
    assert len(np.unique(groups, axis=0)) == 500


def test_too_few_shoppers_are_refused() -> None:
    least = 2 * LEAST_SHOPPERS
    check_shoppers(least)
    with pytest.raises(UserError, match=rf"from {least - 1} shoppers.*--sessions"):
        check_shoppers(least - 1)


def test_many_splits_at_once_are_the_single_tests() -> None:
    values, shopper = sessions(shoppers=80)
    groups = draw_groups(80, 7, np.random.default_rng(5))
    p_values = p_values_of_splits(values, shopper, groups)
    for split, group in enumerate(groups):
        single = ab_test(values, shopper, group[shopper])
        assert p_values[split].tolist() == pytest.approx([outcome.p_value for outcome in single.outcomes])


def test_runs_are_split_into_blocks_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    values, shopper = sessions(shoppers=80)
    at_once = aa_splits(values, shopper, 50, np.random.default_rng(10))
    monkeypatch.setattr("shelfwalk.evaluation.aa_test._CELLS_AT_ONCE", 7 * 80)
    assert aa_splits(values, shopper, 50, np.random.default_rng(10)) == at_once
    assert at_once[0].runs == 50


def test_a_a_runs_cry_wolf_in_five_of_a_hundred() -> None:
    values, shopper = sessions(shoppers=1_000)
    for found in aa_splits(values, shopper, 2_000, np.random.default_rng(6)):
        assert found.low <= 0.05 <= found.high, found


def test_a_test_over_sessions_would_cry_wolf_much_oftener() -> None:
    values, shopper = sessions(shoppers=1_000)
    wrong = []
    for seed in range(200):
        in_second = groups_of(shopper, seed)
        first, second = values[~in_second, 0], values[in_second, 0]
        error = np.sqrt(first.var() / len(first) + second.var() / len(second))
        wrong.append(two_sided_p_value(second.mean() - first.mean(), error))
    assert count_false_positives("by session", np.array(wrong)).low > 0.15


def test_a_a_drafts_cry_wolf_in_five_of_a_hundred_at_most() -> None:
    rng = np.random.default_rng(7)
    shopper = rng.integers(0, 800, 3_000).astype(np.int32)
    clicked = rng.random((3_000, 7)) < 0.6 * 0.7 ** np.arange(7)
    found = aa_drafts(clicked, shopper, 1_000, rng)
    assert found.test == "interleaving"
    # Counts of shoppers go in steps, so that an exact test stays a little below 5 %.
    assert found.share > 0.02
    assert found.low <= 0.05


def test_a_a_drafts_are_drafts_of_a_page_against_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(8)
    shopper = rng.integers(0, 60, 150).astype(np.int32)
    clicked = rng.random((150, 5)) < 0.4
    pages = np.tile(np.arange(5), (150, 1))
    drafted = [team_draft(pages, pages, rng) for _ in range(1_500)]
    slow = [interleaving_outcome(click_preferences(each.teams, clicked), shopper).p_value for each in drafted]
    fast: list[float] = []
    monkeypatch.setattr(
        "shelfwalk.evaluation.aa_test.count_false_positives", lambda test, p_values: fast.extend(p_values)
    )
    aa_drafts(clicked, shopper, 1_500, rng)
    for quantile in (0.1, 0.25, 0.5, 0.75):
        assert np.quantile(fast, quantile) == pytest.approx(np.quantile(slow, quantile), abs=0.06)


def test_nobody_clicks_and_nobody_wins() -> None:
    rng = np.random.default_rng(9)
    assert aa_drafts(np.zeros((50, 4), bool), np.arange(50, dtype=np.int32), 20, rng).share == 0


@pytest.mark.parametrize(
    ("significant", "runs", "interval"), [(0, 10, (0.0, 0.2775)), (5, 100, (0.0215, 0.1118)), (10, 10, (0.7225, 1.0))]
)
def test_the_interval_of_a_share_is_wilsons(significant: int, runs: int, interval: tuple[float, float]) -> None:
    p_values = np.where(np.arange(runs) < significant, 0.01, 0.5)
    found = count_false_positives("any", p_values)
    assert (found.runs, found.significant, found.share) == (runs, significant, significant / runs)
    assert (found.low, found.high) == pytest.approx(interval, abs=1e-4)

"""Team-draft interleaving against a slow draft by the paper's figure, and what makes its credit and its test fair."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.evaluation.interleaving import (
    FIRST,
    NOBODY,
    SECOND,
    click_preferences,
    interleaving_outcome,
    sign_test,
    team_draft,
)

Page = list[int]


def slow_draft(first: Page, second: Page, coins: list[bool], places: int) -> tuple[Page, Page]:
    """One visit, place by place, as in figure 2 of the paper."""
    page: Page = []
    teams: Page = []
    for coin in coins[:places]:
        offers = [[item for item in own if item not in page] for own in (first, second)]
        if not any(offers):
            break
        counts = [teams.count(FIRST), teams.count(SECOND)]
        chooser = int(coin) if counts[0] == counts[1] else counts.index(min(counts))
        if not offers[chooser]:
            chooser = 1 - chooser
        page.append(offers[chooser][0])
        teams.append(chooser)
    missing = places - len(page)
    return page + [-1] * missing, teams + [NOBODY] * missing


@st.composite
def page_pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    places = draw(st.integers(1, 6))
    ranked = st.lists(st.integers(0, 9), max_size=places, unique=True)
    pairs = draw(st.lists(st.tuples(ranked, ranked), min_size=1, max_size=5))
    padded = [[page + [-1] * (places - len(page)) for page in pair] for pair in pairs]
    return np.array([pair[0] for pair in padded]), np.array([pair[1] for pair in padded])


def repeated(first: Page, second: Page, visits: int) -> tuple[np.ndarray, np.ndarray]:
    return np.tile(first, (visits, 1)), np.tile(second, (visits, 1))


@given(page_pairs(), st.integers(0, 2**32 - 1))
def test_a_draft_is_the_slow_draft_of_every_visit(pages: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    first, second = pages
    drafted = team_draft(first, second, np.random.default_rng(seed))
    rng = np.random.default_rng(seed)
    coins = np.stack([rng.random(len(first)) < 0.5 for _ in range(first.shape[1])], axis=1)
    for visit in range(len(first)):
        own = [[item for item in page[visit].tolist() if item >= 0] for page in pages]
        page, teams = slow_draft(*own, coins[visit].tolist(), first.shape[1])
        assert drafted.pages[visit].tolist() == page
        assert drafted.teams[visit].tolist() == teams


def test_either_system_is_as_likely_to_lead() -> None:
    drafted = team_draft(*repeated([1, 2, 3, 4], [5, 6, 7, 8], 4_000), np.random.default_rng(0))
    assert abs((drafted.teams[:, 0] == SECOND).mean() - 0.5) < 0.03
    # Each round is a coin of its own.
    assert abs((drafted.teams[:, 0] == drafted.teams[:, 2]).mean() - 0.5) < 0.03
    assert (drafted.teams[:, 0] != drafted.teams[:, 1]).all()


def test_two_equal_lists_stay_as_they_are_and_take_turns() -> None:
    drafted = team_draft(*repeated([4, 2, 9, 7, 1], [4, 2, 9, 7, 1], 300), np.random.default_rng(1))
    assert (drafted.pages == [4, 2, 9, 7, 1]).all()
    assert (drafted.teams[:, [0, 2]] + drafted.teams[:, [1, 3]] == FIRST + SECOND).all()


def test_what_only_one_finds_fills_the_page_to_its_credit() -> None:
    drafted = team_draft(*repeated([-1, -1, -1], [3, 8, 5], 50), np.random.default_rng(2))
    assert (drafted.pages == [3, 8, 5]).all()
    assert (drafted.teams == SECOND).all()


def test_a_visit_is_won_by_more_clicks_and_no_clicks_are_a_tie() -> None:
    teams = np.array([[0, 1, 1, 0]] * 5 + [[0, -1, -1, -1]], np.int8)
    clicked = np.array([[0, 1, 1, 1], [1, 0, 0, 1], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0]], bool)
    assert click_preferences(teams, clicked).tolist() == [1, -1, 0, 0, 1, -1]


def test_the_outcome_counts_visits_and_shoppers() -> None:
    preferences = np.array([1, 1, -1, 0, -1, 1, 0])
    shopper = np.array([7, 7, 7, 3, 3, 9, 5], np.int32)
    outcome = interleaving_outcome(preferences, shopper)
    assert (outcome.first_visits, outcome.second_visits, outcome.tied_visits) == (2, 3, 2)
    assert (outcome.first_shoppers, outcome.second_shoppers, outcome.tied_shoppers) == (1, 2, 1)
    assert outcome.preference.mean == pytest.approx(1 / 7)
    assert outcome.p_value == 1.0


def test_swapping_the_systems_turns_the_outcome_round() -> None:
    rng = np.random.default_rng(3)
    preferences, shopper = rng.integers(-1, 2, 500), rng.integers(0, 90, 500).astype(np.int32)
    there, back = interleaving_outcome(preferences, shopper), interleaving_outcome(-preferences, shopper)
    assert (there.first_shoppers, there.second_shoppers) == (back.second_shoppers, back.first_shoppers)
    assert there.p_value == back.p_value
    assert there.preference.mean == -back.preference.mean
    assert there.preference.low == pytest.approx(-back.preference.high)


def test_a_shopper_who_comes_often_counts_once_in_the_test() -> None:
    one = interleaving_outcome(np.ones(200, np.int64), np.zeros(200, np.int32))
    many = interleaving_outcome(np.ones(200, np.int64), np.arange(200, dtype=np.int32))
    assert one.p_value == 1.0
    assert many.p_value < 1e-50


@pytest.mark.parametrize("wins", [(0, 0), (1, 0), (3, 3), (7, 2), (2, 7), (11, 1)])
def test_the_sign_test_counts_every_outcome_of_fair_coins(wins: tuple[int, int]) -> None:
    total, lead = sum(wins), abs(wins[0] - wins[1])
    leads = [abs(sum(signs)) for signs in product((-1, 1), repeat=total)]
    assert sign_test(*wins) == pytest.approx(sum(other >= lead for other in leads) / 2**total)


def test_the_sign_test_holds_for_many_shoppers() -> None:
    # By the normal approximation with its correction for steps, which is good to some per cent here.
    expected = math.erfc((abs(50_500 - 49_500) - 1) / math.sqrt(100_000) / math.sqrt(2))
    assert sign_test(49_500, 50_500) == pytest.approx(expected, rel=1e-3)


def test_the_more_attractive_system_wins() -> None:
    rng = np.random.default_rng(4)
    drafted = team_draft(*repeated([0, 1, 2, 3], [4, 5, 1, 0], 2_000), rng)
    attraction = np.array([0.2, 0.2, 0.2, 0.2, 0.4, 0.4])[drafted.pages]
    clicked = rng.random(drafted.pages.shape) < attraction * 0.8 ** np.arange(4)
    outcome = interleaving_outcome(click_preferences(drafted.teams, clicked), rng.integers(0, 600, 2_000))
    assert outcome.preference.low > 0
    assert outcome.p_value < 0.001

"""Counterfactual estimates against a truth that is known: clicks that depend on the item and its place alone.

A page has 4 places; the log's policy shows its own order or, for a share of the visits, one drawn by chance; the target
is another order of the same items. What an estimate must be on average is computed exactly, from the chances of a
click.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.evaluation.counterfactual import (
    LoggedPages,
    PlaceGroupModel,
    cross_fitted,
    doubly_robust,
    effective_visits,
    importance_weights,
    inverse_propensity,
    self_normalised,
)
from shelfwalk.evaluation.reordered_log import place_groups, reordered
from shelfwalk.evaluation.served_pages import RankedQueries
from shelfwalk.market.logging_policy import explore

PLACES, ITEMS = 4, 9
ATTRACTION = np.array([0.7, 0.1, 0.5, 0.3, 0.6, 0.05, 0.4, 0.2, 0.3])
FADING = 0.8 ** np.arange(PLACES)


EXPLORED = 0.4


@dataclass(frozen=True)
class Case:
    own: np.ndarray
    target: np.ndarray
    log: LoggedPages

    @property
    def truth(self) -> float:
        return float(chances(self.target).sum(axis=1).mean())


def chances(pages: np.ndarray) -> np.ndarray:
    return np.where(pages >= 0, ATTRACTION[pages] * FADING, 0.0)


def case(seed: int = 0, visits: int = 3_000, shoppers: int = 900) -> Case:
    rng = np.random.default_rng(seed)
    own = np.argsort(rng.random((visits, ITEMS)), axis=1)[:, :PLACES]
    # Some pages are short.
    own[:100, 3] = -1
    own[50:80, 1:] = -1
    worth = np.where(own >= 0, ATTRACTION[own] + rng.normal(0, 0.2, own.shape), -np.inf)
    target = np.take_along_axis(own, np.argsort(-worth, axis=1), axis=1)
    shown = explore(own, EXPLORED, rng)
    clicked = (rng.random(own.shape) < chances(shown.pages)).astype(np.float64)
    known = np.where(shown.pages >= 0, shown.propensity, 1.0).astype(np.float64)
    shopper = rng.integers(0, shoppers, visits).astype(np.int32)
    return Case(own, target, LoggedPages(shown.pages, known, clicked, shopper))


def groups(made: Case) -> tuple[np.ndarray, np.ndarray, int]:
    (logged, count), (target, _) = (
        place_groups(page, (made.target, made.own)) for page in (made.log.pages, made.target)
    )
    return logged, target, count


def by_model(made: Case) -> object:
    return doubly_robust(made.log, made.target, *cross_fitted(made.log, *groups(made)))


def by_wrong_model(made: Case) -> object:
    rng = np.random.default_rng(1)
    wrong = rng.normal(1, 0.5, ITEMS + 1)
    return doubly_robust(made.log, made.target, wrong[made.log.pages], wrong[made.target])


ESTIMATORS: dict[str, Callable[[Case], object]] = {
    "IPS": lambda made: inverse_propensity(made.log, made.target),
    "SNIPS": lambda made: self_normalised(made.log, made.target),
    "DR": by_model,
    "DR, wrong model": by_wrong_model,
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimates_are_right_on_average_and_their_intervals_cover_the_truth(name: str) -> None:
    found, truths = [], []
    for seed in range(150):
        made = case(seed, visits=600, shoppers=200)
        found.append(ESTIMATORS[name](made))
        truths.append(made.truth)
    errors = np.array([each.mean - truth for each, truth in zip(found, truths, strict=True)])
    assert abs(errors.mean()) < 3.5 * errors.std() / np.sqrt(len(errors))
    covered = sum(each.low <= truth <= each.high for each, truth in zip(found, truths, strict=True))
    assert 132 <= covered <= 150


def test_a_good_model_makes_the_estimate_narrower_and_a_wrong_one_wider() -> None:
    made = case()
    ips, wrong = inverse_propensity(made.log, made.target), by_wrong_model(made)
    perfect = doubly_robust(made.log, made.target, chances(made.log.pages), chances(made.target))
    assert perfect.error < ips.error < wrong.error


def test_wrong_probabilities_mislead_without_a_model_but_not_with_a_right_one() -> None:
    made = case(visits=6_000)
    doubled = replace(made.log, propensities=np.minimum(2 * made.log.propensities, 1))
    ips = inverse_propensity(doubled, made.target)
    assert ips.high < made.truth
    robust = doubly_robust(doubled, made.target, chances(made.log.pages), chances(made.target))
    assert robust.low < made.truth < robust.high


def test_a_log_of_the_target_itself_is_the_plain_mean() -> None:
    made = case()
    rewards = made.log.rewards * (made.target >= 0)
    own = LoggedPages(made.target, np.ones(made.target.shape), rewards, made.log.shopper)
    plain = rewards.sum(axis=1).mean()
    guess = np.full(made.target.shape, 0.3) * (made.target >= 0)
    for found in (
        inverse_propensity(own, made.target),
        self_normalised(own, made.target),
        doubly_robust(own, made.target, guess, guess),
    ):
        assert found.mean == pytest.approx(plain)
        assert found.error == pytest.approx(inverse_propensity(own, made.target).error, rel=0.05)
    assert effective_visits(own, made.target) == pytest.approx(len(made.target))


def test_snips_gives_a_constant_reward_back_whatever_the_weights() -> None:
    made = case()
    constant = replace(made.log, rewards=np.full(made.log.rewards.shape, 2.5))
    found = self_normalised(constant, made.target)
    assert found.mean == pytest.approx(2.5 * (made.target >= 0).sum() / len(made.target))
    assert found.error == pytest.approx(0, abs=1e-12)
    assert inverse_propensity(constant, made.target).error > 0.01


def test_a_log_that_never_shows_the_target_says_nothing() -> None:
    made = case()
    elsewhere = np.where(made.target >= 0, made.target + ITEMS, -1)
    assert inverse_propensity(made.log, elsewhere).mean == 0
    assert self_normalised(made.log, elsewhere).mean == 0
    assert effective_visits(made.log, elsewhere) == 0


def test_weights_are_only_where_the_target_shows_the_logged_item() -> None:
    pages, target = np.array([[3, 5, -1]]), np.array([[3, 6, -1]])
    log = LoggedPages(pages, np.array([[0.25, 0.5, 1.0]]), np.ones((1, 3)), np.zeros(1, np.int32))
    assert importance_weights(log, target).tolist() == [[4, 0, 0]]


def test_the_policy_shows_every_item_as_often_as_its_probability_says() -> None:
    own = np.tile([[5, 1, 7, -1]], (40_000, 1))
    shown = explore(own, EXPLORED, np.random.default_rng(2))
    for place in range(3):
        for item in (5, 1, 7):
            here = shown.pages[:, place] == item
            assert here.mean() == pytest.approx(shown.propensity[here, place][0], abs=0.01)
            assert len(set(shown.propensity[here, place].tolist())) == 1


@given(st.integers(0, 2**32 - 1))
def test_a_page_is_reordered_by_the_list_and_what_it_lacks_follows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pages = np.argsort(rng.random((9, ITEMS)), axis=1)[:, :PLACES]
    pages[:4, 2:] = -1
    lists = np.argsort(rng.random((3, ITEMS)), axis=1).astype(np.int32)
    lists[:, 5:] = -1
    query = rng.integers(0, 3, 9)
    found = reordered(pages, RankedQueries(("bm25",), lists, np.zeros(lists.shape, np.uint8)), query)
    for visit, page in enumerate(pages.tolist()):
        listed = [item for item in lists[query[visit]].tolist() if item in page and item >= 0]
        missing = [item for item in page if item not in listed and item >= 0]
        held = listed + missing
        assert found[visit].tolist() == held + [-1] * (PLACES - len(held))


def test_reordering_goes_through_all_visits(monkeypatch: pytest.MonkeyPatch) -> None:
    made = case(visits=50, shoppers=10)
    answers = RankedQueries(("bm25",), np.arange(ITEMS, dtype=np.int32)[None], np.zeros((1, ITEMS), np.uint8))
    query = np.zeros(50, np.int64)
    at_once = reordered(made.own, answers, query)
    monkeypatch.setattr("shelfwalk.evaluation.reordered_log._VISITS_AT_ONCE", 7)
    assert (reordered(made.own, answers, query) == at_once).all()


def test_items_are_grouped_by_their_places() -> None:
    order, other = np.array([[10, 11, 12, 13, 14, -1]]), np.array([[14, 13, 12, 11, 10, -1]])
    pages = np.array([[12, 14, 10, 13, 11, -1]])
    groups, count = place_groups(pages, (order,))
    assert groups.tolist() == [[2, 3, 0, 2, 1, -1]]
    assert count == 4
    both, count = place_groups(pages, (order, other))
    assert both.tolist() == [[2 * 4 + 2, 3 * 4 + 0, 0 * 4 + 3, 2 * 4 + 1, 1 * 4 + 2, -1]]
    assert count == 16
    assert place_groups(pages[:, :1], (pages[:, :1],)) == (np.zeros((1, 1)), 1)


def test_the_model_is_the_mean_of_its_cell_drawn_towards_the_place() -> None:
    groups = np.array([[0, 1]] * 180 + [[1, -1]] * 20)
    rewards = np.zeros((200, 2))
    rewards[180:, 0] = 1
    model = PlaceGroupModel.fit(rewards, groups, 2)
    # 20 rewards of 1 in 200 at the first place; its second group has seen nothing else.
    assert model.means[0].tolist() == pytest.approx([20 * 0.1 / 200, (20 + 20 * 0.1) / 40])
    assert model.predict(np.array([[1, -1], [0, 1]])).tolist() == pytest.approx(
        np.array([[model.means[0, 1], 0], [model.means[0, 0], model.means[1, 1]]])
    )


def test_no_shopper_is_predicted_from_their_own_visits() -> None:
    made = case(visits=400, shoppers=40)
    before = cross_fitted(made.log, *groups(made))
    changed = made.log.rewards.copy()
    own = made.log.shopper == made.log.shopper[0]
    changed[own] += 100
    after = cross_fitted(replace(made.log, rewards=changed), *groups(made))
    for unchanged, predicted in zip(before, after, strict=True):
        assert (unchanged[own] == predicted[own]).all()
        assert not (unchanged == predicted).all()

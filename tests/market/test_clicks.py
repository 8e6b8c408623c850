"""Click models against their definitions, and responses: each step a part of the one before."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_catalogues import DAY, shop
from pydantic import ValidationError

from shelfwalk.market.catalogue import Catalogue
from shelfwalk.market.clicks import (
    Cascade,
    ClickModel,
    ClickSettings,
    DynamicBayesian,
    PositionBased,
    click_model,
    respond,
)
from shelfwalk.market.item_features import NONE
from shelfwalk.market.needs import Visits, draw_visits
from shelfwalk.market.shoppers import Shoppers, draw_shoppers

MODELS = (PositionBased(), PositionBased(0.3), DynamicBayesian(), DynamicBayesian(0.5), Cascade())


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return shop()


@pytest.fixture(scope="module")
def shoppers(catalogue: Catalogue) -> Shoppers:
    return draw_shoppers(catalogue, 60, 1)


@pytest.fixture(scope="module")
def visits(catalogue: Catalogue, shoppers: Shoppers) -> Visits:
    return draw_visits(catalogue, shoppers, 2000, 3, 0, 30 * DAY)


@pytest.fixture(scope="module")
def pages(catalogue: Catalogue, visits: Visits) -> np.ndarray:
    """The target somewhere among others, and pages of all lengths."""
    random = np.random.default_rng(1)
    found = random.integers(0, len(catalogue.features), (len(visits), 8))
    found[np.arange(len(visits)), random.integers(0, 8, len(visits))] = visits.targets
    found[np.arange(8) >= random.integers(0, 9, (len(visits), 1))] = NONE
    return found


def draw(model: ClickModel, attraction: float, satisfaction: float, places: int = 6) -> tuple[np.ndarray, np.ndarray]:
    shape = (40_000, places)
    chances = (np.full(shape, chance, np.float32) for chance in (attraction, satisfaction))
    return model.clicks(*chances, np.random.default_rng(3))


@pytest.mark.parametrize("model", MODELS)
def test_only_what_is_examined_is_clicked_as_often_as_it_attracts(model: ClickModel) -> None:
    examined, clicked = draw(model, 0.3, 0.5)
    assert not (clicked & ~examined).any()
    assert clicked[examined].mean() == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize("model", MODELS)
def test_higher_places_are_examined_more(model: ClickModel) -> None:
    examined, _ = draw(model, 0.3, 0.5)
    assert examined[:, 0].all()
    assert (np.diff(examined.mean(axis=0)) < 0).all()


def test_examination_by_position_is_that_of_its_law_whatever_is_shown() -> None:
    model = PositionBased(1.0)
    np.testing.assert_allclose(model.examination(4), [1, 1 / 2, 1 / 3, 1 / 4])
    for attraction in (0.1, 0.9):
        examined, _ = draw(model, attraction, 0.5)
        np.testing.assert_allclose(examined.mean(axis=0), model.examination(6), atol=0.01)
    assert draw(PositionBased(0.0), 0.5, 0.5)[0].all()


def test_a_cascade_stops_at_the_first_click() -> None:
    examined, clicked = draw(Cascade(), 0.3, 0.0)
    assert clicked.sum(axis=1).max() == 1
    first = np.where(clicked.any(axis=1), clicked.argmax(axis=1), clicked.shape[1])
    assert (examined == (np.arange(clicked.shape[1]) <= first[:, None])).all()
    # The chance of the click at a place: nothing before it attracted.
    np.testing.assert_allclose(clicked.mean(axis=0), 0.3 * 0.7 ** np.arange(6), atol=0.01)


@pytest.mark.parametrize(("perseverance", "satisfaction"), [(0.9, 0.5), (0.5, 0.2), (1.0, 1.0), (0.0, 0.5)])
def test_a_dynamic_bayesian_network_examines_from_the_top_on(perseverance: float, satisfaction: float) -> None:
    examined, clicked = draw(DynamicBayesian(perseverance), 0.4, satisfaction)
    assert (examined[:, 1:] <= examined[:, :-1]).all()
    # Equation: the next is examined if not satisfied, with the chance of perseverance.
    goes_on = perseverance * (1 - 0.4 * satisfaction)
    np.testing.assert_allclose(examined.mean(axis=0), goes_on ** np.arange(6.0), atol=0.01)
    if perseverance > 0:
        after_click = examined[:, 1:][clicked[:, :-1]].mean()
        assert after_click == pytest.approx(perseverance * (1 - satisfaction), abs=0.02)
        after_skip = examined[:, 1:][examined[:, :-1] & ~clicked[:, :-1]].mean()
        assert after_skip == pytest.approx(perseverance, abs=0.02)


def test_settings_name_a_model() -> None:
    assert click_model(ClickSettings(perseverance=0.7)) == DynamicBayesian(0.7)
    assert click_model(ClickSettings(model="position", decay=0.5)) == PositionBased(0.5)
    assert click_model(ClickSettings(model="cascade")) == Cascade()
    for wrong in ({"perseverance": 1.1}, {"decay": -1}, {"model": "random"}):
        with pytest.raises(ValidationError):
            ClickSettings(**wrong)


@settings(max_examples=30)
@given(st.sampled_from(["dbn", "cascade", "position"]), st.integers(0, 2**32))
def test_each_step_is_a_part_of_the_one_before(model: str, seed: int) -> None:
    catalogue = shop(80, seed % 1000)
    shoppers = draw_shoppers(catalogue, 10, seed)
    visits = draw_visits(catalogue, shoppers, 60, seed, 0, 30 * DAY)
    random = np.random.default_rng(seed)
    pages = random.integers(-1, 80, (60, 5))
    found = respond(catalogue, shoppers, visits, pages, ClickSettings(model=model), seed)
    steps = (pages != NONE, found.examined, found.clicked, found.added_to_cart, found.purchased)
    for before, after in pairwise(steps):
        assert after.shape == pages.shape
        assert (after <= before).all()
    np.testing.assert_array_equal(found.paid, np.where(found.purchased, catalogue.features.price[pages], 0))
    assert found.paid.dtype == np.float32
    assert found.purchased.sum(axis=1).max() <= 1


def test_the_same_seed_gives_the_same_responses_and_another_seed_others(
    catalogue: Catalogue, shoppers: Shoppers, visits: Visits, pages: np.ndarray
) -> None:
    first, again, other = (respond(catalogue, shoppers, visits, pages, ClickSettings(), seed) for seed in (1, 1, 2))
    for field in fields(first):
        np.testing.assert_array_equal(getattr(first, field.name), getattr(again, field.name))
        assert not np.array_equal(getattr(first, field.name), getattr(other, field.name))


def test_what_meets_the_need_is_clicked_and_bought_more(
    catalogue: Catalogue, shoppers: Shoppers, visits: Visits, pages: np.ndarray
) -> None:
    found = respond(catalogue, shoppers, visits, pages, ClickSettings(model="position", decay=0.0), 1)
    target = pages == visits.targets[:, None]
    shown = pages != NONE
    assert found.clicked[target].mean() > 3 * found.clicked[shown & ~target].mean()
    assert found.purchased[target].mean() > 5 * found.purchased[shown & ~target].mean()


def test_of_a_cart_the_best_is_bought(catalogue: Catalogue, shoppers: Shoppers, visits: Visits) -> None:
    from shelfwalk.market.utility import utilities

    # The most wanted things, so that carts are full.
    pages = np.random.default_rng(0).permuted(np.tile(np.arange(40), (len(visits), 1)), axis=1)
    found = respond(catalogue, shoppers, visits, pages, ClickSettings(model="position", decay=0.0), 1)
    several = found.added_to_cart.sum(axis=1) > 1
    bought = several & found.purchased.any(axis=1)
    assert bought.any()
    worth = np.where(found.added_to_cart, utilities(catalogue, shoppers, visits, pages), -np.inf)
    assert (worth.argmax(axis=1) == found.purchased.argmax(axis=1))[bought].all()


def test_quality_shows_after_the_click_only(catalogue: Catalogue, shoppers: Shoppers, visits: Visits) -> None:
    def rates(quality: float) -> tuple[float, float]:
        changed = replace(catalogue.features, quality=np.full(len(catalogue.features), quality, np.float32))
        shown = Catalogue(catalogue.tree, catalogue.lexicon, changed)
        pages = np.repeat(visits.targets[:, None], 6, axis=1)
        found = respond(shown, shoppers, visits, pages, ClickSettings(model="position", decay=0.0), 1)
        return float(found.clicked.mean()), float(found.added_to_cart[found.clicked].mean())

    (clicks_of_bad, carts_of_bad), (clicks_of_good, carts_of_good) = rates(-2.0), rates(2.0)
    assert clicks_of_bad == pytest.approx(clicks_of_good, abs=1e-3)
    assert carts_of_good > 1.5 * carts_of_bad

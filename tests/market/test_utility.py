"""Utility against its written formula, and what it is there for: needs and tastes decide."""

from __future__ import annotations

import numpy as np
import pytest
from made_catalogues import DAY, shop

from shelfwalk.market.catalogue import Catalogue
from shelfwalk.market.grades import pair_grades
from shelfwalk.market.item_features import NONE
from shelfwalk.market.needs import Visits, draw_visits
from shelfwalk.market.shoppers import Shoppers, draw_shoppers
from shelfwalk.market.tastes import BRAND, PRICE, QUALITY, STYLE, tastes
from shelfwalk.market.utility import RELEVANCE, utilities


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return shop()


@pytest.fixture(scope="module")
def shoppers(catalogue: Catalogue) -> Shoppers:
    return draw_shoppers(catalogue, 60, 1)


@pytest.fixture(scope="module")
def visits(catalogue: Catalogue, shoppers: Shoppers) -> Visits:
    return draw_visits(catalogue, shoppers, 400, 3, 0, 30 * DAY)


def slow_taste(catalogue: Catalogue, shoppers: Shoppers, shopper: int, item: int) -> float:
    features = catalogue.features
    found = -PRICE * abs(features.price_level[item] - shoppers.price_taste[shopper]) + QUALITY * features.quality[item]
    if features.brand[item] != NONE:
        found += BRAND * (shoppers.brand_taste[shopper] @ shoppers.brand_places[features.brand[item]])
    held = features.values[features.value_offsets[item] : features.value_offsets[item + 1]]
    if len(held):
        found += STYLE * np.mean([shoppers.style_taste[shopper] @ shoppers.value_places[value] for value in held])
    return float(found)


def test_tastes_follow_the_formula(catalogue: Catalogue, shoppers: Shoppers) -> None:
    random = np.random.default_rng(0)
    who = random.integers(0, len(shoppers), 300).astype(np.int32)
    items = random.integers(0, len(catalogue.features), 300)
    expected = [slow_taste(catalogue, shoppers, one, item) for one, item in zip(who, items, strict=True)]
    found = tastes(catalogue, shoppers, who, items)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert len(tastes(catalogue, shoppers, who[:0], items[:0])) == 0


def test_utility_is_relevance_for_the_need_and_taste(catalogue: Catalogue, shoppers: Shoppers, visits: Visits) -> None:
    pages = np.random.default_rng(1).integers(-1, len(catalogue.features), (400, 5))
    found = utilities(catalogue, shoppers, visits, pages)
    assert found.shape == pages.shape and found.dtype == np.float32
    assert (np.isneginf(found) == (pages == NONE)).all()
    for row, place in ((0, 0), (7, 3), (399, 4), (200, 2)):
        if (item := int(pages[row, place])) != NONE:
            [grade] = pair_grades(visits.needs, np.array([row]), catalogue, np.array([item]))
            taste = slow_taste(catalogue, shoppers, int(visits.shopper[row]), item)
            assert found[row, place] == pytest.approx(RELEVANCE[grade] + taste, abs=1e-5)


def test_a_better_grade_is_worth_more(catalogue: Catalogue, shoppers: Shoppers, visits: Visits) -> None:
    assert sorted(RELEVANCE) == list(RELEVANCE) and len(set(RELEVANCE)) == len(RELEVANCE)
    other = np.random.default_rng(2).integers(0, len(catalogue.features), len(visits))
    found = utilities(catalogue, shoppers, visits, np.stack([visits.targets, other], axis=1))
    assert found[:, 0].mean() > found[:, 1].mean() + 2


def test_a_shopper_gets_more_from_a_favourite_brand(catalogue: Catalogue, shoppers: Shoppers) -> None:
    features = catalogue.features
    branded = np.flatnonzero(features.brand != NONE)
    favourite = (shoppers.brand_taste @ shoppers.brand_places.T).argmax(axis=1)
    for shopper in range(len(shoppers)):
        liking = tastes(catalogue, shoppers, np.full(len(branded), shopper, np.int32), branded)
        own = features.brand[branded] == favourite[shopper]
        assert liking[own].mean() > liking[~own].mean()


def test_a_shopper_gets_more_from_the_preferred_price_level(catalogue: Catalogue, shoppers: Shoppers) -> None:
    items = np.arange(len(catalogue.features))
    thrifty, lavish = int(shoppers.price_taste.argmin()), int(shoppers.price_taste.argmax())
    level = catalogue.features.price_level
    gains = [tastes(catalogue, shoppers, np.full(len(items), one, np.int32), items) for one in (thrifty, lavish)]
    slopes = [np.polyfit(level, gain, 1)[0] for gain in gains]
    assert slopes[0] < 0 < slopes[1]


def test_no_page_at_all_has_no_utility(catalogue: Catalogue, shoppers: Shoppers, visits: Visits) -> None:
    empty = visits.take(np.array([], np.int64))
    assert utilities(catalogue, shoppers, empty, np.zeros((0, 4), np.int64)).shape == (0, 4)
    nothing = utilities(catalogue, shoppers, visits, np.full((len(visits), 2), NONE, np.int64))
    assert np.isneginf(nothing).all()

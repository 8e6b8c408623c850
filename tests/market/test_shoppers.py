"""Shoppers: reproducible, unequal, with tastes that stay and interests that move."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
from made_catalogues import DAY, shop

from shelfwalk.market.item_features import NONE
from shelfwalk.market.shoppers import INTERESTS, TASTE_DIMENSIONS, draw_shoppers, interest_weights

CATALOGUE = shop()


def test_the_same_seed_draws_the_same_shoppers_and_another_seed_others() -> None:
    first, again, other = (draw_shoppers(CATALOGUE, 50, seed) for seed in (7, 7, 8))
    for field in fields(first):
        np.testing.assert_array_equal(getattr(first, field.name), getattr(again, field.name))
        assert not np.array_equal(getattr(first, field.name), getattr(other, field.name)), field.name


def test_a_few_shoppers_make_a_large_part_of_the_visits() -> None:
    shoppers = draw_shoppers(CATALOGUE, 5000, 1)
    assert len(shoppers) == 5000
    np.testing.assert_allclose(shoppers.activity.sum(), 1)
    busiest = np.sort(shoppers.activity)[::-1][:500].sum()
    assert 0.35 < busiest < 0.7


def test_shapes_and_ranges() -> None:
    shoppers = draw_shoppers(CATALOGUE, 40, 1)
    assert shoppers.brand_taste.shape == shoppers.style_taste.shape == (40, TASTE_DIMENSIONS)
    assert shoppers.brand_places.shape == (12, TASTE_DIMENSIONS)
    assert shoppers.value_places.shape == (30, TASTE_DIMENSIONS)
    assert shoppers.interests.shape == (40, INTERESTS)
    np.testing.assert_allclose(np.linalg.norm(shoppers.brand_taste, axis=1), 1, rtol=1e-5)
    for share in (shoppers.price_taste, shoppers.loyalty):
        assert (share >= 0).all() and (share <= 1).all()
    assert (shoppers.value_salience > 0).all()


def test_interests_are_categories_that_hold_items_the_popular_ones_oftener() -> None:
    shoppers = draw_shoppers(CATALOGUE, 4000, 1)
    features = CATALOGUE.features
    asked = np.bincount(shoppers.interests.ravel(), minlength=len(CATALOGUE.tree)) / shoppers.interests.size
    bought = np.bincount(features.category, weights=features.popularity, minlength=len(CATALOGUE.tree))
    assert (asked[bought == 0] == 0).all()
    popular, rare = bought > np.quantile(bought, 0.9), (bought > 0) & (bought < np.median(bought[bought > 0]))
    assert asked[popular].sum() > bought[popular].sum() and 0 < asked[rare].sum() < bought[rare].sum()
    assert np.corrcoef(asked, bought)[0, 1] > 0.95


def test_items_without_a_category_interest_nobody() -> None:
    features = shop(40).features
    features.category[5:] = NONE
    catalogue = type(CATALOGUE)(CATALOGUE.tree, CATALOGUE.lexicon, features)
    shoppers = draw_shoppers(catalogue, 200, 1)
    assert set(shoppers.interests.ravel().tolist()) <= set(features.category[:5].tolist())


def test_values_of_one_attribute_share_a_part_of_their_salience() -> None:
    shoppers = draw_shoppers(CATALOGUE, 1, 3)
    logs = np.log(shoppers.value_salience).reshape(-1, 3)  # One column an attribute.
    assert logs.mean(axis=0).std() > 2 * logs.std(axis=0).mean() / np.sqrt(len(logs))


def test_interests_drift_and_come_back() -> None:
    shoppers = draw_shoppers(CATALOGUE, 500, 2)
    rows = np.arange(500, dtype=np.int32)
    days = [interest_weights(shoppers, rows, np.full(500, day * DAY)) for day in (0, 1, 30)]
    for weights in days:
        np.testing.assert_allclose(weights.sum(axis=1), 1)
    overnight, month = (np.abs(later - days[0]).sum(axis=1).mean() / 2 for later in days[1:])
    assert overnight < 0.1 < 0.2 < month
    # After all of its periods, an interest is back where it was.
    alone = replace(shoppers, interest_period=np.full_like(shoppers.interest_period, 30 * DAY))
    back = [interest_weights(alone, rows, np.full(500, day * DAY)) for day in (5, 20, 35)]
    np.testing.assert_allclose(back[0], back[2], atol=1e-6)
    assert np.abs(back[0] - back[1]).sum(axis=1).mean() > 0.4

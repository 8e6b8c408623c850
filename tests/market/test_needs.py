"""Visits: every need can be met, by something that is there; who comes, and what for, follows tastes and interests."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_catalogues import DAY, catalogue_of, catalogues, features_of, shop

from shelfwalk.market import needs as needs_module
from shelfwalk.market.catalogue import Catalogue
from shelfwalk.market.grades import pair_grades
from shelfwalk.market.item_features import NONE
from shelfwalk.market.needs import PRICE_BANDS, Visits, draw_visits
from shelfwalk.market.shoppers import Shoppers, draw_shoppers
from shelfwalk.market.tastes import tastes

END = 60 * DAY


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return shop(appearing=(1, END))


@pytest.fixture(scope="module")
def shoppers(catalogue: Catalogue) -> Shoppers:
    return draw_shoppers(catalogue, 100, 1)


@pytest.fixture(scope="module")
def visits(catalogue: Catalogue, shoppers: Shoppers) -> Visits:
    return draw_visits(catalogue, shoppers, 6000, 3, 0, END)


def assert_same(first: Visits, second: Visits) -> None:
    assert first.queries == second.queries
    for name in ("shopper", "at", "targets"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    for part in ("needs", "intents"):
        for field in fields(getattr(first, part)):
            np.testing.assert_array_equal(
                getattr(getattr(first, part), field.name), getattr(getattr(second, part), field.name)
            )


def test_the_same_seed_draws_the_same_visits_and_another_seed_others(
    catalogue: Catalogue, shoppers: Shoppers, visits: Visits
) -> None:
    assert_same(draw_visits(catalogue, shoppers, 6000, 3, 0, END), visits)
    assert draw_visits(catalogue, shoppers, 6000, 4, 0, END).queries != visits.queries


@settings(max_examples=40)
@given(st.data())
def test_the_item_of_a_need_fulfils_need_and_intent(data: st.DataObject) -> None:
    catalogue = data.draw(catalogues())
    seed = data.draw(st.integers(0, 2**32))
    visits = draw_visits(catalogue, draw_shoppers(catalogue, 5, seed), 30, seed, 0, END)
    rows = np.arange(30)
    assert (pair_grades(visits.needs, rows, catalogue, visits.targets) == 3).all()
    assert (pair_grades(visits.intents, rows, catalogue, visits.targets) == 3).all()
    assert (catalogue.features.appears[visits.targets] <= visits.at).all()
    assert (visits.needs.category != NONE).all()
    assert all(query.strip() == query != "" for query in visits.queries)


def test_visits_lie_in_their_stretch_of_time_in_order(visits: Visits) -> None:
    assert len(visits) == 6000 and len(visits.queries) == 6000
    assert visits.at[0] >= 0 and visits.at[-1] < END
    assert (np.diff(visits.at) >= 0).all()


def test_new_items_are_wanted_once_they_are_there(catalogue: Catalogue, visits: Visits) -> None:
    appears = catalogue.features.appears[visits.targets]
    assert (appears <= visits.at).all()
    assert (appears > 0).any()


def test_a_category_of_the_future_is_looked_for_elsewhere() -> None:
    features = features_of([0] * 3 + [1] * 30, [NONE] * 33, [[]] * 33, appears=[0] * 3 + [END] * 30)
    catalogue = catalogue_of([NONE, NONE], 1, 1, features)
    visits = draw_visits(catalogue, draw_shoppers(catalogue, 20, 1), 300, 1, 0, END)
    wanted = np.bincount(visits.targets, minlength=33)
    assert wanted[3:].sum() == 0
    # By popularity and taste as ever, not the first one at hand.
    assert wanted[:3].min() > 50


def test_needs_ask_for_much_or_little(catalogue: Catalogue, visits: Visits) -> None:
    needs = visits.needs
    asked = (needs.values != NONE).sum(axis=1)
    assert set(asked.tolist()) == {0, 1, 2, 3}
    own = catalogue.features.category[visits.targets]
    broad = needs.category != own
    assert 0.05 < broad.mean() < 0.15
    assert (needs.category[broad] == catalogue.tree.parent[own[broad]]).all()
    assert 0.1 < (needs.brand != NONE).mean() < 0.6
    bands = {(round(low, 2), round(high, 2)) for low, high in zip(needs.price_low, needs.price_high, strict=True)}
    assert {(round(float(low), 2), round(float(high), 2)) for low, high in bands} == {(0.0, 1.0), *PRICE_BANDS}


def test_loyal_shoppers_insist_on_a_brand_more_often(catalogue: Catalogue, shoppers: Shoppers, visits: Visits) -> None:
    branded = catalogue.features.brand[visits.targets] != NONE
    insists = visits.needs.brand != NONE
    loyal = shoppers.loyalty[visits.shopper] > np.median(shoppers.loyalty)
    assert insists[branded & loyal].mean() > 1.3 * insists[branded & ~loyal].mean()


def test_salient_values_are_wanted_more_often(catalogue: Catalogue, shoppers: Shoppers, visits: Visits) -> None:
    features = catalogue.features
    wanted = visits.needs.values[visits.needs.values != NONE]
    counts = np.diff(features.value_offsets)[visits.targets]
    places = np.repeat(features.value_offsets[visits.targets], counts)
    places += np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    mean_of_held = np.log(shoppers.value_salience[features.values[places]]).mean()
    assert np.log(shoppers.value_salience[wanted]).mean() > mean_of_held + 0.1


def test_active_shoppers_come_more_often(shoppers: Shoppers, visits: Visits) -> None:
    came = np.bincount(visits.shopper, minlength=len(shoppers)) / len(visits)
    np.testing.assert_allclose(came, shoppers.activity, atol=0.02)


def test_targets_suit_the_shopper_better_than_other_shoppers(
    catalogue: Catalogue, shoppers: Shoppers, visits: Visits
) -> None:
    own = tastes(catalogue, shoppers, visits.shopper, visits.targets).mean()
    shuffled = np.random.default_rng(0).permutation(visits.shopper)
    assert own > tastes(catalogue, shoppers, shuffled, visits.targets).mean() + 0.3


def test_popular_items_are_wanted_more_often(catalogue: Catalogue, visits: Visits) -> None:
    wanted = np.bincount(visits.targets, minlength=len(catalogue.features))
    assert wanted[:60].sum() > 2 * wanted[300:].sum()


def test_what_a_shopper_comes_for_changes_with_time(catalogue: Catalogue, shoppers: Shoppers) -> None:
    visits = draw_visits(catalogue, shoppers, 20_000, 5, 0, END)
    nodes = len(catalogue.tree)
    cells = visits.shopper * nodes + catalogue.features.category[visits.targets]

    def distance(part: np.ndarray) -> float:
        """How far what each shopper came for differs between two halves, in visits."""
        halves = [np.bincount(cells[part == half], minlength=len(shoppers) * nodes) for half in (0, 1)]
        return float(np.abs(halves[0] - halves[1]).sum())

    by_time = distance((visits.at >= END // 2).astype(int))
    by_chance = distance(np.arange(len(visits)) % 2)
    assert by_time > 1.3 * by_chance


def test_a_draw_of_several_chunks_is_whole(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs_module, "_CHUNK", 64)
    visits = draw_visits(catalogue, draw_shoppers(catalogue, 1, 1), 200, 3, 5, 6)
    assert len(visits) == len(visits.queries) == len(visits.needs) == len(visits.intents) == len(visits.targets) == 200
    # Chunks are drawn apart: with one shopper at one moment, the second would else repeat the first.
    assert visits.queries[:64] != visits.queries[64:128]
    assert (visits.intents.brand == NONE).sum() > (visits.needs.brand == NONE).sum()
    assert (pair_grades(visits.intents, np.arange(200), catalogue, visits.targets) == 3).all()


def test_taking_rows_keeps_visits_together(visits: Visits) -> None:
    rows = np.array([5, 2, 2])
    part = visits.take(rows)
    assert part.queries == [visits.queries[row] for row in (5, 2, 2)]
    np.testing.assert_array_equal(part.needs.values, visits.needs.values[rows])
    np.testing.assert_array_equal(part.intents.category, visits.intents.category[rows])
    np.testing.assert_array_equal(part.targets, visits.targets[rows])


def test_some_queries_are_asked_by_many_and_most_texts_by_few(visits: Visits) -> None:
    counts = np.array(sorted(Counter(visits.queries).values(), reverse=True))
    assert counts[: len(counts) // 100].sum() > 0.1 * counts.sum()
    assert (counts == 1).mean() > 0.4

"""The laws that generated items follow: what depends on what, and how strongly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from generated_catalogues import Generated, generated
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.market.assortment import SERIES, draw_assortment
from shelfwalk.market.category_tree import generate_tree, tree_of
from shelfwalk.market.feature_collection import FeatureCollection, price_levels, shares_of, standardised
from shelfwalk.market.item_facts import AppearanceLaw, draw_attraction
from shelfwalk.market.item_features import NONE
from shelfwalk.market.vocabulary import vocabulary
from shelfwalk.market.weighted_choices import WeightedChoices


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Generated:
    return generated(tmp_path_factory.mktemp("catalogue"), 8_000)


def rank_correlation(ours: npt.NDArray[np.float64], theirs: npt.NDArray[np.float64]) -> float:
    ranks = [np.argsort(np.argsort(figures)) for figures in (ours, theirs)]
    return float(np.corrcoef(*ranks)[0, 1])


def log_price_beside_its_kind(shop: Generated) -> npt.NDArray[np.float64]:
    features, leaves = shop.catalogue.features, shop.assortment.leaves
    usual = dict(zip(leaves.node.tolist(), leaves.price.tolist(), strict=True))
    return np.log(features.price / np.array([usual[node] for node in features.category.tolist()]))


def test_price_depends_on_the_kind(shop: Generated) -> None:
    features, leaves = shop.catalogue.features, shop.assortment.leaves
    medians = np.array([np.median(features.price[features.category == node]) for node in leaves.node])
    assert rank_correlation(medians, leaves.price) > 0.95


def test_price_depends_on_the_brand(shop: Generated) -> None:
    brand, beside = shop.catalogue.features.brand, log_price_beside_its_kind(shop)
    common = [number for number in range(len(shop.assortment.brands)) if (brand == number).sum() >= 10]
    assert len(common) > 50
    means = np.array([beside[brand == number].mean() for number in common])
    assert rank_correlation(means, shop.assortment.brands.dearness[common]) > 0.8
    # Over single items as well, and no more than plausible: the brand is not all.
    branded = brand != NONE
    single = rank_correlation(beside[branded], shop.assortment.brands.dearness[brand[branded]])
    assert 0.4 < single < 0.9


def test_price_depends_on_sizes(shop: Generated) -> None:
    """Within a kind, the larger sizes are the dearer ones on average."""
    lexicon, features, leaves = shop.catalogue.lexicon, shop.catalogue.features, shop.assortment.leaves
    numbers = {
        (name, text[0]): n for n, (name, text) in enumerate(zip(lexicon.value_attributes, lexicon.values, strict=True))
    }
    owner = np.repeat(np.arange(len(features)), np.diff(features.value_offsets))
    beside = log_price_beside_its_kind(shop)
    correlations = []
    for node, attributes in zip(leaves.node.tolist(), leaves.attributes, strict=True):
        for attribute in attributes:
            values = [numbers[attribute.name, phrases[0]] for phrases in attribute.phrases]
            mine = (features.category[owner] == node) & np.isin(features.values, values)
            if attribute.ordered and mine.sum() >= 30:
                places = np.array([values.index(value) for value in features.values[mine].tolist()])
                correlations.append(np.corrcoef(places, beside[owner[mine]])[0, 1])
    assert len(correlations) > 50
    assert np.mean(correlations) > 0.25


def test_brands_keep_to_their_categories(shop: Generated) -> None:
    features, leaves = shop.catalogue.features, shop.assortment.leaves
    group = np.zeros(len(shop.catalogue.tree), np.int32)
    group[leaves.node] = leaves.group
    branded = features.brand != NONE
    assert 0.01 < 1 - branded.mean() < 0.08
    groups = np.zeros((len(shop.assortment.brands), leaves.group.max() + 1), np.int64)
    np.add.at(groups, (features.brand[branded], group[features.category[branded]]), 1)
    large = groups[groups.sum(axis=1) >= 20]
    top_three = np.sort(large, axis=1)[:, -3:].sum() / large.sum()
    by_chance = np.sort(groups.sum(axis=0))[-3:].sum() / groups.sum()
    assert top_three > 0.6 > 3 * by_chance


def test_values_belong_to_their_kind_and_differ_between_kinds(shop: Generated) -> None:
    features, lexicon, leaves = shop.catalogue.features, shop.catalogue.lexicon, shop.assortment.leaves
    owner = np.repeat(np.arange(len(features)), np.diff(features.value_offsets))
    known = {
        (int(node), attribute.name, phrases[0])
        for node, attributes in zip(leaves.node, leaves.attributes, strict=True)
        for attribute in attributes
        for phrases in attribute.phrases
    }
    colours: dict[int, set[int]] = {}
    for item, value in zip(owner.tolist(), features.values.tolist(), strict=True):
        attribute, node = lexicon.value_attributes[value], int(features.category[item])
        if attribute != SERIES:
            assert (node, attribute, lexicon.values[value][0]) in known
        if attribute == "Colour":
            colours.setdefault(node, set()).add(value)
    # Colours are shared, but no two kinds need have the same.
    shared = {value for values in colours.values() for value in values}
    assert max(sum(value in values for values in colours.values()) for value in shared) > 20
    assert len({frozenset(values) for values in colours.values()}) > len(colours) / 2


def test_a_series_belongs_to_one_brand(shop: Generated) -> None:
    features = shop.catalogue.features
    owner = np.repeat(np.arange(len(features)), np.diff(features.value_offsets))
    in_series = features.values >= shop.assortment.first_series
    pairs = np.unique(np.column_stack([features.values[in_series], features.brand[owner[in_series]]]), axis=0)
    assert len(pairs) == len(np.unique(pairs[:, 0]))
    assert (pairs[:, 1] != NONE).all()
    assert 0.6 < in_series.sum() / (features.brand != NONE).sum() < 0.8


def test_popularity_has_a_long_tail_that_the_shop_knows_with_noise(shop: Generated) -> None:
    features = shop.catalogue.features
    shares = np.sort(features.popularity)[::-1]
    assert 0.55 < shares[: len(shares) // 5].sum() < 0.9
    assert 0.2 < shares[: len(shares) // 100].sum() < 0.6
    sold = shop.items["popularity"].to_numpy()
    old = features.appears == 0
    assert 0.5 < rank_correlation(sold[old], features.popularity[old]) < 0.95
    assert rank_correlation(features.quality, features.popularity) > 0.2
    assert (sold == np.rint(sold)).all()


def test_kinds_differ_in_how_many_items_they_have_and_most_items_are_in_stock(shop: Generated) -> None:
    counts = np.sort(np.bincount(shop.catalogue.features.category)[shop.assortment.leaves.node])
    assert counts[0] >= 1
    assert counts[-10:].mean() > 5 * np.median(counts) / 2
    assert shop.items["available"].to_numpy(zero_copy_only=False).mean() == pytest.approx(0.94, abs=0.02)


@pytest.mark.parametrize(("items", "fewest", "most"), [(100, 12, 25), (1_000, 50, 75), (5_000, 130, 170)])
def test_small_catalogues_have_few_leaves(items: int, fewest: int, most: int) -> None:
    tree, phrases, leaves = generate_tree(vocabulary(), items, np.random.default_rng(1))
    assert fewest <= len(leaves) <= most
    assert len(phrases) == len(tree)
    # Every leaf has a sibling, every group is full.
    assert np.bincount(leaves.group).min() >= 2


def test_large_catalogues_have_all_leaves_on_three_levels() -> None:
    for items in (20_000, 1_000_000):
        tree, phrases, leaves = generate_tree(vocabulary(), items, np.random.default_rng(2))
        assert len(leaves) >= 300
        assert {len(tree.paths[node]) for node in leaves.node} == {3}
        assert len({tree.paths[node][:1] for node in leaves.node}) >= 15
        assert leaves.share.sum() == pytest.approx(1)
        assert all(phrases[node][0] == tree.paths[node][-1] for node in range(len(tree)))


def test_other_seeds_make_other_shops() -> None:
    ours, theirs = draw_assortment(500, 1), draw_assortment(500, 2)
    assert {phrases[0] for phrases in ours.lexicon.brands} != {phrases[0] for phrases in theirs.lexicon.brands}
    assert draw_assortment(500, 1).lexicon == ours.lexicon


PATHS = st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(tuple), min_size=1, max_size=12)


@given(PATHS)
def test_a_tree_holds_every_path_with_what_is_above_it_and_parents_come_first(paths: list[tuple[str, ...]]) -> None:
    tree = tree_of(paths)
    assert set(tree.paths) == {path[:depth] for path in paths for depth in range(1, len(path) + 1)}
    assert len(set(tree.paths)) == len(tree)
    for node, path in enumerate(tree.paths):
        parent = int(tree.parent[node])
        assert parent < node
        assert path[:-1] == (tree.paths[parent] if parent != NONE else ())


@given(st.lists(st.tuples(st.integers(-1, 3), st.integers(1, 6)), max_size=30))
def test_price_levels_are_the_share_of_cheaper_items_of_the_category(items: list[tuple[int, int]]) -> None:
    category = np.array([node for node, _ in items], np.int32)
    price = np.array([price for _, price in items], np.float32)
    levels = price_levels(category, price)
    for row, (node, cost) in enumerate(items):
        rivals = [other for kind, other in items if kind == node]
        assert levels[row] == np.float32(sum(other < cost for other in rivals) / len(rivals))


@given(st.lists(st.floats(2**-10, 2**20, width=32), min_size=1, max_size=50))
def test_shares_and_standardised_figures(figures: list[float]) -> None:
    array = np.array(figures, np.float32)
    assert shares_of(array).sum() == pytest.approx(1, abs=1e-4)
    steady = standardised(array).astype(float)
    assert np.isfinite(steady).all()
    assert steady.std() == pytest.approx(1 if len(set(array.tolist())) > 1 else 0, abs=1e-2)


def test_features_want_as_many_items_as_were_announced() -> None:
    with pytest.raises(ValueError, match="0 items were added, 5 were announced"):
        FeatureCollection(5).features()


@given(
    st.lists(st.lists(st.floats(0.01, 10), min_size=1, max_size=5), min_size=1, max_size=6),
    st.lists(st.tuples(st.integers(0, 5), st.floats(0, 1, exclude_max=True)), max_size=20),
)
def test_choices_are_those_of_walking_through_the_weights(
    weights: list[list[float]], asked: list[tuple[int, float]]
) -> None:
    names = [np.arange(len(row), dtype=np.int32) + 10 * number for number, row in enumerate(weights)]
    choices = WeightedChoices.of(names, [np.array(row) for row in weights])
    rows = np.array([row % len(weights) for row, _ in asked], np.int32)
    draws = np.array([draw for _, draw in asked])
    for row, draw, option in zip(rows.tolist(), draws.tolist(), choices.choose(rows, draws).tolist(), strict=True):
        place = option - 10 * row
        assert 0 <= place < len(weights[row])
        shares = np.array(weights[row]) / sum(weights[row])
        assert shares[:place].sum() - 1e-9 <= draw <= shares[: place + 1].sum() + 1e-9


def test_attraction_is_pareto() -> None:
    drawn = draw_attraction(200_000, np.random.default_rng(5))
    assert drawn.min() >= 1
    for level in (2.0, 10.0, 50.0):
        assert (drawn > level).mean() == pytest.approx(level**-1.3, rel=0.1)


def test_nothing_appears_where_no_share_is_asked() -> None:
    law = AppearanceLaw(0.0, 0.0, 10, 20, 30)
    assert (law.draw(500, np.random.default_rng(0)) == 0).all()
    both = AppearanceLaw(0.5, 0.4, 10, 20, 30).draw(2_000, np.random.default_rng(0))
    assert set(np.unique(both)) <= {0, *range(11, 20), *range(21, 27)}


def test_a_thousand_items_are_enough_for_every_kind(tmp_path: Path) -> None:
    shop = generated(tmp_path, 1_000)
    assert np.bincount(shop.catalogue.features.category)[shop.assortment.leaves.node].min() >= 1

"""The index finds what a walk over all items finds."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from made_catalogues import catalogues, shop

from shelfwalk.market.catalogue import Catalogue
from shelfwalk.market.item_features import NONE
from shelfwalk.market.item_index import index_items


def lies_below(catalogue: Catalogue, category: int, node: int) -> bool:
    while category != NONE and category != node:
        category = int(catalogue.tree.parent[category])
    return category == node


@given(catalogues())
def test_a_node_holds_the_items_in_it_and_below(catalogue: Catalogue) -> None:
    index = index_items(catalogue.tree, catalogue.features)
    for node in range(len(catalogue.tree)):
        below = [
            row for row, own in enumerate(catalogue.features.category.tolist()) if lies_below(catalogue, own, node)
        ]
        assert sorted(index.in_category(node).tolist()) == below
        assert index.leaf[node] == (node not in catalogue.tree.parent)


@given(catalogues())
def test_posting_lists_hold_the_items_of_a_brand_and_with_a_value(catalogue: Catalogue) -> None:
    features = catalogue.features
    index = index_items(catalogue.tree, features)
    for brand in range(len(catalogue.lexicon.brands)):
        assert index.of_brand(brand).tolist() == np.flatnonzero(features.brand == brand).tolist()
    for value in range(len(catalogue.lexicon.values)):
        holding = [
            row
            for row in range(len(features))
            if value in features.values[features.value_offsets[row] : features.value_offsets[row + 1]]
        ]
        assert index.with_value(value).tolist() == holding


def test_sums_of_popularity_follow_the_order_of_the_walk() -> None:
    catalogue = shop()
    index = index_items(catalogue.tree, catalogue.features)
    for node in (0, 3, 12):
        inside = index.popularity_sums[index.end[node]] - index.popularity_sums[index.first[node]]
        np.testing.assert_allclose(inside, catalogue.features.popularity[index.in_category(node)].sum(), rtol=1e-5)

"""Grades against a slow, obvious reading of their definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_catalogues import catalogue_of, catalogues, features_of, wish, wishes_for

from shelfwalk.market.catalogue import Catalogue
from shelfwalk.market.grades import graded_items, grades, pair_grades, values_held
from shelfwalk.market.item_features import NONE
from shelfwalk.market.item_index import index_items
from shelfwalk.market.wishes import Wishes


def nodes_above(catalogue: Catalogue, node: int) -> list[int]:
    """The node itself and all above it."""
    found = []
    while node != NONE:
        found.append(node)
        node = int(catalogue.tree.parent[node])
    return found


def slow_grade(catalogue: Catalogue, wishes: Wishes, row: int, item: int) -> int:
    features = catalogue.features
    held = set(features.values[features.value_offsets[item] : features.value_offsets[item + 1]].tolist())
    fits = []
    if wishes.brand[row] != NONE:
        fits.append(features.brand[item] == wishes.brand[row])
    fits += [value in held for value in wishes.values[row].tolist() if value != NONE]
    if (wishes.price_low[row], wishes.price_high[row]) != (0, 1):
        fits.append(wishes.price_low[row] <= features.price_level[item] <= wishes.price_high[row])
    path = nodes_above(catalogue, int(features.category[item]))
    asked = int(wishes.category[row])
    if asked == NONE:
        return 3 if all(fits) else int(sum(fits) >= len(fits) / 2)
    if asked in path:
        if all(fits):
            return 3
        return 2 if sum(fits) >= len(fits) / 2 else 1
    parents = catalogue.tree.parent.tolist()
    is_leaf = asked not in parents
    siblings = [node for node, parent in enumerate(parents) if parent == parents[asked] != NONE and node != asked]
    in_parent_itself = features.category[item] == parents[asked] != NONE
    near = any(node in path for node in siblings) or in_parent_itself
    return int(is_leaf and near and all(fits))


@given(st.data())
def test_grades_are_those_of_the_definition(data: st.DataObject) -> None:
    catalogue = data.draw(catalogues())
    wishes = data.draw(wishes_for(catalogue))
    expected = [slow_grade(catalogue, wishes, 0, item) for item in range(len(catalogue.features))]
    found = grades(wishes, 0, catalogue)
    assert found.dtype == np.int8
    assert found.tolist() == expected
    some = np.array(sorted({0, len(expected) - 1}))
    assert grades(wishes, 0, catalogue, some).tolist() == [expected[item] for item in some]


@given(st.data())
def test_the_index_finds_every_item_with_a_grade(data: st.DataObject) -> None:
    catalogue = data.draw(catalogues())
    wishes = data.draw(wishes_for(catalogue))
    rows, found = graded_items(wishes, 0, catalogue, index_items(catalogue.tree, catalogue.features))
    everywhere = grades(wishes, 0, catalogue)
    assert rows.tolist() == np.flatnonzero(everywhere).tolist()
    assert found.tolist() == everywhere[everywhere > 0].tolist()


@given(st.data())
def test_pairs_are_graded_each_for_its_own_wish(data: st.DataObject) -> None:
    catalogue = data.draw(catalogues())
    several = [data.draw(wishes_for(catalogue)) for _ in range(3)]
    wishes = Wishes(*(np.concatenate([getattr(one, name) for one in several]) for name in Wishes.__dataclass_fields__))
    which = np.array(data.draw(st.lists(st.integers(0, 2), max_size=10)), np.int64)
    items = np.array([data.draw(st.integers(0, len(catalogue.features) - 1)) for _ in which], np.int64)
    expected = [slow_grade(catalogue, wishes, row, item) for row, item in zip(which, items, strict=True)]
    assert pair_grades(wishes, which, catalogue, items).tolist() == expected


SHOES = catalogue_of(
    # 0 clothing: 1 shoes (2 boots, 3 sandals), 4 hats (5 caps)
    [NONE, 0, 1, 1, 0, 4],
    3,
    5,
    features_of(
        [2, 2, 2, 3, 3, 5, NONE],
        [0, 0, 1, 0, 1, 0, 0],
        [[0, 1], [0], [2], [0, 1], [], [0, 1], [0, 1]],
        [0.1, 0.9, 0.5, 0.1, 0.1, 0.1, 0.1],
    ),
)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (wish(2), [3, 3, 3, 1, 1, 0, 0]),  # Boots: sandals are their siblings, caps are not.
        (wish(1), [3, 3, 3, 3, 3, 0, 0]),  # Shoes: an inner node has no siblings.
        (wish(2, brand=0, values=[0, 1]), [3, 2, 1, 1, 0, 0, 0]),
        (wish(2, low=0.0, high=0.35), [3, 1, 1, 1, 1, 0, 0]),
        (wish(brand=0), [3, 3, 0, 3, 0, 3, 3]),
        (wish(brand=0, values=[1]), [3, 1, 0, 3, 0, 3, 3]),
        (wish(values=[2]), [0, 0, 3, 0, 0, 0, 0]),
        (wish(), [3, 3, 3, 3, 3, 3, 3]),
    ],
)
def test_grades_by_example(asked: Wishes, expected: list[int]) -> None:
    assert grades(asked, 0, SHOES).tolist() == expected


def test_asking_for_less_never_lowers_the_top_grade() -> None:
    full, part = wish(2, brand=0, values=[0, 1], high=0.35), wish(1, values=[1])
    met = grades(full, 0, SHOES) == 3
    assert met.any()
    assert (grades(part, 0, SHOES)[met] == 3).all()


def test_no_item_has_the_value_none() -> None:
    items = np.arange(len(SHOES.features))
    assert not values_held(SHOES.features, items, np.full(len(items), NONE, np.int32)).any()

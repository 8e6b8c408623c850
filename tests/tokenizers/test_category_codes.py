"""The codes of categories: one each, by the alphabet, cut to a depth that fits; and what cannot be coded is refused."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shelfwalk.errors import UserError
from shelfwalk.tokenizers.category_codes import CategoryCodes

TREE = [["Home", "Lamps", "Desk"], ["Home", "Lamps", "Floor"], ["Home", "Rugs"], ["Toys"], [], None, ["Toys"]]


def items_in(paths: list[list[str] | None]) -> pa.Table:
    return pa.table({"category": pa.array(paths, pa.list_(pa.string()))})


@pytest.mark.parametrize(
    ("depth", "codes"),
    [
        (1, [0, 0, 0, 1, -1, -1, 1]),
        (2, [0, 0, 1, 2, -1, -1, 2]),
        (3, [0, 1, 2, 3, -1, -1, 3]),
        (9, [0, 1, 2, 3, -1, -1, 3]),
    ],
)
def test_a_path_is_cut_to_the_depth(depth: int, codes: list[int]) -> None:
    given_codes = CategoryCodes.of(items_in(TREE), 8, depth)
    assert given_codes.codes_of(items_in(TREE)).tolist() == codes
    assert (given_codes.deepest, len(given_codes)) == (3, max(codes) + 1)


@pytest.mark.parametrize(("codes", "depth"), [(8, 3), (4, 3), (3, 2), (2, 1)])
def test_without_a_depth_it_is_the_deepest_that_fits(codes: int, depth: int) -> None:
    assert CategoryCodes.of(items_in(TREE), codes).depth == depth


def test_a_category_that_was_not_there_has_no_code() -> None:
    codes = CategoryCodes.of(items_in(TREE), 8, 2)
    assert codes.codes_of(items_in([["Garden"], ["Home", "Sofas"], ["Home"], ["Toys", "Bricks"]])).tolist() == [-1] * 4


@given(
    st.lists(st.lists(st.text("ab >", min_size=1, max_size=3), max_size=3), min_size=2, max_size=20), st.integers(1, 4)
)
def test_equal_paths_and_only_those_share_a_code(paths: list[list[str]], depth: int) -> None:
    cut = [tuple(path[:depth]) for path in paths]
    known = [path for path in cut if path]
    assume(known and max(map(known.count, known)) < 0.98 * len(known))
    codes = CategoryCodes.of(items_in(paths), 99, depth).codes_of(items_in(paths)).tolist()
    for one, path in zip(codes, cut, strict=True):
        assert (one == -1) == (path == ())
        assert all((one == other) == (path == also) for other, also in zip(codes, cut, strict=True))


def test_codes_do_not_depend_on_the_order_of_the_items() -> None:
    assert CategoryCodes.of(items_in(TREE), 8).paths == CategoryCodes.of(items_in(TREE[::-1]), 8).paths


@pytest.mark.parametrize("items", [items_in([[], None]), pa.table({"item_id": ["a", "b"]})])
def test_no_categories(items: pa.Table) -> None:
    with pytest.raises(UserError, match=r"No item has a category.*force_category"):
        CategoryCodes.of(items, 8)


def test_one_category_for_all() -> None:
    with pytest.raises(UserError, match="3 of 3 items with a category have the one category Home at depth 1"):
        CategoryCodes.of(items_in(TREE[:3]), 8, 1)
    with pytest.raises(UserError, match="category Home > Lamps at depth 2"):
        CategoryCodes.of(items_in(TREE[:2]), 8, 2)


def test_more_categories_than_codes() -> None:
    with pytest.raises(UserError, match=r"At depth 3 the category tree has 4 categories, but level 1 .* has 3"):
        CategoryCodes.of(items_in(TREE), 3, 3)
    with pytest.raises(UserError, match="At depth 1 the category tree has 2 categories"):
        CategoryCodes.of(items_in(TREE), 1)

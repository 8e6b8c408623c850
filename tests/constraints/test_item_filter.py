"""Filters over a table of items against loops over its rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfwalk.constraints.item_filter import FilterColumns, ItemFilter
from shelfwalk.data.tables import ITEMS

Row = dict[str, Any]
NAMES = st.sampled_from(["a", "b", "c", ""])
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "brand": NAMES,
            "category": st.lists(NAMES, max_size=3),
            "attributes": st.dictionaries(st.sampled_from(["seller", "colour"]), NAMES),
            "price": st.none() | st.sampled_from([0.0, 1.0, 2.5, 100.0]),
            "available": st.booleans(),
        }
    ),
    max_size=12,
)


def table_of(rows: list[Row]) -> pa.Table:
    names = ("brand", "category", "attributes", "price", "available")
    table = pa.Table.from_pylist(
        [row | {"attributes": list(row["attributes"].items())} for row in rows],
        pa.schema([ITEMS.field(name) for name in names]),
    )
    # In pieces, some of them views, as a catalogue read in parts is.
    middle = len(rows) // 2
    return pa.concat_tables([table.slice(0, middle), table.slice(middle)])


def assert_lets_through(item_filter: ItemFilter, rows: list[Row], wanted: Callable[[Row], bool]) -> None:
    assert item_filter.allowed.tolist() == [wanted(row) for row in rows]
    assert item_filter.rows.tolist() == [number for number, row in enumerate(rows) if wanted(row)]
    assert item_filter.count == len(item_filter.rows)


@settings(max_examples=200)
@given(ROWS, st.lists(NAMES, max_size=4), NAMES, st.sets(NAMES))
def test_columns_are_filtered_as_a_loop_would(rows: list[Row], path: list[str], name: str, names: set[str]) -> None:
    columns = FilterColumns(table_of(rows))
    for _ in range(2):
        assert_lets_through(columns.in_stock(), rows, lambda row: row["available"])
        assert_lets_through(columns.of_brand(name), rows, lambda row: row["brand"] == name)
        assert_lets_through(columns.of_brand(names), rows, lambda row: row["brand"] in names)
        assert_lets_through(columns.in_category(path), rows, lambda row: row["category"][: len(path)] == path)
        assert_lets_through(
            columns.with_attribute("seller", names), rows, lambda row: row["attributes"].get("seller") in names
        )
        assert_lets_through(
            columns.with_attribute("seller", name), rows, lambda row: row["attributes"].get("seller") == name
        )


@settings(max_examples=100)
@given(ROWS, st.none() | st.floats(0, 100), st.none() | st.floats(0, 100))
def test_a_price_band_holds_its_ends_and_nothing_without_a_price(
    rows: list[Row], low: float | None, high: float | None
) -> None:
    def wanted(row: Row) -> bool:
        price = row["price"]
        return price is not None and (low is None or price >= low) and (high is None or price <= high)

    assert_lets_through(FilterColumns(table_of(rows)).price_between(low, high), rows, wanted)


@settings(max_examples=100)
@given(st.lists(st.booleans(), max_size=9), st.lists(st.booleans(), max_size=9))
def test_filters_combine_and_what_lies_beyond_one_does_not_pass_it(one: list[bool], other: list[bool]) -> None:
    first, second = ItemFilter(np.array(one, bool)), ItemFilter(np.array(other, bool))
    rows = np.arange(12)
    left, right = first.passes(rows), second.passes(rows)
    assert left.tolist() == [row < len(one) and one[row] for row in rows]
    assert (first & second).passes(rows).tolist() == (left & right).tolist()
    assert (first | second).passes(rows).tolist() == (left | right).tolist()
    assert (~first).allowed.tolist() == [not bit for bit in one]


def test_a_filter_of_rows_lets_through_these() -> None:
    item_filter = ItemFilter.of_rows([4, 1, 1], 6)
    assert item_filter.allowed.tolist() == [False, True, False, False, True, False]
    assert ItemFilter.of_rows([], 2).count == 0


@pytest.mark.parametrize("rows", [[6], [-1], [0, 9]])
def test_refuses_rows_outside_the_catalogue(rows: list[int]) -> None:
    with pytest.raises(IndexError, match="0 to 5"):
        ItemFilter.of_rows(rows, 6)


@pytest.mark.parametrize("allowed", [np.zeros((2, 2), bool), np.zeros(3, np.int8)])
def test_refuses_what_is_no_row_of_booleans(allowed: np.ndarray) -> None:
    with pytest.raises(ValueError, match="booleans"):
        ItemFilter(allowed)


def test_a_filter_does_not_change_with_the_array_that_it_was_made_of() -> None:
    allowed = np.array([True, False])
    item_filter = ItemFilter(allowed)
    allowed[:] = False
    assert item_filter.count == 1
    with pytest.raises(ValueError, match="read-only"):
        item_filter.allowed[0] = False


def test_prepared_columns_of_an_empty_catalogue_let_nothing_through() -> None:
    columns = FilterColumns(table_of([]))
    for item_filter in (columns.in_stock(), columns.of_brand("a"), columns.in_category(["a"])):
        assert (len(item_filter.allowed), item_filter.count) == (0, 0)

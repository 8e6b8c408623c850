"""The hash of tables depends on their schemas and values, and on nothing else."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.data import hashing
from shelfwalk.data.hashing import content_hash
from shelfwalk.data.tables import ITEMS

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
RECORDS = st.fixed_dictionaries(
    {
        "item_id": TEXTS,
        "title": TEXTS,
        "category": st.lists(TEXTS, max_size=3),
        "attributes": st.lists(st.tuples(TEXTS, TEXTS), max_size=3),
        "price": st.none() | st.floats(0, 9),
        "available": st.booleans(),
    }
)
ROWS = st.lists(RECORDS, max_size=9)
BASE = [
    {
        "item_id": "a",
        "title": "hub",
        "category": ["x", "y"],
        "attributes": [("k", "v")],
        "price": 1.0,
        "available": True,
    },
    {"item_id": "b", "title": "", "category": [], "attributes": [], "price": None, "available": False},
]


def table_of(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, ITEMS)


@given(rows=ROWS, data=st.data())
def test_cutting_and_copying_change_nothing(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    table = table_of(rows)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=3)))
    bounds = zip([0, *cuts], [*cuts, len(rows)], strict=True)
    cut = pa.concat_tables([table.slice(start, end - start) for start, end in bounds])
    expected = content_hash(table)
    assert content_hash(cut) == expected
    assert content_hash(cut.combine_chunks()) == expected
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(rows))] * 2)))
    assert content_hash(table.slice(start, end - start)) == content_hash(table_of(rows[start:end]))


def test_many_rows_are_hashed_alike_however_they_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "_ROWS", 7)
    table = table_of([BASE[row % 2] | {"title": f"hub {row}"} for row in range(40)])
    expected = content_hash(table)
    assert content_hash(pa.concat_tables([table.slice(0, 13), table.slice(13)])) == expected
    assert len({expected, *(content_hash(table.slice(0, rows)) for rows in range(40))}) == 41


def test_a_file_and_back_changes_nothing() -> None:
    table = table_of(BASE)
    file = io.BytesIO()
    pq.write_table(table, file)
    assert content_hash(pq.read_table(file).cast(ITEMS)) == content_hash(table)


def test_what_lies_under_a_missing_value_changes_nothing() -> None:
    clean = pa.array([1.0, None, 2.0])
    dirty = pa.Array.from_buffers(clean.type, 3, [clean.buffers()[0], pa.py_buffer(np.array([1.0, 9.0, 2.0]))])
    assert dirty.equals(clean)
    assert content_hash(pa.table({"price": dirty})) == content_hash(pa.table({"price": clean}))


@given(first=ROWS, second=ROWS)
def test_other_rows_have_another_hash(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> None:
    same = table_of(first).equals(table_of(second))
    assert (content_hash(table_of(first)) == content_hash(table_of(second))) == same


@pytest.mark.parametrize(
    "change",
    [
        {"item_id": "A"},
        {"title": "hub "},
        {"category": ["x"]},
        {"category": ["y", "x"]},
        {"category": ["xy"]},
        {"attributes": [("k", "w")]},
        {"attributes": [("v", "k")]},
        {"price": None},
        {"price": 1.0000001},
        {"available": False},
        {"available": None},
    ],
)
def test_any_value_counts(change: dict[str, Any]) -> None:
    assert content_hash(table_of([BASE[0] | change, BASE[1]])) != content_hash(table_of(BASE))


def test_rows_columns_names_types_and_tables_count_each() -> None:
    table = table_of(BASE)
    names = table.column_names
    variants: list[tuple[pa.Table | None, ...]] = [
        (table,),
        (table.take([1, 0]),),
        (table.slice(0, 1),),
        (table.slice(0, 0),),
        (table.select(names[::-1]),),
        (table.drop_columns("price"),),
        (table.rename_columns([*names[:-1], "on_sale"]),),
        (table.set_column(6, "price", table["price"].cast(pa.float32())),),
        (),
        (None,),
        (None, None),
        (table, None),
        (None, table),
        (table, table),
        (table.slice(0, 1), table.slice(1)),
    ]
    assert len({content_hash(*variant) for variant in variants}) == len(variants)


def test_the_hash_is_sixteen_hexadecimal_digits() -> None:
    digits = content_hash(table_of(BASE))
    assert len(digits) == 16
    assert int(digits, 16) >= 0

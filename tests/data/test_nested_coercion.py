"""Category paths and attribute maps from every form a file may hold them in, also from slices of larger arrays."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.data.coercion import WrongColumnTypeError
from shelfwalk.data.nested_coercion import as_attributes, as_category, attributes_from_python, parse_json
from shelfwalk.data.tables import ATTRIBUTES_TYPE

LEVELS = st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip)
NAMES = st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip)
MAPS = st.dictionaries(NAMES, st.none() | st.text(st.characters(codec="utf-8")), max_size=4)


def test_category_from_text() -> None:
    values, bad = as_category(pa.array(["Home > Lamp", " Lamp ", "", None, "Home >  > Lamp"]))
    assert values.to_pylist() == [["Home", "Lamp"], ["Lamp"], [], None, None]
    assert bad == [(4, "has a level without text")]


def test_category_from_lists_names_bad_rows_even_in_a_slice() -> None:
    lists = pa.array([["never", "seen"], ["a", "b"], [], None, ["a", " "], ["x", None], ["z"]])
    values, bad = as_category(lists.slice(1))
    assert values.to_pylist() == [["a", "b"], [], None, None, None, ["z"]]
    assert [position for position, _ in bad] == [3, 4]


def test_category_with_broken_utf8_is_bad_once() -> None:
    values, bad = as_category(pa.array([[b"a"], [b"\xff", b""], [b"c"]]))
    assert values.to_pylist() == [["a"], None, ["c"]]
    assert bad == [(1, "is not valid UTF-8")]


def test_category_of_another_type_is_refused() -> None:
    with pytest.raises(WrongColumnTypeError):
        as_category(pa.array([1.5]))
    with pytest.raises(WrongColumnTypeError):
        as_category(pa.array([[1.5]]))


@given(st.lists(st.none() | st.lists(LEVELS, max_size=3)), st.integers(min_value=0, max_value=3))
def test_good_category_lists_are_kept_as_they_are(rows: list[list[str] | None], start: int) -> None:
    array = pa.array(rows, pa.list_(pa.string())).slice(start)
    values, bad = as_category(array)
    assert values.to_pylist() == rows[start:]
    assert bad == []


@given(st.lists(st.none() | MAPS), st.integers(min_value=0, max_value=3))
def test_attributes_mean_the_same_as_map_json_and_python(rows: list[dict[str, str | None] | None], start: int) -> None:
    wanted = [None if row is None else [(k, v) for k, v in row.items() if v is not None] for row in rows][start:]
    as_map = pa.array([None if row is None else list(row.items()) for row in rows], ATTRIBUTES_TYPE).slice(start)
    as_json = pa.array([None if row is None else json.dumps(row) for row in rows], pa.string()).slice(start)
    for values, bad in (as_attributes(as_map), as_attributes(as_json), attributes_from_python(rows[start:])):
        assert values.to_pylist() == wanted
        assert bad == []


def test_bad_maps_are_named() -> None:
    rows = [[("a", "1")], [("a", "1"), ("a", "2")], [("", "x")], None, [("b", None)]]
    values, bad = as_attributes(pa.array(rows, ATTRIBUTES_TYPE))
    assert values.to_pylist() == [[("a", "1")], None, None, None, []]
    assert bad == [(1, "has the attribute 'a' twice"), (2, "has an attribute without a name")]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "no JSON object"),
        ("[1]", "no JSON object of names and values"),
        ('{"a": {"b": 1}}', "nested value of type dict"),
        ('{"a": [1]}', "nested value of type list"),
        ('{"a": 1, "a": 2}', "'a' stands twice"),
        ('{" ": 1}', "attribute without a name"),
        ('{"a": "\\ud800"}', "surrogate"),
    ],
)
def test_bad_json_attributes_are_named(text: str, reason: str) -> None:
    values, bad = as_attributes(pa.array(['{"ok": true}', text]))
    assert values.to_pylist() == [[("ok", "true")], None]
    assert [position for position, _ in bad] == [1]
    assert reason in bad[0][1]


def test_attributes_from_a_struct_leave_out_what_an_item_lacks() -> None:
    values, bad = as_attributes(pa.array([{"colour": "red", "size": 3}, {"colour": None, "size": 4}, None]))
    assert values.to_pylist() == [[("colour", "red"), ("size", "3")], [("size", "4")], None]
    assert bad == []


def test_attributes_of_another_type_are_refused() -> None:
    with pytest.raises(WrongColumnTypeError):
        as_attributes(pa.array([1]))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner)))
def test_json_without_objects_parses_as_usual(value: Any) -> None:
    assert parse_json(json.dumps(value)) == value

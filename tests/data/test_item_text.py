"""The text of an item: everything once, in its order, within its limits."""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.data.item_text import LONGEST_DESCRIPTION, LONGEST_VALUE, item_texts, spoken_values
from shelfwalk.data.tables import ITEMS

WORDS = st.lists(st.sampled_from(["red", "wired", "usb", "hub", "cable", "4", "für", "手机壳"]), max_size=4).map(
    " ".join
)
RECORDS = st.fixed_dictionaries(
    {
        "title": WORDS.filter(bool),
        "description": WORDS,
        "brand": WORDS,
        "category": st.lists(WORDS.filter(bool), max_size=3),
        "attributes": st.lists(st.tuples(st.sampled_from("abc"), WORDS), max_size=4),
    }
)


def items_of(*records: dict[str, Any]) -> pa.Table:
    empty = {"description": "", "brand": "", "category": [], "attributes": [], "price": None}
    return pa.Table.from_pylist([{**empty, **record} for record in records], ITEMS)


def text_of(attribute_values: int = 0, **record: Any) -> str:
    (text,) = item_texts(items_of({"title": "Hub", **record}), attribute_values)
    return text


def words_of(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def holds(text: list[str], part: list[str]) -> bool:
    return any(text[start : start + len(part)] == part for start in range(len(text)))


def test_the_parts_stand_in_order_and_the_leaf_before_the_root() -> None:
    record = {
        "description": "Four ports.",
        "brand": "Altomar",
        "category": ["Computers", "Parts"],
        "attributes": [("colour", "red"), ("size", "small")],
    }
    assert text_of(9, **record) == "Hub. Four ports.. Altomar. Parts. Computers. red, small"


@given(records=st.lists(RECORDS, min_size=1, max_size=3), attribute_values=st.integers(0, 3))
def test_every_part_is_said_and_none_is_said_twice(records: list[dict[str, Any]], attribute_values: int) -> None:
    for record, text in zip(records, item_texts(items_of(*records), attribute_values), strict=True):
        said = words_of(text)
        parts = [record["description"], record["brand"], *record["category"]]
        assert text.startswith(record["title"])
        assert all(holds(said, words_of(part)) for part in parts if part)
        # Every piece of the text but the title adds something that was not said before it.
        pieces = [words_of(piece) for piece in re.split(r"[.,] ", text)]
        before = words_of(record["title"])
        for piece in pieces[1:]:
            assert not holds(before, piece)
            before = [*before, "", *piece]


@pytest.mark.parametrize(
    ("record", "text"),
    [
        ({"title": "Altomar Hub", "brand": "ALTOMAR"}, "Altomar Hub"),
        ({"title": "Usb-C hub", "category": ["USB C"]}, "Usb-C hub"),
        ({"brand": "Altomar", "category": ["altomar", "Hub"]}, "Hub. Altomar"),
        # A word inside another one is not the same word.
        ({"title": "Wired mouse", "brand": "Red"}, "Wired mouse. Red"),
        ({"title": "LaserJet", "category": ["Laser"]}, "LaserJet. Laser"),
        ({"brand": " ", "description": "...", "category": ["-"]}, "Hub"),
    ],
)
def test_a_part_is_left_out_only_if_the_same_words_stand_before_it(record: dict[str, Any], text: str) -> None:
    assert text_of(**record) == text


def test_an_attribute_value_inside_a_word_is_not_said_yet() -> None:
    assert text_of(1, title="Wired hub", attributes=[("colour", "Red")]) == "Wired hub. Red"


def test_of_a_long_description_the_beginning_is_read() -> None:
    text = text_of(description="x" * LONGEST_DESCRIPTION + "never")
    assert text == f"Hub. {'x' * LONGEST_DESCRIPTION}"


@pytest.mark.parametrize(
    ("attribute_values", "text"), [(0, "Hub"), (1, "Hub. red"), (2, "Hub. red, blue"), (5, "Hub. red, blue, green")]
)
def test_so_many_attribute_values_are_read_and_those_already_said_do_not_count(
    attribute_values: int, text: str
) -> None:
    values = [("a", "hub"), ("b", "red"), ("c", "RED"), ("d", "blue"), ("e", "green")]
    assert text_of(attribute_values, attributes=values) == text


@pytest.mark.parametrize(
    "value", ["12", "4 x", "5.0", "", "  ", "Yes", "no", "TRUE", "false", "_a_", "x" * (LONGEST_VALUE + 1)]
)
def test_values_that_are_no_words_or_too_long_are_not_read(value: str) -> None:
    assert list(spoken_values([("name", value)])) == []
    assert text_of(3, attributes=[("name", value)]) == "Hub"


@pytest.mark.parametrize("value", ["red", "10 Gbit", "黑色", "x" * LONGEST_VALUE])
def test_values_of_words_are_read_without_the_spaces_around_them(value: str) -> None:
    assert list(spoken_values([("name", f"  {value} ")])) == [value]


def test_texts_stand_in_the_order_of_the_items_and_hold_no_mark_of_missing_values() -> None:
    titles = [f"Hub {number}" for number in range(50)]
    table = items_of(*({"title": title} for title in titles))
    assert item_texts(table, 3) == titles
    assert item_texts(table.slice(0, 0), 3) == []

"""Pseudo-queries say only what the item itself says, and the same seed makes the same ones."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfwalk.data import pseudo_queries
from shelfwalk.data.pseudo_queries import PseudoQuerySettings, each_pseudo_query, held_out_queries, make_pseudo_queries
from shelfwalk.data.query_item_pairs import QueryItemPairs
from shelfwalk.data.tables import ITEMS

WORDS = st.sampled_from(["USB", "Hub", "cable", "for", "4", "1.5m", "Kühler", "手机壳", "(black)", "-", "A/B", "it's"])
TEXTS = st.lists(WORDS, max_size=9).map(" ".join)
RECORDS = st.fixed_dictionaries(
    {
        "title": TEXTS.filter(bool),
        "description": TEXTS,
        "brand": TEXTS,
        "category": st.lists(TEXTS.filter(bool), max_size=3),
        "attributes": st.lists(st.tuples(st.sampled_from("abc"), TEXTS), max_size=4),
    }
)
ONLY_TITLES = PseudoQuerySettings(title_pieces=8, description_pieces=0, attribute_values=0)


def items_of(*records: dict[str, Any]) -> pa.Table:
    empty = {"description": "", "brand": "", "category": [], "attributes": []}
    return pa.Table.from_pylist([{**empty, **record} for record in records], ITEMS)


def by_item(pairs: QueryItemPairs) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for query, item in zip(pairs.query_rows.tolist(), pairs.item_rows.tolist(), strict=True):
        found.setdefault(item, []).append(pairs.queries[query])
    return found


def queries_of(settings_: PseudoQuerySettings | None = None, seed: int = 0, **record: Any) -> list[str]:
    pairs = make_pseudo_queries(items_of({"title": "4", **record}), settings_ or PseudoQuerySettings(), seed)
    return by_item(pairs).get(0, [])


def holds_in_a_row(text: str, query: str) -> bool:
    """Whether the words of the query stand in the text with nothing but punctuation between them."""
    between = r"[\W_]+".join(re.escape(word) for word in query.split())
    return re.search(rf"(?<!\w){between}", text.lower()) is not None


def spaced(*parts: str) -> str:
    return " ".join(" ".join(parts).lower().split())


@given(records=st.lists(RECORDS, min_size=1, max_size=4), seed=st.integers(0, 2**32))
def test_every_query_is_of_its_items_own_text(records: list[dict[str, Any]], seed: int) -> None:
    for item, queries in by_item(make_pseudo_queries(items_of(*records), PseudoQuerySettings(), seed)).items():
        record = records[item]
        said = [*record["category"], record["brand"]]
        kinds = record["category"][-1:]
        values = [value for _, value in record["attributes"]]
        said += [spaced(record["brand"], kind) for kind in kinds]
        said += [spaced(value, kind) for value in values for kind in kinds]
        said += [spaced(record["brand"], value) for value in values]
        for query in queries:
            assert query == spaced(query)
            assert re.search(r"[^\W\d_]", query)
            whole = any(query == spaced(text) for text in said)
            assert whole or any(holds_in_a_row(record[part], query) for part in ("title", "description"))


@given(title=TEXTS.filter(bool), seed=st.integers(0, 2**32))
def test_title_pieces_are_words_of_the_title_in_a_row(title: str, seed: int) -> None:
    queries = queries_of(ONLY_TITLES, seed, title=title)
    assert len(queries) <= 8
    assert all(holds_in_a_row(title, query) for query in queries)


def test_a_long_title_gives_pieces_from_its_beginning_to_its_end() -> None:
    title = " ".join(f"word{letter}" for letter in "abcdefgh")
    many = PseudoQuerySettings(title_pieces=300, description_pieces=0, attribute_values=0)
    assert {word for query in queries_of(many, title=title) for word in query.split()} == set(title.split())


def test_every_field_gives_its_queries() -> None:
    none_of_text = PseudoQuerySettings(title_pieces=0, description_pieces=0, attribute_values=1)
    record = {"brand": "Altomar", "category": ["Computers", "Parts", "USB  Hubs"], "attributes": [("colour", "Red")]}
    assert sorted(queries_of(none_of_text, **record)) == sorted(
        ["usb hubs", "parts", "altomar", "altomar usb hubs", "red usb hubs", "altomar red"]
    )
    assert queries_of(PseudoQuerySettings(description_pieces=2), description="soft") == ["soft"] * 2


@pytest.mark.parametrize(
    ("record", "queries"),
    [
        ({}, []),
        ({"title": "12 / 4.5 -"}, []),
        ({"brand": "3", "category": ["..."], "attributes": [("size", "12")]}, []),
        ({"brand": "Altomar"}, ["altomar"]),
        ({"attributes": [("colour", "Red")]}, ["red"]),
        ({"category": ["Hubs"]}, ["hubs"]),
    ],
)
def test_fields_that_are_empty_or_have_no_letters_give_no_query_of_them(
    record: dict[str, Any], queries: list[str]
) -> None:
    assert set(queries_of(**record)) == set(queries)


@settings(max_examples=30)
@given(records=st.lists(RECORDS, min_size=1, max_size=4), seed=st.integers(0, 2**32))
def test_the_same_seed_makes_the_same_pairs_however_the_table_is_cut(records: list[dict[str, Any]], seed: int) -> None:
    items = items_of(*records)
    whole = make_pseudo_queries(items, PseudoQuerySettings(), seed)
    cut = pa.concat_tables([items.slice(row, 1) for row in range(len(items))])
    again = make_pseudo_queries(cut, PseudoQuerySettings(), seed)
    assert again.queries == whole.queries
    assert again.query_rows.tolist() == whole.query_rows.tolist()
    assert again.item_rows.tolist() == whole.item_rows.tolist()


@pytest.mark.parametrize("most_items", [20, 30])
def test_pairs_do_not_depend_on_how_many_items_are_read_at_a_time(
    most_items: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = items_of(*({"title": f"red hub{'x' * row}y of steel", "brand": "Altomar"} for row in range(30)))
    asked = items, PseudoQuerySettings(most_items=most_items), 3
    whole = list(each_pseudo_query(*asked))
    monkeypatch.setattr(pseudo_queries, "_BLOCK", 7)
    assert list(each_pseudo_query(*asked)) == whole
    assert len({row for _, row in whole}) == most_items


def test_another_seed_makes_other_pairs() -> None:
    title = " ".join(f"word{letter}" for letter in "abcdefgh")
    assert queries_of(ONLY_TITLES, 1, title=title) != queries_of(ONLY_TITLES, 2, title=title)


@pytest.mark.parametrize("most_items", [1, 7, 30, 31])
def test_a_larger_catalogue_is_sampled(most_items: int) -> None:
    names = [f"hub{'x' * row}y" for row in range(30)]
    items = items_of(*({"title": name} for name in names))
    found = by_item(make_pseudo_queries(items, PseudoQuerySettings(most_items=most_items), 3))
    assert len(found) == min(most_items, 30)
    # A query is beside the item that it was made from, not beside its place in the sample.
    assert all(set(queries) == {names[item]} for item, queries in found.items())


@given(count=st.integers(0, 200), share=st.floats(0.001, 0.999), seed=st.integers(0, 2**32))
def test_some_queries_are_held_out_but_never_all(count: int, share: float, seed: int) -> None:
    held_out = held_out_queries(count, share, seed)
    assert held_out.shape == (count,)
    assert held_out.dtype == bool
    assert np.array_equal(held_out, held_out_queries(count, share, seed))
    if count < 2:
        assert not held_out.any()
    else:
        assert 1 <= held_out.sum() < count
        assert held_out.sum() in {1, count - 1} or abs(held_out.sum() - share * count) <= 0.5


def test_another_seed_holds_other_queries_out() -> None:
    assert not np.array_equal(held_out_queries(200, 0.5, 1), held_out_queries(200, 0.5, 2))

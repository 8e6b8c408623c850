"""Pairs keep what was put in, and logs and judgements give those that they should."""

from __future__ import annotations

from collections.abc import Iterable
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.data import query_item_pairs
from shelfwalk.data.query_item_pairs import LOGGED_ACTIONS, QueryItemPairs, pairs_from_events, pairs_from_judgements
from shelfwalk.data.tables import EVENTS, JUDGEMENTS, QUERIES
from shelfwalk.errors import UserError

Texts = list[tuple[str, int]]
PAIRS = st.lists(st.tuples(st.sampled_from(["hub", "usb hub", "lamp", "", "кабель"]), st.integers(0, 9)))
ITEMS = pa.table({"item_id": ["a", "b", "c"]})


def written_out(pairs: QueryItemPairs) -> Texts:
    return [(pairs.queries[query], item) for query, item in zip(pairs.query_rows, pairs.item_rows, strict=True)]


@given(texts=PAIRS)
def test_pairs_come_out_as_they_went_in(texts: Texts) -> None:
    pairs = QueryItemPairs.of(iter(texts))
    assert written_out(pairs) == texts
    assert len(pairs) == len(texts)
    assert pairs.queries == tuple(dict.fromkeys(query for query, _ in texts))
    assert (pairs.query_rows.dtype, pairs.item_rows.dtype) == (np.int32, np.int32)


@given(parts=st.lists(PAIRS, max_size=4))
def test_joined_parts_are_as_if_collected_at_once(parts: list[Texts]) -> None:
    joined = QueryItemPairs.join([QueryItemPairs.of(part) for part in parts])
    at_once = QueryItemPairs.of(pair for part in parts for pair in part)
    assert joined.queries == at_once.queries
    assert written_out(joined) == written_out(at_once)
    assert (joined.query_rows.dtype, joined.item_rows.dtype) == (np.int32, np.int32)


def test_queries_of_a_part_that_stand_in_no_pair_keep_their_place() -> None:
    part = QueryItemPairs(("hub", "lamp"), np.array([1], np.int32), np.array([5], np.int32))
    joined = QueryItemPairs.join([part, QueryItemPairs.of([("desk", 2)])])
    assert joined.queries == ("hub", "lamp", "desk")
    assert written_out(joined) == [("lamp", 5), ("desk", 2)]


def judgements_of(*rows: tuple[str, str, int]) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(JUDGEMENTS.names, row, strict=True)) for row in rows], JUDGEMENTS)


QUERY_TABLE = pa.Table.from_pylist([{"query_id": "1", "query": "usb hub"}, {"query_id": "2", "query": "lamp"}], QUERIES)


def test_judgements_of_a_good_grade_give_pairs_in_their_order() -> None:
    judgements = judgements_of(("2", "c", 2), ("1", "a", 3), ("1", "b", 1), ("9", "a", 3), ("1", "z", 3), ("2", "a", 0))
    assert written_out(pairs_from_judgements(ITEMS, QUERY_TABLE, judgements)) == [("lamp", 2), ("usb hub", 0)]
    lower = pairs_from_judgements(ITEMS, QUERY_TABLE, judgements, lowest_grade=1)
    assert written_out(lower) == [("lamp", 2), ("usb hub", 0), ("usb hub", 1)]


@pytest.mark.parametrize("rows", [[], [("1", "a", 1)], [("9", "a", 3)], [("1", "z", 3)]])
def test_judgements_that_fit_nothing_are_refused_in_a_sentence(rows: list[tuple[str, str, int]]) -> None:
    with pytest.raises(UserError, match=r"^No judgement of grade 2 or more names a query and an item .* files\.$"):
        pairs_from_judgements(ITEMS, QUERY_TABLE, judgements_of(*rows))


def events_of(rows: Iterable[tuple[str, str | None, str]]) -> pa.Table:
    names = ("action_name", "user_query", "object_id")
    return pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows], EVENTS)


def test_clicks_carts_and_purchases_give_pairs_and_impressions_do_not() -> None:
    events = events_of(
        [
            ("impression", "usb hub", "a"),
            ("click", "usb hub", "b"),
            ("add_to_cart", "lamp", "a"),
            ("purchase", "usb hub", "b"),
            ("click", "lamp", "z"),
            ("click", "", "a"),
            ("click", None, "a"),
        ]
    )
    assert written_out(pairs_from_events(ITEMS, events)) == [("usb hub", 1), ("lamp", 0), ("usb hub", 1)]


EVENTS_OF_ANY_KIND = st.tuples(
    st.sampled_from(["impression", *LOGGED_ACTIONS]),
    st.sampled_from(["usb hub", "lamp", "кабель", " ", "", None]),
    st.sampled_from(["a", "b", "c", "z"]),
)


@given(rows=st.lists(EVENTS_OF_ANY_KIND, max_size=30), block=st.integers(1, 8), chunk=st.integers(1, 9))
def test_a_log_gives_the_same_pairs_in_blocks_as_event_by_event(
    rows: list[tuple[str, str | None, str]], block: int, chunk: int
) -> None:
    rows.append(("click", "last", "c"))
    wanted = [row for row in rows if row[0] != "impression" and row[2] != "z"]
    slow = [(query, "abc".index(item)) for _, query, item in wanted if query and query.strip()]
    events = pa.concat_tables(events_of(rows[start : start + chunk]) for start in range(0, len(rows), chunk))
    with patch.object(query_item_pairs, "_EVENTS_AT_A_TIME", block):
        found = pairs_from_events(ITEMS, events)
    assert written_out(found) == slow
    assert found.queries == tuple(dict.fromkeys(query for query, _ in slow))
    assert (found.query_rows.dtype, found.item_rows.dtype) == (np.int32, np.int32)


@pytest.mark.parametrize(
    ("rows", "cause"),
    [
        ([], "has no click, add_to_cart or purchase, and impressions alone"),
        ([("impression", "hub", "a")], "has no click, add_to_cart or purchase, and impressions alone"),
        ([("impression", "hub", "a"), ("click", " ", "a"), ("click", None, "a")], "check that user_query holds"),
        ([("click", "hub", "z"), ("click", "", "a")], "check that object_id holds the item ids"),
    ],
)
def test_a_log_that_fits_nothing_is_told_why(rows: list[tuple[str, str | None, str]], cause: str) -> None:
    with pytest.raises(UserError, match=cause):
        pairs_from_events(ITEMS, events_of(rows))

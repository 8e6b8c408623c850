"""Histories of shoppers: nothing of the search itself, of its moment or of anybody else is in them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.data.histories import Visits, visits_of
from shelfwalk.data.query_item_pairs import LOGGED_ACTIONS
from shelfwalk.data.tables import ACTIONS, EVENTS
from shelfwalk.errors import UserError

START = datetime(2025, 1, 1, tzinfo=UTC)
ITEMS = pa.table({"item_id": [f"i{row}" for row in range(6)]})

Event = dict[str, Any]


def event(second: int, client: str, item: str, action: str = "click", query: str = "lamp", **more: str) -> Event:
    return {
        "timestamp": START + timedelta(seconds=second),
        "session_id": more.get("session", f"s{client}"),
        "client_id": client,
        "query_id": more.get("query_id", ""),
        "user_query": query,
        "action_name": action,
        "object_id": item,
        "ordinal": 1,
    }


def log(*rows: Event) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=EVENTS)


def found(visits: Visits) -> list[tuple[str, int, list[int], dict[int, bool]]]:
    """Each visit as (text, second, history, target → bought)."""
    start = int(START.timestamp() * 1e6)
    return [
        (
            visits.queries[visits.query_rows[row]],
            int(visits.at[row] - start) // 1_000_000,
            visits.histories[row].tolist(),
            {
                int(item): bool(bought)
                for visit, item, bought in zip(visits.visit_rows, visits.item_rows, visits.bought, strict=True)
                if visit == row
            },
        )
        for row in range(len(visits))
    ]


def plainly(rows: list[Event], length: int) -> list[tuple[str, int, list[int], dict[int, bool]]]:
    """The same, event by event."""

    def key(row: Event) -> tuple[str, ...]:
        return tuple(row[name] for name in ("client_id", "session_id", "query_id", "user_query"))

    def is_wanted(row: Event) -> bool:
        return row["action_name"] in LOGGED_ACTIONS and int(row["object_id"][1:]) < ITEMS.num_rows

    answers = []
    keys = dict.fromkeys(key(row) for row in rows if is_wanted(row) and row["user_query"].strip())
    for visit in keys:
        begun = min(row["timestamp"] for row in rows if key(row) == visit)
        before = [row for row in rows if row["client_id"] == visit[0] != "" and row["timestamp"] < begun]
        before = [row for row in before if is_wanted(row)]
        # Sorting is stable: of one moment the later row is the more recent.
        recent = [int(row["object_id"][1:]) for row in sorted(before, key=lambda row: row["timestamp"])][::-1]
        history = [*dict.fromkeys(recent)][:length]
        targets: dict[int, bool] = {}
        for row in rows:
            if key(row) == visit and is_wanted(row):
                item = int(row["object_id"][1:])
                targets[item] = targets.get(item, False) or row["action_name"] == "purchase"
        second = int((begun - START).total_seconds())
        answers.append((visit[3], second, history + [-1] * (length - len(history)), targets))
    return sorted(answers, key=lambda answer: answer[1])


events_drawn = st.lists(
    st.builds(
        event,
        st.integers(0, 8),
        st.sampled_from(["a", "b", ""]),
        st.sampled_from([f"i{number}" for number in range(8)]),
        st.sampled_from(ACTIONS),
        st.sampled_from(["lamp", "mouse", " "]),
        session=st.sampled_from(["s1", "s2"]),
        query_id=st.sampled_from(["", "q1"]),
    ),
    min_size=1,
    max_size=40,
)


@given(events_drawn, st.integers(0, 4))
def test_visits_are_those_of_the_obvious_implementation(rows: list[Event], length: int) -> None:
    expected = plainly(rows, length)
    if not expected or not any(row["client_id"] for row in rows):
        with pytest.raises(UserError):
            visits_of(ITEMS, log(*rows), length)
        return

    def order(answer: tuple[str, int, list[int], dict[int, bool]]) -> str:
        return repr((answer[1], answer[0], answer[2], sorted(answer[3].items())))

    visits = visits_of(ITEMS, log(*rows), length)
    assert sorted(found(visits), key=order) == sorted(expected, key=order)
    assert visits.at.tolist() == sorted(visits.at.tolist())


@given(events_drawn)
def test_every_item_of_a_history_was_wanted_by_the_shopper_strictly_before(rows: list[Event]) -> None:
    if not plainly(rows, 1) or not any(row["client_id"] for row in rows):
        return
    whole = visits_of(ITEMS, log(*rows), 5)
    for moment in sorted({row["timestamp"] for row in rows}):
        # What comes at this moment or later is not known before it: without it the histories of earlier visits stay.
        past = [row for row in rows if row["timestamp"] <= moment]
        if not plainly(past, 1) or not any(row["client_id"] for row in past):
            continue
        known = [answer[:3] for answer in found(visits_of(ITEMS, log(*past), 5))]
        assert {repr(answer) for answer in known} <= {repr(answer[:3]) for answer in found(whole)}


def test_a_page_that_was_shown_first_is_when_the_search_was() -> None:
    visits = visits_of(
        ITEMS,
        log(
            event(0, "a", "i0", "impression"),
            event(5, "a", "i1", query="mouse", session="another tab"),
            event(9, "a", "i0"),
        ),
        3,
    )
    # The click in the other tab came after the search for a lamp, though before the click that answers it.
    assert found(visits) == [("lamp", 0, [-1, -1, -1], {0: False}), ("mouse", 5, [-1, -1, -1], {1: False})]


def test_a_purchase_without_a_search_is_remembered_and_one_without_a_client_is_nobodys() -> None:
    rows = (
        event(0, "a", "i3", "purchase", query=""),
        event(1, "", "i4"),
        event(2, "", "i5", session="other"),
        event(3, "a", "i0"),
    )
    answers = {answer[1]: answer[2] for answer in found(visits_of(ITEMS, log(*rows), 2))}
    assert answers == {1: [-1, -1], 2: [-1, -1], 3: [3, -1]}


def test_a_log_in_pieces_of_another_time_unit_gives_the_same() -> None:
    rows = [event(second, "ab"[second % 2], f"i{second % 5}", query=f"query {second % 3}") for second in range(30)]
    whole = log(*rows)
    pieces = pa.concat_tables([whole.slice(0, 7), whole.slice(7, 11), whole.slice(18)])
    place = pieces.schema.get_field_index("timestamp")
    pieces = pieces.set_column(place, "timestamp", pieces["timestamp"].cast(pa.timestamp("ms", tz="Asia/Tokyo")))
    assert found(visits_of(ITEMS, pieces, 4)) == found(visits_of(ITEMS, whole, 4))


def test_what_comes_out_has_the_types_that_it_says() -> None:
    visits = visits_of(ITEMS, log(event(0, "a", "i0"), event(1, "a", "i1", query="mouse")), 2)
    rows = (visits.query_rows, visits.histories, visits.visit_rows, visits.item_rows)
    assert [array.dtype for array in rows] == [np.int32] * 4
    assert visits.at.dtype == np.int64
    assert visits.bought.dtype == np.bool_
    assert visits.history_at.tolist() == [np.iinfo(np.int64).min, visits.at[0]]
    assert visits.histories.shape == (2, 2)


def test_a_log_without_clients_or_without_a_known_item_is_one_sentence() -> None:
    anonymous = log(event(0, "", "i0"))
    for events in (anonymous, anonymous.drop_columns(["client_id"])):
        with pytest.raises(UserError, match="No event of the log has a client_id"):
            visits_of(ITEMS, events, 3)
    with pytest.raises(UserError, match="no click, add_to_cart or purchase with a query on an item of the catalogue"):
        visits_of(ITEMS, log(event(0, "a", "i99"), event(1, "a", "i1", "impression")), 3)
    with pytest.raises(UserError, match="check that user_query holds"):
        visits_of(ITEMS, log(event(0, "a", "i1", query=" ")), 3)

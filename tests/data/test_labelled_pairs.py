"""Labelled pairs of a log and of judgements, and visits: against slow ones, and what cannot be labelled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.data.asked_queries import asked_queries
from shelfwalk.data.labelled_pairs import LabelledPairs, labelled_by_judgements, labelled_by_log
from shelfwalk.data.tables import EVENTS, JUDGEMENTS, QUERIES
from shelfwalk.errors import UserError

ITEMS = pa.table({"item_id": ["a", "b", "c", "d"]})
START = datetime(2025, 1, 1, tzinfo=UTC)
Event = tuple[str, str, str, str]


def log(events: list[Event]) -> pa.Table:
    """Events of (session, query, action, item), a minute apart."""
    rows = [
        {"timestamp": START + timedelta(minutes=minute), "session_id": session, "query_id": session}
        | {"user_query": query, "action_name": action, "object_id": item, "client_id": ""}
        for minute, (session, query, action, item) in enumerate(events)
    ]
    return pa.Table.from_pylist(rows, schema=EVENTS)


def plain(pairs: LabelledPairs) -> dict[tuple[str, str], bool]:
    ids = ITEMS["item_id"].to_pylist()
    rows = zip(pairs.query_rows.tolist(), pairs.item_rows.tolist(), pairs.relevant.tolist(), strict=True)
    return {(pairs.queries[query], ids[item]): relevant for query, item, relevant in rows}


def slow(events: list[Event]) -> dict[tuple[str, str], bool]:
    found: dict[tuple[str, str], bool] = {}
    for _, query, action, item in events:
        if query and item in "abcd" and action != "view":
            found[query, item] = found.get((query, item), False) or action != "impression"
    both = {query for query, _ in found if {found[key] for key in found if key[0] == query} == {True, False}}
    return {key: relevant for key, relevant in found.items() if key[0] in both}


actions = st.sampled_from(["impression", "impression", "click", "add_to_cart", "purchase", "view"])
events_of_logs = st.lists(
    st.tuples(st.sampled_from("st"), st.sampled_from(["mug", "cup", ""]), actions, st.sampled_from("abcdz")),
    max_size=25,
)


@given(events_of_logs)
def test_a_log_labels_what_was_shown_by_what_was_clicked(events: list[Event]) -> None:
    expected = slow(events)
    if not expected:
        with pytest.raises(UserError):
            labelled_by_log(ITEMS, log(events))
        return
    found = labelled_by_log(ITEMS, log(events))
    assert plain(found) == expected
    assert len(found) == len(expected), "each pair once"
    assert (found.query_rows[1:] >= found.query_rows[:-1]).all(), "query by query"
    assert set(found.query_rows.tolist()) == set(range(len(found.queries))), "no query is left without a pair"


@pytest.mark.parametrize(
    ("events", "sentence"),
    [
        (
            [("s", "mug", "impression", "a")],
            r"The log has no click, cart or purchase .* or a recipe without \[ranker\]",
        ),
        ([("s", "mug", "click", "a")], "The log shows no item that was not clicked"),
        (
            [("s", "mug", "click", "a"), ("s", "cup", "impression", "a")],
            "No query has both a relevant and an irrelevant",
        ),
        ([("s", "mug", "click", "z"), ("s", "mug", "impression", "a")], "The log has no click, cart or purchase"),
    ],
)
def test_a_log_that_labels_nothing(events: list[Event], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        labelled_by_log(ITEMS, log(events))


def test_judgements_label_from_a_grade_on() -> None:
    queries = pa.table({"query_id": ["q1", "q2"], "query": ["mug", "cup"]}, schema=QUERIES)
    grades: dict[str, Any] = {
        "query_id": ["q1", "q1", "q1", "q2", "q9"],
        "item_id": ["a", "b", "z", "c", "a"],
        "grade": [2, 1, 2, 2, 2],
    }
    judgements = pa.table(grades, schema=JUDGEMENTS)
    assert plain(labelled_by_judgements(ITEMS, queries, judgements, 2)) == {("mug", "a"): True, ("mug", "b"): False}
    with pytest.raises(UserError, match="No query has both"):
        labelled_by_judgements(ITEMS, queries, judgements, 3)


def test_a_sample_keeps_whole_queries() -> None:
    events = [
        ("s", query, action, item)
        for query in ("p", "q", "r")
        for action, item in (("click", "a"), ("impression", "b"))
    ]
    pairs = labelled_by_log(ITEMS, log(events))
    found = pairs.sample(2, seed=1)
    assert len(found.queries) == 2
    assert plain(found).items() <= plain(pairs).items()
    assert len(found) == 4
    assert plain(pairs.sample(2, seed=1)) == plain(found)
    assert pairs.sample(3, seed=0) is pairs


@given(events_of_logs)
def test_a_visit_is_a_query_of_a_session_once(events: list[Event]) -> None:
    first: dict[tuple[str, str], int] = {}
    for minute, (session, query, _, _) in enumerate(events):
        if query:
            first.setdefault((session, query), minute)
    expected = sorted((START + timedelta(minutes=minute), query) for (_, query), minute in first.items())
    visits = asked_queries(log(events))
    assert list(zip(visits["timestamp"].to_pylist(), visits["user_query"].to_pylist(), strict=True)) == expected

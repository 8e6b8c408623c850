"""The rows of a log: all that happened and nothing else, in order, inside its part of time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from made_catalogues import wish

from shelfwalk.market.clicks import Responses
from shelfwalk.market.item_features import NONE
from shelfwalk.market.log import EXPOSURES, LOG, Moments, ParquetStream, events_of, exposures_of, moments
from shelfwalk.market.logging_policy import Shown
from shelfwalk.market.needs import Visits

ITEM_IDS = pa.array([f"item {n}" for n in range(9)])
UNTIL = 10_000_000_000
Flags = npt.NDArray[np.bool_]


def visits_of(at: list[int]) -> Visits:
    wishes = wish().take(np.zeros(len(at), np.int64))
    texts = [f"text {n}" for n in range(len(at))]
    shoppers = np.arange(len(at), dtype=np.int32) + 5
    return Visits(shoppers, np.array(at, np.int64), wishes, wishes, texts, np.zeros(len(at), np.int64))


@st.composite
def answered(draw: st.DrawFn) -> tuple[npt.NDArray[np.int64], Responses]:
    """Pages of up to four places, and any course of events on them that is possible."""
    visits, places = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    pages = np.full((visits, places), NONE, np.int64)
    for visit in range(visits):
        page = draw(st.lists(st.integers(0, 8), max_size=places, unique=True))
        pages[visit, : len(page)] = page
    flags = arrays.arrays(bool, pages.shape)
    clicked = draw(flags) & (pages != NONE)
    carted = clicked & draw(flags)
    first = np.arange(places) == carted.argmax(axis=1)[:, None]
    bought = carted & first & draw(flags)
    paid = np.where(bought, np.float32(19.99), np.float32(0)).astype(np.float32)
    return pages, Responses(pages != NONE, clicked, carted, bought, paid)


def logged(pages: npt.NDArray[np.int64], responses: Responses) -> tuple[Visits, Moments, list[dict[str, object]]]:
    visits = visits_of([UNTIL - 40_000_000 + 1_000 * n for n in range(len(pages))])
    when = moments(visits.at, responses, UNTIL, np.random.default_rng(0))
    return visits, when, events_of(visits, 7, pages, responses, when, ITEM_IDS).to_pylist()


@given(answered())
def test_the_log_says_what_happened(case: tuple[npt.NDArray[np.int64], Responses]) -> None:
    pages, responses = case
    _, _, rows = logged(pages, responses)
    happened = {
        "impression": pages != NONE,
        "click": responses.clicked,
        "add_to_cart": responses.added_to_cart,
        "purchase": responses.purchased,
    }
    expected = {
        (f"q{visit + 7:08d}", action, place + 1, f"item {pages[visit, place]}")
        for action, mask in happened.items()
        for visit, place in np.argwhere(mask).tolist()
    }
    found = [(row["query_id"], row["action_name"], row["ordinal"], row["object_id"]) for row in rows]
    assert len(found) == len(expected)
    assert set(found) == expected
    for row in rows:
        number = int(str(row["query_id"])[1:]) - 7
        assert (row["session_id"], row["client_id"]) == (f"s{number + 7:08d}", f"c{number + 5:07d}")
        assert row["user_query"] == f"text {number}"
        assert row["price"] == (19.99 if row["action_name"] == "purchase" else None)


@given(answered())
def test_rows_stand_by_visit_and_time(case: tuple[npt.NDArray[np.int64], Responses]) -> None:
    _, _, rows = logged(*case)
    keys = [(row["query_id"], row["timestamp"]) for row in rows]
    assert keys == sorted(keys)


@given(answered())
def test_what_follows_comes_later_and_nothing_after_the_end(case: tuple[npt.NDArray[np.int64], Responses]) -> None:
    pages, responses = case
    visits, when, _ = logged(pages, responses)
    start = np.broadcast_to(visits.at[:, None], pages.shape)
    for earlier, later, mask in (
        (start, when.click, responses.clicked),
        (when.click, when.cart, responses.added_to_cart),
        (when.cart, when.purchase, responses.purchased),
    ):
        assert (earlier[mask] <= later[mask]).all()
        assert (later[mask] < UNTIL).all()
    clicks = np.where(responses.clicked, when.click, 0)
    assert (np.maximum.accumulate(clicks, axis=1)[responses.clicked] == clicks[responses.clicked]).all()


def test_far_from_the_end_things_take_time() -> None:
    every = np.ones((1, 3), bool)
    bought = np.array([[True, False, False]])
    responses = Responses(every, every, every, bought, np.where(bought, np.float32(5), np.float32(0)))
    when = moments(np.array([0], np.int64), responses, UNTIL, np.random.default_rng(0))
    assert 0 < when.click[0, 0] < when.click[0, 1] < when.click[0, 2]
    assert (when.click < when.cart).all()
    assert when.purchase[0, 0] > when.cart.max()


def test_exposures_keep_pages_and_propensities() -> None:
    shown = Shown(
        np.array([[4, 2], [NONE, NONE], [8, NONE]]),
        np.array([[0.75, 0.25], [0, 0], [1, 0]], np.float32),
        np.array([True, False, False]),
    )
    table = exposures_of(visits_of([1, 2, 3]), 0, shown)
    assert table.schema == EXPOSURES
    assert table["items"].to_pylist() == [[4, 2], [], [8]]
    assert table["propensities"].to_pylist() == [[0.75, 0.25], [], [1.0]]
    assert table["explored"].to_pylist() == [True, False, False]
    assert table["query_id"].to_pylist() == ["q00000000", "q00000001", "q00000002"]


def test_a_stream_makes_a_row_group_a_write(tmp_path: Path) -> None:
    pages = np.array([[0, 1]])
    nothing = np.zeros((1, 2), bool)
    responses = Responses(nothing, nothing, nothing, nothing, np.zeros((1, 2), np.float32))
    visits = visits_of([5])
    when = moments(visits.at, responses, UNTIL, np.random.default_rng(0))
    table = events_of(visits, 0, pages, responses, when, ITEM_IDS)
    with ParquetStream(tmp_path / "log.parquet", LOG) as stream:
        stream.write(table)
        stream.write(LOG.empty_table())
        stream.write(table)
    written = pq.ParquetFile(tmp_path / "log.parquet")
    assert written.num_row_groups == 2
    assert written.read().equals(pa.concat_tables([table, table]))
    with ParquetStream(tmp_path / "none.parquet", LOG):
        pass
    assert pq.read_table(tmp_path / "none.parquet").equals(LOG.empty_table())
    with pytest.raises(ZeroDivisionError), ParquetStream(tmp_path / "broken.parquet", LOG):
        _ = 1 // 0

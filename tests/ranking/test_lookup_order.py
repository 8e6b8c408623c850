"""The published order inside clusters, and the efficiency that it goes by."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.data.tables import EVENTS
from shelfwalk.ranking.efficiency import PRIOR_IMPRESSIONS, efficiency_of
from shelfwalk.ranking.in_cluster import Candidates
from shelfwalk.ranking.lookup_order import lookup_order, place_scores

ITEMS = pa.table({"item_id": ["a", "b", "c"], "popularity": [3.0, None, 7.0]})


@st.composite
def candidates(draw: st.DrawFn) -> Candidates:
    """Up to six clusters of up to five items each, no item in two, rows in no order of the clusters."""
    sizes = draw(st.lists(st.integers(0, 5), max_size=6))
    rows = np.array(draw(st.permutations(range(sum(sizes)))), np.int64)
    paths = np.repeat(np.arange(len(sizes)), sizes)
    return Candidates(rows, paths, np.zeros(len(rows), np.float32), np.array(sizes, np.int64)[paths])


@given(candidates(), st.integers(0, 2**32), st.none() | st.integers(1, 40))
def test_beam_order_first_then_efficiency_then_the_row_up_to_the_budget(
    found: Candidates, seed: int, budget: int | None
) -> None:
    # Few different values, so that ties are many.
    efficiency = np.random.default_rng(seed).integers(0, 3, len(found.rows)).astype(np.float32)
    places = lookup_order(found, efficiency, budget)
    slow = sorted(
        range(len(found.rows)),
        key=lambda place: (found.paths[place], -efficiency[found.rows[place]], found.rows[place]),
    )
    assert places.tolist() == slow[:budget]


@given(candidates(), st.integers(0, 2**32), st.integers(1, 40))
def test_a_smaller_budget_is_the_beginning_of_a_larger_one(found: Candidates, seed: int, budget: int) -> None:
    efficiency = np.random.default_rng(seed).random(len(found.rows)).astype(np.float32)
    whole = lookup_order(found, efficiency)
    assert sorted(whole.tolist()) == list(range(len(found.rows)))
    assert lookup_order(found, efficiency, budget).tolist() == whole[:budget].tolist()


def test_scores_of_places_fall_without_ever_being_equal() -> None:
    scores = place_scores(20_000)
    assert scores.dtype == np.float32
    assert (np.diff(scores) < 0).all()


def log(*actions: tuple[str, str, int]) -> pa.Table:
    """Events (action, item, how often)."""
    rows = [
        {**dict.fromkeys(EVENTS.names), "timestamp": datetime(2020, 1, 1, tzinfo=UTC), "session_id": "s",
         "client_id": "", "query_id": "q", "user_query": "x", "action_name": action, "object_id": item}
        for action, item, times in actions
        for _ in range(times)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=EVENTS)


def test_with_a_log_it_is_the_smoothed_share_of_impressions_that_were_acted_on() -> None:
    events = log(("impression", "a", 100), ("click", "a", 9), ("purchase", "a", 1), ("impression", "b", 100))
    # 10 of 200 impressions were acted on, so every item starts with a share of 0.05.
    started = PRIOR_IMPRESSIONS * 0.05
    expected = [(10 + started) / (100 + PRIOR_IMPRESSIONS), started / (100 + PRIOR_IMPRESSIONS), 0.05]
    assert efficiency_of(ITEMS, events) == pytest.approx(expected)


def test_one_lucky_click_is_less_than_many_at_a_good_rate() -> None:
    events = log(("impression", "a", 1), ("click", "a", 1), ("impression", "b", 400), ("click", "b", 80),
                 ("impression", "c", 400))  # fmt: skip
    lucky, steady, ignored = efficiency_of(ITEMS, events).tolist()
    assert steady > lucky > ignored


def test_events_of_other_items_change_nothing() -> None:
    events = log(("impression", "a", 3), ("click", "a", 1))
    other = log(("impression", "a", 3), ("click", "a", 1), ("impression", "z", 50), ("click", "z", 5))
    assert efficiency_of(ITEMS, events).tolist() == efficiency_of(ITEMS, other).tolist()


@pytest.mark.parametrize("events", [None, log(), log(("purchase", "b", 4)), log(("impression", "z", 4))])
def test_without_impressions_of_these_items_it_is_their_popularity(events: pa.Table | None) -> None:
    assert efficiency_of(ITEMS, events).tolist() == [3.0, 0.0, 7.0]

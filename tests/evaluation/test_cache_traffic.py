"""How much of a day's traffic a cache of the days before answers: against a slow count, and without a next day."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from shelfwalk.data.tables import EVENTS
from shelfwalk.errors import UserError
from shelfwalk.evaluation.cache_traffic import hits_of_days, hits_of_next_day

START = datetime(2025, 1, 1, tzinfo=UTC)


def log(days: int, seed: int = 0, first: int = 0, visits: int = 40) -> tuple[pa.Table, list[tuple[int, str]]]:
    """A log of so many days, two events a visit, and its visits as (day, query)."""
    random = np.random.default_rng(seed)
    asked = [(first + day, f"query {random.zipf(1.5) % 12}") for day in range(days) for _ in range(visits)]
    rows = [
        {"timestamp": START + timedelta(days=day, seconds=number % 80_000), "session_id": f"{seed}-{number}"}
        | {"query_id": f"{number}", "user_query": query, "action_name": action, "object_id": "a", "client_id": ""}
        for number, (day, query) in enumerate(asked)
        for action in ("impression", "click")
    ]
    return pa.Table.from_pylist(rows, schema=EVENTS), asked


@pytest.mark.parametrize("capacity", [0, 1, 3, 100])
def test_every_day_is_asked_of_the_days_before_it(capacity: int) -> None:
    events, asked = log(4)
    found = hits_of_days(events, capacity)
    assert [one.day for one in found] == [date(2025, 1, day) for day in (2, 3, 4)]
    for number, one in enumerate(found, start=1):
        counted = Counter(query for day, query in asked if day < number)
        kept = sorted(counted, key=lambda query: (-counted[query], query))[:capacity]
        hits = sum(query in kept for day, query in asked if day == number)
        assert (one.visits, one.hits, one.ratio) == (40, hits, hits / 40)
    assert hits_of_days(events, capacity, 2) == found[1:]


def test_the_first_day_of_a_later_log_is_asked_of_the_whole_one() -> None:
    events, asked = log(3)
    later, after = log(2, seed=1, first=3)
    found = hits_of_next_day(events, later, 100)
    known = {query for _, query in asked}
    assert found.day == date(2025, 1, 4)
    assert (found.visits, found.hits) == (40, sum(query in known for day, query in after if day == 3))


def test_a_larger_cache_never_answers_less() -> None:
    events, _ = log(5, seed=2)
    ratios = [[one.ratio for one in hits_of_days(events, capacity)] for capacity in (1, 2, 5, 20)]
    assert (np.diff(np.array(ratios), axis=0) >= 0).all()


def test_a_log_without_a_next_day() -> None:
    events, _ = log(1)
    with pytest.raises(UserError, match="give a log of two days"):
        hits_of_days(events, 5)
    with pytest.raises(UserError, match="The later log has no visit"):
        hits_of_next_day(events, events.slice(0, 0), 5)

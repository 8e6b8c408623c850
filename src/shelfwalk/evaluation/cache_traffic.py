"""How much of tomorrow's traffic a cache of today's frequent queries answers.

In: a search log, and perhaps a later one. Out: for each day the share of its visits whose query is among the most
frequent ones of all days before it. DSIRM (arXiv 2606.04374) tells 88 % for its cache, whose size and age it does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shelfwalk.data.asked_queries import asked_queries
from shelfwalk.errors import UserError
from shelfwalk.ranking.query_identifiers import cache_keys, most_frequent


@dataclass(frozen=True)
class DayHits:
    """The traffic of one day, and how much of it a cache of the days before answers."""

    day: date
    visits: int
    hits: int

    @property
    def ratio(self) -> float:
        """Hits over visits."""
        return self.hits / self.visits


def hits_of_days(events: pa.Table, capacity: int, days: int | None = None) -> tuple[DayHits, ...]:
    """Each day of the log but the first, or the last `days` of them: the cache knows all visits before that day.

    Raises UserError if the log has no second day.
    """
    visits = asked_queries(events)
    of_visits = pc.floor_temporal(visits["timestamp"], unit="day")
    different = pc.unique(of_visits).sort().to_pylist()
    if len(different) < 2:
        raise UserError("A cache needs a day to learn from and a next one to be asked on: give a log of two days.")
    asked = different[1:] if days is None else different[1:][-days:]
    found = []
    for moment in asked:
        before = visits.filter(pc.less(of_visits, moment))["user_query"]
        on_the_day = visits.filter(pc.equal(of_visits, moment))["user_query"]
        found.append(_hits(before, on_the_day, capacity, moment.date()))
    return tuple(found)


def hits_of_next_day(events: pa.Table, later: pa.Table, capacity: int) -> DayHits:
    """The first day of a later log, asked of a cache that knows the whole of `events`."""
    visits = asked_queries(later)
    if not visits.num_rows:
        raise UserError("The later log has no visit: nothing can be asked of a cache.")
    of_visits = pc.floor_temporal(visits["timestamp"], unit="day")
    first = pc.min(of_visits)
    on_the_day = visits.filter(pc.equal(of_visits, first))["user_query"]
    return _hits(asked_queries(events)["user_query"], on_the_day, capacity, first.as_py().date())


def _hits(before: pa.ChunkedArray, on_the_day: pa.ChunkedArray, capacity: int, day: date) -> DayHits:
    kept = pa.array(most_frequent(before, capacity), pa.string())
    hits = int(np.sum(pc.is_in(cache_keys(on_the_day), value_set=kept).to_numpy()))
    return DayHits(day, len(on_the_day), hits)

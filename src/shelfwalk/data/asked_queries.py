"""Visits of a search log: one query typed once, however many items were shown and clicked for it.

In: events. Out: one row a visit with its query and the moment it began.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

_VISIT = ["session_id", "query_id", "user_query"]


def asked_queries(events: pa.Table) -> pa.Table:
    """The queries of a log, one row a visit: user_query and timestamp (of the first event), in the order of time.

    Events of one visit share session, query_id and query; events without a query are of none.
    """
    asked = events.filter(pc.not_equal(pc.fill_null(events["user_query"], ""), ""))
    found = asked.select([*_VISIT, "timestamp"]).group_by(_VISIT).aggregate([("timestamp", "min")])
    named = pa.table({"user_query": found["user_query"], "timestamp": found["timestamp_min"]})
    return named.sort_by([("timestamp", "ascending"), ("user_query", "ascending")])

"""Which events of a search log belong to one search: one query typed once, however many items were shown for it.

In: events. Out: one row a search with its query and the moment it began.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

OF_ONE_SEARCH = ("session_id", "query_id", "user_query")
"""What the events of one search share."""


def has_query(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whether each text is a query: there, and more than white space; bool [texts]."""
    return pc.fill_null(pc.not_equal(pc.utf8_trim_whitespace(texts), ""), False)


def asked_queries(events: pa.Table) -> pa.Table:
    """The queries of a log, one row a search: user_query and timestamp (of the first event), in the order of time."""
    asked = events.filter(has_query(events["user_query"])).select([*OF_ONE_SEARCH, "timestamp"])
    found = asked.group_by(list(OF_ONE_SEARCH)).aggregate([("timestamp", "min")])
    named = pa.table({"user_query": found["user_query"], "timestamp": found["timestamp_min"]})
    return named.sort_by([("timestamp", "ascending"), ("user_query", "ascending")])

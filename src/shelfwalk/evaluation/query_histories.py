"""The histories of shoppers that queries come with, checked before anything is searched.

In: a table of queries, with the history columns of `PERSONAL_QUERIES` or without them. Out: one history a query, item
ids, most recent first; or the sentence that says which query has one that cannot be.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from shelfwalk.errors import UserError


def query_histories(queries: pa.Table, item_ids: pa.ChunkedArray) -> list[list[str]]:
    """The history of each query, empty where nothing is known.

    Raises UserError for a history that reaches to the moment of its query or beyond, and for an item that is not among
    `item_ids`.
    """
    if "history" not in queries.column_names:
        return [[] for _ in range(queries.num_rows)]
    if "history_at" in queries.column_names and "asked_at" in queries.column_names:
        _refuse_the_future(queries)
    _refuse_unknown_items(queries, item_ids)
    return [history or [] for history in queries["history"].to_pylist()]


def _refuse_the_future(queries: pa.Table) -> None:
    late = queries.filter(pc.greater_equal(queries["history_at"], queries["asked_at"]))
    if late.num_rows:
        query, asked, last = (late[name][0].as_py() for name in ("query_id", "asked_at", "history_at"))
        raise UserError(
            f"The history of query {query!r} lies in the future: its last event is of {last}, the query of {asked}; "
            "cut every history before the query that it is for."
        )


def _refuse_unknown_items(queries: pa.Table, item_ids: pa.ChunkedArray) -> None:
    history = queries["history"].combine_chunks()
    items, parents = pc.list_flatten(history), pc.list_parent_indices(history)
    unknown = pc.indices_nonzero(pc.invert(pc.is_in(items, value_set=item_ids.combine_chunks())))
    if len(unknown):
        place = unknown[0].as_py()
        query = queries["query_id"][parents[place].as_py()].as_py()
        raise UserError(
            f"The history of query {query!r} names an item that is not in the catalogue, {items[place].as_py()!r}: "
            "leave it out, or check that the ids are those of the items file."
        )

"""Training pairs of a query and an item, from whatever a shop has: judgements, a search log, or catalogue text.

In: tables of items, queries, judgements or events. Out: `QueryItemPairs`: distinct query texts, and rows of them beside
rows of the items table.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shelfwalk.data.asked_queries import has_query
from shelfwalk.errors import UserError

LOGGED_ACTIONS = ("click", "add_to_cart", "purchase")
"""The actions of a log that make a pair; an impression alone says nothing."""
_EVENTS_AT_A_TIME = 1 << 18


@dataclass(frozen=True)
class QueryItemPairs:
    """Pairs of a query and an item.

    `queries`: distinct texts. `query_rows` and `item_rows`, int32 [pairs]: the query and the item of each pair.
    """

    queries: tuple[str, ...]
    query_rows: npt.NDArray[np.int32]
    item_rows: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.query_rows)

    def take(self, rows: npt.NDArray[np.integer[Any]]) -> QueryItemPairs:
        """The pairs of these rows, with all queries."""
        return QueryItemPairs(self.queries, self.query_rows[rows], self.item_rows[rows])

    def where(self, chosen: npt.NDArray[np.bool_]) -> QueryItemPairs:
        """The chosen pairs, bool [pairs], with all queries."""
        return QueryItemPairs(self.queries, self.query_rows[chosen], self.item_rows[chosen])

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, int]]) -> QueryItemPairs:
        """Collect (query text, item row) pairs; queries stand in order of first appearance, repeated pairs stay."""
        row_of: dict[str, int] = {}
        rows = [(row_of.setdefault(query, len(row_of)), item) for query, item in pairs]
        table = np.array(rows, np.int32).reshape(-1, 2)
        return cls(tuple(row_of), table[:, 0].copy(), table[:, 1].copy())

    @classmethod
    def join(cls, parts: Iterable[QueryItemPairs]) -> QueryItemPairs:
        """Put pairs of several sources together, one after the other."""
        row_of: dict[str, int] = {}
        query_rows, item_rows = [np.empty(0, np.int32)], [np.empty(0, np.int32)]
        for part in parts:
            rows = np.array([row_of.setdefault(query, len(row_of)) for query in part.queries], np.int32)
            query_rows.append(rows[part.query_rows])
            item_rows.append(part.item_rows)
        return cls(tuple(row_of), np.concatenate(query_rows), np.concatenate(item_rows))


def pairs_from_judgements(
    items: pa.Table, queries: pa.Table, judgements: pa.Table, lowest_grade: int = 2
) -> QueryItemPairs:
    """Every judged pair with a grade of at least `lowest_grade`; raises UserError if there is none."""
    text_of = dict(zip(queries["query_id"].to_pylist(), queries["query"].to_pylist(), strict=True))
    row_of = _item_rows(items)
    columns = (judgements[name].to_pylist() for name in ("query_id", "item_id", "grade"))
    found = [
        (text_of[query], row_of[item])
        for query, item, grade in zip(*columns, strict=True)
        if grade >= lowest_grade and query in text_of and item in row_of
    ]
    if not found:
        raise UserError(
            f"No judgement of grade {lowest_grade} or more names a query and an item that are there: "
            "check that the ids of the judgements are those of the queries and items files."
        )
    return QueryItemPairs.of(found)


def pairs_from_events(items: pa.Table, events: pa.Table) -> QueryItemPairs:
    """Every click, cart and purchase with its query; raises UserError if the log has none for these items.

    The log is gone through in blocks: beside the different queries only two integers a pair are held.
    """
    item_ids, log = items["item_id"].combine_chunks(), events.select(["user_query", "object_id", "action_name"])
    starts = range(0, events.num_rows, _EVENTS_AT_A_TIME)
    pairs = QueryItemPairs.join(_logged_pairs(item_ids, log.slice(start, _EVENTS_AT_A_TIME)) for start in starts)
    if not len(pairs):
        raise leads_nowhere(events)
    return pairs


def leads_nowhere(events: pa.Table) -> UserError:
    """Why no event of a log leads from a query to an item of the catalogue."""
    named = f"{', '.join(LOGGED_ACTIONS[:-1])} or {LOGGED_ACTIONS[-1]}"
    acted = events.filter(pc.is_in(events["action_name"], value_set=pa.array(LOGGED_ACTIONS)))
    if not acted.num_rows:
        return UserError(f"The log has no {named}, and impressions alone teach nothing: give a log that has them.")
    if not pc.any(has_query(acted["user_query"])).as_py():
        return UserError(f"No {named} of the log has a query: check that user_query holds what was searched for.")
    return UserError(
        f"The log has no {named} with a query on an item of the catalogue: check that object_id holds the item ids of "
        "the items file."
    )


def _logged_pairs(item_ids: pa.Array, events: pa.Table) -> QueryItemPairs:
    """The pairs of some events of a log."""
    acted = pc.is_in(events["action_name"], value_set=pa.array(LOGGED_ACTIONS))
    found = events.filter(pc.and_(acted, has_query(events["user_query"])))
    rows = pc.index_in(found["object_id"], value_set=item_ids)
    asked = found["user_query"].filter(pc.is_valid(rows)).combine_chunks().dictionary_encode()
    item_rows = rows.drop_null().to_numpy().astype(np.int32, copy=False)
    return QueryItemPairs(tuple(asked.dictionary.to_pylist()), asked.indices.to_numpy(), item_rows)


def _item_rows(items: pa.Table) -> dict[str, int]:
    return {item: row for row, item in enumerate(items["item_id"].to_pylist())}

"""What a shopper had clicked, put in the cart or bought strictly before each search.

In: the catalogue and a search log in the columns of `EVENTS`. Out: `Visits`: every search that led to an item of the
catalogue, with those items and with the shopper's items from before it.

A visit is one search of one shopper at one time: the events that share client, session, query id and text, at the time
of the earliest of them. Its history holds the items of other events of the same client that are strictly earlier: none
of the visit's own, none of the same moment, none of another client. Events that belong to no query make no visit, but
what was bought in them is remembered. An event without a client is nobody's: it starts no history and has none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shelfwalk.data.asked_queries import OF_ONE_SEARCH, has_query
from shelfwalk.data.query_item_pairs import LOGGED_ACTIONS, leads_nowhere
from shelfwalk.data.recent_items import recent_items
from shelfwalk.data.tables import TIMESTAMP_TYPE
from shelfwalk.errors import UserError

Numbers = npt.NDArray[np.int64]
Targets = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.bool_]]

_VISIT = ("client_id", *OF_ONE_SEARCH)


@dataclass(frozen=True)
class Visits:
    """Searches that led to items, in the order of time, with what their shoppers had done before.

    `queries`: distinct texts. Of visits: `query_rows` int32 [visits], which query each asked; `histories` int32
    [visits, length], rows of the catalogue, all different, most recent first, -1 where there is none (at the end); `at`
    int64 [visits], microseconds since 1970; `history_at` int64 [visits], when the last event before was, the least
    int64 where there was none. Of targets, by visit: `visit_rows` and `item_rows` int32 [targets], the
    different items that a visit clicked, carted or bought; `bought` bool [targets].
    """

    queries: tuple[str, ...]
    query_rows: npt.NDArray[np.int32]
    histories: npt.NDArray[np.int32]
    visit_rows: npt.NDArray[np.int32]
    item_rows: npt.NDArray[np.int32]
    at: npt.NDArray[np.int64]
    history_at: npt.NDArray[np.int64]
    bought: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.query_rows)


def visits_of(items: pa.Table, events: pa.Table, length: int) -> Visits:
    """The visits of a log, each with at most `length` items of its shopper's history.

    Raises UserError where no event has a client, or none leads from a query to an item of the catalogue. Items that the
    catalogue no longer has are in neither histories nor targets.
    """
    chosen = _interactions(items, events)
    searched = chosen.filter(has_query(chosen["user_query"]))
    if not searched.num_rows:
        raise leads_nowhere(events)
    at, first_events, visit_of_event = _begun(events, searched)
    clients = pc.unique(chosen["client_id"])
    asked = searched.select(["client_id", "user_query"]).take(pa.array(first_events))
    histories, history_at = recent_items(
        _shoppers(asked["client_id"], clients),
        at,
        _shoppers(chosen["client_id"], clients),
        _microseconds(chosen),
        chosen["row"].to_numpy(),
        length,
    )
    query_rows, queries = _coded(asked["user_query"])
    targets = _targets(visit_of_event, searched["row"].to_numpy(), _bought(searched))
    rows = query_rows.astype(np.int32)
    return Visits(tuple(queries.to_pylist()), rows, histories, *targets[:2], at, history_at, targets[2])


def _interactions(items: pa.Table, events: pa.Table) -> pa.Table:
    """The events that say what a shopper wanted, on items of the catalogue, with the item's `row`."""
    refuse_anonymous(events)
    chosen = events.filter(pc.is_in(events["action_name"], value_set=pa.array(LOGGED_ACTIONS)))
    chosen = chosen.select(["timestamp", *_VISIT, "action_name", "object_id"])
    rows = pc.index_in(chosen["object_id"], value_set=items["item_id"].combine_chunks())
    return chosen.append_column("row", rows).filter(pc.is_valid(rows))


def refuse_anonymous(events: pa.Table) -> None:
    """Raise UserError for a log of which no event has a client: no history can be made from it."""
    if "client_id" not in events.column_names or not pc.any(pc.not_equal(events["client_id"], "")).as_py():
        raise UserError(
            "No event of the log has a client_id, so nothing is known of any shopper: name the column that tells "
            "shoppers apart, or take a recipe without shoppers' histories."
        )


def _begun(events: pa.Table, searched: pa.Table) -> tuple[Numbers, Numbers, Numbers]:
    """When each visit of `searched` began, int64 [visits], in the order of time; the first row of `searched` of each;
    and the visit of every row."""
    # Most of a log are pages without a click: only the sessions that had one are looked at again.
    related = pc.is_in(events["session_id"], value_set=pc.unique(searched["session_id"]))
    pages = events.filter(pc.and_(related, has_query(events["user_query"])))
    columns = ["timestamp", *_VISIT]
    both = pa.concat_tables([searched.select(columns), pages.select(columns)])
    numbers = _numbered(both)
    begun = np.full(numbers.max() + 1, np.iinfo(np.int64).max)
    np.minimum.at(begun, numbers, _microseconds(both))
    # Of the visits on the pages, those that led to an item.
    kept, first, visit = np.unique(numbers[: searched.num_rows], return_index=True, return_inverse=True)
    order = np.lexsort((first, begun[kept]))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return begun[kept][order], first[order], place[visit]


def _numbered(events: pa.Table) -> Numbers:
    """A number for each visit, by every event; the events of one visit share theirs."""
    numbers = np.zeros(events.num_rows, np.int64)
    for name in _VISIT:
        codes, values = _coded(events[name])
        # Numbered anew after each column: products of four large numbers would not fit.
        numbers = np.unique(numbers * len(values) + codes, return_inverse=True)[1]
    return numbers


def _targets(visits: Numbers, rows: npt.NDArray[np.int32], bought: npt.NDArray[np.bool_]) -> Targets:
    """The different items of each visit, and whether one of its events on them was a purchase."""
    pairs, place = np.unique(visits * (rows.max() + np.int64(1)) + rows, return_inverse=True)
    visit_rows, item_rows = np.divmod(pairs, rows.max() + np.int64(1))
    return visit_rows.astype(np.int32), item_rows.astype(np.int32), np.bincount(place, bought) > 0


def _shoppers(client_ids: pa.ChunkedArray, clients: pa.Array) -> Numbers:
    """The number of each client, -1 for none."""
    numbers = pc.index_in(client_ids, value_set=clients).to_numpy().astype(np.int64)
    known = pc.fill_null(pc.not_equal(client_ids, ""), False).to_numpy()
    return np.where(known, numbers, -1)


def _coded(texts: pa.ChunkedArray) -> tuple[Numbers, pa.Array]:
    """A number for each different text, by every row, and these texts; they stand in the order of first appearance."""
    values = pc.unique(texts)
    return pc.index_in(texts, value_set=values).to_numpy().astype(np.int64), values


def _bought(events: pa.Table) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = pc.equal(events["action_name"], "purchase").to_numpy()
    return found


def _microseconds(events: pa.Table) -> Numbers:
    return np.asarray(events["timestamp"].cast(TIMESTAMP_TYPE).cast(pa.int64()).to_numpy())

"""The search log: what was shown and what came of it, in UBI columns, streamed to Parquet.

In: visits, pages and responses, a chunk at a time. Out: a row for every item shown, clicked, put in the cart and
bought; the rows of a visit stand together in the order of time, visits in the order of their start. `ordinal` is the
place on the page, from 1; `price` is what was paid and null in other rows than purchases.

Moments inside a visit are our own choice: seconds to reach a place, to look at an item, to pay, faster or slower by
visit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from shelfwalk.data.tables import ACTIONS, EVENTS
from shelfwalk.market.clicks import Responses
from shelfwalk.market.logging_policy import Shown
from shelfwalk.market.needs import Visits

LOG = EVENTS.append(pa.field("price", pa.float64()))
"""The schema of a log."""
EXPOSURES = pa.schema(
    [
        ("query_id", pa.string()),
        ("timestamp", EVENTS.field("timestamp").type),
        ("explored", pa.bool_()),
        ("items", pa.list_(pa.int32())),
        ("propensities", pa.list_(pa.float32())),
    ]
)
"""One row a visit: its page as rows of the catalogue, and the chance that the policy had to show each item there."""

CHUNK = 20_000
"""Visits of a row group."""

_SECOND = 1_000_000
_TO_A_PLACE = 1.5
_ON_AN_ITEM = 30.0
_TO_THE_CART = 12.0
_TO_PAY = 60.0
_PACE_SPREAD = 0.5


@dataclass(frozen=True)
class Moments:
    """When things happen, int64 microseconds since 1970: `start` [visits]; `click`, `cart`, `purchase` [visits,
    places]."""

    start: npt.NDArray[np.int64]
    click: npt.NDArray[np.int64]
    cart: npt.NDArray[np.int64]
    purchase: npt.NDArray[np.int64]


class ParquetStream:
    """A Parquet file that is written a row group at a time."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(path, schema, compression="zstd")
        self.rows = 0

    def write(self, table: pa.Table) -> None:
        """Append the rows of a table as one row group; an empty one adds nothing."""
        if len(table):
            self._writer.write_table(table, row_group_size=len(table))
            self.rows += len(table)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()


def moments(at: npt.NDArray[np.int64], responses: Responses, until: int, random: np.random.Generator) -> Moments:
    """Place what happened on the clock: down the page, each click after those above it, purchases at the end.

    A visit that reaches `until` (microseconds since 1970) has its last moment there, so that no part of a log holds
    what happened after it.
    """
    pace = random.lognormal(0.0, _PACE_SPREAD, (len(at), 1))
    places = np.arange(responses.clicked.shape[1])
    looked: npt.NDArray[np.int64] = np.cumsum(responses.clicked, axis=1) - responses.clicked
    click = _TO_A_PLACE * (places + 1) + _ON_AN_ITEM * looked
    last = np.where(responses.clicked, click, 0).max(axis=1, initial=0, keepdims=True)
    purchase = np.broadcast_to(last + _ON_AN_ITEM + _TO_PAY, click.shape)

    def clock(seconds: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.int64]:
        return np.minimum(at[:, None] + (pace * seconds * _SECOND).astype(np.int64), until - 1)

    return Moments(at, clock(click), clock(click + _TO_THE_CART), clock(purchase))


def visit_ids(first: int, count: int) -> tuple[pa.Array, pa.Array]:
    """The query ids and session ids of the visits from number `first` on."""
    numbers = range(first, first + count)
    return pa.array([f"q{number:08d}" for number in numbers]), pa.array([f"s{number:08d}" for number in numbers])


def shopper_ids(rows: npt.NDArray[np.int32]) -> pa.Array:
    """The client ids of shoppers."""
    return pa.array([f"c{row:07d}" for row in rows.tolist()])


def events_of(
    visits: Visits, first: int, pages: npt.NDArray[np.int64], responses: Responses, when: Moments, item_ids: pa.Array
) -> pa.Table:
    """Return the LOG rows of a chunk of visits, of which the first has the number `first`.

    `pages` int64 [visits, places]: rows of `item_ids`, -1 where nothing was shown.
    """
    happened: Sequence[tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]] = (
        (pages >= 0, np.broadcast_to(when.start[:, None], pages.shape)),
        (responses.clicked, when.click),
        (responses.added_to_cart, when.cart),
        (responses.purchased, when.purchase),
    )
    cells = [np.flatnonzero(mask) for mask, _ in happened]
    cell = np.concatenate(cells)
    action = np.repeat(np.arange(len(ACTIONS)), [len(part) for part in cells])
    time = np.concatenate([moment.reshape(-1)[part] for (_, moment), part in zip(happened, cells, strict=True)])
    visit, place = np.divmod(cell, pages.shape[1])
    order = np.lexsort((place, action, time, visit))
    return _rows(visits, first, responses, pages, item_ids, *(part[order] for part in (visit, place, action, time)))


def _rows(
    visits: Visits,
    first: int,
    responses: Responses,
    pages: npt.NDArray[np.int64],
    item_ids: pa.Array,
    visit: npt.NDArray[np.int64],
    place: npt.NDArray[np.int64],
    action: npt.NDArray[np.int64],
    time: npt.NDArray[np.int64],
) -> pa.Table:
    queries, sessions = visit_ids(first, len(visits))
    of_visit = pa.array(visit)
    bought = action == ACTIONS.index("purchase")
    paid = np.round(responses.paid[visit, place].astype(np.float64), 2)
    columns: dict[str, Any] = {
        "timestamp": pa.array(time).cast(LOG.field("timestamp").type),
        "session_id": sessions.take(of_visit),
        "client_id": shopper_ids(visits.shopper).take(of_visit),
        "query_id": queries.take(of_visit),
        "user_query": pa.array(visits.queries, pa.string()).take(of_visit),
        "action_name": pa.array(ACTIONS).take(pa.array(action)),
        "object_id": item_ids.take(pa.array(pages[visit, place])),
        "ordinal": pa.array((place + 1).astype(np.int32)),
        "price": pa.array(paid, mask=~bought),
    }
    return pa.table([columns[name] for name in LOG.names], schema=LOG)


def exposures_of(visits: Visits, first: int, shown: Shown) -> pa.Table:
    """Return the EXPOSURES rows of a chunk of visits, of which the first has the number `first`."""
    filled = shown.pages >= 0
    offsets = pa.array(np.concatenate(([0], np.cumsum(filled.sum(axis=1)))).astype(np.int32))
    columns = [
        visit_ids(first, len(visits))[0],
        pa.array(visits.at).cast(EXPOSURES.field("timestamp").type),
        pa.array(shown.explored),
        pa.ListArray.from_arrays(offsets, pa.array(shown.pages[filled].astype(np.int32))),
        pa.ListArray.from_arrays(offsets, pa.array(shown.propensity[filled])),
    ]
    return pa.table(columns, schema=EXPOSURES)

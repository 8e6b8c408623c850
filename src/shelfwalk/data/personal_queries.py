"""Queries for a personalised evaluation: searches of a simulated market after the split, each with its shopper's past.

In: the folder of a market, as `shelfwalk market` writes it. Out: a `Dataset` whose queries are `PERSONAL_QUERIES`, one
a visit, with the items that the shopper had wanted strictly before it, in the log and after the split; judgements are
what the visit itself led to: 1 for a click or a cart, 2 for a purchase. The log to train on is the one before the
split. A system that knows nothing of shoppers is measured on the very same visits.

Only visits that led to an item, of shoppers with a past, are drawn. A shopper may return to an item: it is then in the
history and right as well, and how often that happens is noted.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shelfwalk.data.adapter import Dataset, LayoutFile, read_layout
from shelfwalk.data.asked_queries import asked_queries
from shelfwalk.data.histories import Visits, visits_of
from shelfwalk.data.recent_items import NEVER
from shelfwalk.data.simulated_market import open_simulated_market
from shelfwalk.data.tables import EVENT_CONTRACT, JUDGEMENTS, PERSONAL_QUERIES, TIMESTAMP_TYPE
from shelfwalk.errors import UserError

Numbers = npt.NDArray[np.int64]

LATER_EVENTS = "truth/later_events.parquet"
LONGEST_HISTORY = 50
CLICKED, BOUGHT = 1, 2


def personal_queries(folder: Path, visits: int = 2_000, seed: int = 0, length: int = LONGEST_HISTORY) -> Dataset:
    """Draw `visits` visits after the split, evenly; the same arguments give the same ones, in the order of time.

    `length`: the most items of a history. Raises UserError where the folder holds no market with visits after the
    split, and for fewer than one visit.
    """
    if visits < 1:
        raise UserError(f"{visits} visits were asked for: ask for at least 1.")
    market, later = _market_and_later_events(folder)
    logs = [later] if market.events is None else [market.events, later]
    found = visits_of(market.items, pa.concat_tables(logs), length)
    split = pc.min(later["timestamp"]).cast(pa.int64()).as_py()
    after = found.at >= split
    able = np.flatnonzero(after & (found.history_at > NEVER))
    if not len(able):
        raise UserError(f"No visit of {folder} after the split is of a shopper with a past: simulate more sessions.")
    drawn = np.sort(np.random.default_rng(seed).choice(able, min(visits, len(able)), replace=False))
    note = (
        f"{len(drawn):,} of {len(able):,} visits after the split that led to an item and whose shopper has a past; "
        f"{after.sum() - len(able):,} others without a past are left out. {_returns(found, drawn):.0%} of the right "
        "items are in the history as well."
    )
    return replace(
        market,
        name=f"{market.name}-visits",
        queries=_queries(found, drawn, market),
        judgements=_judgements(found, drawn, market.items),
        relevant_grade=CLICKED,
        notes=(*market.notes, note),
    )


def _market_and_later_events(folder: Path) -> tuple[Dataset, pa.Table]:
    path = folder / LATER_EVENTS
    if not (folder / "market.json").is_file() or not path.is_file() or not pq.read_metadata(path).num_rows:
        raise UserError(f"{folder} is no simulated market with visits after its split: make one with shelfwalk market.")
    file = LayoutFile(path, {name: name for name in EVENT_CONTRACT.schema.names})
    return open_simulated_market(folder), read_layout(file, EVENT_CONTRACT, None)[0]


def _queries(found: Visits, drawn: Numbers, market: Dataset) -> pa.Table:
    texts = pa.array(found.queries, pa.string()).take(pa.array(found.query_rows[drawn]))
    frequency = _asked_before(texts, market.events)
    known = {
        "query_id": _query_ids(drawn),
        "query": texts,
        "frequency": frequency.astype(np.float64),
        "seen": frequency > 0,
        "asked_at": pa.array(found.at[drawn]).cast(TIMESTAMP_TYPE),
        "history": _lists(found.histories[drawn], market.items["item_id"].combine_chunks()),
        "history_at": pa.array(found.history_at[drawn]).cast(TIMESTAMP_TYPE),
    }
    unknown = {field.name: pa.nulls(len(drawn), field.type) for field in PERSONAL_QUERIES if field.name not in known}
    return pa.table({name: {**known, **unknown}[name] for name in PERSONAL_QUERIES.names}, schema=PERSONAL_QUERIES)


def _judgements(found: Visits, drawn: Numbers, items: pa.Table) -> pa.Table:
    judged = np.isin(found.visit_rows, drawn)
    columns = (
        _query_ids(found.visit_rows[judged]),
        items["item_id"].combine_chunks().take(pa.array(found.item_rows[judged])),
        np.where(found.bought[judged], BOUGHT, CLICKED).astype(np.int32),
    )
    return pa.table(columns, schema=JUDGEMENTS)


def _query_ids(visits: npt.NDArray[np.integer[Any]]) -> pa.Array:
    """Visits are numbered in the whole log, so that another draw gives the same visit the same id."""
    return pa.array([f"v{visit:08d}" for visit in visits.tolist()], pa.string())


def _asked_before(texts: pa.Array, events: pa.Table | None) -> Numbers:
    """In how many searches of the log each text was asked, int64 [texts]."""
    if events is None:
        return np.zeros(len(texts), np.int64)
    counted = asked_queries(events).group_by("user_query").aggregate([([], "count_all")])
    places = pc.index_in(texts, value_set=counted["user_query"].combine_chunks())
    return np.asarray(pc.fill_null(counted["count_all"].combine_chunks().take(places), 0).to_numpy(), np.int64)


def _lists(rows: npt.NDArray[np.int32], item_ids: pa.Array) -> pa.Array:
    """Rows of the catalogue, int32 [lists, length] padded at the end with -1, as lists of ids."""
    filled = rows >= 0
    offsets = np.concatenate(([0], np.cumsum(filled.sum(axis=1)))).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), item_ids.take(pa.array(rows[filled])))


def _returns(found: Visits, drawn: Numbers) -> float:
    """The share of the right items of these visits that their shoppers had wanted before."""
    judged = np.isin(found.visit_rows, drawn)
    histories = found.histories[found.visit_rows[judged]]
    return float((histories == found.item_rows[judged, None]).any(axis=1).mean())

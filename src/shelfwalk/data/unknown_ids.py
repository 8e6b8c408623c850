"""What judgements and a log say of items and queries that are not there, in a sentence each.

In: the tables. Out: sentences for whoever brought them, none where all is there. A log goes on naming products that a
shop no longer sells, so this is told and not refused: only where nothing else is there, whoever learns from it refuses.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from shelfwalk.data.query_item_pairs import LOGGED_ACTIONS


def notes_on_judgements(items: pa.Table, queries: pa.Table, judgements: pa.Table) -> tuple[str, ...]:
    """Judgements that name an item or a query which is not there."""
    known_item = _is_in(judgements["item_id"], items["item_id"])
    known_query = _is_in(judgements["query_id"], queries["query_id"])
    unknown = judgements.filter(pc.invert(pc.and_(known_item, known_query)))
    if not unknown.num_rows:
        return ()
    first = unknown.slice(0, 1).to_pylist()[0]
    return (
        f"{unknown.num_rows:,} of {judgements.num_rows:,} judgements are of an item or a query that is not there; the"
        f' first has query "{first["query_id"]}" and item "{first["item_id"]}".',
    )


def notes_on_events(items: pa.Table, events: pa.Table) -> tuple[str, ...]:
    """Clicks, carts and purchases on an item that the catalogue does not have."""
    chosen = events.filter(pc.is_in(events["action_name"], pa.array(LOGGED_ACTIONS)))
    unknown = chosen.filter(pc.invert(_is_in(chosen["object_id"], items["item_id"])))
    if not unknown.num_rows:
        return ()
    return (
        f"{unknown.num_rows:,} of the log's {chosen.num_rows:,} clicks, carts and purchases are on an item that the"
        f' catalogue does not have; the first is on "{unknown["object_id"][0].as_py()}".',
    )


def _is_in(ids: pa.ChunkedArray, known: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.is_in(ids, known.combine_chunks())

"""The layout of a simulated market, as `shelfwalk market` writes it.

In: a folder with market.json, items.parquet, events.parquet (the log before the split in time) and, under truth/,
queries.parquet and judgements.parquet. Out: a `Dataset` whose queries are `EVALUATION_QUERIES`, those of visits after
the split, and whose first note says that all of it is simulated.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from shelfwalk.data.adapter import Dataset, LayoutFile, read_layout
from shelfwalk.data.raw_files import column_names
from shelfwalk.data.tables import (
    EVALUATION_QUERY_CONTRACT,
    EVENT_CONTRACT,
    ITEM_CONTRACT,
    JUDGEMENT_CONTRACT,
    Contract,
)
from shelfwalk.errors import UserError

FILES = ("market.json",)


def open_simulated_market(folder: Path, bad_rows_folder: Path | None = None) -> Dataset:
    """Open a folder in this layout; a table without rows, as of a market without sessions, is None.

    Bad rows are refused, or set aside if there is a folder for them.
    """
    notes = [_what_it_is(folder / "market.json")]

    def read(name: str, contract: Contract) -> pa.Table:
        path = folder / name
        # The names are asked first, because they tell of a missing or broken file in a sentence.
        if column_names(path) and not pq.read_metadata(path).num_rows:
            return None
        file = LayoutFile(path, {column: column for column in contract.schema.names})
        table, found = read_layout(file, contract, bad_rows_folder)
        notes.extend(f"{name}: {note}" for note in found)
        return table

    items = read("items.parquet", ITEM_CONTRACT)
    queries = read("truth/queries.parquet", EVALUATION_QUERY_CONTRACT)
    judgements = read("truth/judgements.parquet", JUDGEMENT_CONTRACT)
    events = read("events.parquet", EVENT_CONTRACT)
    return Dataset(folder.resolve().name, items, queries, judgements, events, tuple(notes))


def _what_it_is(path: Path) -> str:
    try:
        content: Any = json.loads(path.read_bytes())
        return f"A simulated market, {content['name'] or content['hash']}: no shopper and no sale in it is real."
    except (ValueError, TypeError, KeyError):
        raise UserError(f"{path} does not describe a simulated market: make the market again.") from None

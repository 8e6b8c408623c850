"""The layout of a simulated market, as `shelfwalk market` writes it.

In: a folder with market.json, items.parquet, events.parquet (the log before the split in time) and, under truth/,
queries.parquet, judgements.parquet and when each item appears. Out: a `Dataset` whose queries are `EVALUATION_QUERIES`,
those of visits after the split, whose cold items are those that appear after it, and whose first note says that all of
it is simulated.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
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
APPEARANCES = "truth/item_features/appears.npy"
"""When each item of items.parquet appears, in its order."""


def open_simulated_market(folder: Path, bad_rows_folder: Path | None = None) -> Dataset:
    """Open a folder in this layout; a table without rows, as of a market without sessions, is None.

    Bad rows are refused, or set aside if there is a folder for them.
    """
    name, cold_count = _manifest(folder / "market.json")
    notes = [f"A simulated market, {name}: no shopper and no sale in it is real."]

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
    cold = _cold_items(folder / APPEARANCES, items, cold_count)
    return Dataset(folder.resolve().name, items, queries, judgements, events, tuple(notes), cold_items=cold)


def _cold_items(path: Path, items: pa.Table | None, count: int) -> frozenset[str] | None:
    """The `count` items that appear last: the manifest counts all that appear after the split, and not when that is.

    None where times are missing, or where rows that were set aside leave no telling whose they are.
    """
    if items is None or not path.is_file():
        return None
    try:
        appears = np.load(path)
    except (OSError, ValueError):
        raise UserError(f"{path} does not hold when the items appear: make the market again.") from None
    if len(appears) != items.num_rows:
        return None
    last = np.argsort(appears, kind="stable")[len(appears) - count :]
    return frozenset(items["item_id"].take(pa.array(last)).to_pylist())


def _manifest(path: Path) -> tuple[str, int]:
    """The market's name, its hash where it has none, and how many items appear after the split."""
    try:
        content: Any = json.loads(path.read_bytes())
        return str(content["name"] or content["hash"]), int(content["counts"]["cold_items"])
    except (ValueError, TypeError, KeyError):
        raise UserError(f"{path} does not describe a simulated market: make the market again.") from None

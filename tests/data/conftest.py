"""Writing small tables in every file format that the readers know."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shelfwalk.data.tables import ITEMS

Rows = Sequence[Mapping[str, Any]]
# Columns whose type Arrow could not tell from a few values, all of which may be None.
TYPES = {name: ITEMS.field(name).type for name in ("category", "attributes", "price", "popularity")}


def write_delimited(path: Path, rows: Rows, delimiter: str = ",") -> Path:
    with path.open("w", encoding="utf-8", newline="") as text:
        writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows({name: delimited_cell(name, value) for name, value in row.items()} for row in rows)
    return path


def delimited_cell(name: str, value: Any) -> Any:
    if name == "category" and value is not None:
        return " > ".join(value)
    if name == "attributes" and value is not None:
        return json.dumps(value)
    return value


def write_json_lines(path: Path, rows: Rows) -> Path:
    path.write_text("".join(json.dumps(dict(row)) + "\n" for row in rows), encoding="utf-8")
    return path


def write_parquet(path: Path, rows: Rows) -> Path:
    columns = {}
    for name in rows[0]:
        values = [row[name] for row in rows]
        if name == "attributes":
            values = [None if value is None else list(value.items()) for value in values]
        columns[name] = pa.array(values, TYPES.get(name))
    pq.write_table(pa.table(columns), path)
    return path


@pytest.fixture
def write() -> Callable[[Path, Rows], Path]:
    """Write rows in the format of the path's suffix."""

    def write_rows(path: Path, rows: Rows) -> Path:
        if path.suffix == ".tsv":
            return write_delimited(path, rows, "\t")
        writers = {".csv": write_delimited, ".jsonl": write_json_lines, ".ndjson": write_json_lines}
        return writers.get(path.suffix, write_parquet)(path, rows)

    return write_rows

"""Reading CSV, TSV, JSONL and Parquet files as blocks of raw columns, a bounded number of rows at a time.

In: a path, and which columns of the file stand for which of ours. Out: the names of all columns of the file, and an
iterator of `Block`s (validation.py) that coerces nothing yet. CSV and TSV columns come as bytes, so that broken UTF-8
becomes the fault of its row and not of the file.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from shelfwalk.data.json_lines import json_line_blocks, json_line_columns
from shelfwalk.data.validation import Block, Fault
from shelfwalk.errors import UserError

_CSV_BLOCK_BYTES = 1 << 24
_PARQUET_BLOCK_ROWS = 1 << 16
_CHUNK_BYTES = 1 << 20

# From our column name to the file's.
ColumnNames = Mapping[str, str]


def column_names(path: Path, delimiter: str | None = None) -> list[str]:
    """Names of the columns of a file, in file order; `delimiter` overrides what the suffix says.

    Raises UserError for a file that is missing, empty, unreadable or of an unknown kind.
    """
    return _kind(path, delimiter)[0](path)


def blocks(path: Path, columns: ColumnNames, delimiter: str | None = None) -> Iterator[Block]:
    """The rows of a file in blocks, with the columns asked for under our names."""
    return _kind(path, delimiter)[1](path, columns)


_Kind = tuple[Callable[[Path], list[str]], Callable[[Path, ColumnNames], Iterator[Block]]]


def _kind(path: Path, delimiter: str | None) -> _Kind:
    if not path.is_file():
        raise UserError(f"There is no file {path}.")
    if path.stat().st_size == 0:
        raise UserError(f"{path} is empty: it has no rows and no columns.")
    separator = delimiter or {".csv": ",", ".tsv": "\t"}.get(path.suffix.lower())
    if separator:
        return (lambda p: _header(p, separator)), (lambda p, columns: _delimited_blocks(p, columns, separator))
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        return json_line_columns, json_line_blocks
    if path.suffix.lower() == ".parquet":
        return _parquet_columns, _parquet_blocks
    raise UserError(f"{path} is of no known kind: give a .csv, .tsv, .jsonl, .ndjson or .parquet file.")


def _header(path: Path, delimiter: str) -> list[str]:
    # The text is read ahead of the header line, so broken UTF-8 must not raise before the header is looked at.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as text:
        try:
            names = next(csv.reader(text, delimiter=delimiter), [])
        except csv.Error as problem:
            raise UserError(f"{path}: the header line cannot be read ({problem}).") from None
    if any("\udc80" <= letter <= "\udcff" for name in names for letter in name):
        raise UserError(f"{path}: the header line is not valid UTF-8.")
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise UserError(f"{path} has two columns named '{repeated[0]}'; rename one of them.")
    return names


def _refuse_open_quote(path: Path, delimiter: str) -> None:
    """Raise UserError where a quotation mark is never closed: Arrow would take all that follows as one cell."""
    with path.open("rb") as raw:
        marks = sum(chunk.count(b'"') for chunk in iter(lambda: raw.read(_CHUNK_BYTES), b""))
    if marks % 2 == 0:
        return
    with path.open(encoding="utf-8", errors="replace", newline="") as text:
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        line = 1
        try:
            for _ in reader:
                line = reader.line_num + 1
        except csv.Error:
            raise UserError(f"{path}: a quotation mark in line {line} is never closed.") from None


def _delimited_blocks(path: Path, columns: ColumnNames, delimiter: str) -> Iterator[Block]:
    _refuse_open_quote(path, delimiter)
    broken: dict[int, tuple[str, str]] = {}

    def set_aside(row: pyarrow.csv.InvalidRow) -> str:
        reason = f"has {row.actual_columns} cells where the header has {row.expected_columns}"
        broken[row.number - 1] = (reason, row.text)
        return "skip"

    wanted = sorted(set(columns.values()))
    reader = pyarrow.csv.open_csv(
        path,
        # Threads would cost the row numbers of broken rows.
        read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=_CSV_BLOCK_BYTES),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=delimiter, newlines_in_values=True, invalid_row_handler=set_aside
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(wanted, pa.binary()), include_columns=wanted, strings_can_be_null=False
        ),
    )
    next_row = 1
    try:
        for batch in reader:
            rows, next_row = _numbered(batch.num_rows, next_row, broken)
            yield Block(_picked(batch, columns), rows)
    except pa.ArrowInvalid as problem:
        raise UserError(f"{path} cannot be read as delimited text: {problem}.") from None
    if broken:
        faults = tuple(Fault(row, "", reason) for row, (reason, _) in sorted(broken.items()))
        empty = {ours: pa.array([], pa.binary()) for ours in columns}
        texts = {row: text for row, (_, text) in broken.items()}
        yield Block(empty, np.array([], dtype=np.int64), faults, texts)


def _numbered(count: int, next_row: int, broken: Mapping[int, object]) -> tuple[NDArray[np.int64], int]:
    """Row numbers of the next `count` good rows, passing over the broken ones, and the number that follows."""
    candidates = np.arange(next_row, next_row + count + len(broken))
    rows = candidates[~np.isin(candidates, list(broken))][:count] if broken else candidates
    return rows, int(rows[-1]) + 1 if count else next_row


def _picked(batch: pa.RecordBatch, columns: ColumnNames) -> dict[str, pa.Array]:
    return {ours: batch.column(theirs) for ours, theirs in columns.items()}


@contextmanager
def _parquet_file(path: Path) -> Iterator[pq.ParquetFile]:
    """The opened file; damage that shows while it is open is a UserError as well."""
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowInvalid, OSError) as problem:
        # Arrow tells of damage by an OSError too; one of the system's, as for want of permission, has a number.
        if isinstance(problem, OSError) and problem.errno is not None:
            raise OSError(problem.errno, os.strerror(problem.errno), str(path)) from None
        raise UserError(f"{path} is not a Parquet file, or it is damaged: write it anew.") from None


def _parquet_columns(path: Path) -> list[str]:
    with _parquet_file(path) as file:
        return list(file.schema_arrow.names)


def _parquet_blocks(path: Path, columns: ColumnNames) -> Iterator[Block]:
    wanted = sorted(set(columns.values()))
    next_row = 1
    with _parquet_file(path) as file:
        for batch in file.iter_batches(_PARQUET_BLOCK_ROWS, columns=wanted):
            rows = np.arange(next_row, next_row + batch.num_rows)
            next_row += batch.num_rows
            yield Block(_picked(batch, columns), rows)

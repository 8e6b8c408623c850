"""The door: raw blocks of rows become one table that keeps its contract, or the bad row is named.

In: blocks of raw columns with the row number of each row. Out: an Arrow table in the schema of the contract. A bad row
raises a `UserError` with file, row (the first data row is 1), column and reason; or, if the caller sets bad rows aside,
it goes to `<file name>.bad-rows.jsonl` with its raw values and is counted.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shelfwalk.data import coercion, nested_coercion
from shelfwalk.data.tables import ACTIONS, ATTRIBUTES_TYPE, CATEGORY_TYPE, TIMESTAMP_TYPE, Contract
from shelfwalk.errors import UserError

_COERCIONS: Mapping[pa.DataType, Callable[[pa.Array], coercion.Coerced]] = {
    pa.string(): coercion.as_text,
    pa.float64(): coercion.as_number,
    pa.int32(): coercion.as_whole,
    pa.bool_(): coercion.as_flag,
    TIMESTAMP_TYPE: coercion.as_time,
    CATEGORY_TYPE: nested_coercion.as_category,
    ATTRIBUTES_TYPE: nested_coercion.as_attributes,
}


@dataclass(frozen=True)
class Fault:
    """What is wrong with one row; `column` is "" where the row as a whole is broken."""

    row: int
    column: str
    reason: str


@dataclass(frozen=True)
class Block:
    """Some rows of a file: raw columns under our names, int64 row numbers, and rows already known to be bad.

    A fault may name a row that is not among the columns, one that could not be parsed at all: `broken_rows` has its
    text.
    """

    columns: Mapping[str, pa.Array]
    rows: NDArray[np.int64]
    faults: tuple[Fault, ...] = ()
    broken_rows: Mapping[int, str] = field(default_factory=dict)


class BadRows:
    """Where bad rows go: to a UserError, or counted into the side file, which is made for the first of them."""

    def __init__(self, source: str, side_file: Path | None) -> None:
        self.count = 0
        self._source = source
        self._side_file = side_file
        self._text: TextIO | None = None

    def add(self, fault: Fault, values: Mapping[str, Any]) -> None:
        """Set a bad row aside with its raw values, or raise UserError if that is not wanted."""
        column = f", column '{fault.column}'" if fault.column else ""
        if self._side_file is None:
            raise UserError(
                f"{self._source}, row {fault.row}{column}: {fault.reason}; correct the row, or set bad rows aside"
                " with --skip-bad-rows."
            )
        if self._text is None:
            self._side_file.parent.mkdir(parents=True, exist_ok=True)
            self._text = self._side_file.open("w", encoding="utf-8")
        entry = {"file": self._source, "row": fault.row, "column": fault.column, "reason": fault.reason}
        json.dump(entry | {"values": values}, self._text, ensure_ascii=False, default=_printable)
        self._text.write("\n")
        self.count += 1

    def close(self) -> None:
        """Put what was written on the disk."""
        if self._text is not None and not self._text.closed:
            self._text.flush()
            os.fsync(self._text.fileno())
            self._text.close()


def _printable(value: Any) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


@contextmanager
def bad_rows_of(source: Path, folder: Path | None) -> Iterator[BadRows]:
    """Collect the bad rows of one file into `folder`, written whole at the end if there are any; None refuses them."""
    if folder is None:
        yield BadRows(str(source), None)
        return
    final = bad_rows_path(source, folder)
    partial = final.with_name(f"{final.name}.{os.getpid()}.partial")
    try:
        with closing(BadRows(str(source), partial)) as bad_rows:
            yield bad_rows
        if bad_rows.count:
            partial.replace(final)
        else:
            final.unlink(missing_ok=True)
    finally:
        partial.unlink(missing_ok=True)


def bad_rows_path(source: Path, folder: Path) -> Path:
    """The side file for the bad rows of a source file."""
    return folder / f"{source.name}.bad-rows.jsonl"


def set_aside(count: int, side_file: Path) -> str:
    """The sentence on bad rows that went to a side file."""
    return f"{count} bad {'row was' if count == 1 else 'rows were'} set aside into {side_file}."


def conform(blocks: Iterable[Block], contract: Contract, source: str, bad_rows: BadRows) -> pa.Table:
    """Check the blocks of one file and join them into a table in the contract's schema, in file order.

    Raises UserError for a bad row (see `BadRows`), a column of a wrong type, and where no row is left.
    """
    batches, row_numbers = [], []
    for block in blocks:
        batch, faults = _checked(block, contract, source)
        batch, kept = _without_bad_rows(batch, block, faults, bad_rows)
        batches.append(batch)
        row_numbers.append(kept)
    table = pa.Table.from_batches(batches, contract.schema)
    if contract.unique and table.num_rows:
        table = _without_repeats(table, np.concatenate(row_numbers), contract, bad_rows)
    if not table.num_rows:
        raise UserError(f"{source} has no {'good ' if bad_rows.count else ''}rows, so there are no {contract.name}.")
    return table


def _checked(block: Block, contract: Contract, source: str) -> tuple[pa.RecordBatch, list[Fault]]:
    """Coerce every column, fill defaults, collect the faults."""
    faults = list(block.faults)
    arrays = []
    for column in contract.schema:
        values, bad = _coerced(block, column, source)
        if column.name in contract.not_blank:
            bad += _blank(values, {position for position, _ in bad})
        elif column.name in contract.obligatory:
            bad += _missing(values, {position for position, _ in bad})
        if column.name == "action_name":
            bad += _unknown_actions(values)
        faults += [Fault(int(block.rows[position]), column.name, reason) for position, reason in bad]
        arrays.append(_with_default(values, contract.defaults.get(column.name)))
    return pa.RecordBatch.from_arrays(arrays, schema=contract.schema), faults


def _coerced(block: Block, column: pa.Field, source: str) -> coercion.Coerced:
    raw = block.columns.get(column.name)
    if raw is None:
        return pa.nulls(len(block.rows), column.type), []
    try:
        return _COERCIONS[column.type](raw)
    except coercion.WrongColumnTypeError as problem:
        raise UserError(
            f"{source}: the column for '{column.name}' {problem}: convert it to {problem.wanted}, or name another one."
        ) from None


def _blank(values: pa.Array, already_bad: set[int]) -> coercion.BadCells:
    blank = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(values), ""), True)
    return [(int(position), "is empty") for position in coercion.positions(blank) if position not in already_bad]


def _missing(values: pa.Array, already_bad: set[int]) -> coercion.BadCells:
    missing = coercion.positions(pc.is_null(values))
    return [(int(position), "is empty") for position in missing if position not in already_bad]


def _unknown_actions(values: pa.Array) -> coercion.BadCells:
    unknown = pc.and_(pc.not_equal(pc.utf8_trim_whitespace(values), ""), pc.invert(pc.is_in(values, pa.array(ACTIONS))))
    return [
        (int(position), f"{coercion.shown(values[int(position)].as_py())} is none of {', '.join(ACTIONS)}")
        for position in coercion.positions(pc.fill_null(unknown, False))
    ]


def _with_default(values: pa.Array, default: object) -> pa.Array:
    if default is None or not values.null_count:
        return values
    return pc.if_else(pc.is_null(values), pa.scalar(default, values.type), values)


def _without_bad_rows(
    batch: pa.RecordBatch, block: Block, faults: list[Fault], bad_rows: BadRows
) -> tuple[pa.RecordBatch, NDArray[np.int64]]:
    """Hand over the first fault of every bad row, in row order; return the other rows and their numbers."""
    first: dict[int, Fault] = {}
    for fault in faults:
        first.setdefault(fault.row, fault)
    for row, fault in sorted(first.items()):
        bad_rows.add(fault, _raw_values(block, row))
    if not first:
        return batch, block.rows
    keep = ~np.isin(block.rows, list(first))
    return batch.filter(pa.array(keep)), block.rows[keep]


def _raw_values(block: Block, row: int) -> dict[str, Any]:
    if row in block.broken_rows:
        return {"": block.broken_rows[row]}
    position = int(np.searchsorted(block.rows, row))
    return {name: _raw_value(array[position]) for name, array in block.columns.items()}


def _raw_value(value: pa.Scalar) -> Any:
    try:
        return value.as_py()
    except UnicodeDecodeError:
        return value.cast(pa.large_binary()).as_py()


def _without_repeats(table: pa.Table, rows: NDArray[np.int64], contract: Contract, bad_rows: BadRows) -> pa.Table:
    """Keep the first row of every key; the others are bad."""
    keys = list(contract.unique)
    numbered = table.select(keys).append_column("position", pa.array(np.arange(len(rows))))
    firsts = numbered.group_by(keys).aggregate([("position", "min")])
    if firsts.num_rows == table.num_rows:
        return table
    keep = np.zeros(len(rows), dtype=bool)
    keep[firsts["position_min"].to_numpy()] = True
    repeats = np.flatnonzero(~keep)
    lookup = numbered.take(repeats).join(firsts, keys).sort_by("position")
    for position, first in zip(lookup["position"].to_pylist(), lookup["position_min"].to_pylist(), strict=True):
        values = {name: table[name][position].as_py() for name in table.column_names}
        named = " and ".join(f"{name} {coercion.shown(values[name])}" for name in keys)
        bad_rows.add(Fault(int(rows[position]), keys[0], f"{named} stands in row {rows[first]} already"), values)
    return table.filter(pa.array(keep))

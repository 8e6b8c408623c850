"""A trie's identifiers as plain rows of text, for others to check and to bring their own.

In and out: a CSV file with the columns `row` (the item's place in the catalogue, from 0) and `code_1`, `code_2`, …,
one line an item, ascending by row; the cells behind the end of a shorter identifier are empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import csv

from shelfwalk.constraints.constraint import END
from shelfwalk.constraints.trie import Trie
from shelfwalk.errors import UserError


def write_plain_rows(trie: Trie, path: Path) -> None:
    """Write all identifiers of `trie` as CSV, the file whole or not at all."""
    rows = trie.rows
    codes = trie.codes_of(rows)
    columns = {f"code_{level + 1}": pa.array(column, mask=column == END) for level, column in enumerate(codes.T)}
    temporary = path.with_name(f"{path.name}.tmp")
    csv.write_csv(pa.table({"row": rows, **columns}), temporary)
    temporary.replace(path)


def read_plain_rows(path: Path, level_sizes: Sequence[int] | None = None) -> Trie:
    """The trie of the identifiers in a CSV file as `write_plain_rows` writes it, in any order.

    Raises UserError for a file that is missing or has no such rows: of several widths, with a cell that is no whole
    number, a row that is named twice, or a code outside its level.
    """
    table = _read(path)
    levels = [f"code_{level + 1}" for level in range(table.num_columns - 1)]
    if table.column_names != ["row", *levels]:
        raise UserError(f"{path} has the columns {', '.join(table.column_names)}: call them row, code_1, code_2, …")
    if table["row"].null_count:
        raise UserError(f"{path} has a line without a row: say which item each identifier is of.")
    if table.num_rows and not pa.types.is_integer(table["row"].type):
        raise UserError(f"{path} has a row that is no whole number: count the catalogue's rows from 0.")
    rows = np.asarray(table["row"], np.int64)
    codes = np.empty((table.num_rows, len(levels)), np.int32)
    for level, name in enumerate(levels):
        codes[:, level] = _codes(table[name], path, name)
    try:
        return Trie.build(codes, rows, level_sizes)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _read(path: Path) -> pa.Table:
    try:
        return csv.read_csv(path, convert_options=csv.ConvertOptions(null_values=[""], strings_can_be_null=True))
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file.") from None
    except pa.ArrowInvalid as error:
        raise UserError(f"{path} is no table of identifiers: {str(error).splitlines()[0]}") from None


def _codes(column: pa.ChunkedArray, path: Path, name: str) -> npt.NDArray[np.int64]:
    """The codes of one level, `END` where there is none."""
    # Empty throughout, it has no type of its own.
    whole = pa.types.is_integer(column.type) or pa.types.is_null(column.type)
    numbers = column.cast(pa.int64()) if whole else None
    if numbers is None or (pa.compute.min(numbers).as_py() or 0) < 0 or (pa.compute.max(numbers).as_py() or 0) >= 2**31:
        raise UserError(f"{path} has a cell in {name} that is no code: give whole numbers from 0, or nothing.")
    return np.asarray(numbers.fill_null(END), np.int64)

"""Reading the user's own files into the four tables.

In: a CSV, TSV, JSONL or Parquet file, and how its columns are called. Out: a `ReadResult` with the checked table.

    items = read_items(Path("products.parquet"), {"item_id": "product_id"}).table

In CSV and TSV a category is written with " > " between its levels and attributes as a JSON object. Columns of the file
that no table has are left out, and named in the result.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

import pyarrow as pa

from shelfwalk.data.coercion import shown
from shelfwalk.data.raw_files import blocks, column_names
from shelfwalk.data.tables import (
    EVALUATION_QUERY_CONTRACT,
    EVENT_CONTRACT,
    ITEM_CONTRACT,
    JUDGEMENT_CONTRACT,
    PERSONAL_QUERY_CONTRACT,
    QUERY_CONTRACT,
    Contract,
)
from shelfwalk.data.validation import bad_rows_of, bad_rows_path, conform, set_aside
from shelfwalk.errors import UserError

_NEAR = 0.75
_ALIKE = 0.6
"""Names less alike are no advice; difflib's own threshold."""
_WORD_END = re.compile(r"[\W_]+")
_OTHER_SEPARATOR = re.compile(r"[;\t|,]")
"""In the name of an only column it is a sign that the cells are not separated as the file's ending says."""


@dataclass(frozen=True)
class ReadResult:
    """A table that keeps its contract, and everything of the file that is not in it.

    `source` is the file; `bad_rows` counts the rows set aside into `bad_rows_file` (None if there are none);
    `ignored_columns` are the columns of the file that no column of the table stands for, `defaulted_columns` those of
    the table that the file lacks.
    """

    table: pa.Table
    source: Path
    bad_rows: int
    bad_rows_file: Path | None
    ignored_columns: tuple[str, ...]
    defaulted_columns: tuple[str, ...]

    def notices(self) -> tuple[str, ...]:
        """One sentence for each thing of the file that is not in the table, with the file in front, fit to print."""
        aside = [] if self.bad_rows_file is None else [set_aside(self.bad_rows, self.bad_rows_file)]
        return tuple(f"{self.source}: {said}" for said in (*aside, *map(self._about, self.ignored_columns)))

    def _about(self, column: str) -> str:
        likely = [name for name in self.defaulted_columns if _likeness(column, name) >= _NEAR]
        hint = f"; if it holds the {likely[0]}, add --column {likely[0]}={column}" if likely else ""
        return f"column '{column}' is not used{hint}."


def read_items(
    path: Path,
    columns: Mapping[str, str] | None = None,
    *,
    skip_bad_rows: bool = False,
    bad_rows_folder: Path | None = None,
) -> ReadResult:
    """Read a catalogue into an `ITEMS` table.

    `columns` maps our column names to the file's. With `skip_bad_rows`, bad rows go to
    `<file name>.bad-rows.jsonl` in `bad_rows_folder` instead of raising. Raises UserError for anything that is wrong
    with the file, its columns or a row.
    """
    return _read(path, ITEM_CONTRACT, columns or {}, skip_bad_rows, bad_rows_folder)


def read_queries(
    path: Path,
    columns: Mapping[str, str] | None = None,
    *,
    skip_bad_rows: bool = False,
    bad_rows_folder: Path | None = None,
) -> ReadResult:
    """Read queries into a `QUERIES` table; arguments and errors as for `read_items`."""
    return _read(path, QUERY_CONTRACT, columns or {}, skip_bad_rows, bad_rows_folder)


def read_evaluation_queries(
    path: Path,
    columns: Mapping[str, str] | None = None,
    *,
    skip_bad_rows: bool = False,
    bad_rows_folder: Path | None = None,
) -> ReadResult:
    """Read queries into an `EVALUATION_QUERIES` table, or a `PERSONAL_QUERIES` one if the file has histories.

    Null where the file lacks a column; else as `read_items`. A history is a list, or a text with " > " between the ids.
    """
    has_histories = "history" in {*column_names(path), *(columns or {})}
    contract = PERSONAL_QUERY_CONTRACT if has_histories else EVALUATION_QUERY_CONTRACT
    return _read(path, contract, columns or {}, skip_bad_rows, bad_rows_folder)


def read_judgements(
    path: Path,
    columns: Mapping[str, str] | None = None,
    *,
    skip_bad_rows: bool = False,
    bad_rows_folder: Path | None = None,
) -> ReadResult:
    """Read graded judgements into a `JUDGEMENTS` table; arguments and errors as for `read_items`."""
    return _read(path, JUDGEMENT_CONTRACT, columns or {}, skip_bad_rows, bad_rows_folder)


def read_events(
    path: Path,
    columns: Mapping[str, str] | None = None,
    *,
    skip_bad_rows: bool = False,
    bad_rows_folder: Path | None = None,
) -> ReadResult:
    """Read a UBI event log into an `EVENTS` table; arguments and errors as for `read_items`."""
    return _read(path, EVENT_CONTRACT, columns or {}, skip_bad_rows, bad_rows_folder)


def _read(
    path: Path, contract: Contract, columns: Mapping[str, str], skip_bad_rows: bool, folder: Path | None
) -> ReadResult:
    if skip_bad_rows and folder is None:
        raise ValueError("skip_bad_rows needs a bad_rows_folder to write the bad rows to")
    names = column_names(path)
    matched = match_columns(names, contract, columns, str(path))
    ignored = tuple(name for name in names if name not in matched.values())
    with bad_rows_of(path, folder if skip_bad_rows else None) as bad_rows:
        table = conform(blocks(path, matched), contract, str(path), bad_rows)
    side_file = bad_rows_path(path, folder) if folder and bad_rows.count else None
    defaulted = tuple(ours for ours in contract.schema.names if ours not in matched)
    return ReadResult(table, path, bad_rows.count, side_file, ignored, defaulted)


def match_columns(names: list[str], contract: Contract, columns: Mapping[str, str], source: str) -> dict[str, str]:
    """Which column of the file stands for which of ours: the mapped one, else the one of the same name.

    Raises UserError for an obligatory column that is not there, naming one of the file's that is like it, and for a
    mapping that names a column that neither the table nor the file has.
    """
    for ours in columns:
        if ours not in contract.schema.names:
            known = ", ".join(contract.schema.names)
            raise UserError(f"The {contract.name} table has no column '{ours}' to map to; it has {known}.")
    matched = {ours: columns.get(ours, ours) for ours in contract.schema.names}
    for ours, theirs in matched.items():
        if theirs not in names and (ours in contract.obligatory or ours in columns):
            taken = {*columns.values(), *contract.schema.names} - {ours}
            raise UserError(_no_column(source, ours, theirs, names, taken))
    return {ours: theirs for ours, theirs in matched.items() if theirs in names}


def _no_column(source: str, ours: str, theirs: str, names: list[str], taken: set[str]) -> str:
    """What to say of a column that is not there; those that are `taken` stand for others of ours."""
    if not names:
        return f"{source} has no columns, so it has no column '{theirs}': give a file with rows."
    if len(names) == 1 and (separator := _OTHER_SEPARATOR.search(names[0])):
        return (
            f"{source} has one column, {shown(names[0])}, so its separator looks like {shown(separator[0])}: save it "
            "with commas between the cells as .csv, or with tabs as .tsv."
        )
    free = [name for name in names if name not in taken]
    nearest = max(free, key=lambda name: _likeness(theirs, name), default=None)
    if nearest is None or _likeness(theirs, nearest) < _ALIKE:
        advice = f"map the one that is the {ours} with --column {ours}=NAME"
    else:
        advice = f"the nearest it has is '{nearest}', so if that is the {ours}, map it with --column {ours}={nearest}"
    return f"{source} has no column '{theirs}'; {advice} (all columns: {', '.join(names)})."


def _likeness(name: str, other: str) -> float:
    """Shared letters plus shared words: "product_id" is nearer to "item_id" than "title" is."""
    words, others = ({*_WORD_END.split(text.lower())} for text in (name, other))
    shared = len(words & others) / max(len(words), len(others))
    return SequenceMatcher(None, name.lower(), other.lower()).ratio() + shared

"""Reading JSONL files: one JSON object a line.

In: a path, and which keys stand for which of our columns. Out: the names of all keys, and blocks of raw columns.

Every line goes through Python's own JSON parser, a bounded number of lines at a time: Arrow's reader would take the
attributes of a catalogue as one struct with every name that occurs, and would refuse a whole block for one odd value.
Parquet is the better choice for many millions of rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from shelfwalk.data.coercion import BadCells, Coerced
from shelfwalk.data.nested_coercion import (
    CATEGORY_SEPARATOR,
    BadValueError,
    attributes_from_python,
    parse_json,
    plain_text,
)
from shelfwalk.data.tables import CATEGORY_TYPE, EVENTS, ITEMS, JUDGEMENTS, QUERIES
from shelfwalk.data.validation import Block, Fault
from shelfwalk.errors import UserError

_BLOCK_LINES = 1 << 14
_TEXT_COLUMNS = frozenset(
    field.name for s in (ITEMS, QUERIES, JUDGEMENTS, EVENTS) for field in s if field.type == pa.string()
)

Line = tuple[int, bytes]


def json_line_columns(path: Path) -> list[str]:
    """Every key of the file, in order of first appearance; lines that do not parse are passed over here.

    Raises UserError for a file that is one JSON array.
    """
    _refuse_array(path)
    names: dict[str, None] = {}
    for _, line in _lines(path):
        try:
            value = json.loads(line.decode("utf-8-sig"))
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and not names.keys() >= value.keys():
            names.update(dict.fromkeys(value))
    return list(names)


def _refuse_array(path: Path) -> None:
    """Raise UserError where one array goes over several lines, or is the only line."""
    first, *more = [line for _, line in islice(_lines(path), 2)] or [b""]
    if not first.lstrip(b" \t\xef\xbb\xbf").startswith(b"["):
        return
    try:
        json.loads(first.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        more = []
    # An array that ends in its line, with more lines behind it, is a bad row among others.
    if not more:
        raise UserError(
            f"{path} is one JSON array, not JSON lines: write one object a line, without brackets and commas."
        )


def _lines(path: Path) -> Iterator[Line]:
    """Lines that hold more than spaces, numbered from 1."""
    with path.open("rb") as file:
        number = 0
        for line in file:
            if line.strip():
                number += 1
                yield number, line


def _parsed_line(line: bytes) -> dict[str, Any] | str:
    """The object of a line, or what is wrong with it."""
    try:
        value = parse_json(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return "is not valid UTF-8"
    except (ValueError, RecursionError) as problem:
        return f"is no JSON: {problem}"
    return value if isinstance(value, dict) else "is no JSON object"


def json_line_blocks(path: Path, columns: Mapping[str, str]) -> Iterator[Block]:
    """The rows of the file in blocks, with the keys asked for under our names; blank lines are no rows."""
    lines = _lines(path)
    while taken := list(islice(lines, _BLOCK_LINES)):
        yield _block(taken, columns)


def _block(lines: list[Line], columns: Mapping[str, str]) -> Block:
    objects: list[dict[str, Any]] = []
    rows: list[int] = []
    faults: list[Fault] = []
    broken: dict[int, str] = {}
    for number, line in lines:
        parsed = _parsed_line(line)
        if isinstance(parsed, dict):
            objects.append(parsed)
            rows.append(number)
        else:
            faults.append(Fault(number, "", parsed))
            broken[number] = line.decode("utf-8", "backslashreplace").strip()
    arrays = {}
    for ours, theirs in columns.items():
        arrays[ours], bad = _column(ours, [parsed.get(theirs) for parsed in objects])
        faults += [Fault(rows[position], ours, reason) for position, reason in bad]
    return Block(arrays, np.array(rows, dtype=np.int64), tuple(faults), broken)


def _column(name: str, values: list[Any]) -> Coerced:
    if name == "attributes":
        return attributes_from_python(values)
    if name == "category":
        return _converted(values, _levels, CATEGORY_TYPE)
    return _converted(values, _text if name in _TEXT_COLUMNS else plain_text, pa.string())


def _converted(values: list[Any], convert: Callable[[Any], Any], kind: pa.DataType) -> Coerced:
    result: list[Any] = []
    bad: BadCells = []
    for position, value in enumerate(values):
        try:
            result.append(None if value is None else convert(value))
        except BadValueError as problem:
            result.append(None)
            bad.append((position, str(problem)))
    return pa.array(result, kind), bad


def _text(value: Any) -> str:
    if isinstance(value, (bool, float)):
        raise BadValueError(f"is {value!r}, not text")
    return plain_text(value)


def _levels(value: Any) -> Sequence[str | None]:
    if isinstance(value, str):
        return [level.strip() for level in value.split(CATEGORY_SEPARATOR)] if value.strip() else []
    if not isinstance(value, list):
        raise BadValueError("is neither a list of levels nor text")
    return [None if level is None else _text(level) for level in value]

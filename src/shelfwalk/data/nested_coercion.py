"""Turning raw columns into the two nested types of an items table: category paths and attribute maps.

In, out and raised: as in coercion.py. A category is a list of levels, root to leaf, or one text with " > " between the
levels; attributes are a map, a struct, or one text with a JSON object.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shelfwalk.data.coercion import BadCells, Coerced, WrongColumnTypeError, as_text, is_text, positions
from shelfwalk.data.tables import ATTRIBUTES_TYPE, CATEGORY_TYPE

CATEGORY_SEPARATOR = " > "


class BadValueError(ValueError):
    """One cell is bad; the message ends a sentence on the column."""


def as_category(array: pa.Array) -> Coerced:
    """A list of texts, or a text split at " > "; an empty cell becomes an empty list, a level without text is bad."""
    kind = array.type
    if is_text(kind) or pa.types.is_dictionary(kind) or pa.types.is_null(kind):
        texts, bad = as_text(array)
        lists = pc.split_pattern(texts, CATEGORY_SEPARATOR)
        lists = pc.if_else(pc.equal(pc.utf8_trim_whitespace(texts), ""), pa.scalar([], lists.type), lists)
        return _checked_levels(lists, pc.utf8_trim_whitespace(pc.list_flatten(lists)), bad)
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        raise WrongColumnTypeError(kind, "lists of text")
    levels, broken = as_text(pc.list_flatten(array))
    parents = pc.list_parent_indices(array).to_numpy()
    return _checked_levels(array, levels, [(int(parents[place]), reason) for place, reason in broken])


def _checked_levels(lists: pa.Array, levels: pa.Array, bad: BadCells) -> Coerced:
    """Put the levels back into lists of the same lengths; a list with a blank level becomes null and is bad."""
    blank = positions(pc.fill_null(pc.equal(pc.utf8_trim_whitespace(levels), ""), True))
    parents = pc.list_parent_indices(lists).to_numpy()
    already = {row for row, _ in bad}
    blank_rows = sorted({int(parents[place]) for place in blank} - already)
    bad = bad + [(row, "has a level without text") for row in blank_rows]
    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    result = pa.ListArray.from_arrays(_offsets(lengths), levels).cast(CATEGORY_TYPE)
    drop = np.zeros(len(lists), dtype=bool)
    drop[[row for row, _ in bad]] = True
    empty = pc.or_(pc.is_null(lists), pa.array(drop))
    return pc.if_else(empty, pa.scalar(None, CATEGORY_TYPE), result), bad


def _offsets(lengths: pa.Array) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(lengths.to_numpy(zero_copy_only=False))]).astype(np.int32))


def as_attributes(array: pa.Array) -> Coerced:
    """A map from text to text; attributes without a value are left out, and a name given twice is bad."""
    kind = array.type
    if pa.types.is_map(kind):
        return _map_of_text(array)
    if pa.types.is_null(kind):
        return pa.nulls(len(array), ATTRIBUTES_TYPE), []
    if pa.types.is_struct(kind):
        return attributes_from_python(array.to_pylist())
    if not is_text(kind):
        raise WrongColumnTypeError(kind, "maps from text to text")
    texts, bad = as_text(array)
    values, no_json = _parsed(texts.to_pylist())
    attributes, wrong = attributes_from_python(values)
    return attributes, bad + no_json + wrong


def _map_of_text(array: pa.Array) -> Coerced:
    lengths = pc.fill_null(pc.list_value_length(array.cast(_as_list_type(array.type))), 0).to_numpy(
        zero_copy_only=False
    )
    rows = np.repeat(np.arange(len(array)), lengths)
    entries = pc.list_flatten(array.cast(_as_list_type(array.type)))
    keys, bad_keys = as_text(pc.struct_field(entries, 0))
    values, bad_values = as_text(pc.struct_field(entries, 1))
    given = pc.is_valid(values)
    bad = {int(rows[place]): reason for place, reason in bad_keys + bad_values}
    rows = rows[given.to_numpy(zero_copy_only=False)]
    keys, values = keys.filter(given), values.filter(given)
    for place in positions(pc.equal(pc.fill_null(pc.utf8_trim_whitespace(keys), ""), "")):
        bad.setdefault(int(rows[place]), "has an attribute without a name")
    for row, key in _repeated(rows, keys):
        bad.setdefault(row, f"has the attribute {key!r} twice")
    offsets = np.searchsorted(rows, np.arange(len(array) + 1)).astype(np.int32)
    filled = pa.MapArray.from_arrays(pa.array(offsets), pc.fill_null(keys, ""), values)
    keep = np.ones(len(array), dtype=bool)
    keep[list(bad)] = False
    valid = pc.and_(pc.is_valid(array), pa.array(keep))
    return pc.if_else(valid, filled, pa.scalar(None, ATTRIBUTES_TYPE)), sorted(bad.items())


def _as_list_type(kind: pa.MapType) -> pa.ListType:
    return pa.list_(pa.struct([pa.field("key", kind.key_type), pa.field("value", kind.item_type)]))


def _repeated(rows: np.ndarray[Any, Any], keys: pa.Array) -> list[tuple[int, str]]:
    counted = pa.table({"row": rows, "key": keys}).group_by(["row", "key"]).aggregate([([], "count_all")])
    twice = counted.filter(pc.greater(counted["count_all"], 1))
    return list(zip(twice["row"].to_pylist(), twice["key"].to_pylist(), strict=True))


def _parsed(texts: list[str | None]) -> tuple[list[Any], BadCells]:
    values: list[Any] = []
    bad: BadCells = []
    for position, text in enumerate(texts):
        try:
            values.append(parse_json(text) if text and text.strip() else None)
        except ValueError as problem:
            values.append(None)
            bad.append((position, f"is no JSON object: {problem}"))
    return values, bad


def parse_json(text: str) -> Any:
    """Parse JSON; an object that names a key twice is a ValueError too."""
    return json.loads(text, object_pairs_hook=_object_of_distinct_keys)


def _object_of_distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} stands twice")
    return result


def attributes_from_python(values: Iterable[Any]) -> Coerced:
    """Attributes from one dict (or None) a row, with text, numbers or truth values; None as a value is left out."""
    rows: list[list[tuple[str, str]] | None] = []
    bad: BadCells = []
    for position, value in enumerate(values):
        try:
            rows.append(None if value is None else _pairs(value))
        except BadValueError as problem:
            rows.append(None)
            bad.append((position, str(problem)))
    return pa.array(rows, ATTRIBUTES_TYPE), bad


def _pairs(value: Any) -> list[tuple[str, str]]:
    if not isinstance(value, dict):
        raise BadValueError("is no JSON object of names and values")
    if not all(name.strip() for name in value):
        raise BadValueError("has an attribute without a name")
    return [(plain_text(name), plain_text(content)) for name, content in value.items() if content is not None]


def plain_text(value: Any) -> str:
    """A JSON text, number or truth value as text; anything nested raises `BadValueError`."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise BadValueError("holds half a surrogate pair, which is no text") from None
        return value
    if isinstance(value, (bool, int, float)):
        return json.dumps(value)
    raise BadValueError(f"holds a nested value of type {type(value).__name__}")

"""Turning a raw column of a file into the type that a table wants, one function a type.

In: an Arrow array of whatever type the file gave. Out: an array of the wanted type, null where a cell was empty or bad,
and the bad cells as (position, reason). A column whose very type is wrong raises `WrongColumnTypeError`. Good cells
never become Python objects, except for attributes written as JSON, which Arrow cannot parse.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shelfwalk.data.tables import TIMESTAMP_TYPE

BadCells = list[tuple[int, str]]
Coerced = tuple[pa.Array, BadCells]

_NUMBER = r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$"
_TIME = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?$"
_ZONE = r"(Z|[+-]\d\d:?\d\d)$"
_BEYOND_MICROSECONDS = r"(\.\d{6})\d+"
_LARGEST_WHOLE = 2**31 - 1
_TRUE = pa.array(["true", "1", "yes"])
_FALSE = pa.array(["false", "0", "no"])
_SHOWN = 60


class WrongColumnTypeError(Exception):
    """The type of a whole column cannot be read as the wanted one; the message ends a sentence on the column."""

    def __init__(self, found: pa.DataType, wanted: str) -> None:
        super().__init__(f"holds values of type {found}, not {wanted}")
        self.wanted = wanted


def as_text(array: pa.Array) -> Coerced:
    """Text, or whole numbers written out, as string; broken UTF-8 is bad."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_integer(array.type) or pa.types.is_null(array.type):
        return array.cast(pa.string()), []
    if not is_text(array.type):
        raise WrongColumnTypeError(array.type, "text")
    raw = array.cast(pa.large_binary())
    try:
        return raw.cast(pa.large_string()).cast(pa.string()), []
    except pa.ArrowInvalid:
        return _decoded_one_by_one(raw)


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds text or the bytes of text."""
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    return any(test(kind) for test in tests)


def _decoded_one_by_one(raw: pa.Array) -> Coerced:
    texts: list[str | None] = []
    bad: BadCells = []
    for position, value in enumerate(raw.to_pylist()):
        try:
            texts.append(None if value is None else value.decode("utf-8"))
        except UnicodeDecodeError:
            texts.append(None)
            bad.append((position, "is not valid UTF-8"))
    return pa.array(texts, pa.string()), bad


def as_number(array: pa.Array) -> Coerced:
    """A finite number of at least 0 as float64; a blank text, and NaN in a column of numbers, count as empty."""
    values, bad = _as_float(array, "number")
    values, negative = _reject(values, pc.less(values, 0), "{:g} is negative".format)
    return values, bad + negative


def as_whole(array: pa.Array) -> Coerced:
    """A whole number from 0 to 2^31 - 1 as int32; "3.0" counts as 3."""
    values, bad = _as_float(array, "whole number")
    values, broken = _reject(values, pc.not_equal(values, pc.floor(values)), "{:g} is no whole number".format)
    values, negative = _reject(values, pc.less(values, 0), "{:g} is negative".format)
    values, large = _reject(values, pc.greater(values, _LARGEST_WHOLE), "{:g} is too large".format)
    return values.cast(pa.int32()), bad + broken + negative + large


def _as_float(array: pa.Array, wanted: str) -> Coerced:
    kind = array.type
    bad: BadCells = []
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind):
        values = array.cast(pa.float64(), safe=False)
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)
    elif is_text(kind) or pa.types.is_dictionary(kind):
        texts, bad = _trimmed_text(array)
        is_number = pc.match_substring_regex(texts, _NUMBER)
        texts, no_number = _reject(texts, pc.invert(is_number), lambda text: f"{shown(text)} is no {wanted}")
        values, bad = texts.cast(pa.float64()), bad + no_number
    else:
        raise WrongColumnTypeError(kind, f"{wanted}s")
    values, infinite = _reject(values, pc.invert(pc.is_finite(values)), "{} is no finite number".format)
    return values, bad + infinite


def as_flag(array: pa.Array) -> Coerced:
    """true/false, 1/0 or yes/no in any case, as bool."""
    if pa.types.is_boolean(array.type):
        return array, []
    texts, bad = _trimmed_text(array)
    texts = pc.utf8_lower(texts)
    is_true = pc.is_in(texts, _TRUE)
    known = pc.or_(is_true, pc.is_in(texts, _FALSE))
    unknown = pc.and_(pc.is_valid(texts), pc.invert(known))
    texts, neither = _reject(texts, unknown, lambda text: f"{shown(text)} is neither true nor false")
    return pc.if_else(pc.is_valid(texts), is_true, pa.scalar(None, pa.bool_())), bad + neither


def as_time(array: pa.Array) -> Coerced:
    """A time in UTC with microseconds, from timestamps or ISO 8601 text; without a zone it is taken as UTC."""
    kind = array.type
    if pa.types.is_timestamp(kind):
        values = array.cast(pa.timestamp("us", tz=kind.tz), safe=False)
        return (values.cast(TIMESTAMP_TYPE) if kind.tz else pc.assume_timezone(values, "UTC")), []
    if not (is_text(kind) or pa.types.is_null(kind)):
        raise WrongColumnTypeError(kind, "timestamps or ISO 8601 text")
    texts, bad = _trimmed_text(array)
    texts, wrong = _reject(texts, pc.invert(pc.match_substring_regex(texts, _TIME)), _no_time)
    zoned = pc.if_else(pc.match_substring_regex(texts, _ZONE), texts, pc.binary_join_element_wise(texts, "Z", ""))
    times, impossible = _parsed_times(pc.replace_substring_regex(zoned, _BEYOND_MICROSECONDS, r"\1"))
    return times, bad + wrong + impossible


def _no_time(text: str) -> str:
    return f"{shown(text)} is no time such as 2026-01-31T12:00:00Z"


def _parsed_times(texts: pa.Array) -> Coerced:
    try:
        return texts.cast(TIMESTAMP_TYPE), []
    except pa.ArrowInvalid:
        impossible = pa.array([not _is_time(text) for text in texts], pa.bool_())
        kept, bad = _reject(texts, impossible, _no_time)
        return kept.cast(TIMESTAMP_TYPE), bad


def _is_time(text: pa.Scalar) -> bool:
    try:
        text.cast(TIMESTAMP_TYPE)
    except pa.ArrowInvalid:
        return False
    return True


def _trimmed_text(array: pa.Array) -> Coerced:
    """Text without spaces around it; what is left blank becomes null."""
    texts, bad = as_text(array)
    texts = pc.utf8_trim_whitespace(texts)
    return pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts), bad


def _reject(values: pa.Array, mask: pa.Array, reason: Callable[[Any], str]) -> Coerced:
    """Null the cells where the mask is true, and say why; a null in the mask is not true."""
    mask = pc.fill_null(mask, False)
    bad = [(int(position), reason(values[int(position)].as_py())) for position in positions(mask)]
    return pc.if_else(mask, pa.scalar(None, values.type), values), bad


def positions(mask: pa.Array) -> Any:
    """Positions of the true cells of a boolean array without nulls, as int64 numpy array."""
    return np.flatnonzero(mask.to_numpy(zero_copy_only=False))


def shown(text: str) -> str:
    """A text as it is shown in a message: quoted, and cut where it is long."""
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")

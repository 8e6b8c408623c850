"""Raw columns become typed columns: every good cell keeps its value, every bad cell is named, nothing else changes."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.data.coercion import (
    WrongColumnTypeError,
    as_flag,
    as_number,
    as_text,
    as_time,
    as_whole,
    shown,
)

UTC = datetime.UTC


def bad_positions(bad: list[tuple[int, str]]) -> list[int]:
    return sorted(position for position, _ in bad)


def test_text_of_every_text_type_is_the_same() -> None:
    words = ["a", "ü", None, ""]
    encoded = [None if word is None else word.encode() for word in words]
    arrays = [
        pa.array(words, pa.string()),
        pa.array(words, pa.large_string()),
        pa.array(encoded, pa.binary()),
        pa.array(encoded, pa.large_binary()),
        pa.array(words).dictionary_encode(),
    ]
    for array in arrays:
        values, bad = as_text(array)
        assert values.type == pa.string()
        assert values.to_pylist() == words
        assert bad == []


def test_whole_numbers_are_text_but_fractions_are_not() -> None:
    assert as_text(pa.array([7, None]))[0].to_pylist() == ["7", None]
    with pytest.raises(WrongColumnTypeError, match="double"):
        as_text(pa.array([7.5]))


def test_broken_utf8_is_named_in_binary_and_in_text_columns() -> None:
    raw = pa.array([b"good", b"\xff\xfe", None, b"\xc3"], pa.binary())
    unchecked = pa.Array.from_buffers(pa.string(), len(raw), raw.buffers())
    for array in (raw, unchecked):
        values, bad = as_text(array)
        assert values.to_pylist() == ["good", None, None, None]
        assert bad_positions(bad) == [1, 3]
        assert all("UTF-8" in reason for _, reason in bad)


def test_numbers_in_text() -> None:
    cells = ["1.5", "+5", " 7 ", ".5", "2e3", "", None, "abc", "-1", "1e999", "nan", "0x10", "1_000"]
    values, bad = as_number(pa.array(cells))
    assert values.to_pylist() == [1.5, 5.0, 7.0, 0.5, 2000.0, None, None] + [None] * 6
    assert bad_positions(bad) == [7, 8, 9, 10, 11, 12]
    reasons = dict(bad)
    assert reasons[7] == "'abc' is no number"
    assert reasons[8] == "-1 is negative"


def test_numbers_in_typed_columns() -> None:
    assert as_number(pa.array([1, 2], pa.int8()))[0].to_pylist() == [1.0, 2.0]
    assert as_number(pa.array([Decimal("1.25")]))[0].to_pylist() == [1.25]
    values, bad = as_number(pa.array([math.nan, math.inf, -0.5, 0.0]))
    assert values.to_pylist() == [None, None, None, 0.0]
    assert bad_positions(bad) == [1, 2]
    with pytest.raises(WrongColumnTypeError, match="bool"):
        as_number(pa.array([True]))


@given(st.lists(st.none() | st.floats(min_value=0, allow_infinity=False, allow_nan=False)))
def test_every_finite_number_survives_its_own_text(numbers: list[float | None]) -> None:
    texts = pa.array([None if number is None else repr(number) for number in numbers], pa.string())
    values, bad = as_number(texts)
    assert values.to_pylist() == numbers
    assert bad == []


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("2.5", "2.5 is no whole number"),
        ("x", "'x' is no whole number"),
        ("-1", "-1 is negative"),
        ("99999999999", "is too large"),
    ],
)
def test_grades_that_are_no_grades(cell: str, reason: str) -> None:
    values, bad = as_whole(pa.array(["3", cell, "3.0"]))
    assert values.to_pylist() == [3, None, 3]
    assert [position for position, _ in bad] == [1]
    assert reason in bad[0][1]


@given(st.lists(st.integers(min_value=0, max_value=2**31 - 1)))
def test_whole_numbers_survive_as_text_integer_and_float(numbers: list[int]) -> None:
    forms = (
        pa.array(list(map(str, numbers)), pa.string()),
        pa.array(numbers, pa.int64()),
        pa.array(list(map(float, numbers)), pa.float64()),
    )
    for array in forms:
        values, bad = as_whole(array)
        assert values.to_pylist() == numbers
        assert bad == []


def test_flags() -> None:
    values, bad = as_flag(pa.array(["TRUE", "no", "1", " Yes ", "0", "false", "", None, "maybe"]))
    assert values.to_pylist() == [True, False, True, True, False, False, None, None, None]
    assert bad == [(8, "'maybe' is neither true nor false")]
    assert as_flag(pa.array([1, 0, 2]))[0].to_pylist() == [True, False, None]
    assert as_flag(pa.array([True, None]))[0].to_pylist() == [True, None]


def test_times_in_text() -> None:
    cells = [
        "2024-12-10T00:01:29.378Z",
        "2024-12-10 00:01:29+02:00",
        "2024-12-10T00:01",
        "2024-12-10T00:01:29.123456789",
        "2024-12-10",
        "2024-02-30T00:00:00Z",
        None,
        "",
    ]
    values, bad = as_time(pa.array(cells))
    assert values.to_pylist() == [
        datetime.datetime(2024, 12, 10, 0, 1, 29, 378000, UTC),
        datetime.datetime(2024, 12, 9, 22, 1, 29, 0, UTC),
        datetime.datetime(2024, 12, 10, 0, 1, 0, 0, UTC),
        datetime.datetime(2024, 12, 10, 0, 1, 29, 123456, UTC),
        None,
        None,
        None,
        None,
    ]
    assert bad_positions(bad) == [4, 5]


@given(st.lists(st.datetimes(min_value=datetime.datetime(1970, 1, 1), max_value=datetime.datetime(2200, 1, 1))))
def test_times_are_the_same_from_text_and_from_timestamps(times: list[datetime.datetime]) -> None:
    wanted = [time.replace(tzinfo=UTC) for time in times]
    texts = pa.array([time.isoformat() for time in wanted], pa.string())
    assert as_time(texts)[0].to_pylist() == wanted
    assert as_time(pa.array(times, pa.timestamp("us")))[0].to_pylist() == wanted
    elsewhere = pa.array(wanted, pa.timestamp("us", tz="Asia/Tokyo"))
    assert as_time(elsewhere)[0].to_pylist() == wanted


def test_numbers_are_no_times() -> None:
    with pytest.raises(WrongColumnTypeError, match="ISO 8601"):
        as_time(pa.array([1733788889378]))


def test_long_values_are_cut_in_messages() -> None:
    assert len(shown("x" * 10_000)) < 100
    _, bad = as_number(pa.array(["x" * 10_000]))
    assert len(bad[0][1]) < 100

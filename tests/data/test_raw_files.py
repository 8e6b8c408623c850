"""Files that are broken as files: missing, empty, damaged, of no known kind, with rows that do not parse."""

from __future__ import annotations

import csv
import json
from errno import EACCES
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shelfwalk.data.raw_files import blocks
from shelfwalk.data.readers import read_items, read_queries
from shelfwalk.errors import UserError


def aside_of(path: Path, folder: Path) -> list[dict[str, object]]:
    lines = (folder / f"{path.name}.bad-rows.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_missing_and_empty_files(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"items{suffix}"
    with pytest.raises(UserError, match="There is no file"):
        read_items(path)
    path.touch()
    with pytest.raises(UserError, match="has no rows"):
        read_items(path)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no file"):
        read_items(tmp_path)


def test_a_header_alone_has_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text("item_id,title\n")
    with pytest.raises(UserError, match="has no rows"):
        read_items(path)


def test_blank_lines_alone_have_no_columns(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text("\n\n")
    with pytest.raises(UserError, match="has no columns"):
        read_items(path)


def test_an_unknown_kind_of_file(tmp_path: Path) -> None:
    path = tmp_path / "items.xlsx"
    path.write_text("x")
    with pytest.raises(UserError, match=r"\.csv, \.tsv, \.jsonl, \.ndjson or \.parquet"):
        read_items(path)


def test_a_damaged_parquet_file(tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    path.write_bytes(b"PAR1 and then nothing that fits")
    with pytest.raises(UserError, match="is not a Parquet file, or it is damaged"):
        read_items(path)


def test_parquet_with_a_damaged_footer(tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    pq.write_table(pa.table({"item_id": ["a"], "title": ["Lamp"]}), path)
    whole = path.read_bytes()
    footer = int.from_bytes(whole[-8:-4], "little")
    path.write_bytes(whole[: -8 - footer] + b"\xff" * footer + whole[-8:])
    with pytest.raises(UserError, match="is not a Parquet file, or it is damaged"):
        read_items(path)


def test_parquet_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(EACCES, f"Failed to open local file '{path}'. Detail: Permission denied")

    path = tmp_path / "items.parquet"
    path.write_text("x")
    monkeypatch.setattr(pq, "ParquetFile", refuse)
    with pytest.raises(PermissionError) as refused:
        read_items(path)
    assert (refused.value.filename, refused.value.strerror) == (str(path), "Permission denied")


@pytest.mark.parametrize(("suffix", "delimiter"), [(".csv", b","), (".tsv", b"\t")])
def test_broken_utf8_in_a_cell_is_the_fault_of_its_row(suffix: str, delimiter: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"items{suffix}"
    path.write_bytes(delimiter.join([b"item_id", b"title"]) + b"\na" + delimiter + b"ok\nb" + delimiter + b"\xff\xfe\n")
    with pytest.raises(UserError, match="row 2, column 'title': is not valid UTF-8"):
        read_items(path)
    result = read_items(path, skip_bad_rows=True, bad_rows_folder=tmp_path)
    assert result.table["item_id"].to_pylist() == ["a"]
    assert aside_of(path, tmp_path)[0]["values"] == {"item_id": "b", "title": "\\xff\\xfe"}


def test_broken_utf8_in_a_line_of_json(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_bytes(b'{"item_id": "a", "title": "ok"}\n{"item_id": "b", "title": "\xff"}\n')
    with pytest.raises(UserError, match="row 2: is not valid UTF-8"):
        read_items(path)


def test_broken_utf8_in_a_header(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_bytes(b"item_id,\xff\na,ok\n")
    with pytest.raises(UserError, match="header line is not valid UTF-8"):
        read_items(path)


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    for name, text in (("a.csv", "query_id,query\n1,lamp\n"), ("a.jsonl", '{"query_id": "1", "query": "lamp"}\n')):
        path = tmp_path / name
        path.write_bytes(b"\xef\xbb\xbf" + text.encode())
        assert read_queries(path).table.to_pylist() == [{"query_id": "1", "query": "lamp"}]


def test_rows_with_too_many_or_too_few_cells(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text('item_id,title\na,"two\nlines"\nb,x,y\n\nc,ok\nd\ne,\n')
    with pytest.raises(UserError) as refused:
        read_items(path)
    assert "row 5, column 'title': is empty" in str(refused.value) or "cells where the header" in str(refused.value)
    result = read_items(path, skip_bad_rows=True, bad_rows_folder=tmp_path)
    assert result.table["item_id"].to_pylist() == ["a", "c"]
    entries = {entry["row"]: entry for entry in aside_of(path, tmp_path)}
    assert set(entries) == {2, 4, 5}
    assert entries[2]["reason"] == "has 3 cells where the header has 2"
    assert entries[2]["values"] == {"": "b,x,y"}
    assert entries[4]["reason"] == "has 1 cells where the header has 2"
    assert entries[5]["column"] == "title"


def test_a_quotation_mark_that_is_never_closed(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text('item_id,title\na,ok\nb,"open\nc,swallowed\nd,swallowed\n')
    with pytest.raises(UserError, match="quotation mark in line 3 is never closed"):
        read_items(path)


def test_inch_marks_inside_a_cell_are_no_quotation(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text('item_id,title\na,Monitor 24" wide\nb,ok\n')
    assert read_items(path).table["title"].to_pylist() == ['Monitor 24" wide', "ok"]


def test_a_column_name_that_stands_twice(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text("item_id,title,title\na,b,c\n")
    with pytest.raises(UserError, match="two columns named 'title'"):
        read_items(path)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"item_id": "b", "title": ', "row 2: is no JSON"),
        ('["b", "Lamp"]', "row 2: is no JSON object"),
        ('{"item_id": "b", "title": "x", "title": "y"}', "'title' stands twice"),
        ('{"item_id": "b", "title": 1.5}', "row 2, column 'title': is 1.5, not text"),
        ('{"item_id": true, "title": "x"}', "row 2, column 'item_id': is True, not text"),
        ('{"item_id": "b", "title": ["x"]}', "row 2, column 'title': holds a nested value of type list"),
        ('{"item_id": "b", "title": null}', "row 2, column 'title': is empty"),
        ('{"item_id": "b"}', "row 2, column 'title': is empty"),
        ('{"item_id": "b", "title": "x", "category": 3}', "column 'category': is neither a list of levels nor text"),
        ('{"item_id": "b", "title": "x", "category": ["y", null]}', "column 'category': has a level without text"),
        ('{"item_id": "b", "title": "x", "attributes": "red"}', "column 'attributes': is no JSON object"),
        ('{"item_id": "b", "title": "x", "attributes": {"a": []}}', "column 'attributes': holds a nested value"),
        ('{"item_id": "b", "title": "\\ud800"}', "surrogate"),
        ('{"item_id": "b", "title": "x", "price": NaN}', "column 'price': 'NaN' is no number"),
        ("[" * 100_000, "row 2: is no JSON"),
    ],
)
def test_bad_lines_of_json(line: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text('{"item_id": "a", "title": "Lamp"}\n' + line + "\n")
    with pytest.raises(UserError) as refused:
        read_items(path)
    assert reason in str(refused.value)
    result = read_items(path, skip_bad_rows=True, bad_rows_folder=tmp_path)
    assert result.table["item_id"].to_pylist() == ["a"]
    assert [entry["row"] for entry in aside_of(path, tmp_path)] == [2]


def test_json_values_of_the_wrong_kind_that_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    item = {"item_id": 7, "title": "x", "price": "2.5", "available": 0, "category": "A > B", "attributes": {"w": 1.5}}
    path.write_text(json.dumps(item) + "\n")
    row = read_items(path).table.to_pylist()[0]
    assert (row["item_id"], row["price"], row["available"]) == ("7", 2.5, False)
    assert (row["category"], row["attributes"]) == (["A", "B"], [("w", "1.5")])


def test_a_key_that_first_comes_late_is_reported_too(tmp_path: Path) -> None:
    path = tmp_path / "queries.jsonl"
    lines = [{"query_id": str(number), "query": "lamp"} for number in range(20_000)] + [
        {"query_id": "last", "query": "lamp", "note": "x"}
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = read_queries(path)
    assert result.table.num_rows == 20_001
    assert result.ignored_columns == ("note",)


CELL = st.text("ab \n\"'é", max_size=4)


@given(rows=st.lists(st.lists(CELL, min_size=1, max_size=3).map(tuple), min_size=1, max_size=40))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_row_numbers_are_those_of_a_plain_csv_reader(
    rows: list[tuple[str, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Blocks of a few rows, so that broken rows fall into every place of a block.
    monkeypatch.setattr("shelfwalk.data.raw_files._CSV_BLOCK_BYTES", 200)
    path = tmp_path / "queries.csv"
    with path.open("w", encoding="utf-8", newline="") as text:
        writer = csv.writer(text, quoting=csv.QUOTE_ALL)
        writer.writerow(["query_id", "query"])
        writer.writerows(rows)
    good, broken = {}, set()
    for block in blocks(path, {"query_id": "query_id", "query": "query"}):
        cells = zip(block.columns["query_id"].to_pylist(), block.columns["query"].to_pylist(), strict=True)
        good.update(zip(block.rows.tolist(), cells, strict=True))
        broken |= {fault.row for fault in block.faults}
    wanted = {number: tuple(cell.encode() for cell in row) for number, row in enumerate(rows, 1) if len(row) == 2}
    assert good == wanted
    assert broken == {number for number, row in enumerate(rows, 1) if len(row) != 2}


def test_broken_utf8_in_a_parquet_text_column(tmp_path: Path) -> None:
    raw = pa.array([b"good", b"\xff"], pa.binary())
    unchecked = pa.Array.from_buffers(pa.string(), len(raw), raw.buffers())
    path = tmp_path / "items.parquet"
    pq.write_table(pa.table({"item_id": ["a", "b"], "title": unchecked}), path)
    with pytest.raises(UserError, match="row 2, column 'title': is not valid UTF-8"):
        read_items(path)
    read_items(path, skip_bad_rows=True, bad_rows_folder=tmp_path)
    assert aside_of(path, tmp_path)[0]["values"] == {"item_id": "b", "title": "\\xff"}


def test_parquet_with_a_sound_footer_and_damaged_pages(tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    ids = [f"item {number}" for number in range(5_000)]
    pq.write_table(pa.table({"item_id": ids, "title": ids}), path, compression="zstd", use_dictionary=False)
    damaged = bytearray(path.read_bytes())
    damaged[100:2000] = bytes(1900)
    path.write_bytes(damaged)
    with pytest.raises(UserError, match="is not a Parquet file, or it is damaged"):
        read_items(path)


def test_a_cell_larger_than_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shelfwalk.data.raw_files._CSV_BLOCK_BYTES", 200)
    path = tmp_path / "items.csv"
    path.write_text("item_id,title\na,ok\nb," + "x" * 1000 + "\n")
    with pytest.raises(UserError, match="cannot be read as delimited text"):
        read_items(path)


def test_a_header_without_an_end(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text('item_id,"' + "x" * 200_000)
    with pytest.raises(UserError, match="header line cannot be read"):
        read_items(path)


def test_nothing_half_written_is_left_when_a_file_turns_out_to_be_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text("item_id,title\na,\n")
    aside = tmp_path / "aside"
    with pytest.raises(UserError, match="has no good rows"):
        read_items(path, skip_bad_rows=True, bad_rows_folder=aside)
    assert list(aside.iterdir()) == []

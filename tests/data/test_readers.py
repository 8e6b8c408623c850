"""Files into tables: good files survive every format, and every mistake gets one sentence that says where and what."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shelfwalk.data.readers import ReadResult, read_events, read_items, read_judgements, read_queries
from shelfwalk.data.tables import ACTIONS, EVENTS, ITEMS, JUDGEMENTS, QUERIES
from shelfwalk.errors import UserError

Writer = Callable[[Path, list[dict[str, Any]]], Path]
FORMATS = ("items.csv", "items.tsv", "items.jsonl", "items.ndjson", "items.parquet")

# A bare carriage return ends a line for some CSV readers even inside quotes, so no CSV file can carry one.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=12)
FILLED = TEXT.filter(str.strip)
LEVEL = FILLED.map(str.strip).filter(lambda level: level and " > " not in level and not level.startswith("> "))
LEVEL = LEVEL.filter(lambda level: not level.endswith(" >") and level != ">")
AMOUNT = st.floats(min_value=0, max_value=1e9, allow_nan=False)
ITEM = st.fixed_dictionaries(
    {
        "item_id": FILLED,
        "title": FILLED,
        "description": TEXT,
        "brand": TEXT,
        "category": st.lists(LEVEL, max_size=3),
        "attributes": st.dictionaries(FILLED, TEXT, max_size=3),
        "price": st.none() | AMOUNT,
        "popularity": AMOUNT,
        "available": st.booleans(),
    }
)
ROUND_TRIP = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


def rows_of(result: ReadResult) -> list[dict[str, Any]]:
    rows = result.table.to_pylist()
    for row in rows:
        if "attributes" in row:
            row["attributes"] = dict(row["attributes"])
    return rows


@ROUND_TRIP
@given(rows=st.lists(ITEM, min_size=1, max_size=5, unique_by=lambda row: row["item_id"]))
def test_items_survive_every_format(rows: list[dict[str, Any]], write: Writer, tmp_path: Path) -> None:
    for name in FORMATS:
        result = read_items(write(tmp_path / name, rows))
        assert result.table.schema == ITEMS
        assert rows_of(result) == rows, name
        assert (result.bad_rows, result.bad_rows_file, result.ignored_columns) == (0, None, ())


@ROUND_TRIP
@given(
    rows=st.lists(
        st.fixed_dictionaries({"query_id": FILLED, "item_id": FILLED, "grade": st.integers(0, 2**31 - 1)}),
        min_size=1,
        max_size=5,
        unique_by=lambda row: (row["query_id"], row["item_id"]),
    )
)
def test_judgements_survive_every_format(rows: list[dict[str, Any]], write: Writer, tmp_path: Path) -> None:
    for suffix in (".csv", ".tsv", ".jsonl", ".parquet"):
        result = read_judgements(write(tmp_path / f"judgements{suffix}", rows))
        assert result.table.schema == JUDGEMENTS
        assert rows_of(result) == rows


@pytest.mark.parametrize("name", FORMATS)
def test_only_id_and_title_are_obligatory(name: str, write: Writer, tmp_path: Path) -> None:
    result = read_items(write(tmp_path / name, [{"item_id": "a", "title": "Lamp"}]))
    assert rows_of(result) == [
        {
            "item_id": "a",
            "title": "Lamp",
            "description": "",
            "brand": "",
            "category": [],
            "attributes": {},
            "price": None,
            "popularity": 0.0,
            "available": True,
        }
    ]


@pytest.mark.parametrize("name", FORMATS)
def test_empty_cells_become_defaults(name: str, write: Writer, tmp_path: Path) -> None:
    row = {"item_id": "a", "title": "Lamp", "category": None, "attributes": None, "price": None, "popularity": None}
    read = rows_of(read_items(write(tmp_path / name, [row])))[0]
    assert (read["category"], read["attributes"], read["price"], read["popularity"]) == ([], {}, None, 0.0)


@pytest.mark.parametrize("name", FORMATS)
def test_columns_are_mapped_and_the_rest_is_named(name: str, write: Writer, tmp_path: Path) -> None:
    rows = [{"product_id": 7, "name": "Lamp", "pirce": 3.5, "title": "not this", "colour": "red"}]
    result = read_items(write(tmp_path / name, rows), {"item_id": "product_id", "title": "name"})
    assert [(row["item_id"], row["title"], row["price"]) for row in rows_of(result)] == [("7", "Lamp", None)]
    assert set(result.ignored_columns) == {"pirce", "title", "colour"}
    notices = result.notices()
    assert f"{tmp_path / name}: column 'colour' is not used." in notices
    assert any("--column price=pirce" in notice for notice in notices)


def test_two_of_our_columns_may_read_the_same_column(write: Writer, tmp_path: Path) -> None:
    path = write(tmp_path / "items.csv", [{"item_id": "a", "name": "Lamp"}])
    row = rows_of(read_items(path, {"title": "name", "description": "name"}))[0]
    assert (row["title"], row["description"]) == ("Lamp", "Lamp")


@pytest.mark.parametrize("name", FORMATS)
def test_a_missing_column_names_the_nearest_and_says_how_to_map_it(name: str, write: Writer, tmp_path: Path) -> None:
    path = write(tmp_path / name, [{"product_id": "a", "title": "Lamp"}])
    with pytest.raises(UserError, match=r"no column 'item_id'.*'product_id'.*--column item_id=product_id"):
        read_items(path)


@pytest.mark.parametrize("taken", ["title", "brand"])
def test_a_column_of_ours_or_of_no_likeness_is_no_advice(taken: str, write: Writer, tmp_path: Path) -> None:
    """Nor is one that stands for another of ours."""
    path = write(tmp_path / "items.csv", [{taken: "Lamp", "item_it": "x", "colour": "red"}])
    with pytest.raises(UserError) as refused:
        read_items(path, {"title": "item_it"})
    assert str(refused.value) == (
        f"{path} has no column 'item_id'; map the one that is the item_id with --column item_id=NAME"
        f" (all columns: {taken}, item_it, colour)."
    )


@pytest.mark.parametrize(("name", "separator"), [("x.csv", ";"), ("x.csv", "\t"), ("x.tsv", ",")])
def test_another_separator_is_told(name: str, separator: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(separator.join(("item_id", "title")) + "\n" + separator.join("ab") + "\n")
    with pytest.raises(UserError, match="its separator looks like") as refused:
        read_items(tmp_path / name)
    assert f"looks like {separator!r}: save it with commas" in str(refused.value)


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("start", ["", "\n ", "\ufeff"])
def test_a_file_that_is_one_array_is_told(indent: int | None, start: str, tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text(start + json.dumps([{"item_id": "a", "title": "Lamp"}], indent=indent), encoding="utf-8")
    with pytest.raises(UserError, match="is one JSON array, not JSON lines: write one object a line"):
        read_items(path)
    path.write_text('[{"item_id": "a", "title": "Lamp"},\n{"item_id": "b", "title": "Lamp"}\n]')
    with pytest.raises(UserError, match="is one JSON array"):
        read_items(path)


def test_mapping_mistakes(write: Writer, tmp_path: Path) -> None:
    path = write(tmp_path / "items.csv", [{"item_id": "a", "title": "Lamp"}])
    with pytest.raises(UserError, match="no column 'titel' to map to; it has item_id, title"):
        read_items(path, {"titel": "title"})
    with pytest.raises(UserError, match=r"no column 'tilte'.*--column title=title"):
        read_items(path, {"title": "tilte"})
    with pytest.raises(UserError, match="no column 'cost'"):
        read_items(path, {"price": "cost"})


BAD_ITEMS = [
    ({"item_id": ""}, "item_id", "is empty"),
    ({"item_id": "  "}, "item_id", "is empty"),
    ({"item_id": "a"}, "item_id", "item_id 'a' stands in row 1 already"),
    ({"title": ""}, "title", "is empty"),
    ({"title": " \t "}, "title", "is empty"),
    ({"price": "abc"}, "price", "'abc' is no number"),
    ({"price": "-3"}, "price", "-3 is negative"),
    ({"price": "inf"}, "price", "'inf' is no number"),
    ({"popularity": "-0.5"}, "popularity", "-0.5 is negative"),
    ({"available": "perhaps"}, "available", "'perhaps' is neither true nor false"),
    ({"category": ["Home", ""]}, "category", "has a level without text"),
]


@pytest.mark.parametrize("name", ["items.csv", "items.tsv", "items.jsonl"])
@pytest.mark.parametrize(("change", "column", "reason"), BAD_ITEMS)
def test_a_bad_item_is_refused_with_file_row_column_and_reason(
    name: str, change: dict[str, Any], column: str, reason: str, write: Writer, tmp_path: Path
) -> None:
    good = {"item_id": "a", "title": "Lamp", "price": "1", "popularity": "0", "available": "yes", "category": ["Home"]}
    path = write(tmp_path / name, [good, {**good, "item_id": "b"}, {**good, "item_id": "c", **change}])
    with pytest.raises(UserError) as refused:
        read_items(path)
    message = str(refused.value)
    assert f"{name}, row 3, column '{column}'" in message
    assert reason in message
    assert message.count(". ") == 0


@pytest.mark.parametrize("name", ["items.csv", "items.tsv", "items.jsonl", "items.parquet"])
def test_bad_rows_are_set_aside_and_counted(name: str, write: Writer, tmp_path: Path) -> None:
    rows = [
        {"item_id": "a", "title": "Lamp", "description": "first"},
        {"item_id": "b", "title": " ", "description": "no title"},
        {"item_id": "a", "title": "Lamp again", "description": "repeated"},
        {"item_id": "c", "title": "Shelf", "description": "last"},
    ]
    folder = tmp_path / "aside"
    result = read_items(write(tmp_path / name, rows), skip_bad_rows=True, bad_rows_folder=folder)
    assert [row["item_id"] for row in rows_of(result)] == ["a", "c"]
    assert result.bad_rows == 2
    assert result.bad_rows_file == folder / f"{name}.bad-rows.jsonl"
    aside = [json.loads(line) for line in result.bad_rows_file.read_text().splitlines()]
    assert [(entry["row"], entry["column"]) for entry in aside] == [(2, "title"), (3, "item_id")]
    assert [entry["values"]["description"] for entry in aside] == ["no title", "repeated"]
    assert list(folder.iterdir()) == [result.bad_rows_file]
    assert "2 bad rows" in result.notices()[0]


def test_a_file_with_only_bad_rows_has_no_good_rows(write: Writer, tmp_path: Path) -> None:
    path = write(tmp_path / "items.csv", [{"item_id": "a", "title": ""}])
    with pytest.raises(UserError, match="has no good rows"):
        read_items(path, skip_bad_rows=True, bad_rows_folder=tmp_path / "aside")


def test_no_side_file_is_left_for_a_good_file(write: Writer, tmp_path: Path) -> None:
    path = write(tmp_path / "items.csv", [{"item_id": "a", "title": "Lamp"}])
    stale = tmp_path / "items.csv.bad-rows.jsonl"
    stale.write_text("of an earlier run")
    result = read_items(path, skip_bad_rows=True, bad_rows_folder=tmp_path)
    assert result.bad_rows_file is None
    assert not stale.exists()


def test_setting_aside_needs_a_folder(write: Writer, tmp_path: Path) -> None:
    path = write(tmp_path / "items.csv", [{"item_id": "a", "title": "Lamp"}])
    with pytest.raises(ValueError, match="bad_rows_folder"):
        read_items(path, skip_bad_rows=True)


@pytest.mark.parametrize(("grade", "reason"), [("2.5", "2.5 is no whole number"), ("x", "'x' is no whole number")])
def test_grades_must_be_whole_numbers(grade: str, reason: str, write: Writer, tmp_path: Path) -> None:
    rows = [{"query_id": "q", "item_id": "a", "grade": grade}]
    for name in ("judgements.csv", "judgements.jsonl"):
        with pytest.raises(UserError, match=f"row 1, column 'grade': {reason}"):
            read_judgements(write(tmp_path / name, rows))


def test_fractions_in_a_parquet_grade_column_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "judgements.parquet"
    pq.write_table(pa.table({"query_id": ["q", "q"], "item_id": ["a", "b"], "grade": [1.0, 2.5]}), path)
    with pytest.raises(UserError, match=r"row 2, column 'grade': 2\.5 is no whole number"):
        read_judgements(path)


def test_negative_missing_and_repeated_judgements(write: Writer, tmp_path: Path) -> None:
    good = {"query_id": "q", "item_id": "a", "grade": "1"}
    for change, reason in (
        ({"grade": "-1"}, "-1 is negative"),
        ({"grade": ""}, "is empty"),
        ({"query_id": ""}, "is empty"),
        ({}, "query_id 'q' and item_id 'a' stands in row 1 already"),
    ):
        path = write(tmp_path / "judgements.csv", [good, {**good, "item_id": "b"}, {**good, **change}])
        with pytest.raises(UserError, match=f"row 3.*{reason}"):
            read_judgements(path)


def test_queries_keep_their_text_whatever_it_is(write: Writer, tmp_path: Path) -> None:
    texts = ["usb c", "наушники", "x" * 10_000, '19" rack', "a,b", "充電器"]
    rows = [{"query_id": str(number), "query": text} for number, text in enumerate(texts)]
    for suffix in (".csv", ".tsv", ".jsonl", ".parquet"):
        result = read_queries(write(tmp_path / f"queries{suffix}", rows))
        assert result.table.schema == QUERIES
        assert result.table["query"].to_pylist() == texts
    with pytest.raises(UserError, match="row 1, column 'query': is empty"):
        read_queries(write(tmp_path / "queries.csv", [{"query_id": "1", "query": " "}]))


def event(**changes: Any) -> dict[str, Any]:
    base = {
        "timestamp": "2026-01-31T12:00:00Z",
        "session_id": "s",
        "user_query": "lamp",
        "action_name": "click",
        "object_id": "a",
        "ordinal": 3,
    }
    return base | changes


@pytest.mark.parametrize("name", ["events.csv", "events.jsonl"])
def test_events_in_ubi_columns(name: str, write: Writer, tmp_path: Path) -> None:
    rows = [event(action_name=action, ordinal=None) for action in ACTIONS] + [event(user_query="")]
    result = read_events(write(tmp_path / name, rows))
    assert result.table.schema == EVENTS
    assert result.table["action_name"].to_pylist() == [*ACTIONS, "click"]
    assert result.table["ordinal"].to_pylist() == [None] * 4 + [3]
    assert result.table["client_id"].to_pylist() == [""] * 5


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"action_name": "hover"}, "'hover' is none of impression, click, add_to_cart, purchase"),
        ({"action_name": ""}, "is empty"),
        ({"timestamp": "yesterday"}, "'yesterday' is no time such as"),
        ({"timestamp": "2026-02-30T00:00:00Z"}, "is no time such as"),
        ({"timestamp": ""}, "is empty"),
        ({"session_id": ""}, "is empty"),
        ({"object_id": ""}, "is empty"),
        ({"ordinal": "1.5"}, "1.5 is no whole number"),
    ],
)
def test_bad_events(change: dict[str, Any], reason: str, write: Writer, tmp_path: Path) -> None:
    path = write(tmp_path / "events.csv", [event(), event(**change)])
    with pytest.raises(UserError) as refused:
        read_events(path)
    assert f"row 2, column '{next(iter(change))}': " in str(refused.value)
    assert reason in str(refused.value)


def test_events_may_repeat(write: Writer, tmp_path: Path) -> None:
    assert read_events(write(tmp_path / "events.csv", [event(), event()])).table.num_rows == 2


def test_a_column_of_a_wrong_type_is_refused_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    pq.write_table(pa.table({"item_id": ["a"], "title": [["Lamp"]]}), path)
    with pytest.raises(UserError, match="column for 'title' holds values of type list"):
        read_items(path)
    pq.write_table(pa.table({"item_id": ["a"], "title": ["Lamp"], "price": [True]}), path)
    with pytest.raises(UserError, match="column for 'price' holds values of type bool"):
        read_items(path)
    pq.write_table(pa.table({"item_id": [7.0], "title": ["Lamp"]}), path)
    with pytest.raises(UserError, match="'item_id' holds values of type double, not text: convert it to text, or name"):
        read_items(path)


def test_row_numbers_hold_across_blocks(tmp_path: Path) -> None:
    count = 70_000
    titles = ["Lamp"] * count
    titles[69_000] = ""
    path = tmp_path / "items.parquet"
    pq.write_table(pa.table({"item_id": list(map(str, range(count))), "title": titles}), path)
    with pytest.raises(UserError, match="row 69001, column 'title'"):
        read_items(path)
    result = read_items(path, skip_bad_rows=True, bad_rows_folder=tmp_path)
    assert result.table.num_rows == count - 1
    assert result.table["item_id"][69_000].as_py() == "69001"


def test_a_repeat_is_found_across_blocks_and_after_skipped_rows(tmp_path: Path) -> None:
    count = 70_000
    ids = list(map(str, range(count)))
    ids[10] = ""
    ids[-1] = "20"
    path = tmp_path / "items.parquet"
    pq.write_table(pa.table({"item_id": ids, "title": ["Lamp"] * count}), path)
    result = read_items(path, skip_bad_rows=True, bad_rows_folder=tmp_path)
    assert result.table.num_rows == count - 2
    aside = [json.loads(line) for line in (tmp_path / "items.parquet.bad-rows.jsonl").read_text().splitlines()]
    assert [entry["row"] for entry in aside] == [11, count]
    assert "stands in row 21 already" in aside[1]["reason"]

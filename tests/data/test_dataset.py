"""Recognising a folder, and the plain layout."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shelfwalk.data.dataset import open_dataset
from shelfwalk.errors import UserError

Writer = Callable[[Path, list[dict[str, Any]]], Path]
ITEM_ROWS = [{"item_id": "a", "title": "Lamp", "colour": "red"}, {"item_id": "b", "title": "Shelf", "colour": ""}]


def test_a_plain_folder_with_everything(write: Writer, tmp_path: Path) -> None:
    folder = tmp_path / "my shop"
    folder.mkdir()
    write(folder / "items.csv", ITEM_ROWS)
    write(folder / "queries.jsonl", [{"query_id": "q", "query": "lamp"}])
    write(folder / "judgements.tsv", [{"query_id": "q", "item_id": "a", "grade": 2}])
    event = {"timestamp": "2026-01-31T12:00:00Z", "session_id": "s", "user_query": "lamp"}
    write(folder / "events.parquet", [{**event, "action_name": "click", "object_id": "a"}])
    dataset = open_dataset(folder)
    assert dataset.name == "my shop"
    assert dataset.items["title"].to_pylist() == ["Lamp", "Shelf"]
    tables = (dataset.queries, dataset.judgements, dataset.events)
    assert [table.num_rows for table in tables if table is not None] == [1, 1, 1]
    assert dataset.notes == (f"{folder / 'items.csv'}: column 'colour' is not used.",)


def test_a_plain_folder_with_items_alone(write: Writer, tmp_path: Path) -> None:
    write(tmp_path / "items.parquet", ITEM_ROWS)
    dataset = open_dataset(tmp_path)
    assert (dataset.queries, dataset.judgements, dataset.events) == (None, None, None)


@pytest.mark.parametrize(("most", "asked"), [(3, ["q0", "q3", "q7"]), (1, ["q0"]), (8, None), (20, None), (None, None)])
def test_fewer_queries_are_spread_and_keep_their_judgements(
    write: Writer, tmp_path: Path, most: int | None, asked: list[str] | None
) -> None:
    write(tmp_path / "items.csv", ITEM_ROWS)
    write(tmp_path / "queries.jsonl", [{"query_id": f"q{number}", "query": "lamp"} for number in range(8)])
    graded = [{"query_id": f"q{number}", "item_id": item, "grade": 2} for number in range(8) for item in "ab"]
    write(tmp_path / "judgements.jsonl", graded)
    dataset = open_dataset(tmp_path)
    fewer = dataset.with_fewer_queries(most)
    if asked is None:
        assert fewer is dataset
        return
    assert fewer.queries is not None
    assert fewer.judgements is not None
    assert fewer.queries["query_id"].to_pylist() == asked
    assert fewer.judgements["query_id"].to_pylist() == [query for query in asked for _ in range(2)]
    assert fewer.items is dataset.items


def test_bad_rows_of_a_plain_folder(write: Writer, tmp_path: Path) -> None:
    write(tmp_path / "items.csv", [*ITEM_ROWS, {"item_id": "", "title": "x", "colour": ""}])
    with pytest.raises(UserError, match="row 3, column 'item_id'"):
        open_dataset(tmp_path)
    dataset = open_dataset(tmp_path, skip_bad_rows=True, bad_rows_folder=tmp_path / "aside")
    assert dataset.items.num_rows == 2
    assert "items.csv: 1 bad row was set aside" in dataset.notes[0]
    with pytest.raises(ValueError, match="bad_rows_folder"):
        open_dataset(tmp_path, skip_bad_rows=True)


def test_two_files_for_one_table_are_refused(write: Writer, tmp_path: Path) -> None:
    write(tmp_path / "items.csv", ITEM_ROWS)
    write(tmp_path / "items.jsonl", ITEM_ROWS)
    with pytest.raises(UserError, match=r"has both items\.csv and items\.jsonl"):
        open_dataset(tmp_path)


def test_an_unknown_layout_lists_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "stuff.txt").write_text("x")
    with pytest.raises(UserError) as refused:
        open_dataset(tmp_path)
    for known in ("icecat_chorus", "ratings.parquet", "WANDS", "label.csv", "ESCI", "plain", ".jsonl"):
        assert known in str(refused.value)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no folder"):
        open_dataset(tmp_path / "nowhere")


def test_opening_data_imports_no_heavy_library() -> None:
    code = "import sys, shelfwalk.data.dataset, shelfwalk.data.leaks; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "pandas", "matplotlib", "sklearn"} & set(loaded)

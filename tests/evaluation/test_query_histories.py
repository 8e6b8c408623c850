"""Histories that queries bring: told to the shelf, and refused before anything is searched where they cannot be."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shelfwalk import Shelf
from shelfwalk.data.readers import read_evaluation_queries
from shelfwalk.data.tables import PERSONAL_QUERIES
from shelfwalk.errors import UserError
from shelfwalk.evaluation.query_histories import query_histories
from shelfwalk.evaluation.shelf_evaluation import data_hash, evaluate_shelf
from small_shop import Ran, SmallShop

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)
ITEMS = pa.chunked_array([["a", "b"], ["c"]])


def queries(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=PERSONAL_QUERIES)


def query(name: str, history: list[str] | None, seconds: int | None = None) -> dict[str, Any]:
    before = None if seconds is None else NOON - timedelta(seconds=seconds)
    return {"query_id": name, "query": "ink", "asked_at": NOON, "history": history, "history_at": before}


def test_histories_come_out_as_they_are_and_empty_where_nothing_is_known() -> None:
    table = queries(query("q1", ["c", "a"], 1), query("q2", None), query("q3", []), query("q4", ["b"]))
    assert query_histories(table, ITEMS) == [["c", "a"], [], [], ["b"]]
    assert query_histories(table.drop_columns(["history"]), ITEMS) == [[]] * 4
    assert query_histories(table.drop_columns(["asked_at", "history_at"]), ITEMS)[0] == ["c", "a"]


@pytest.mark.parametrize("seconds", [0, -1])
def test_a_history_in_the_future_is_refused(seconds: int) -> None:
    table = queries(query("q1", ["a"], 1), query("q2", ["b"], seconds))
    with pytest.raises(UserError, match="history of query 'q2' lies in the future"):
        query_histories(table, ITEMS)


def test_an_unknown_item_is_named_with_its_query() -> None:
    table = queries(query("q1", ["a"]), query("q2", None), query("q3", ["b", "x", "y"]))
    with pytest.raises(UserError, match="query 'q3' names an item that is not in the catalogue, 'x'"):
        query_histories(table, ITEMS)


def test_a_file_may_bring_histories(tmp_path: Path) -> None:
    path = tmp_path / "queries.csv"
    path.write_text("query_id,query,past,asked_at\nq1,ink,a > b,2025-03-01T12:00:00Z\nq2,hub,,\n", encoding="utf-8")
    read = read_evaluation_queries(path, {"history": "past"}).table
    assert read.schema == PERSONAL_QUERIES
    assert query_histories(read, ITEMS) == [["a", "b"], []]
    assert read["asked_at"].to_pylist() == [NOON, None]


def test_the_data_is_another_with_other_histories() -> None:
    items, judgements = pa.table({"item_id": ["a"]}), pa.table({"query_id": ["q1"]})
    first, second = queries(query("q1", ["a"])), queries(query("q1", ["b"]))
    plain = first.drop_columns(["history"])
    hashes = [data_hash(items, table, judgements) for table in (first, second, plain, plain.drop_columns(["seen"]))]
    assert len(set(hashes)) == 3
    assert hashes[2] == hashes[3]


def test_an_evaluation_asks_every_query_with_its_own_history(
    small_shop: SmallShop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = small_shop.items()["item_id"].to_pylist()
    told: list[tuple[str, list[int]]] = []
    plainly = Shelf.request

    def listening(shelf: Shelf, text: str, *more: Any, **options: Any) -> Any:
        request = plainly(shelf, text, *more, **options)
        told.append((text, request.history.tolist()))
        return request

    monkeypatch.setattr(Shelf, "request", listening)
    table = queries(query("q1", [ids[9], ids[2]], 1), {**query("q2", None), "query": "desk light"})
    judgements = pa.table(
        {"query_id": ["q1", "q2"], "item_id": [ids[0], ids[1]], "grade": pa.array([1, 1], pa.int32())}
    )
    evaluate_shelf(Shelf.open(small_shop.shelf), table, judgements, tmp_path, relevant_grade=1)
    # Each once for the identifiers and once for the lists; then come latencies and samples.
    assert told[0:4:2] == told[1:4:2] == [("ink", [9, 2]), ("desk light", [])]


def test_the_command_refuses_what_cannot_be_before_it_searches(
    small_shop: SmallShop, run_command: Callable[..., Ran], tmp_path: Path
) -> None:
    path = tmp_path / "queries.parquet"
    files = ("--queries", path, "--judgements", small_shop.judgements_file, "--out", tmp_path / "out")
    rows = [query(f"q{number}", None) for number in range(10)]
    for wrong, words in ((query("q9", ["usb"]), "not in the catalogue, 'usb'"), (query("q9", [], -5), "in the future")):
        pq.write_table(queries(*rows[:9], wrong), path)
        run_command("evaluate", small_shop.shelf, *files).refused("The history of query 'q9'", words)
        assert not (tmp_path / "out").exists()

"""Files that break the contract of their table, through the command line: one sentence, and nothing written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shelfwalk.cli import main
from shelfwalk.shelf.shelf import Shelf
from shelfwalk.tables_from_files import TableFiles
from small_shop import Ran, SmallShop, files_of, product, write_csv

Run = Callable[..., Ran]

GOOD = "item_id,title\na,USB hub\nb,Desk lamp\n"
LINE = b'{"item_id": "a", "title": "USB hub"}\n'
CATALOGUES: dict[str, tuple[str, str | bytes, list[str]]] = {
    "a missing column": ("x.csv", "item_id,name\na,USB hub\n", ["no column 'title'", "--column title=NAME"]),
    "a misspelt column": ("x.csv", "item_id,titel\na,USB hub\n", ["no column 'title'", "--column title=titel"]),
    "no obligatory column": ("x.csv", "colour\nred\n", ["no column 'item_id'", "all columns: colour"]),
    "two columns of a name": ("x.csv", "item_id,title,title\na,b,c\n", ["two columns named 'title'"]),
    "a repeated item_id": ("x.csv", f"{GOOD}a,Mouse\n", ["row 3, column 'item_id'", "stands in row 1 already"]),
    "an empty item_id": ("x.csv", f"{GOOD},Mouse\n", ["row 3, column 'item_id'", "is empty"]),
    "a blank item_id": ("x.csv", f"{GOOD}  ,Mouse\n", ["row 3, column 'item_id'", "is empty"]),
    "an empty title": ("x.csv", f"{GOOD}c,\n", ["row 3, column 'title'", "is empty"]),
    "a blank title": ("x.csv", f'{GOOD}c," \t "\n', ["row 3, column 'title'", "is empty"]),
    "a null title": ("x.jsonl", '{"item_id": "a", "title": null}\n', ["row 1, column 'title'", "is empty"]),
    "a price in words": ("x.csv", "item_id,title,price\na,Hub,cheap\n", ["column 'price'", "'cheap' is no number"]),
    "a negative price": ("x.csv", "item_id,title,price\na,Hub,-1\n", ["row 1, column 'price'", "-1 is negative"]),
    "no flag": ("x.csv", "item_id,title,available\na,Hub,maybe\n", ["column 'available'", "neither true nor false"]),
    "no attributes": ("x.csv", 'item_id,title,attributes\na,Hub,"{colour"\n', ["row 1, column 'attributes'"]),
    "a list for a title": ("x.jsonl", '{"item_id": "a", "title": ["USB", "hub"]}\n', ["row 1, column 'title'"]),
    "broken UTF-8": ("x.csv", b"item_id,title\na,USB \xff hub\n", ["row 1, column 'title'", "not valid UTF-8"]),
    "a broken header": ("x.csv", b"item_id,title\xff\na,USB hub\n", ["header line is not valid UTF-8"]),
    "broken UTF-8 in JSON": ("x.jsonl", LINE + b'{"item_id": "b", "title": "\xff"}\n', ["row 2", "not valid UTF-8"]),
    "broken JSON": ("x.jsonl", LINE + b'{"item_id": "b"\n', ["row 2", "JSON"]),
    "a row too long": ("x.csv", f"{GOOD}c,Mouse,red\n", ["row 3", "3 cells where the header has 2"]),
    "an open quotation mark": ("x.csv", f'{GOOD}c,"Mouse\n', ["quotation mark in line 4 is never closed"]),
    "an empty file": ("x.csv", "", ["is empty"]),
    "a header alone": ("x.csv", "item_id,title\n", ["has no rows, so there are no items"]),
    "blank lines alone": ("x.jsonl", "\n\n", ["has no columns"]),
    "no Parquet": ("x.parquet", "PAR?", ["not a Parquet file"]),
    "an unknown kind": ("x.xlsx", "PK", ["of no known kind", ".csv"]),
}  # fmt: skip


def wrong_tables() -> dict[str, tuple[pa.Table, list[str]]]:
    good = product("a", "USB hub")
    kept = {name: [good[name]] for name in ("item_id", "title")}
    return {
        "no rows": (pa.table(kept).slice(0, 0), ["has no rows, so there are no items"]),
        "a title of numbers in a list": (pa.table({**kept, "title": [[1.5]]}), ["'title'", "not text"]),
        "a price that is a flag": (pa.table({**kept, "price": [True]}), ["'price'", "not numbers"]),
        "broken UTF-8": (
            pa.table({**kept, "title": pa.array([b"USB \xff hub"], pa.binary())}),
            ["row 1, column 'title'", "not valid UTF-8"],
        ),
    }


@pytest.fixture
def refused_build(small_shop: SmallShop, run_command: Run, tmp_path: Path) -> Callable[..., None]:
    """Assert that a build is refused with these words, at a new place and over a shelf, and leaves all as it was."""
    own = small_shop.copy_of_shelf(tmp_path)
    (tmp_path / "work").mkdir()

    def refuse(words: list[str], items: Path, *options: object) -> None:
        before = files_of(own)
        for out in (tmp_path / "work" / "new.shelf", own):
            ran = run_command("build", "--items", items, "--recipe", small_shop.recipe_file, "--out", out, *options)
            ran.refused(*words)
        assert files_of(own) == before
        assert not list((tmp_path / "work").iterdir())

    return refuse


@pytest.mark.parametrize("case", CATALOGUES)
def test_a_catalogue_that_breaks_its_contract(refused_build: Callable[..., None], tmp_path: Path, case: str) -> None:
    name, content, words = CATALOGUES[case]
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    refused_build([str(path), *words], path)


@pytest.mark.parametrize("case", wrong_tables())
def test_a_parquet_catalogue_of_wrong_types(refused_build: Callable[..., None], tmp_path: Path, case: str) -> None:
    table, words = wrong_tables()[case]
    pq.write_table(table, tmp_path / "x.parquet")
    refused_build([str(tmp_path / "x.parquet"), *words], tmp_path / "x.parquet")


def test_files_that_are_not_there(refused_build: Callable[..., None], small_shop: SmallShop, tmp_path: Path) -> None:
    refused_build(["There is no file", "nowhere.csv"], tmp_path / "nowhere.csv")
    refused_build(["There is no file", "nowhere.csv"], tmp_path / "nowhere.csv", "--column", "title=name")
    refused_build(["has no known layout"], tmp_path / "work")
    for option in ("--queries", "--events", "--evaluation-queries"):
        refused_build(["There is no file", "nowhere.csv"], small_shop.items_file, option, tmp_path / "nowhere.csv")


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        (["title"], ['"title" is not of the form OURS=THEIRS']),
        (["title="], ["not of the form OURS=THEIRS"]),
        (["=name"], ["not of the form OURS=THEIRS"]),
        (["title=name", "title=titel"], ["--column names title twice"]),
        (["titel=name"], ['names "titel", which is no column of ours', "item_id"]),
        (["title=nmae"], ["no column 'nmae'", "nearest it has is 'name'"]),
        (["grade=name"], ['names "grade", which is no column of ours']),
    ],
)
def test_a_mapping_that_names_nothing(
    refused_build: Callable[..., None], tmp_path: Path, mapping: list[str], words: list[str]
) -> None:
    items = write_csv(tmp_path / "x.csv", ("item_id", "name"), [("a", "USB hub")])
    refused_build(words, items, *(part for column in mapping for part in ("--column", column)))


def test_a_mapping_to_a_column_of_another_file_only(
    refused_build: Callable[..., None], small_shop: SmallShop, tmp_path: Path
) -> None:
    """A name that is some other table's column is as misspelt as one that is nowhere."""
    refused_build(
        ["items.parquet has no column 'query'"],
        small_shop.items_file,
        *("--queries", small_shop.queries_file, "--column", "title=query"),
    )


def test_bad_rows_of_two_files_of_a_name_are_kept_apart(tmp_path: Path) -> None:
    """Training queries, evaluation queries and one of a folder's own; a clean one removes nobody's bad rows."""
    good, bad = ("a", "usb hub"), ("b", "")
    for folder, rows in (("shop", [good, bad]), ("train", [good, bad, bad]), ("kept", [good])):
        (tmp_path / folder).mkdir()
        write_csv(tmp_path / folder / "queries.csv", ("query_id", "query"), rows)
    items, judged = (tmp_path / "shop" / "items.csv", tmp_path / "j.csv")
    items.write_text(GOOD)
    write_csv(judged, ("query_id", "item_id", "grade"), [("a", "a", 1)])
    queries, kept = tmp_path / "train" / "queries.csv", tmp_path / "kept" / "queries.csv"
    for catalogue, count in ((items, 1), (items.parent, 2)):
        aside = tmp_path / f"aside{count}"
        files = TableFiles({}, True, aside)
        files.items_and_training(catalogue, queries, judged, None, kept)
        written = [path for path in aside.rglob("*") if path.is_file()]
        assert len(written) == count
        assert len([notice for notice in files.notices if "aside into" in notice]) == count
        assert f"{queries}: 2 bad rows were set aside" in " ".join(files.notices)


EVALUATIONS: dict[str, tuple[str, str, list[str]]] = {
    "a grade in words": ("grade", "good", ["row 1, column 'grade'", "'good' is no whole number"]),
    "half a grade": ("grade", "1.5", ["row 1, column 'grade'", "1.5 is no whole number"]),
    "a negative grade": ("grade", "-1", ["row 1, column 'grade'", "-1 is negative"]),
    "no grade": ("grade", "", ["row 1, column 'grade'", "is empty"]),
    "a huge grade": ("grade", "99999999999", ["row 1, column 'grade'", "is too large"]),
    "no query_id": ("query_id", "", ["row 1, column 'query_id'", "is empty"]),
    "no item_id": ("item_id", " ", ["row 1, column 'item_id'", "is empty"]),
    "an unknown query": ("query_id", "q77", ["queries that are not in the queries", "'q77'"]),
}


@pytest.fixture
def evaluate(small_shop: SmallShop, run_command: Run, tmp_path: Path) -> Callable[..., Ran]:
    """Evaluate the shelf with judgements and queries of a test's own, into `results`."""

    def run(judgements: list[tuple[Any, ...]], queries: Path | None = None, *options: object) -> Ran:
        path = write_csv(tmp_path / "j.csv", ("query_id", "item_id", "grade"), judgements)
        asked = queries or small_shop.queries_file
        arguments = ("--queries", asked, "--judgements", path, "--out", tmp_path / "results", *options)
        return run_command("evaluate", small_shop.shelf, *arguments)

    return run


@pytest.mark.parametrize("case", EVALUATIONS)
def test_judgements_that_break_their_contract(evaluate: Callable[..., Ran], tmp_path: Path, case: str) -> None:
    column, value, words = EVALUATIONS[case]
    row = {"query_id": "q0", "item_id": "usb-hub-dunlo-0", "grade": "2", column: value}
    evaluate([tuple(row.values()), ("q1", "usb-hub-dunlo-1", 2)]).refused(*words)
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("judgements", "words"),
    [
        ([("q0", "usb-hub-dunlo-0", 1), ("q0", "usb-hub-dunlo-0", 2)], ["row 2", "stands in row 1 already"]),
        ([("q0", "foreign-1", 2), ("q1", "foreign-2", 1)], ["No judgement names an item of this shelf", "item_id"]),
        ([("q0", "usb-hub-dunlo-0", 0), ("q1", "usb-hub-dunlo-0", 0)], ["No judged item is relevant"]),
        ([], ["has no rows, so there are no judgements"]),
    ],
)
def test_judgements_that_measure_nothing(
    evaluate: Callable[..., Ran], tmp_path: Path, judgements: list[tuple[Any, ...]], words: list[str]
) -> None:
    evaluate(judgements).refused(*words)
    assert not (tmp_path / "results").exists()


def test_a_grade_above_all_is_relevant_for_nobody(evaluate: Callable[..., Ran]) -> None:
    judgements = [("q0", "usb-hub-dunlo-0", 2)]
    evaluate(judgements, None, "--relevant-grade", 3).refused("highest grade is 2")
    evaluate(judgements, None, "--relevant-grade", 0).refused("--relevant-grade")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([("q0", "usb hub"), ("q0", "desk lamp")], ["row 2, column 'query_id'", "stands in row 1 already"]),
        ([("q0", " ")], ["row 1, column 'query'", "is empty"]),
        ([("", "usb hub")], ["row 1, column 'query_id'", "is empty"]),
        ([], ["has no rows, so there are no queries"]),
    ],
)
def test_queries_that_break_their_contract(
    evaluate: Callable[..., Ran], tmp_path: Path, rows: list[tuple[str, str]], words: list[str]
) -> None:
    queries = write_csv(tmp_path / "q.csv", ("query_id", "query"), rows)
    evaluate([("q0", "usb-hub-dunlo-0", 2)], queries).refused("q.csv", *words)
    assert not (tmp_path / "results").exists()


def test_results_that_have_no_place(small_shop: SmallShop, run_command: Run, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    files = ("--queries", small_shop.queries_file, "--judgements", small_shop.judgements_file)
    run_command("evaluate", small_shop.shelf, *files, "--out", taken).refused(str(taken), "choose another place")
    run_command("evaluate", small_shop.shelf, *files, "--out", taken / "x").refused(str(taken), "choose another place")
    assert taken.read_text() == "mine"


def test_a_refused_build_leaves_a_shelf_that_answers(small_shop: SmallShop, tmp_path: Path) -> None:
    own = small_shop.copy_of_shelf(tmp_path)
    items = write_csv(tmp_path / "x.csv", ("item_id", "title"), [("a", "")])
    assert main(["build", "--items", str(items), "--recipe", str(small_shop.recipe_file), "--out", str(own)]) == 2
    found, expected = (Shelf.open(path).search("vertical wireless mouse") for path in (own, small_shop.shelf))
    assert found.results == expected.results

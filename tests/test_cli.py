"""The command line where all goes well: every verb's output, and what it leaves on the disk."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from errno import EDQUOT, EIO, ELOOP, ENOENT, ENOSPC, EPERM
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from shelfwalk.channels.names import CHANNELS
from shelfwalk.recipes.recipe import load_recipe, recipe_names
from shelfwalk.shelf import building
from shelfwalk.shelf.generations import generations
from shelfwalk.shelf.shelf import Shelf
from small_shop import Ran, SmallShop, files_of, write_csv

Run = Callable[..., Ran]
VERBS = ("build", "search", "evaluate", "inspect", "recipes")


def test_without_a_verb_the_help_is_printed(run_command: Run) -> None:
    bare, helped = run_command(), run_command("--help")
    assert bare == helped
    assert bare.status == 0
    assert all(re.search(rf"^  {verb} ", bare.out, re.MULTILINE) for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_explains_itself(run_command: Run, verb: str) -> None:
    ran = run_command(verb, "--help")
    assert (ran.status, ran.err) == (0, "")
    assert f"{verb} [OPTIONS]" in ran.out
    if verb in ("build", "search", "evaluate"):
        assert f"Example: shelfwalk {verb}" in ran.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sarch"], ["No such command 'sarch'"]),
        (["search"], ["Missing argument 'SHELF'"]),
        (["search", "x.shelf"], ["Missing argument 'query'"]),
        (["search", "x.shelf", "usb", "-k", "ten"], ["-k", "valid integer"]),
        (["search", "x.shelf", "usb", "--beam", "0"], ["--beam", "greater than or equal to 1"]),
        (["search", "x.shelf", "usb", "--chanel", "bm25"], ["No such option: --chanel"]),
        (["build", "--items", "x.csv"], ["Missing option '--out'"]),
        (["build", "--items", "x.csv", "--out", "x", "--seed", "-1"], ["--seed", "greater than or equal to 0"]),
        (["build", "--items", "x.csv", "--out", "x", "--seed", f"{2**31}"], ["--seed", "less than or equal to"]),
        (["recipes", "nonsense"], ["No such command 'nonsense'"]),
    ],
)
def test_a_wrong_call_is_one_sentence(run_command: Run, arguments: list[str], words: list[str]) -> None:
    run_command(*arguments).refused(*words, "see shelfwalk --help")


def test_recipes_are_listed_shown_and_copied(run_command: Run, tmp_path: Path) -> None:
    names = run_command("recipes").out.split()
    assert {"rqkmeans", "tiger"} <= set(names)
    copy = tmp_path / "new" / "mine.toml"
    assert run_command("recipes", "copy", "tiger", copy) == Ran(0, "", "")
    shown = run_command("recipes", "show", "tiger").out
    assert copy.read_text() == shown.replace('name = "tiger"', 'name = "mine"')
    assert load_recipe(str(copy)).name == "mine"


@pytest.mark.parametrize("name", recipe_names())
def test_a_copy_of_any_recipe_is_named_after_its_file(run_command: Run, tmp_path: Path, name: str) -> None:
    copy = tmp_path / 'my "own" \\1 é.toml'
    assert run_command("recipes", "copy", name, copy) == Ran(0, "", "")
    assert load_recipe(str(copy)) == load_recipe(name).model_copy(update={"name": copy.stem})


def test_a_copy_of_a_recipe_never_replaces_a_file(run_command: Run, tmp_path: Path) -> None:
    taken, text_file = tmp_path / "taken.toml", tmp_path / "mine.txt"
    taken.write_text("mine")
    run_command("recipes", "copy", "tiger", taken).refused("taken.toml exists already")
    run_command("recipes", "copy", "tiger", text_file).refused("does not end in .toml")
    run_command("recipes", "copy", "tigre", tmp_path / "x.toml").refused('no recipe "tigre"', "rqkmeans, ")
    run_command("recipes", "copy", "tiger", taken / "x.toml").refused("taken.toml")
    assert files_of(tmp_path) == {"taken.toml": b"mine"}


def test_search_prints_ranked_titles(small_shop: SmallShop, run_command: Run) -> None:
    ran = run_command("search", small_shop.shelf, "usb hub", "-k", 3, "--channel", "bm25")
    assert (ran.status, ran.err) == (0, "")
    *lines, foot = ran.out.splitlines()
    assert [line.split(".")[0].strip() for line in lines] == ["1", "2", "3"]
    assert all(re.search(r" usb hub .*\[usb-hub-\w+-\d\]$", line) for line in lines)
    assert re.fullmatch(r"bm25, \d+\.\d ms", foot)


def test_search_explains_each_item(small_shop: SmallShop, run_command: Run) -> None:
    ran = run_command("search", small_shop.shelf, "usb hub", "-k", 2, "--explain")
    reasons = [line.strip() for line in ran.out.splitlines() if line.startswith("       ")]
    told = {reason.split()[0] for reason in reasons}
    assert {"bm25", "dense"} <= told <= {"bm25", "dense", "generative"}
    assert any("words: usb, hub" in reason for reason in reasons)


def test_a_query_that_nothing_fits_is_no_error(small_shop: SmallShop, run_command: Run) -> None:
    ran = run_command("search", small_shop.shelf, "zzyzx", "--channel", "bm25")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out == 'Nothing found for "zzyzx" in channel bm25.\n'


@pytest.mark.parametrize("channel", CHANNELS)
def test_search_as_json_is_the_answer_of_the_library(small_shop: SmallShop, run_command: Run, channel: str) -> None:
    arguments = ("search", small_shop.shelf, "grey laptop sleeve", "-k", 7, "--channel", channel, "--explain", "--json")
    ran = run_command(*arguments)
    assert (ran.status, ran.err, ran.out.count("\n")) == (0, "", 1)
    printed = json.loads(ran.out)
    expected = Shelf.open(small_shop.shelf).search("grey laptop sleeve", 7, channel, explain=True)
    assert [(item["item_id"], item["rank"]) for item in printed["results"]] == [
        (item.item_id, item.rank) for item in expected.results
    ]
    assert (printed["query"], printed["channel"]) == ("grey laptop sleeve", channel)
    evidence = printed["results"][0]["evidence"]
    assert {part["channel"] for part in evidence} <= set(CHANNELS)
    assert all(part["reason"] and part["rank"] >= 1 for part in evidence)


def test_a_search_can_be_given_its_time(small_shop: SmallShop, run_command: Run) -> None:
    ran = run_command("search", small_shop.shelf, "desk lamp", "--within", "100000", "--json")
    assert ran.status == 0
    assert re.fullmatch(r"Beam 200: most searches take at most [0-9.]+ ms on this machine now\.\n", ran.err)
    assert json.loads(ran.out)["results"]
    run_command("search", small_shop.shelf, "desk lamp", "--within", "1", "--beam", "3").refused("--beam and --within")


def test_the_beam_of_one_search_can_be_chosen(small_shop: SmallShop, run_command: Run) -> None:
    found = []
    for beam in (1, 64):
        ran = run_command(
            "search", small_shop.shelf, "desk lamp", "-k", 120, "--channel", "generative", "--beam", beam, "--json"
        )
        found.append({item["item_id"] for item in json.loads(ran.out)["results"]})
    assert found[0] < found[1]
    assert len(found[1]) == 120


def test_inspect_shows_what_is_in_the_shelf(
    small_shop: SmallShop, run_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    ran = run_command("inspect", small_shop.shelf)
    assert (ran.status, ran.err) == (0, "")
    assert f"small ({small_shop.recipe.hash})" in ran.out
    shelf = Shelf.open(small_shop.shelf)
    for name, entry in shelf.manifest.files.items():
        (line,) = [line for line in ran.out.splitlines() if f" {name} " in line]
        assert entry.sha256[:16] in line
    for words in ("perplexity", "Gini", "distinct identifiers", "in the largest", "120"):
        assert words in ran.out


def test_inspect_as_json_is_the_manifest(small_shop: SmallShop, run_command: Run) -> None:
    ran = run_command("inspect", small_shop.shelf, "--json")
    assert json.loads(ran.out) == json.loads(Shelf.open(small_shop.shelf).manifest.text())
    assert ran.err == ""


def test_build_again_publishes_a_generation_and_says_how_to_go_on(
    small_shop: SmallShop, shop_cache: Path, run_command: Run, tmp_path: Path
) -> None:
    (tmp_path / "my shop").mkdir()
    own = small_shop.copy_of_shelf(tmp_path / "my shop")
    build = ("build", "--items", small_shop.items_file, "--recipe", small_shop.recipe_file, "--out", own)
    ran = run_command(*build)
    assert ran.status == 0
    assert "codebook use" in ran.out
    assert f"Next: shelfwalk search '{own}'" in ran.out.splitlines()[-1]
    assert generations(own) == ["000001", "000002"]
    assert run_command(*build, "--quiet") == Ran(0, "", "")
    assert generations(own) == ["000002", "000003"]
    first, last = Shelf.open(small_shop.shelf).manifest, Shelf.open(own).manifest
    assert (first.files, first.facts, first.recipe) == (last.files, last.facts, last.recipe)


def test_columns_are_mapped_unused_ones_named_and_bad_rows_set_aside(
    small_shop: SmallShop, shop_cache: Path, run_command: Run, tmp_path: Path
) -> None:
    """The catalogue under other names, with a bad row and a column too many, is the catalogue that was built."""
    rows = small_shop.items().to_pylist()
    header = ("sku", "name", "description", "brand", "category", "attributes", "price", "colour")
    plain = ("item_id", "title", "description", "brand")
    lines = [
        [
            *(row[name] for name in plain),
            " > ".join(row["category"]),
            json.dumps(dict(row["attributes"])),
            row["price"],
            "red",
        ]
        for row in rows
    ]
    lines.insert(7, ["", "A thing without an id", "", "", "", "{}", "1", "red"])
    items = write_csv(tmp_path / "products.csv", header, lines)
    own = small_shop.copy_of_shelf(tmp_path)
    build = ["build", "--items", items, "--recipe", small_shop.recipe_file, "--out", own, "--column", "item_id=sku"]
    build += ["--column", "title=name"]
    before = files_of(own)
    run_command(*build).refused("products.csv, row 8, column 'item_id': is empty", "--skip-bad-rows")
    assert files_of(own) == before
    assert not (tmp_path / "products.csv.bad-rows.jsonl").exists()
    ran = run_command(*build, "--skip-bad-rows")
    assert ran.status == 0
    assert f"{items}: 1 bad row was set aside" in ran.err
    assert f"{items}: column 'colour' is not used" in ran.err
    (aside,) = (tmp_path / "products.csv.bad-rows.jsonl").read_text().splitlines()
    assert json.loads(aside)["row"] == 8
    assert Shelf.open(own).manifest.files == Shelf.open(small_shop.shelf).manifest.files
    assert run_command(*build, "--skip-bad-rows", "--quiet") == Ran(0, "", "")


def test_a_column_that_only_one_file_calls_otherwise(small_shop: SmallShop, run_command: Run, tmp_path: Path) -> None:
    """`item_id=sku` is for the catalogue alone where the judgements say item_id; the refusal comes after reading."""
    items = pq.read_table(small_shop.items_file).rename_columns({"item_id": "sku"})
    pq.write_table(items, tmp_path / "products.parquet")
    queries = write_csv(tmp_path / "queries.csv", ("qid", "query"), [("a", "usb hub")])
    judgements = write_csv(tmp_path / "j.csv", ("query_id", "item_id", "grade"), [("a", "usb-hub-dunlo-0", 1)])
    evaluated = write_csv(tmp_path / "kept.csv", ("query_id", "query"), [("b", "USB hubs")])
    arguments = ["build", "--items", tmp_path / "products.parquet", "--queries", queries, "--judgements", judgements]
    arguments += ["--evaluation-queries", evaluated, "--recipe", small_shop.recipe_file, "--out", tmp_path / "x.shelf"]
    arguments += ["--column", "item_id=sku", "--column", "query_id=qid"]
    run_command(*arguments).refused("1 of 1 training queries are evaluation queries", "'usb hub'", "'USB hubs'")
    assert not (tmp_path / "x.shelf").exists()


def test_ctrl_c_is_one_sentence_and_a_fault_of_ours_is_none(
    small_shop: SmallShop, run_command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = ("build", "--items", small_shop.items_file, "--recipe", small_shop.recipe_file, "--out", tmp_path / "x")

    def raising(error: BaseException) -> Callable[..., str]:
        def build_shelf(*arguments: object, **settings: object) -> str:
            raise error

        return build_shelf

    monkeypatch.setattr(building, "build_shelf", raising(KeyboardInterrupt()))
    ran = run_command(*build)
    assert (ran.status, ran.out, ran.err.count("\n")) == (130, "", 1)
    assert ran.err.startswith("shelfwalk: stopped; nothing half-made is left")
    monkeypatch.setattr(building, "build_shelf", raising(OSError(ENOSPC, "No space left on device", "items.arrow")))
    run_command(*build).refused("items.arrow: No space left on device")
    for number in (EDQUOT, EPERM, EIO, ELOOP):
        monkeypatch.setattr(building, "build_shelf", raising(OSError(number, "Refused", "items.arrow")))
        run_command(*build).refused("items.arrow: Refused")
    monkeypatch.setattr(building, "build_shelf", raising(FileNotFoundError(ENOENT, "No such file", "step.json")))
    with pytest.raises(FileNotFoundError):
        run_command(*build)


def test_a_folder_of_a_known_layout_is_built(
    small_shop: SmallShop, shop_cache: Path, run_command: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    shutil.copy(small_shop.items_file, folder)
    own = small_shop.copy_of_shelf(tmp_path)
    arguments = ("build", "--items", folder, "--recipe", small_shop.recipe_file, "--out", own, "--quiet")
    assert run_command(*arguments) == Ran(0, "", "")
    assert Shelf.open(own).manifest.files == Shelf.open(small_shop.shelf).manifest.files
    run_command(*arguments, "--column", "item_id=sku").refused("--column", "known layout")

"""`shelfwalk compare` and `shelfwalk claims`: what they print and write, and each mistake in one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from shelfwalk.data.dataset import open_dataset
from shelfwalk.evaluation.query_values import QueryValues
from shelfwalk.evaluation.recipe_runs import dataset_hash, run_recipe
from shelfwalk.evaluation.results import Machine, Result, ResultRecord, append_evaluation, read_results
from shelfwalk.recipes.recipe import load_recipe
from small_shop import Ran, SmallShop, catalogue, product, write_csv

Run = Callable[..., Ran]
KEYS = ["claim", "source", "published", "ours", "low", "high", "seeds", "verdict", "why"]
CLAIMS = """
[data.gadgets]
title = "Some gadgets"
[[claims]]
id = "a"
claim = "A beats B"
source = "Somewhere"
published = 1.2
kind = "ratio"
data = "gadgets"
metric = "R@10"
treatment = ["rqkmeans/generative"]
control = ["tiger/generative"]
above = 1.0
[[claims]]
id = "b"
claim = "C beats D"
source = "Elsewhere"
published = "above 1"
kind = "ratio"
data = "gadgets"
metric = "R@10"
treatment = ["unheard-of/generative"]
control = ["tiger/generative"]
above = 1.0
"""


def result(recipe: str, seed: int, mean: float, data_hash: str = "d" * 16, queries: int = 30) -> Result:
    """A result whose generative channel has values around `mean`, and its baseline around 0.5."""
    values = np.linspace(-0.1, 0.1, queries)
    kept = QueryValues(
        tuple(f"q{number}" for number in range(queries)),
        ("some words",) * queries,
        {"band": np.array(["head", "tail"] * (queries // 2))},
        {"bm25+dense": {"R@10": values + 0.5}, "generative": {"R@10": values + mean + seed / 1000}},
    )
    record = ResultRecord(
        "2030-01-01T00:00:00+00:00", data_hash, kept.queries_hash, recipe, load_recipe(recipe).hash, seed, {},
        Machine("made up", 2, 1), queries, 0, 1, "", {}, {}, {}, [],
    )  # fmt: skip
    return Result(record, kept)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for recipe, mean in (("rqkmeans", 0.6), ("tiger", 0.4)):
        for seed in range(3):
            append_evaluation(tmp_path / "results" / "made.jsonl", result(recipe, seed, mean))
    return tmp_path / "results"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder of items, queries and judgements."""
    folder = tmp_path / "gadgets"
    folder.mkdir()
    pq.write_table(catalogue([product("a", "usb hub"), product("b", "ink")]), folder / "items.parquet")
    write_csv(folder / "queries.csv", ("query_id", "query"), [("q", "hub")])
    write_csv(folder / "judgements.csv", ("query_id", "item_id", "grade"), [("q", "a", 1)])
    return folder


@pytest.fixture
def claims_file(tmp_path: Path) -> Path:
    path = tmp_path / "claims.toml"
    path.write_text(CLAIMS, encoding="utf-8")
    return path


def test_comparing_prints_verdicts_and_writes_the_page(run_command: Run, results: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    ran = run_command("compare", results / "made.jsonl", "--measure", "R@10", "--html", page)
    assert (ran.status, ran.err) == (0, f"Written: {page}\n")
    lines = {line.split()[0]: line for line in ran.out.splitlines() if line.endswith(("▲", "▼"))}
    assert lines["rqkmeans/generative"].endswith("▲")
    assert lines["tiger/generative"].endswith("▼")
    assert "<svg" in page.read_text(encoding="utf-8")


def test_comparing_as_markdown_with_another_baseline(run_command: Run, results: Path) -> None:
    file = results / "made.jsonl"
    arguments = ("--markdown", "--baseline", "tiger/generative", "--part", "head", "--measure", "R@10")
    ran = run_command("compare", file, file, *arguments)
    assert (ran.status, ran.err) == (0, "")
    assert "**Means, head (15 queries)**" in ran.out
    assert "compared with tiger/generative" in ran.out
    assert "| rqkmeans/generative | 0.59" in ran.out


def test_comparing_what_cannot_be_compared(run_command: Run, results: Path, tmp_path: Path) -> None:
    file = results / "made.jsonl"
    run_command("compare", tmp_path / "absent.jsonl").refused("Cannot read the results file", "absent.jsonl")
    run_command("compare", file, "--text", "--markdown").refused("--text and --markdown")
    run_command("compare", file, "--baseline", "x").refused('no system "x"', "tiger/generative")
    run_command("compare", file).refused('no measure "R@100"', "take one of R@10")
    append_evaluation(tmp_path / "other.jsonl", result("tiger", 0, 0.5, data_hash="e" * 16))
    run_command("compare", file, tmp_path / "other.jsonl").refused("different data", "d" * 16, "e" * 16)
    append_evaluation(tmp_path / "fewer.jsonl", result("tiger", 7, 0.5, queries=20))
    run_command("compare", file, tmp_path / "fewer.jsonl").refused("do not pair", "30 queries", "20 others")


def test_claims_from_the_results_at_hand(
    run_command: Run, results: Path, claims_file: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shelfwalk.evaluation.recipe_runs.run_recipe", None)
    arguments = ("claims", claims_file, "--no-run", "--results", results, "--json")
    first, second = json.loads(run_command(*arguments).out)
    assert list(first) == list(second) == KEYS
    assert (first["verdict"], first["ours"], second["verdict"]) == ("cannot tell", None, "not built")
    assert first["why"] == "the data gadgets is not at hand: name it with --data gadgets=FOLDER"
    claims_file.write_text(CLAIMS.replace("[data.gadgets]", f'[data.gadgets]\nhash = "{"d" * 16}"'), encoding="utf-8")
    first, _ = json.loads(run_command(*arguments).out)
    assert (first["verdict"], first["seeds"], first["published"]) == ("holds", 3, 1.2)
    assert first["low"] <= first["ours"] <= first["high"]
    told = run_command(*arguments[:-1]).out
    assert "holds: A beats B" in told
    assert "2 claims: 1 holds" in told
    run_command(*arguments, "--data", f"gadgets={data}").refused("holds other data", "d" * 16)


def test_what_claims_lack_is_run(
    run_command: Run, results: Path, claims_file: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hash_of_data = dataset_hash(open_dataset(data))
    append_evaluation(results / "made.jsonl", result("tiger", 0, 0.4, hash_of_data))
    asked: list[tuple[str, int, Path, Path]] = []

    def fake(dataset: Any, recipe: str, seed: int, *, work: Path, results: Path, **_: Any) -> None:
        asked.append((recipe, seed, work, results))
        append_evaluation(results, result(recipe, seed, 0.6 if recipe == "rqkmeans" else 0.4, hash_of_data))

    monkeypatch.setattr("shelfwalk.evaluation.recipe_runs.run_recipe", fake)
    places = ("--results", results, "--work", tmp_path / "work", "--data", f"gadgets={data}")
    first, second = json.loads(run_command("claims", claims_file, "--json", *places).out)
    runs = [("rqkmeans", 0), ("rqkmeans", 1), ("rqkmeans", 2), ("tiger", 1), ("tiger", 2)]
    assert asked == [(*run, tmp_path / "work" / "gadgets", results / "gadgets.jsonl") for run in runs]
    assert (first["verdict"], first["seeds"], second["verdict"]) == ("holds", 3, "not built")
    again = json.loads(run_command("claims", claims_file, "--json", *places).out)
    assert again == [first, second]
    assert len(asked) == len(runs), "nothing is run twice"


def test_the_claims_that_come_with_shelfwalk(run_command: Run, tmp_path: Path) -> None:
    tmp_path.joinpath("empty").mkdir()
    found = json.loads(run_command("claims", "--no-run", "--json", "--results", tmp_path / "empty").out)
    assert len(found) > 100
    assert {claim["verdict"] for claim in found} <= {"holds", "does not hold", "cannot tell", "not built"}
    assert all(list(claim) == KEYS and claim["why"] for claim in found)


def test_mistakes_about_claims(run_command: Run, claims_file: Path, data: Path, tmp_path: Path) -> None:
    arguments = ("claims", claims_file, "--no-run")
    run_command("claims", tmp_path / "absent.toml").refused("The claims file", "absent.toml")
    run_command(*arguments, "--results", tmp_path / "absent").refused("There is no folder", "absent")
    run_command(*arguments, "--data", "gadgets").refused("NAME=FOLDER")
    run_command(*arguments, "--data", f"x={data}").refused("No claim is about data x", "gadgets")
    run_command(*arguments, "--data", f"gadgets={data}", "--data", "gadgets=b").refused("gadgets twice")
    run_command(*arguments, "--data", f"gadgets={tmp_path / 'absent'}").refused("There is no folder")
    (data / "judgements.csv").unlink()
    run_command(*arguments, "--data", f"gadgets={data}").refused("has no queries with judgements")


def test_a_run_builds_evaluates_and_keeps_the_result(small_shop: SmallShop, shop_cache: Path, tmp_path: Path) -> None:
    """Over a shelf that is built already, so that only the evaluation takes time."""
    folder, work = tmp_path / "gadgets", tmp_path / "work"
    folder.mkdir()
    work.mkdir()
    for path in (small_shop.items_file, small_shop.queries_file, small_shop.judgements_file):
        (folder / path.name).write_bytes(path.read_bytes())
    small_shop.copy_of_shelf(work).rename(work / "small-seed0.shelf")
    plain = open_dataset(folder)
    dataset = replace(plain, cold_items=frozenset(plain.items["item_id"].to_pylist()))
    found = run_recipe(
        dataset, str(small_shop.recipe_file), 0, work=work, results=tmp_path / "kept" / "r.jsonl", threads=1
    )
    (record,) = read_results(tmp_path / "kept" / "r.jsonl").records
    assert record.data_hash == dataset_hash(plain)
    assert all(measured["ColdR@100"] == measured["R@100"] for measured in record.figures.values())
    assert (record.recipe, record.seed, record.figures) == ("small", 0, found.evaluation.figures)
    assert len(record.identifiers["levels"]) == 2
    own = read_results(work / "small-seed0" / "results.jsonl").records
    assert own == (record,)

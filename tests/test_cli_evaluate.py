"""`shelfwalk evaluate` and the demonstration: the shape of what they print, and the files that they leave."""

from __future__ import annotations

import json
import math
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from shelfwalk.channels.generative import GenerativeChannel
from shelfwalk.channels.names import CHANNELS
from shelfwalk.cli import main
from shelfwalk.data.readers import read_judgements, read_queries
from shelfwalk.evaluation import shelf_evaluation
from shelfwalk.evaluation.query_values import read_query_values
from shelfwalk.evaluation.rankings import read_trec_run
from shelfwalk.evaluation.results import read_results
from shelfwalk.evaluation.unconstrained import invalid_share
from shelfwalk.shelf.shelf import Shelf
from small_shop import Ran, SmallShop, write_csv

Run = Callable[..., Ran]
PLAIN = ("R@10", "R@100", "R@300", "nDCG@10", "RR")
MEASURES = {*PLAIN, *(f"Judged-{name}" for name in PLAIN), "Unjudged@10"}
BEAMS = {f"{name}@beam{width}" for name in ("HitRate", "Items") for width in (1, 10, 100)}
BEAMS |= {f"{name}@items{budget}" for name in ("HitRate", "Beams") for budget in (100, 1000)}
BEAMS |= {f"HitRate@top1000beam{width}" for width in (1, 2, 5, 10, 15, 20, 30, 40, 50, 65, 80, 100)}
OWN = {"bm25": {"ExclusiveR@100"}, "dense": {"ExclusiveR@100"}, "generative": {"ExclusiveR@100", *BEAMS}}


def refuse_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evaluation") / "new" / "results"


@pytest.fixture(scope="module")
def printed(small_shop: SmallShop, results: Path) -> Any:
    """What `evaluate --json` prints, evaluated once."""
    files = ["--queries", str(small_shop.queries_file), "--judgements", str(small_shop.judgements_file)]
    with redirect_stdout(StringIO()) as out:
        assert main(["evaluate", str(small_shop.shelf), *files, "--out", str(results), "--json"]) == 0
    text = out.getvalue()
    assert text.count("\n") == 1
    return json.loads(text, parse_constant=refuse_constant)


def test_the_object_has_the_documented_shape(printed: Any) -> None:
    assert printed.keys() >= {"figures", "intervals", "queries"}
    assert printed["figures"].keys() == printed["intervals"].keys() == set(CHANNELS)
    for channel in CHANNELS:
        figures, intervals = printed["figures"][channel], printed["intervals"][channel]
        assert figures.keys() == intervals.keys() == MEASURES | OWN.get(channel, set())
        for measure, mean in figures.items():
            low, high = intervals[measure]
            assert low <= mean <= high or math.isclose(low, high)
            assert 0 <= mean <= (120 if measure.startswith(("Items", "Beams")) else 1)


def test_the_queries_that_count_are_told_apart(printed: Any) -> None:
    """Of ten queries nine have something relevant; "usb hub" is spelt as a pseudo-query is, the others are not."""
    assert (printed["queries"], printed["left_out"], printed["relevant_grade"]) == (9, 1, 2)
    assert printed["coinciding_queries"] == [8]
    assert printed["coinciding_pseudo_queries"]
    without = printed["without_coinciding"]
    assert without["queries"] == 8
    assert without["figures"].keys() == printed["figures"].keys()


def test_the_figures_are_those_of_the_runs(small_shop: SmallShop, printed: Any, results: Path) -> None:
    """Recall at 10 by hand, from the files that were left and the judgements as they are on the disk."""
    relevant: dict[str, set[str]] = {}
    for line in small_shop.judgements_file.read_text().splitlines()[1:]:
        query, item, grade = line.split(",")
        if int(grade) >= 2:
            relevant.setdefault(query, set()).add(item)
    for channel in CHANNELS:
        run = read_trec_run(results / f"{channel}.run")
        ranked = dict(zip(run.query_ids, run.item_ids, strict=True))
        recalls = [len(items & set(ranked.get(query, [])[:10])) / len(items) for query, items in relevant.items()]
        assert printed["figures"][channel]["R@10"] == pytest.approx(sum(recalls) / len(recalls))
    assert printed["figures"]["bm25"]["R@100"] == 1.0


def test_hit_rates_grow_with_the_beam(printed: Any) -> None:
    figures = printed["figures"]["generative"]
    for name in ("HitRate", "Items"):
        found = [figures[f"{name}@beam{width}"] for width in (1, 10, 100)]
        assert found == sorted(found)
    assert (figures["HitRate@beam100"], figures["Items@beam100"]) == (1.0, 120.0)


def test_latency_is_told_at_the_agreed_beam_and_the_recipes(printed: Any) -> None:
    assert [latency["beam"] for latency in printed["latencies"]] == [50, 10]
    assert all(0 < latency["median"] <= latency["p99"] for latency in printed["latencies"])


@pytest.mark.parametrize("beam", [10, 100, 120])
def test_a_walk_that_serves_lists_and_hit_rates_gives_what_a_search_gives(
    small_shop: SmallShop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beam: int
) -> None:
    """Hit rates ask for 100 beams: a shelf that searches as wide, or wider, walks once a query."""
    shelf = Shelf.open(small_shop.shelf, beam=beam)
    queries, judgements = read_queries(small_shop.queries_file).table, read_judgements(small_shop.judgements_file).table
    walks: list[int] = []
    plainly = GenerativeChannel._generate

    def counting(channel: GenerativeChannel, *asked: Any) -> Any:
        walks.append(channel.settings.beam)
        return plainly(channel, *asked)

    monkeypatch.setattr(GenerativeChannel, "_generate", counting)
    monkeypatch.setattr(shelf_evaluation, "_latencies", lambda shelf, texts: ())
    monkeypatch.setattr(shelf_evaluation, "invalid_share", lambda shelf, requests: 0.0)
    monkeypatch.setattr(shelf_evaluation, "write_report", lambda path, report: None)
    monkeypatch.setattr(shelf_evaluation, "_report", lambda result, shelf: None)
    shelf_evaluation.evaluate_shelf(shelf, queries, judgements, tmp_path)
    assert len(walks) == queries.num_rows * (2 if beam < 100 else 1)
    for channel in ("generative", "fused"):
        run = read_trec_run(tmp_path / f"{channel}.run")
        found = dict(zip(run.query_ids, run.item_ids, strict=True))
        for row in queries.to_pylist():
            answer = shelf.search(row["query"], shelf_evaluation.DEPTH, channel)
            assert found[row["query_id"]] == [result.item_id for result in answer.results]


def test_what_is_left_on_the_disk(small_shop: SmallShop, printed: Any, results: Path) -> None:
    names = {path.name for path in results.iterdir()}
    assert names == {"results.jsonl", "values", "report.html", *(f"{channel}.run" for channel in CHANNELS)}
    (record,) = read_results(results / "results.jsonl").records
    values = read_query_values(results, record.values)
    assert len(values.query_ids) == 9
    assert values.values["bm25"]["R@10"].mean() == pytest.approx(record.figures["bm25"]["R@10"])
    assert record.identifiers["items"] == 120
    shelf = Shelf.open(small_shop.shelf)
    requests = [shelf.request(text) for text in read_queries(small_shop.queries_file).table["query"].to_pylist()]
    assert record.identifiers["unconstrained"]["invalid_share"] == invalid_share(shelf, requests)
    assert (record.recipe, record.recipe_hash, record.seed) == ("small", small_shop.recipe.hash, 0)
    assert record.figures == printed["figures"]
    assert record.intervals == printed["intervals"]


def test_the_report_needs_no_other_file(printed: Any, results: Path) -> None:
    page = (results / "report.html").read_text(encoding="utf-8")
    assert "small on 120 items" in page
    assert "<svg" in page
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?!#|data:)[^"'\s>]+""", page)
    assert not re.findall(r"<(?:script|link|iframe|img)\b[^>]*https?:", page)
    assert not re.findall(r"@import|url\((?!#|[\"']?(?:#|data:))", page)
    for channel in CHANNELS:
        assert channel in page


def test_the_table_on_the_terminal(
    small_shop: SmallShop, run_command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second evaluation into the same folder adds a line and says in words what the object says."""
    monkeypatch.setenv("COLUMNS", "160")
    queries = write_csv(tmp_path / "q.csv", ("id", "query"), [("a", "best desk lamp"), ("b", "usb hub")])
    judgements = write_csv(
        tmp_path / "j.csv",
        ("id", "item_id", "rating"),
        [("a", "desk-lamp-dunlo-0", 1), ("b", "usb-hub-dunlo-0", 1), ("b", "gone", 1)],
    )
    out = tmp_path / "results"
    arguments = ["evaluate", small_shop.shelf, "--queries", queries, "--judgements", judgements, "--out", out]
    arguments += ["--column", "query_id=id", "--column", "grade=rating"]
    for lines in (1, 2):
        ran = run_command(*arguments)
        assert ran.status == 0
        assert len(read_results(out / "results.jsonl").records) == lines
    for words in (*CHANNELS, "R@100", "nDCG@10", "Hit rate @ beam", "coincide", "at beam 50: median", "report.html"):
        assert words in ran.out
    assert "Asking queries" in ran.err


def test_evaluating_a_shelf_on_what_it_learned_from(small_shop: SmallShop, run_command: Run, tmp_path: Path) -> None:
    """A shelf that was trained on judged queries refuses them, and spellings of them, as evaluation queries."""
    own = small_shop.copy_of_shelf(tmp_path)
    _train_on(own, "warm desk lamps")
    judgements = write_csv(tmp_path / "j.csv", ("query_id", "item_id", "grade"), [("a", "desk-lamp-dunlo-0", 1)])
    for query in ("warm desk lamps", "Warm desk lamp", "warm desk lampz"):
        queries = write_csv(tmp_path / "q.csv", ("query_id", "query"), [("a", query)])
        arguments = ("--queries", queries, "--judgements", judgements, "--out", tmp_path / "results")
        run_command("evaluate", own, *arguments).refused("training queries are evaluation queries", repr(query))
    assert not (tmp_path / "results").exists()


def test_queries_that_say_what_the_log_holds_are_believed_and_checked(
    small_shop: SmallShop, run_command: Run, tmp_path: Path
) -> None:
    """A log is split by time: a query of before may be asked again, if it is marked as seen; its parts are told."""
    own = small_shop.copy_of_shelf(tmp_path)
    _train_on(own, "warm desk lamps")
    judgements = write_csv(
        tmp_path / "j.csv", ("query_id", "item_id", "grade"), [(name, "desk-lamp-dunlo-0", 1) for name in "abc"]
    )
    header = ("query_id", "query", "asked", "seen", "cold")
    rows = [
        ("a", "warm desk lamps", 7, "yes", "no"),
        ("b", "warm desk lamp", 0, "no", "yes"),
        ("c", "hub", 0, "no", ""),
    ]
    queries = write_csv(tmp_path / "q.csv", header, rows)
    files = ("--queries", queries, "--judgements", judgements, "--column", "frequency=asked")
    ran = run_command("evaluate", own, *files, "--out", tmp_path / "results", "--json")
    assert ran.status == 0, ran.err
    parts = {part["name"]: part["queries"] for part in json.loads(ran.out)["strata"]}
    assert parts == {
        "head": 1, "middle": 2, "seen": 1, "unseen": 2, "cold start": 1, "no cold start": 1,
        "one word": 1, "several words": 2,
    }  # fmt: skip
    lying = write_csv(tmp_path / "lying.csv", header, [("a", "warm desk lamps", 7, "no", "no"), *rows[1:]])
    refused = run_command("evaluate", own, "--queries", lying, *files[2:], "--out", tmp_path / "refused")
    refused.refused("1 queries are marked as unseen", "'warm desk lamps'")
    silent = write_csv(tmp_path / "silent.csv", header, [("a", "warm desk lamps", 7, "", "no"), *rows[1:]])
    refused = run_command("evaluate", own, "--queries", silent, *files[2:], "--out", tmp_path / "refused")
    refused.refused("training queries are evaluation queries")
    assert not (tmp_path / "refused").exists()


def test_what_a_log_shows_for_the_queries_adds_its_coverage(small_shop: SmallShop, tmp_path: Path) -> None:
    """What was shown for a query is covered in part, and pages of other queries do not count."""
    from shelfwalk.evaluation.shelf_evaluation import evaluate_shelf
    from shelfwalk.tables_from_files import TableFiles

    header = ("timestamp", "session_id", "user_query", "action_name", "object_id", "ordinal")
    shown = ["usb-hub-dunlo-0", "usb-hub-dunlo-1", "gone"]
    rows = [("2030-01-01T00:00:00Z", "s", "usb hub", "impression", item, place) for place, item in enumerate(shown)]
    rows.append(("2030-01-01T00:00:00Z", "s", "another query", "impression", "desk-lamp-dunlo-0", 0))
    events = write_csv(tmp_path / "events.csv", header, rows)
    files = TableFiles({}, skip_bad_rows=False, bad_rows_folder=tmp_path)
    tables = files.queries_and_judgements(small_shop.queries_file, small_shop.judgements_file, events)
    found = evaluate_shelf(
        Shelf.open(small_shop.shelf), tables.queries, tables.judgements, tmp_path / "out", events=tables.events
    )
    values = found.evaluation.per_query["generative"].values["pvr@10"]
    asked = found.evaluation.texts.index("usb hub")
    assert [place for place, value in enumerate(values) if value == value] == [asked]
    assert found.evaluation.figures["generative"]["pvr@10"] == values[asked]
    assert values[asked] in (0.0, pytest.approx(1 / 3), pytest.approx(2 / 3)), (
        "what the shop does not have is not covered"
    )
    (record,) = read_results(tmp_path / "out" / "results.jsonl").records
    assert record.figures["generative"]["pvr@10"] == values[asked]


def test_cold_items_add_their_recall_to_every_channel(small_shop: SmallShop, tmp_path: Path) -> None:
    from shelfwalk.evaluation.shelf_evaluation import evaluate_shelf

    judgements = read_judgements(small_shop.judgements_file).table
    queries = read_queries(small_shop.queries_file).table
    right = max(judgements.to_pylist(), key=lambda row: row["grade"])
    out = tmp_path / "out"
    found = evaluate_shelf(Shelf.open(small_shop.shelf), queries, judgements, out, cold_items={right["item_id"]})
    (record,) = read_results(out / "results.jsonl").records
    for channel, scored in found.evaluation.per_query.items():
        told = scored.values["ColdR@100"][scored.query_ids.index(right["query_id"])]
        assert told in (0.0, 1.0), "there is one such item"
        assert record.figures[channel]["ColdR@100"] == found.evaluation.figures[channel]["ColdR@100"]


def _train_on(shelf: Path, query: str) -> None:
    """Publish the shelf again as one whose log holds `query`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from shelfwalk.shelf import layout
    from shelfwalk.shelf.generations import open_generation, publish

    folder, manifest = open_generation(shelf)
    staging = shelf / "building" / "again"
    shutil.copytree(folder, staging, ignore=shutil.ignore_patterns("manifest.json"))
    table = pq.read_table(staging / layout.TRAINING_QUERIES)
    logged = pa.table({"query": [query], "source": ["logged"], "held_out": [False]})
    pq.write_table(pa.concat_tables([table, logged.cast(table.schema)]), staging / layout.TRAINING_QUERIES)
    publish(shelf, staging, manifest.recipe, manifest.facts)


def test_the_demonstration_from_files_to_answers(
    small_shop: SmallShop,
    shop_cache: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Over a shelf that is built already, so that only what the demonstration adds takes time."""
    from shelfwalk import demo

    data, out = tmp_path / "gadgets", tmp_path / "demo"
    data.mkdir()
    for path in (small_shop.items_file, small_shop.queries_file, small_shop.judgements_file):
        shutil.copy(path, data)
    out.mkdir()
    small_shop.copy_of_shelf(out).rename(out / "gadgets.shelf")
    arguments = ["demo", str(data), "--out", str(out), "--recipe", str(small_shop.recipe_file)]
    monkeypatch.setattr(sys, "argv", arguments)
    assert demo.main() == 0
    told = capsys.readouterr().out
    assert "gadgets: 120 items." in told
    asked = [
        shlex.split(line)[3] for line in re.findall(r"^shelfwalk search \S+/gadgets\.shelf .*$", told, re.MULTILINE)
    ]
    assert len(asked) == 3
    assert f'.venv/bin/shelfwalk search {out}/gadgets.shelf "your query" --explain' in told
    assert len(Shelf.open(out / "gadgets.shelf").search(asked[0]).results) == 10
    assert (out / "report.html").is_file()
    monkeypatch.setattr(sys, "argv", ["demo", str(tmp_path / "nowhere")])
    assert demo.main() == 2
    assert capsys.readouterr().err.startswith("shelfwalk: There is no folder")

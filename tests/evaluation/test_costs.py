"""What recipes cost: what is read from a shelf, what is timed, and the table of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from shelfwalk.errors import UserError
from shelfwalk.evaluation.costs import BEAMS, Costs, measure_costs
from shelfwalk.evaluation.document_tables import with_tables
from shelfwalk.evaluation.results import Machine, append_result
from shelfwalk.evaluation.shelf_evaluation import Latency
from shelfwalk.recipes.recipe import load_recipe
from shelfwalk.shelf.shelf import Shelf
from small_shop import SmallShop

MACHINE = Machine("a processor", 2, 1)
GENERATIVE = Costs(
    "shop",
    "d",
    "walker",
    "r",
    0,
    10,
    {"pairs": 5.0, "identifiers": 3.0, "generator": 20.0},
    [100.0, 300.0],
    2_000_000,
    9_000_000,
    [Latency(beam, float(beam), beam + 1.0, 200) for beam in BEAMS],
    machine=MACHINE,
)


def table(folder: Path, *found: Costs) -> list[str]:
    for costs in found:
        append_result(folder / "costs" / "shop.jsonl", costs)
    return with_tables("<!-- table: costs shop -->\n<!-- end -->\n", folder, "x.md").splitlines()[4:-4]


def test_a_shelf_tells_its_seconds_bytes_and_searches(small_shop: SmallShop, tmp_path: Path) -> None:
    shelf = Shelf.open(small_shop.shelf)
    found = measure_costs(shelf, ["usb c charger", "desk lamp"], "shop", searches=2)
    files = [path for path in shelf.folder.rglob("*") if path.is_file()]
    assert found.shelf_bytes == sum(path.stat().st_size for path in files)
    of_generator = [path for path in files if path.suffix == ".onnx" and path.stem in ("memory", "step")]
    assert found.shelf_bytes > found.generator_bytes > sum(path.stat().st_size for path in of_generator) > 0
    assert {"identifiers", "generator", "weights"} <= set(found.seconds)
    assert [latency.beam for latency in found.latencies] == list(BEAMS)
    assert all(0 < latency.median <= latency.p99 and latency.queries >= 2 for latency in found.latencies)
    (line,) = table(tmp_path, found)
    assert line.startswith(f"| {found.recipe} | – | {found.seconds['identifiers']:.0f} |")


def test_of_several_seeds_the_least_counts_step_by_step(tmp_path: Path) -> None:
    slow = [Latency(beam, beam + 5.0, beam + 9.0, 200) for beam in BEAMS]
    other = replace(GENERATIVE, seed=2, seconds={"pairs": 4.0, "identifiers": 7.0, "generator": 30.0}, latencies=slow)
    assert table(tmp_path, other, GENERATIVE) == [
        "| walker | – | 3 | 20 | 300 | 27 | 2.0 | 9 | 10.0 (11.0) | 50.0 (51.0) | 100.0 (101.0) | 0, 2 |"
    ]


def test_a_later_line_replaces_an_earlier_one_and_other_data_stay_out(tmp_path: Path) -> None:
    later = replace(GENERATIVE, seconds={"generator": 40.0}, latencies=[Latency(beam, 1.0, 2.0, 200) for beam in BEAMS])
    assert table(tmp_path, GENERATIVE, later, replace(GENERATIVE, data="elsewhere", recipe="alien")) == [
        "| walker | – | – | 40 | 300 | 40 | 2.0 | 9 | 1.0 (2.0) | 1.0 (2.0) | 1.0 (2.0) | 0 |"
    ]


def test_of_a_recipe_that_was_changed_only_the_newest_version_counts(tmp_path: Path) -> None:
    """The earlier version has a seed that the newest lacks, was quicker, and was measured again on another machine."""
    early, late = "2030-01-01T00:00:00+00:00", "2030-01-02T00:00:00+00:00"
    quick = {"generator": 1.0}
    earlier = [
        replace(GENERATIVE, recipe_hash="old", seed=seed, seconds=quick, machine=Machine("x", 64, 1), time=early)
        for seed in (0, 1)
    ]
    newest = replace(GENERATIVE, recipe_hash="new", seconds={"generator": 40.0}, time=late)
    expected = "| walker | – | – | 40 | 300 | 40 | 2.0 | 9 | 10.0 (11.0) | 50.0 (51.0) | 100.0 (101.0) | 0 |"
    assert table(tmp_path / "after", *earlier, newest) == [expected]
    assert table(tmp_path / "before", newest, *earlier) == [expected]
    text = with_tables("<!-- table: costs shop -->\n<!-- end -->\n", tmp_path / "after", "x.md")
    assert "Machine: 2 cores." in text


def test_the_present_version_counts_even_where_another_was_measured_later(tmp_path: Path) -> None:
    present = replace(GENERATIVE, recipe="tiger", recipe_hash=load_recipe("tiger").hash, time="2030-01-01T00:00:00")
    other = replace(present, recipe_hash="tried", seconds={"generator": 1.0}, time="2030-01-02T00:00:00")
    assert table(tmp_path / "both", present, other) == table(tmp_path / "alone", present)


def test_a_shelf_without_a_generator_is_timed_by_its_vectors(tmp_path: Path) -> None:
    dense = replace(GENERATIVE, recipe="towers", seconds={"towers": 12.0}, examples_per_second=[], generator_bytes=0)
    assert table(tmp_path, replace(dense, latencies=[Latency(None, 3.0, 4.0, 200)])) == [
        "| towers | 12 | – | – | – | 12 | – | 9 | 3.0 (4.0) | – | – | 0 |"
    ]


@pytest.mark.parametrize("content", [None, json.dumps({"kind": "costs", "data": "shop"})])
def test_what_is_no_costs_is_refused_in_a_sentence(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "costs").mkdir()
        (tmp_path / "costs" / "shop.jsonl").write_text(content + "\n")
    with pytest.raises(UserError, match=r"shop\.jsonl holds .*: make (it|them) with benchmarks/costs\.py\.$"):
        table(tmp_path)

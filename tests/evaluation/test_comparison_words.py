"""A comparison in words and as a page: same marks everywhere, nothing cut, nothing loaded, everything escaped."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_results import made_result, write_made_results
from rich.console import Console
from test_report_page import ATTACK, Page

from shelfwalk.errors import UserError
from shelfwalk.evaluation.compare import SystemComparison, compare_systems
from shelfwalk.evaluation.comparison_page import render_comparison, write_comparison_page
from shelfwalk.evaluation.comparison_table import (
    MARKS,
    comparison_grids,
    comparison_heading,
    comparison_markdown,
    print_comparison,
)
from shelfwalk.evaluation.systems import read_systems


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> SystemComparison:
    rng = np.random.default_rng(2)
    base = rng.uniform(size=60)
    results = [
        made_result(
            {
                "bm25": {"R@100": base - 0.2, "RR": base},
                "bm25+dense": {"R@100": base, "RR": base},
                "generative": {
                    "R@100": base + rng.normal(0, 0.1, 60),
                    "HitRate@beam10": base,
                    "Items@beam10": np.full(60, 67.9),
                    "RR": base + 0.1,
                },
            },
            seed=seed,
            labels={"band": ["head"] * 20 + ["tail"] * 40},
        )
        for seed in range(2)
    ]
    path = write_made_results(tmp_path_factory.mktemp("results") / "r.jsonl", results)
    return compare_systems(read_systems([path]), measures=["R@100", "RR"], parts=["all", "head"], resamples=200)


def printed(comparison: SystemComparison, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_comparison(comparison, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_marks_say_what_the_verdicts_are(comparison: SystemComparison) -> None:
    means, differences = comparison_grids(comparison, ("means", "differences"))[:2]
    for grid in (means, differences):
        for system, *cells in grid.rows:
            for measure, cell in zip(grid.header[1:], cells, strict=True):
                difference = comparison.parts[0].scores[system][measure].difference
                ends = [cell.endswith(f" {mark}") for mark in MARKS.values()]
                assert sum(ends) == (difference is not None)
                if difference is not None:
                    assert cell.endswith(MARKS[difference.verdict])
    assert "8 tests" in comparison_heading(comparison)
    marks = {row[1][-1] for row in means.rows} | {row[2][-1] for row in means.rows}
    assert {"▲", "▼", "·"} <= marks, "the made-up data shows all three"


def test_parts_stand_side_by_side_with_the_means_of_their_own_tables(comparison: SystemComparison) -> None:
    by_part = comparison_grids(comparison, ("by part",))
    assert [grid.title for grid in by_part] == ["R@100 by part of the queries", "RR by part of the queries"]
    of_all, of_head = comparison_grids(comparison, ("means",))
    for column, grid in enumerate(by_part, start=1):
        assert grid.header == ("system", "all (60)", "head (20)")
        for row, *others in zip(grid.rows, of_all.rows, of_head.rows, strict=True):
            assert row[0] == others[0][0] == others[1][0]
            for cell, other in zip(row[1:], others, strict=True):
                mean, _, mark = cell.partition(" ")
                assert other[column].startswith(f"{mean} (")
                assert other[column].endswith(f" {mark}" if mark else ")")


def test_a_measure_that_a_system_lacks_is_no_row_by_part(comparison: SystemComparison) -> None:
    found = compare_systems(
        comparison.systems, baseline="generative", measures=["HitRate@beam10"], parts=["all", "head"], resamples=50
    )
    (grid,) = comparison_grids(found, ("by part",))
    assert [row[0] for row in grid.rows] == ["generative"]
    assert len(comparison_grids(found, ("by part", "means"))) == 3


def test_the_baseline_has_no_difference_and_equal_seeds_no_range(comparison: SystemComparison) -> None:
    grids = {grid.title: grid for grid in comparison_grids(comparison)}
    differences = grids["Differences to bm25+dense, all queries"]
    assert [row[0] for row in differences.rows] == ["bm25", "generative"]
    cells = {row[0]: row[1] for row in differences.rows}
    assert "seeds" not in cells["bm25"]
    assert "seeds" in cells["generative"]
    assert [row[0] for row in grids["Seed by seed, head (20 queries)"].rows] == ["generative"]
    assert [row[2] for row in grids["Seed by seed, head (20 queries)"].rows] == ["–"]


def test_a_hit_rate_is_told_with_its_items(comparison: SystemComparison) -> None:
    found = compare_systems(comparison.systems, baseline="generative", measures=["HitRate@beam10"], resamples=9)
    (grid,) = comparison_grids(found, ("means",))
    assert [row[0] for row in grid.rows] == ["generative"]
    assert grid.rows[0][1].endswith(") in 68 items")


def test_terminal_and_markdown_tell_the_same_and_cut_nothing(comparison: SystemComparison) -> None:
    markdown = comparison_markdown(comparison)
    wide = " ".join(printed(comparison, 400).split())
    for grid in comparison_grids(comparison):
        assert f"**{grid.title}**" in markdown
        for row in grid.rows:
            assert f"| {' | '.join(row)} |" in markdown
            assert " ".join(" ".join(row).split()) in wide
    assert "`rqkmeans` 00000000rqkmeans (seeds 0, 1)" in markdown
    assert max(map(len, printed(comparison, 80).splitlines())) <= 80
    assert "…" not in printed(comparison, 80)


def test_only_the_tables_asked_for(comparison: SystemComparison) -> None:
    assert "**Differences" not in comparison_markdown(comparison, ("means",))
    with pytest.raises(UserError, match='no table "median": take some of means, differences, seeds'):
        comparison_markdown(comparison, ("median",))


def test_the_page_needs_no_other_file_and_shows_every_cell(comparison: SystemComparison, tmp_path: Path) -> None:
    path = tmp_path / "out" / "page.html"
    write_comparison_page(path, comparison)
    page = Page(path.read_text(encoding="utf-8"))
    assert not page.tags.keys() & {"script", "link", "img", "iframe", "object", "embed", "base"}
    assert "default-src 'none'; style-src 'unsafe-inline'" in page.values("content")
    words = [word.strip() for word in page.words]
    for grid in comparison_grids(comparison):
        assert grid.title in words
        for row in grid.rows:
            assert {word for cell in row[1:] for word in cell.split()} <= set(words)
    # One picture a measure and part, and one a system against the baseline query by query.
    assert page.tags["svg"] == 2 * 2 + 2
    ids = page.values("id")
    assert len(set(ids)) == len(ids)
    assert [found.name for found in path.parent.iterdir()] == ["page.html"]


def test_names_and_queries_of_users_stay_text(comparison: SystemComparison) -> None:
    systems = comparison.systems
    hostile = replace(
        systems,
        texts=(ATTACK,) * len(systems.texts),
        systems=tuple(replace(system, name=f"{ATTACK}{system.name}") for system in systems.systems),
    )
    found = compare_systems(hostile, baseline=f"{ATTACK}bm25+dense", resamples=9, measures=["R@100"])
    text = render_comparison(found)
    assert "<script" not in text
    assert Page(text).tags["script"] == 0

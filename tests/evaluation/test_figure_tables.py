"""The tables in words: same numbers everywhere, and no claim that the test does not bear."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from shelfwalk.evaluation.evaluate import Comparison, Evaluation
from shelfwalk.evaluation.significance import PairedDifference
from shelfwalk.evaluation.table import comparison_sentence, grids, heading, print_tables, to_markdown


def sentence(mean: float, p_value: float, measure: str = "R@100") -> str:
    outcome = PairedDifference(mean, mean - 0.015, mean + 0.015, p_value, False, 3, 2, 1)
    return comparison_sentence(Comparison("fused", "bm25+dense", measure, outcome))


def printed(evaluation: Evaluation, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_tables(evaluation, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_comparison_in_words() -> None:
    assert sentence(0.012, 0.11) == "fused − bm25+dense R@100 +0.012 [−0.003, +0.027], p = 0.11: no difference shown"
    assert sentence(0.03, 0.0004).endswith("p < 0.001: fused is better")
    assert sentence(0.03, 0.0004, "Unjudged@10").endswith("fused is higher"), "more unjudged items are no merit"
    assert sentence(-0.03, 0.012).endswith("[−0.045, −0.015], p = 0.0120: bm25+dense is better")


@pytest.mark.parametrize("p_value", [0.05, 0.0501, 0.2, 1.0])
def test_nothing_is_called_better_from_p_five_percent_on(p_value: float) -> None:
    assert "better" not in sentence(0.2, p_value)
    assert "no difference shown" in sentence(0.2, p_value)


def test_only_significant_comparisons_are_called_better(evaluation: Evaluation) -> None:
    claims = to_markdown(evaluation).count("is better")
    assert claims == sum(comparison.outcome.p_value < 0.05 for comparison in evaluation.comparisons)
    assert 0 < claims < len(evaluation.comparisons), "the made-up data shows both kinds"


def test_terminal_table_fits_eighty_columns_and_cuts_nothing(evaluation: Evaluation) -> None:
    text = printed(evaluation, 80)
    tables = text[: text.index("fused − bm25+dense")]
    assert max(map(len, tables.splitlines())) <= 80
    assert "…" not in text
    for channel, measured in evaluation.intervals.items():
        assert channel in text
        for measure in ("R@10", "R@100", "R@300", "nDCG@10", "RR"):
            interval = measured[measure]
            assert f"{interval.mean:.3f}" in text
            assert f"({interval.low:.3f}–{interval.high:.3f})" in text


def test_markdown_and_terminal_tell_the_same(evaluation: Evaluation) -> None:
    wide = " ".join(printed(evaluation, 400).split())
    markdown = to_markdown(evaluation)
    for grid in grids(evaluation):
        assert grid.title in wide
        assert f"**{grid.title}**" in markdown
        for row in grid.rows:
            assert " ".join(" ".join(row).split()) in wide
            assert f"| {' | '.join(row)} |" in markdown
    for comparison in evaluation.comparisons:
        assert comparison_sentence(comparison) in wide
        assert f"- {comparison_sentence(comparison)}\n" in markdown


def test_markdown_tables_have_one_width(evaluation: Evaluation) -> None:
    for block in to_markdown(evaluation).split("\n\n"):
        if block.startswith("|"):
            assert len({line.count("|") for line in block.splitlines()}) == 1


def test_hit_rates_come_with_the_items_they_cost(evaluation: Evaluation) -> None:
    beams = next(grid for grid in grids(evaluation) if grid.title.startswith("Hit rate"))
    assert beams.header == ("beam b", "hit rate", "mean items")
    assert [row[0] for row in beams.rows] == ["1", "10", "100"]
    assert beams.rows[2][2] == f"{evaluation.figures['generative']['Items@beam100']:,.1f}"


def test_a_measure_that_a_channel_lacks_is_a_dash(evaluation: Evaluation) -> None:
    judged = next(grid for grid in grids(evaluation) if "Exclusive R@100" in grid.header)
    column = judged.header.index("Exclusive R@100")
    assert {row[0] for row in judged.rows if row[column] == "–"} == {"bm25+dense", "fused"}


def test_heading_counts_the_queries(evaluation: Evaluation) -> None:
    assert heading(evaluation) == (
        "Means over 60 queries with an item graded 2 or higher; 6 queries without one are left out."
    )

"""The figures as tables of words: for the terminal, for Markdown and for the report.

In: an `Evaluation`. Out: `Grid`s (title, header, rows of text, a note), which all renderings share, and the
comparisons as sentences. Whether one channel is ahead is said in words only where p < 0.05.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shelfwalk.evaluation.evaluate import Comparison, Evaluation
from shelfwalk.evaluation.metrics import JUDGED_ONLY
from shelfwalk.evaluation.significance import Interval
from shelfwalk.evaluation.strata import POPULARITY_PARTS

SIGNIFICANT = 0.05
_STRATA_MEASURE = "R@100"


@dataclass(frozen=True)
class Grid:
    """One table: a title, column names, rows of cells, and a note on how to read it."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str


def grids(evaluation: Evaluation) -> tuple[Grid, ...]:
    """Return the tables of an evaluation; one that would have no cell is left out."""
    candidates = (_plain(evaluation), _judged(evaluation), *_beams(evaluation), _strata(evaluation))
    return tuple(grid for grid in candidates if grid.rows and len(grid.header) > 1)


def heading(evaluation: Evaluation) -> str:
    """Return one sentence on what the figures are means of."""
    return (
        f"Means over {len(evaluation.query_ids)} queries with an item graded {evaluation.relevant_grade} or higher; "
        f"{evaluation.left_out} queries without one are left out."
    )


def comparison_sentence(comparison: Comparison) -> str:
    """Return e.g. `fused − bm25+dense R@100 +0.012 [−0.003, +0.027], p = 0.11: no difference shown`."""
    outcome = comparison.outcome
    ahead = comparison.first if outcome.mean > 0 else comparison.second
    # More unjudged items, or more items held by the clusters, is a fact but no merit.
    word = "higher" if comparison.measure.startswith(("Unjudged@", "Items@")) else "better"
    verdict = f"{ahead} is {word}" if outcome.p_value < SIGNIFICANT else "no difference shown"
    return (
        f"{comparison.first} − {comparison.second} {comparison.measure} {_signed(outcome.mean)} "
        f"[{_signed(outcome.low)}, {_signed(outcome.high)}], {_p_value(outcome.p_value)}: {verdict}"
    )


def print_tables(evaluation: Evaluation, console: Console | None = None) -> None:
    """Print all tables and comparisons on `console`, by default standard output."""
    console = console or Console()
    _print_grids(evaluation, grids(evaluation), console)
    console.print()
    for comparison in evaluation.comparisons:
        console.print(Text(comparison_sentence(comparison)), soft_wrap=True)


def print_means(evaluation: Evaluation, console: Console | None = None) -> None:
    """Print the table of plain measures only, on `console`, by default standard output."""
    _print_grids(evaluation, (_plain(evaluation),), console or Console())


def _print_grids(evaluation: Evaluation, shown: Sequence[Grid], console: Console) -> None:
    console.print(Text(heading(evaluation)))
    for grid in shown:
        # Narrow enough for 80 columns: five measures with intervals fit exactly.
        table = Table(
            title=Text(grid.title, style="bold"),
            box=box.SIMPLE,
            show_edge=False,
            padding=0,
            title_justify="left",
        )
        for position, name in enumerate(grid.header):
            table.add_column(Text(name), justify="right" if position else "left", overflow="fold", no_wrap=not position)
        for row in grid.rows:
            table.add_row(*(Text(cell) for cell in row))
        console.print()
        console.print(table)
        if grid.note:
            console.print(Text(grid.note, style="dim"))


def to_markdown(evaluation: Evaluation) -> str:
    """Return the same tables and comparisons as Markdown text."""
    parts = [heading(evaluation)]
    for grid in grids(evaluation):
        rule = ("---", *("---:" for _ in grid.header[1:]))
        rows = "\n".join(_markdown_row(row) for row in (grid.header, rule, *grid.rows))
        parts += [f"**{grid.title}**", rows, *([grid.note] if grid.note else [])]
    lines = "\n".join(f"- {comparison_sentence(comparison)}" for comparison in evaluation.comparisons)
    return "\n\n".join([*parts, lines]).strip() + "\n"


def _plain(evaluation: Evaluation) -> Grid:
    own = ("HitRate@", "Items@", "ExclusiveR@", "Unjudged@", JUDGED_ONLY)
    measures = [name for name in _measures(evaluation) if not name.startswith(own)]
    rows = _rows(evaluation, measures, with_interval=True)
    return Grid("All items", ("channel", *measures), rows, "In brackets the 95 % bootstrap interval of the mean.")


def _judged(evaluation: Evaluation) -> Grid:
    measures = [name for name in _measures(evaluation) if name.startswith((JUDGED_ONLY, "Unjudged@", "ExclusiveR@"))]
    names = [name.replace("Unjudged@", "Unjudged @").replace("ExclusiveR@", "Exclusive R@") for name in measures]
    note = (
        "Judged: unjudged items removed before scoring, so R@100 may reach below place 100. Unjudged: share of "
        "unjudged items in the top. Exclusive: share of the relevant items that only this channel found."
    )
    header = ("channel", *(name.replace(JUDGED_ONLY, "Judged ") for name in names))
    return Grid(
        "Judged items only, and who finds what alone", header, _rows(evaluation, measures, with_interval=False), note
    )


def _beams(evaluation: Evaluation) -> list[Grid]:
    tables = []
    for channel, measured in evaluation.intervals.items():
        widths = [name.removeprefix("HitRate@beam") for name in measured if name.startswith("HitRate@beam")]
        rows = tuple(
            (width, _with_interval(measured[f"HitRate@beam{width}"]), f"{measured[f'Items@beam{width}'].mean:,.1f}")
            for width in widths
        )
        note = (
            "Share of the relevant items inside the clusters of the top b identifiers, and how many items those hold."
        )
        tables.append(Grid(f"Hit rate @ beam of {channel}", ("beam b", "hit rate", "mean items"), rows, note))
    return tables


def _strata(evaluation: Evaluation) -> Grid:
    rows = tuple(
        (
            stratum.name,
            str(stratum.queries),
            *(f"{figures[_STRATA_MEASURE]:.3f}" for figures in stratum.figures.values()),
        )
        for stratum in evaluation.strata
        if all(_STRATA_MEASURE in figures for figures in stratum.figures.values())
    )
    by_popularity = any(stratum.name in POPULARITY_PARTS for stratum in evaluation.strata)
    note = "Head, middle and tail: thirds of the queries by how often they are asked." if by_popularity else ""
    return Grid(f"{_STRATA_MEASURE} by kind of query", ("part", "queries", *evaluation.intervals), rows, note)


def _measures(evaluation: Evaluation) -> list[str]:
    return list(dict.fromkeys(measure for measured in evaluation.intervals.values() for measure in measured))


def _rows(evaluation: Evaluation, measures: Sequence[str], with_interval: bool) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (channel, *(_cell(measured.get(measure), with_interval) for measure in measures))
        for channel, measured in evaluation.intervals.items()
    )


def _cell(interval: Interval | None, with_interval: bool) -> str:
    if interval is None:
        return "–"
    return _with_interval(interval) if with_interval else f"{interval.mean:.3f}"


def _with_interval(interval: Interval) -> str:
    return f"{interval.mean:.3f} ({interval.low:.3f}–{interval.high:.3f})"


def _signed(number: float) -> str:
    return f"{number:+.3f}".replace("-", "−")


def _p_value(p_value: float) -> str:
    if p_value < 0.001:
        return "p < 0.001"
    return f"p = {p_value:.2f}" if p_value >= 0.1 else f"p = {p_value:.4f}"


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

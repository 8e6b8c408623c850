"""The figures as tables of words: for the terminal, for Markdown and for the report.

In: an `Evaluation`. Out: `Grid`s (title, header, rows of text, a note), which all renderings share, and the
comparisons as sentences. Whether one channel is ahead is said in words only where p < 0.05.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.text import Text

from shelfwalk.evaluation.cold_recall import COLD_RECALL
from shelfwalk.evaluation.evaluate import Comparison, Evaluation
from shelfwalk.evaluation.grids import Grid, markdown_parts, p_value_words, print_grids, signed
from shelfwalk.evaluation.metrics import JUDGED_ONLY
from shelfwalk.evaluation.significance import Interval
from shelfwalk.evaluation.strata import POPULARITY_PARTS

SIGNIFICANT = 0.05
_STRATA_MEASURE = "R@100"
_SHOWN_APART = ("HitRate@", "Items@", "Beams@", "pvr@", "ExclusiveR@", "Unjudged@", JUDGED_ONLY)
_NO_MERIT = ("Unjudged@", "Items@", "Beams@", "1-AUC")


def grids(evaluation: Evaluation) -> tuple[Grid, ...]:
    """Return the tables of an evaluation; one that would have no cell is left out."""
    own = (*_beams(evaluation), *_budgets(evaluation))
    candidates = (_plain(evaluation), _judged(evaluation), *own, _strata(evaluation))
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
    word = "better" if is_merit(comparison.measure) else "higher"
    verdict = f"{ahead} is {word}" if outcome.p_value < SIGNIFICANT else "no difference shown"
    return (
        f"{comparison.first} − {comparison.second} {comparison.measure} {signed(outcome.mean)} "
        f"[{signed(outcome.low)}, {signed(outcome.high)}], {p_value_words(outcome.p_value)}: {verdict}"
    )


def is_merit(measure: str) -> bool:
    """Whether more of a measure is better: more unjudged items, or items or beams that were needed, are no merit."""
    return not measure.startswith(_NO_MERIT)


def print_tables(evaluation: Evaluation, console: Console | None = None) -> None:
    """Print all tables and comparisons on `console`, by default standard output."""
    console = console or Console()
    print_grids(heading(evaluation), grids(evaluation), console)
    console.print()
    for comparison in evaluation.comparisons:
        console.print(Text(comparison_sentence(comparison)), soft_wrap=True)


def print_means(evaluation: Evaluation, console: Console | None = None) -> None:
    """Print the table of plain measures only, on `console`, by default standard output."""
    print_grids(heading(evaluation), (_plain(evaluation),), console or Console())


def to_markdown(evaluation: Evaluation) -> str:
    """Return the same tables and comparisons as Markdown text."""
    lines = "\n".join(f"- {comparison_sentence(comparison)}" for comparison in evaluation.comparisons)
    return "\n\n".join([heading(evaluation), *markdown_parts(grids(evaluation)), lines]).strip() + "\n"


def _plain(evaluation: Evaluation) -> Grid:
    measures = [name for name in _measures(evaluation) if not name.startswith(_SHOWN_APART)]
    rows = _rows(evaluation, measures, with_interval=True)
    note = "In brackets the 95 % bootstrap interval of the mean."
    if COLD_RECALL in measures:
        note += f" {COLD_RECALL}: recall of the relevant items that came after the log, of queries that have one."
    return Grid("All items", ("channel", *measures), rows, note)


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
    note = "Share of the relevant items inside the clusters of the top b identifiers, and how many items those hold."
    return _reached(evaluation, "beam", "Items@beam", ("beam b", "hit rate", "mean items"), note)


def _budgets(evaluation: Evaluation) -> list[Grid]:
    note = "Share of the relevant items among the first B items, identifiers in beam order, and how many of those."
    return _reached(evaluation, "items", "Beams@items", ("items B", "hit rate", "mean identifiers"), note)


def _reached(evaluation: Evaluation, unit: str, price: str, header: tuple[str, ...], note: str) -> list[Grid]:
    """A grid a channel that has hit rates @ `unit`, with what each costs."""
    tables = []
    for channel, measured in evaluation.intervals.items():
        hit_rate = f"HitRate@{unit}"
        sizes = [name.removeprefix(hit_rate) for name in measured if name.startswith(hit_rate)]
        rows = tuple(
            (size, _with_interval(measured[f"{hit_rate}{size}"]), f"{measured[f'{price}{size}'].mean:,.1f}")
            for size in sizes
        )
        tables.append(Grid(f"Hit rate @ {unit} of {channel}", header, rows, note + _shown(measured) * (unit == "beam")))
    return tables


def _shown(measured: Mapping[str, Interval]) -> str:
    """What the top identifiers cover of the items that shoppers were shown, in words."""
    parts = [f"{name} {_with_interval(interval)}" for name, interval in measured.items() if name.startswith("pvr@")]
    return f" Of the items that shoppers were shown, the top k cover {', '.join(parts)}." if parts else ""


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
    note = "Head, middle and tail: parts of the queries by how often they are asked." if by_popularity else ""
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

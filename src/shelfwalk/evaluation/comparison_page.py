"""A comparison of systems as one HTML page with pictures.

In: a `SystemComparison`. Out: a page (pages.py): the tables, every difference with its interval and seeds drawn, and
query by query where the systems and the baseline differ most.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shelfwalk.evaluation.compare import ComparedPart, SystemComparison
from shelfwalk.evaluation.comparison_table import MARKS, comparison_grids, comparison_heading
from shelfwalk.evaluation.drawing import FAINT, INK, SERIES, draw, drawing_name, label
from shelfwalk.evaluation.pages import render_page
from shelfwalk.evaluation.pictures import Picture, query_differences
from shelfwalk.evaluation.significance import value_differences
from shelfwalk.evaluation.strata import ALL
from shelfwalk.evaluation.system_scores import Difference
from shelfwalk.files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH = 4.5
_COLOURS = {"better": SERIES[2], "worse": SERIES[1], "no difference shown": INK, None: INK}


def write_comparison_page(path: Path, comparison: SystemComparison) -> None:
    """Write the page to `path`, whole or not at all. Raises OSError when the disk refuses."""
    write_whole(path, render_comparison(comparison))


def render_comparison(comparison: SystemComparison) -> str:
    """Return the page as HTML text."""
    records = comparison.systems.records
    facts = [
        ("data", records[0].data_hash),
        ("queries", str(records[0].queries)),
        ("relevant from grade", str(records[0].relevant_grade)),
        *(("recipe, seed", f"{record.recipe} ({record.recipe_hash}), {record.seed}") for record in records),
    ]
    return render_page(
        "comparison.html",
        title=f"Systems against {comparison.baseline}",
        heading=comparison_heading(comparison),
        facts=facts,
        grids=comparison_grids(comparison),
        pictures=[*_differences(comparison), *_queries(comparison)],
    )


def _differences(comparison: SystemComparison) -> list[Picture]:
    pictures = []
    for part in comparison.parts:
        for measure in comparison.measures:
            found = {
                system: score.difference
                for system, measured in part.scores.items()
                if (score := measured.get(measure)) is not None and score.difference is not None
            }
            if found:
                pictures.append(_forest(comparison.baseline, part, measure, found))
    return pictures


def _forest(baseline: str, part: ComparedPart, measure: str, found: dict[str, Difference]) -> Picture:
    told = "; ".join(
        f"{system} {difference.interval.mean:+.3f}"
        + (f" ({difference.verdict})" if difference.verdict is not None else "")
        for system, difference in found.items()
    )
    where = "all queries" if part.name == ALL else f"{part.name} queries"
    caption = (
        f"{measure} minus that of {baseline}, mean over {part.queries} queries ({where}): dot, with the 95 % interval "
        f"as a line and the range over seeds as a bar. {told}."
    )

    def paint(axes: Axes) -> None:
        rows = list(range(len(found)))
        for row, difference in zip(rows, found.values(), strict=True):
            interval, colour = difference.interval, _COLOURS[difference.verdict]
            lowest, highest = difference.seeds
            axes.barh([row], [highest - lowest], left=lowest, height=0.45, color=FAINT, alpha=0.5)
            axes.plot([interval.low, interval.high], [row, row], color=colour, linewidth=1.8)
            axes.plot([interval.mean], [row], "o", color=colour, markersize=6)
        names = [f"{label(name)} {MARKS.get(found[name].verdict or '', '')}".strip() for name in found]
        axes.set_yticks(rows, names)
        axes.set(ylim=(len(found) - 0.4, -0.6), xlabel=f"difference in {measure}")
        axes.axvline(0, color=FAINT, linewidth=0.8)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x")

    name = drawing_name("difference", part.name, measure)
    svg = draw(name, caption, (_WIDTH, 1.0 + 0.3 * max(len(found), 2)), paint)
    return Picture(f"{measure}, {where}", caption, svg)


def _queries(comparison: SystemComparison) -> list[Picture]:
    """Query by query on the first measure, over all queries; a measure that has no value for some is not drawn."""
    measure, systems = comparison.measures[0], comparison.systems
    base = systems.named(comparison.baseline).per_query(measure)
    pictures = []
    for system in systems.systems:
        if system.name != comparison.baseline and measure in system.values:
            differences = value_differences(system.per_query(measure), base)
            if np.isfinite(differences).all():
                pictures.append(
                    query_differences(system.name, comparison.baseline, measure, differences, systems.texts)
                )
    return pictures

"""A comparison of systems in words: for the terminal, for Markdown and for the page.

In: a `SystemComparison`. Out: `Grid`s: means with verdict marks, differences to the baseline, and the seeds one by one,
of each part of the queries; or, for many parts, the means of each measure with a column a part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Console

from shelfwalk.errors import UserError
from shelfwalk.evaluation.compare import ComparedPart, SystemComparison
from shelfwalk.evaluation.grids import Grid, markdown_parts, p_value_words, print_grids, signed
from shelfwalk.evaluation.results import ResultRecord
from shelfwalk.evaluation.strata import ALL
from shelfwalk.evaluation.system_scores import Score

_MEANS_NOTE = "In brackets the 95 % bootstrap interval over queries."
_NOTE = (
    "Mean difference, its 95 % interval over queries, the range over seeds where they differ, and p after Holm's "
    "correction."
)
KINDS = ("means", "differences", "seeds")
"""The tables of a part."""
BY_PART = "by part"
"""The tables of a measure."""
MARKS = {"better": "▲", "worse": "▼", "no difference shown": "·"}


def comparison_heading(comparison: SystemComparison) -> str:
    """Return one sentence on what is compared with what."""
    return (
        f"{len(comparison.systems.systems)} systems on {len(comparison.systems.texts)} queries, compared with "
        f"{comparison.baseline}: {MARKS['better']} better, {MARKS['worse']} worse, {MARKS['no difference shown']} no "
        f"difference shown (p < 0.05 after Holm's correction for the {comparison.tests} tests of this table)."
    )


def comparison_grids(comparison: SystemComparison, shown: Sequence[str] = KINDS) -> tuple[Grid, ...]:
    """Return the tables of a comparison, part by part; one that would say nothing is left out.

    `shown` are some of `KINDS` and `BY_PART`, whose tables come first; raises UserError for another.
    """
    known = (*KINDS, BY_PART)
    if strange := [kind for kind in shown if kind not in known]:
        raise UserError(f'A comparison has no table "{strange[0]}": take some of {", ".join(known)}.')
    grids = [_by_part(comparison, measure) for measure in comparison.measures] if BY_PART in shown else []
    for part in comparison.parts:
        where = (
            "all queries"
            if part.name == ALL
            else f"{part.name} ({part.queries} {'query' if part.queries == 1 else 'queries'})"
        )
        differences = f"Differences to {comparison.baseline}, {where}"
        of_part = {
            "means": _grid(f"Means, {where}", comparison, part, _mean_words, _MEANS_NOTE),
            "differences": _grid(differences, comparison, part, _difference_words, _NOTE),
            "seeds": _grid(f"Seed by seed, {where}", comparison, part, _seed_words, ""),
        }
        grids += [of_part[kind] for kind in shown if kind != BY_PART]
    return tuple(grid for grid in grids if grid.rows)


def facts_sentence(records: Sequence[ResultRecord]) -> str:
    """Return one sentence on what was measured: recipes, seeds, data, machine."""
    recipes = {record.recipe_hash: record.recipe for record in records}
    parts = []
    for recipe_hash, recipe in recipes.items():
        seeds = sorted(record.seed for record in records if record.recipe_hash == recipe_hash)
        word = "seeds" if len(seeds) > 1 else "seed"
        parts.append(f"`{recipe}` {recipe_hash} ({word} {', '.join(map(str, seeds))})")
    machines = dict.fromkeys(f"{record.machine.cores} cores of {record.machine.processor}" for record in records)
    first = records[0]
    return (
        f"{first.queries} queries with an item of grade {first.relevant_grade} or higher, data {first.data_hash}; "
        f"{'; '.join(parts)}; measured on {', '.join(machines)}."
    )


def print_comparison(comparison: SystemComparison, console: Console) -> None:
    """Print all tables of a comparison on `console`."""
    print_grids(comparison_heading(comparison), comparison_grids(comparison), console)


def comparison_markdown(comparison: SystemComparison, shown: Sequence[str] = KINDS) -> str:
    """Return the tables of the kinds `shown` as Markdown text, and what was measured."""
    parts = [comparison_heading(comparison), *markdown_parts(comparison_grids(comparison, shown))]
    return "\n\n".join([*parts, facts_sentence(comparison.systems.records)]) + "\n"


def _grid(
    title: str,
    comparison: SystemComparison,
    part: ComparedPart,
    words: Callable[[ComparedPart, str, str], str],
    note: str,
) -> Grid:
    rows = []
    for system in part.scores:
        cells = tuple(words(part, system, measure) for measure in comparison.measures)
        if any(cells):
            rows.append((system, *(cell or "–" for cell in cells)))
    return Grid(title, ("system", *comparison.measures), tuple(rows), note)


def _by_part(comparison: SystemComparison, measure: str) -> Grid:
    """The means of one measure without their intervals, a column a part."""
    header = ("system", *(f"{part.name} ({part.queries})" for part in comparison.parts))
    rows = []
    for system in comparison.systems.systems:
        scores = [part.scores[system.name].get(measure) for part in comparison.parts]
        if any(scores):
            cells = ("–" if score is None else f"{score.mean.mean:.3f}{_mark(score)}" for score in scores)
            rows.append((system.name, *cells))
    return Grid(f"{measure} by part of the queries", header, tuple(rows), "In brackets how many queries a part has.")


def _mean_words(part: ComparedPart, system: str, measure: str) -> str:
    score = part.scores[system].get(measure)
    if score is None:
        return ""
    digits = 1 if measure.startswith(("Items@", "Beams@")) else 3
    mean, low, high = (f"{number:,.{digits}f}" for number in (score.mean.mean, score.mean.low, score.mean.high))
    unit = "items" if measure.startswith("HitRate@beam") else "identifiers"
    price = f" in {score.price:,.0f} {unit}" if score.price is not None else ""
    return f"{mean} ({low}–{high}){price}{_mark(score)}"


def _difference_words(part: ComparedPart, system: str, measure: str) -> str:
    score = part.scores[system].get(measure)
    if score is None or score.difference is None:
        return ""
    found = score.difference
    lowest, highest = (signed(end) for end in found.seeds)
    seeds = f", seeds {lowest} to {highest}" if lowest != highest else ""
    p_value = "" if found.corrected is None else f", {p_value_words(found.corrected)}"
    interval = f"[{signed(found.interval.low)}, {signed(found.interval.high)}]"
    return f"{signed(found.interval.mean)} {interval}{seeds}{p_value}{_mark(score)}"


def _seed_words(part: ComparedPart, system: str, measure: str) -> str:
    score = part.scores[system].get(measure)
    means = [f"{mean:.3f}" for mean in score.seed_means] if score is not None else []
    return " ".join(means) if len({*means}) > 1 else ""


def _mark(score: Score) -> str:
    verdict = score.difference.verdict if score.difference is not None else None
    return f" {MARKS[verdict]}" if verdict is not None else ""

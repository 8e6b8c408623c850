"""`shelfwalk inspect --hourglass`: how evenly each level of a shelf's identifiers is used, and what a repair would do.

In: an opened shelf. Out: two tables and a sentence on the terminal, and where asked for the picture as an SVG file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shelfwalk.errors import UserError
from shelfwalk.evaluation.hourglass_probes import BEAMS, CUTOFF, probe_hourglass
from shelfwalk.evaluation.shelf_codes import codes_by_level
from shelfwalk.files import write_whole
from shelfwalk.shelf.shelf import Shelf
from shelfwalk.tokenizers.hourglass import Hourglass, hourglass_sentence, measure_hourglass
from shelfwalk.tokenizers.level_removal import Removal, SweepPoint, sweep_removals

SWEPT_COUNTS = (1, 2, 4, 8, 16, 32)
SWEPT_SHARES = (0.1, 0.2, 0.3, 0.5, 0.7, 0.9)


@dataclass(frozen=True)
class ProbeData:
    """What the probes ask, and what is right."""

    queries: pa.Table
    judgements: pa.Table


def print_hourglass(shelf: Shelf, console: Console | None = None, picture: Path | None = None) -> None:
    """Print the use of every level and the sweep of removals on `console`, by default standard output.

    `picture`: an SVG file to write the flow of items to, which comes first as its place may refuse it. Raises UserError
    for a shelf without identifiers, or one whose codes are gone.
    """
    console = console or Console(highlight=False)
    codes, sizes = codes_by_level(shelf)
    hourglass = measure_hourglass(codes, sizes)
    if picture is not None:
        from shelfwalk.evaluation.hourglass_picture import item_flow, svg_file

        write_whole(picture, svg_file(item_flow(codes, sizes)))
    console.print(_levels(hourglass))
    console.print(Text(hourglass_sentence(hourglass)), soft_wrap=True)
    # Of a level that is gone already for some items nothing more is to be told.
    if len(sizes) > 2 and (codes >= 0).all():
        console.print(_sweep(sweep_removals(codes, sizes, _removals(sizes, hourglass.waist or 2))))
    if picture is not None:
        console.print(Text(f"Picture: {picture}"), soft_wrap=True)


def refuse_unfit_picture(picture: Path | None) -> None:
    """Raise UserError for a place where no SVG file can be."""
    if picture is None:
        return
    if picture.is_dir():
        raise UserError(f"--picture {picture} is a folder: name an .svg file in it.")
    if picture.suffix.lower() != ".svg":
        raise UserError(f"--picture {picture} does not end in .svg: give it that ending, it is an SVG file.")


def probe_data(folder: Path | None) -> ProbeData | None:
    """The queries and judgements of the dataset in a folder; raises UserError where it has none."""
    if folder is None:
        return None
    from shelfwalk.data.dataset import open_dataset

    dataset = open_dataset(folder)
    if dataset.queries is None or dataset.judgements is None:
        raise UserError(f"The data {dataset.name} has no queries with judgements: nothing can be probed with it.")
    return ProbeData(dataset.queries, dataset.judgements)


def print_probes(shelf: Shelf, data: ProbeData, console: Console | None = None) -> None:
    """Print what the probes find; raises UserError for data of another catalogue."""
    from shelfwalk.terminal import shown_progress

    with shown_progress() as progress:
        found = probe_hourglass(shelf, data.queries, data.judgements, progress=progress)
    console = console or Console(highlight=False)
    table = _table("Hit rate by beam (by chance)", "target", "queries", *map(str, BEAMS), f"recall@{CUTOFF}")
    table.columns[0].no_wrap = True
    for probe in (*found.parts, *found.given):
        rates = [f"{probe.hit_rates[beam].mean:.3f} ({probe.chance[beam]:.3f})" for beam in BEAMS]
        table.add_row(
            probe.name, str(probe.queries), *rates, "" if probe.recall is None else f"{probe.recall.mean:.3f}"
        )
    console.print(table)
    about = (
        f"Head: relevant items on one of the {found.head_codes} commonest codes of level {found.level}, which "
        f"{found.head_share:.0%} of the items have. Given: only identifiers with the true code are walked."
    )
    console.print(Text(about), soft_wrap=True)


def _removals(sizes: tuple[int, ...], level: int) -> list[Removal]:
    counts = [Removal(level, most_used=count) for count in SWEPT_COUNTS if count < sizes[level - 1]]
    shares = [Removal(level, share=share) for share in SWEPT_SHARES]
    return [Removal(level, most_used=0), *counts, *shares, Removal(level)]


def _levels(hourglass: Hourglass) -> Table:
    table = _table("Use of the levels", "level", "codes", "used", "entropy", "Gini", "std", "largest", "paths in use")
    for number, level in enumerate(hourglass.levels, start=1):
        table.add_row(
            str(number),
            f"{level.use.size:,}",
            f"{level.use.used:,}",
            f"{level.use.entropy:.3f}",
            f"{level.use.gini:.3f}",
            f"{level.standard_deviation:,.1f}",
            f"{level.largest_share:.1%}",
            f"{level.path_sparsity:.3%}",
        )
    return table


def _sweep(points: tuple[SweepPoint, ...]) -> Table:
    level = points[0].removal.level
    title = f"What taking codes of level {level} away would do"
    table = _table(title, "taken", "codes", "shortened", "collisions", "mean cluster", "largest")
    for point in points:
        table.add_row(
            _taken(point.removal),
            f"{point.head_codes:,}",
            f"{point.shortened_share:.1%}",
            f"{point.collision_rate:.1%}",
            f"{point.mean_cluster:.2f}",
            f"{point.largest_cluster:,}",
        )
    return table


def _taken(removal: Removal) -> str:
    if removal.share is not None:
        return f"p = {removal.share:g}"
    if removal.most_used is not None:
        return f"K = {removal.most_used}" if removal.most_used else "nothing"
    return "the level"


def _table(title: str, *columns: str) -> Table:
    table = Table(box=box.SIMPLE, show_edge=False, title=Text(title, style="bold"), title_justify="left")
    for name in columns:
        table.add_column(name, justify="right")
    return table

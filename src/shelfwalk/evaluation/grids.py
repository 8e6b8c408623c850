"""Tables of words, and their renderings that all tell the same: on the terminal and as Markdown (HTML is a template's).

In: `Grid`s. Out: text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True)
class Grid:
    """One table: a title, column names, rows of cells, and a note on how to read it."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str


def print_grids(heading: str, grids: Sequence[Grid], console: Console) -> None:
    """Print `heading` and the tables on `console`; cells are folded, never cut."""
    console.print(Text(heading))
    for grid in grids:
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


def markdown_parts(grids: Sequence[Grid]) -> list[str]:
    """Return the title, table and note of each grid as paragraphs of Markdown."""
    parts = []
    for grid in grids:
        parts += [f"**{grid.title}**", markdown_table(grid), *([grid.note] if grid.note else [])]
    return parts


def markdown_table(grid: Grid) -> str:
    """Return the rows of a grid as a Markdown table, without title and note."""
    rule = ("---", *("---:" for _ in grid.header[1:]))
    return "\n".join(_markdown_row(row) for row in (grid.header, rule, *grid.rows))


def signed(number: float) -> str:
    """Return e.g. `+0.012` or `−0.003`."""
    return f"{number:+.3f}".replace("-", "−")


def p_value_words(p_value: float) -> str:
    """Return e.g. `p = 0.38`, `p = 0.0120` or `p < 0.001`."""
    if p_value < 0.001:
        return "p < 0.001"
    return f"p = {p_value:.2f}" if p_value >= 0.1 else f"p = {p_value:.4f}"


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

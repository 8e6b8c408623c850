"""`shelfwalk inspect --hourglass`: how evenly each level of a shelf's identifiers is used, and what a repair would do.

In: an opened shelf. Out: two tables and a sentence on the terminal, and where asked for the picture as an SVG file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shelfwalk.errors import UserError
from shelfwalk.files import write_whole
from shelfwalk.shelf import layout
from shelfwalk.shelf.shelf import Shelf
from shelfwalk.tokenizers.end_codes import without_end_codes
from shelfwalk.tokenizers.hourglass import Hourglass, hourglass_sentence, measure_hourglass
from shelfwalk.tokenizers.item_tokenizer import Codes
from shelfwalk.tokenizers.level_removal import Removal, SweepPoint, sweep_removals
from shelfwalk.tokenizers.saved_tokenizer import open_tokenizer
from shelfwalk.tokenizers.shortened import ShortenedTokenizer

SWEPT_COUNTS = (1, 2, 4, 8, 16, 32)
SWEPT_SHARES = (0.1, 0.2, 0.3, 0.5, 0.7, 0.9)


def print_hourglass(shelf: Shelf, console: Console | None = None, picture: Path | None = None) -> None:
    """Print the use of every level and the sweep of removals on `console`, by default standard output.

    `picture`: an SVG file to write the flow of items to. Raises UserError for a shelf without identifiers, or one whose
    codes are gone.
    """
    console = console or Console(highlight=False)
    codes, sizes = codes_by_level(shelf)
    hourglass = measure_hourglass(codes, sizes)
    console.print(_levels(hourglass))
    console.print(Text(hourglass_sentence(hourglass)), soft_wrap=True)
    # Of a level that is gone already for some items nothing more is to be told.
    if len(sizes) > 2 and (codes >= 0).all():
        console.print(_sweep(sweep_removals(codes, sizes, _removals(sizes, hourglass.waist or 2))))
    if picture is not None:
        from shelfwalk.evaluation.hourglass_picture import item_flow, svg_file

        write_whole(picture, svg_file(item_flow(codes, sizes)))
        console.print(Text(f"Picture: {picture}"), soft_wrap=True)


def codes_by_level(shelf: Shelf) -> tuple[Codes, tuple[int, ...]]:
    """The codes of all items of a shelf by the level that they are of, int32 [items, levels], and the level sizes.

    Where a repair has taken a level from some identifiers, it is −1 there. Raises UserError for a shelf without any.
    """
    if not shelf.is_generative:
        raise UserError("This shelf has no identifiers, so there is no hourglass to look for: its recipe has none.")
    trie = shelf.generative.trie
    codes = np.full((shelf.items.num_rows, len(shelf.recorded["level_sizes"])), -1, np.int32)
    codes[trie.posting_items] = np.repeat(trie.paths(), np.diff(trie.posting_offsets), axis=0)
    tokenizer = open_tokenizer(shelf.folder / layout.TOKENIZER)
    if isinstance(tokenizer, ShortenedTokenizer) and tokenizer.removal.is_adaptive:
        return tokenizer.levels.levels_of(without_end_codes(codes, tokenizer.level_sizes)), tokenizer.levels.sizes
    return codes, tuple(shelf.recorded["level_sizes"])


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

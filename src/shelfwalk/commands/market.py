"""The verb `market`: makes a simulated market, of a generated catalogue or of a real one.

In: arguments. Out: a folder, progress on standard error, and on standard output what was made.
"""

from __future__ import annotations

import sys
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from shelfwalk.commands.options import ColumnOption, column_mapping
from shelfwalk.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

    from shelfwalk.market.market import Market
    from shelfwalk.market.settings import MarketSettings

_MODELS = ("dbn", "cascade", "position")
_MOST_ITEMS, _MOST_SHOPPERS, _MOST_SESSIONS, _MOST_DAYS = 10_000_000, 5_000_000, 5_000_000, 3_650


def market(
    out: Annotated[Path, typer.Option(help="Where the market goes: a folder that does not exist yet.")],
    items: Annotated[
        int | None, typer.Option(min=100, max=_MOST_ITEMS, help="Items of the generated catalogue. [default: 20,000]")
    ] = None,
    catalogue: Annotated[
        Path | None,
        typer.Option(help="A real catalogue in its place: a shelf, a file of items or a folder of a known layout."),
    ] = None,
    column: ColumnOption = None,
    shoppers: Annotated[int | None, typer.Option(min=1, max=_MOST_SHOPPERS, help="Shoppers. [default: 10,000]")] = None,
    sessions: Annotated[
        int | None,
        typer.Option(min=0, max=_MOST_SESSIONS, help="Sessions of one search each; 0 for no log. [default: 100,000]"),
    ] = None,
    days: Annotated[
        int | None,
        typer.Option(
            min=2, max=_MOST_DAYS, help="Days of the log, of which the last fifth is kept apart. [default: 90]"
        ),
    ] = None,
    clicks: Annotated[str | None, typer.Option(help="Click model: dbn, cascade or position. [default: dbn]")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of everything random. [default: 7]")] = None,
    standard: Annotated[
        bool,
        typer.Option("--standard", help="Make the standard market: 20,000 items, 10,000 shoppers, 100,000 sessions."),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but mistakes.")] = False,
) -> None:
    """Make a simulated market: a catalogue, shoppers, their search log, and apart from them the truth.

    Writes items.parquet and events.parquet, which a build may read, and a folder truth/ with true judgements for
    evaluation. Everything in it is made up; the same arguments make the same market.

    Example: shelfwalk market --items 50000 --shoppers 20000 --sessions 200000 --seed 7 --out market/
    """
    chosen = {"--items": items, "--shoppers": shoppers, "--sessions": sessions, "--days": days, "--clicks": clicks}
    given = [name for name, value in {**chosen, "--catalogue": catalogue, "--seed": seed}.items() if value is not None]
    if standard and given:
        raise UserError(f"--standard fixes everything, so leave out {', '.join(given)}, or leave out --standard.")
    if catalogue is not None and items is not None:
        raise UserError("--items is for a generated catalogue and --catalogue names a real one: give one of them.")
    if clicks is not None and clicks not in _MODELS:
        raise UserError(f'There is no click model "{clicks}": take one of {", ".join(_MODELS)}.')
    from shelfwalk.market.market import Market, make_market
    from shelfwalk.market.settings import STANDARD_SEED
    from shelfwalk.terminal import shown_progress, silent

    table, notices = _items(catalogue, column, out)
    for notice in () if quiet else notices:
        print(notice, file=sys.stderr)
    with silent() if quiet else shown_progress() as progress:
        settings = _settings(items, shoppers, sessions, days, clicks)
        make_market(settings, STANDARD_SEED if seed is None else seed, out, table, progress)
    if not quiet:
        _print_made(Market.open(out, check=False))


def _settings(
    items: int | None, shoppers: int | None, sessions: int | None, days: int | None, clicks: str | None
) -> MarketSettings:
    """The standard market's settings but for what is given."""
    from shelfwalk.market.settings import STANDARD

    changed = {"shoppers": shoppers, "sessions": sessions, "days": days}
    update: dict[str, object] = {name: value for name, value in changed.items() if value is not None}
    if items is not None:
        update["catalogue"] = STANDARD.catalogue.model_copy(update={"items": items})
    if clicks is not None:
        update["clicks"] = STANDARD.clicks.model_copy(update={"model": clicks})
    return STANDARD.model_copy(update=update)


def _items(catalogue: Path | None, column: list[str] | None, out: Path) -> tuple[pa.Table | None, list[str]]:
    """The items of a real catalogue, and notices on how they were read."""
    mapping = column_mapping(column)
    if catalogue is None:
        if mapping:
            raise UserError("--column maps columns of a real catalogue: name its file with --catalogue.")
        return None, []
    from shelfwalk.shelf import layout
    from shelfwalk.shelf.generations import CURRENT, current_generation
    from shelfwalk.tables_from_files import TableFiles

    if (catalogue / CURRENT).is_file():
        import pyarrow as pa

        stored = pa.memory_map(str(current_generation(catalogue) / layout.ITEMS))
        return pa.ipc.open_file(stored).read_all(), []
    files = TableFiles(mapping, False, out.parent)
    return files.items_and_training(catalogue, None, None, None, None).items, files.notices


def _print_made(made: Market) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    manifest = made.manifest
    table = Table(title=f"simulated market {made.path}", show_header=False, title_justify="left")
    for name, count in manifest.counts.items():
        table.add_row(name.replace("_", " "), f"{count:,}")
    table.add_row("name", manifest.name or "-")
    table.add_row("hash", manifest.hash)
    console = Console(highlight=False)
    console.print(table)
    for note in manifest.notes:
        console.print(Text(note), soft_wrap=True)
    if manifest.counts["visits_before_split"]:
        items, events = (quote(str(made.path / name)) for name in ("items.parquet", "events.parquet"))
        files = f"--items {items} --events {events}"
        console.print(Text(f"Next: shelfwalk build {files} --out market.shelf"), soft_wrap=True)

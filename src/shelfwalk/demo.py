"""The demonstration behind `make demo`: a shelf, its evaluation, three answers, and how to go on.

In: a folder of a known layout; without one, a small simulated market is made and called simulated. Out:
`<out>/<data>.shelf`, and the evaluation's files in `<out>`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from shelfwalk.cli import run
from shelfwalk.shelf.seeds import MOST_SEED

_MOST_SAMPLES = 3
_SHORT_TRAINING = {"steps": 300, "warm_up_steps": 50, "validate_every": 100}
"""For the small market: minutes in place of a good model."""


def demonstrate(
    data: Annotated[
        Path | None, typer.Argument(help="A folder of a known layout. [default: a small simulated market]")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the shelf and the report go.")] = Path("demo"),
    recipe: Annotated[str, typer.Option(help="A recipe's name or a .toml file.")] = "rqkmeans",
    seed: Annotated[int, typer.Option(min=0, max=MOST_SEED, help="Seed of everything random.")] = 0,
) -> None:
    """Build, evaluate and search a shelf of the products in a folder."""
    from shelfwalk.data.dataset import open_dataset
    from shelfwalk.evaluation.shelf_evaluation import evaluate_shelf
    from shelfwalk.recipes.recipe import load_recipe
    from shelfwalk.shelf.building import build_shelf
    from shelfwalk.shelf.shelf import Shelf
    from shelfwalk.shelf.training_tables import TrainingTables
    from shelfwalk.terminal import print_answer, print_built, print_evaluation, shown_progress

    console = Console(highlight=False)
    chosen = load_recipe(recipe)
    if data is None:
        data = _simulated(out, console)
        chosen = chosen.model_copy(update={"training": chosen.training.model_copy(update=_SHORT_TRAINING)})
    dataset = open_dataset(data)
    console.print(Text(f"{dataset.name}: {dataset.items.num_rows:,} items."))
    for note in dataset.notes:
        console.print(Text(note, style="dim"))
    place = out / f"{data.resolve().name}.shelf"
    with shown_progress() as progress:
        tables = TrainingTables(events=dataset.searches)
        build_shelf(dataset.items, chosen, place, tables=tables, seed=seed, progress=progress)
    print_built(place)
    shelf = Shelf.open(place)
    queries = dataset.items["title"].slice(0, _MOST_SAMPLES).to_pylist()
    if dataset.queries is not None and dataset.judgements is not None:
        with shown_progress() as progress:
            result = evaluate_shelf(
                shelf, dataset.queries, dataset.judgements, out, cold_items=dataset.cold_items, progress=progress
            )
        print_evaluation(result, out)
        queries = list(result.evaluation.texts)
    for query in queries[:: max(len(queries) // _MOST_SAMPLES, 1)][:_MOST_SAMPLES]:
        console.print(
            Text(f"\nshelfwalk search {quote(str(place))} {quote(query)} -k 3 --explain", style="bold"), soft_wrap=True
        )
        print_answer(shelf.search(query, 3, explain=True), console)
    go_on = f'.venv/bin/shelfwalk search {quote(str(place))} "your query" --explain; .venv/bin/shelfwalk --help'
    console.print(Text(f"\nGo on: {go_on}"), soft_wrap=True)


def _simulated(out: Path, console: Console) -> Path:
    """The folder of the small market in `out`, which is made where it is not there."""
    from shelfwalk.market.catalogue import CatalogueSettings
    from shelfwalk.market.manifest import read_manifest
    from shelfwalk.market.market import make_market
    from shelfwalk.market.settings import STANDARD_SEED, MarketSettings
    from shelfwalk.terminal import shown_progress

    place = out / "simulated_market"
    console.print(
        Text("No data was named: this is a simulated market, its products, shoppers and figures are made up.")
    )
    if place.is_dir():
        read_manifest(place)
        return place
    out.mkdir(parents=True, exist_ok=True)
    sizes = MarketSettings(
        catalogue=CatalogueSettings(items=5_000), shoppers=3_000, sessions=20_000, evaluation_queries=400
    )
    with shown_progress() as progress:
        make_market(sizes, STANDARD_SEED, place, progress=progress)
    return place


def main() -> int:
    """Run the demonstration and return the exit status."""
    application = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    application.command()(demonstrate)
    return run(application)


if __name__ == "__main__":
    sys.exit(main())

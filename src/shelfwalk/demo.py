"""The demonstration behind `make demo`: a shelf from real products, its evaluation, three answers, and how to go on.

In: a folder of a known layout. Out: `<out>/<data>.shelf`, and the evaluation's files in `<out>`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from shelfwalk.cli import run

_MOST_SAMPLES = 3


def demonstrate(
    data: Annotated[Path, typer.Argument(help="A folder of a known layout.")],
    out: Annotated[Path, typer.Option(help="Where the shelf and the report go.")] = Path("demo"),
    recipe: Annotated[str, typer.Option(help="A recipe's name or a .toml file.")] = "rqkmeans",
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 0,
) -> None:
    """Build, evaluate and search a shelf of the products in a folder."""
    from shelfwalk.data.dataset import open_dataset
    from shelfwalk.evaluation.shelf_evaluation import evaluate_shelf
    from shelfwalk.recipes.recipe import load_recipe
    from shelfwalk.shelf.building import build_shelf
    from shelfwalk.shelf.shelf import Shelf
    from shelfwalk.terminal import print_answer, print_built, print_evaluation, shown_progress

    console = Console(highlight=False)
    dataset = open_dataset(data)
    console.print(Text(f"{dataset.name}: {dataset.items.num_rows:,} items."))
    for note in dataset.notes:
        console.print(Text(note, style="dim"))
    place = out / f"{data.resolve().name}.shelf"
    with shown_progress() as progress:
        build_shelf(dataset.items, load_recipe(recipe), place, seed=seed, progress=progress)
    print_built(place)
    shelf = Shelf.open(place)
    queries = dataset.items["title"].slice(0, _MOST_SAMPLES).to_pylist()
    if dataset.queries is not None and dataset.judgements is not None:
        with shown_progress() as progress:
            result = evaluate_shelf(shelf, dataset.queries, dataset.judgements, out, progress=progress)
        print_evaluation(result, out)
        queries = list(result.evaluation.texts)
    for query in queries[:: max(len(queries) // _MOST_SAMPLES, 1)][:_MOST_SAMPLES]:
        console.print(Text(f'\nshelfwalk search {place} "{query}" -k 3 --explain', style="bold"), soft_wrap=True)
        print_answer(shelf.search(query, 3, explain=True), console)
    console.print(
        Text(f'\nGo on: .venv/bin/shelfwalk search {place} "your query" --explain; .venv/bin/shelfwalk --help'),
        soft_wrap=True,
    )


def main() -> int:
    """Run the demonstration and return the exit status."""
    application = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    application.command()(demonstrate)
    return run(application)


if __name__ == "__main__":
    sys.exit(main())

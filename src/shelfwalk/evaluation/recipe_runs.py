"""Builds and evaluates one recipe with one seed, and keeps the result.

In: a dataset with queries and judgements, the name of a recipe, a seed. Out: a shelf and the evaluation's files in a
work folder, and a line in a results file. A build that was interrupted goes on where it was. The dataset's log, where
it has one, is what the recipe is trained on.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from shelfwalk.data.adapter import Dataset
from shelfwalk.errors import UserError
from shelfwalk.evaluation.results import append_evaluation
from shelfwalk.evaluation.shelf_evaluation import ShelfEvaluation, data_hash, evaluate_shelf
from shelfwalk.recipes.recipe import load_recipe
from shelfwalk.shelf.building import build_shelf
from shelfwalk.shelf.shelf import Shelf
from shelfwalk.shelf.training_tables import TrainingTables


def run_recipe(
    dataset: Dataset,
    recipe: str,
    seed: int,
    *,
    work: Path,
    results: Path,
    threads: int = 2,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> ShelfEvaluation:
    """Build `work`/RECIPE-seedN.shelf, evaluate it, and append its line to the file `results`.

    `recipe` is a name or a TOML file. Raises UserError as building and evaluating do, and for a dataset without queries
    or judgements.
    """
    loaded = load_recipe(recipe)
    dataset_hash(dataset)
    place = work / f"{loaded.name}-seed{seed}.shelf"
    tables = TrainingTables(events=dataset.searches)
    build_shelf(dataset.items, loaded, place, tables=tables, seed=seed, threads=threads, progress=progress)
    out = work / f"{loaded.name}-seed{seed}"
    found = evaluate_shelf(
        Shelf.open(place),
        dataset.queries,
        dataset.judgements,
        out,
        relevant_grade=dataset.relevant_grade,
        cold_items=dataset.cold_items,
        progress=progress,
    )
    append_evaluation(results, found.result)
    return found


def dataset_hash(dataset: Dataset) -> str:
    """Return what results on this dataset name as their data hash; raises UserError if it cannot be evaluated on."""
    if dataset.queries is None or dataset.judgements is None:
        raise UserError(f"The data {dataset.name} has no queries with judgements: nothing can be measured on it.")
    return data_hash(dataset.items, dataset.queries, dataset.judgements)

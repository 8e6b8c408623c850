"""Tries settings of a recipe and says which is best on held-out training queries: a tuning budget in writing.

    python benchmarks/tuning.py demo/standard-market --name standard-market --recipe dssm \\
        --try two_tower.temperature=0.02,0.05,0.1

builds the recipe once for every combination of the values, at one place, so that the steps that come before the
changed ones are made once, and appends a line for each to benchmarks/results/tuning/NAME.jsonl. A combination that has
its line is not built again. No evaluation query is read: two towers are judged by recall at 100 of held-out clicks, a
generator by its loss on held-out queries, or where identifiers differ by recall at 100 of its channel, and BM25, where
nothing but `bm25.` is tried, by recall at 100 on held-out queries.
"""

from __future__ import annotations

import argparse
import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from shelfwalk.evaluation.tuning import Try

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    from shelfwalk.data.dataset import open_dataset
    from shelfwalk.evaluation.recipe_runs import dataset_hash
    from shelfwalk.evaluation.results import append_result
    from shelfwalk.evaluation.tuning import KIND, read_tries
    from shelfwalk.recipes.recipe import load_recipe

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder of the data")
    parser.add_argument("--name", required=True, help="of the results file")
    parser.add_argument("--recipe", required=True)
    parser.add_argument("--try", dest="tried", action="append", required=True, metavar="SETTING=VALUE,VALUE")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("demo"))
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    dataset = open_dataset(arguments.data)
    recipe = load_recipe(arguments.recipe).model_dump(exclude_none=True)
    place = arguments.work / f"tuning-{recipe['name']}.shelf"
    file = RESULTS / KIND / f"{arguments.name}.jsonl"
    done, data = read_tries(file), dataset_hash(dataset)
    for values in combinations(arguments.tried):
        asked = Try(data, recipe["name"], arguments.seed, values, 0.0, 0.0)
        found = next((old for old in done if old.is_of(asked)), None)
        if found is None:
            build(dataset, changed(recipe, values), place, arguments.seed, arguments.threads)
            judge = of_bm25 if all(name.startswith("bm25.") for name in values) else of_what_learns
            found = judge(place, asked)
            append_result(file, found)
        print(f"{found.held_out_recall:.4f}  {found.held_out_loss}  {found.seconds:5.0f} s  {values}", flush=True)


def combinations(tried: list[str]) -> list[dict[str, Any]]:
    """Every combination of the values that `SETTING=VALUE,VALUE` names; values as in JSON."""
    names = [one.partition("=")[0] for one in tried]
    values = [json.loads(f"[{one.partition('=')[2]}]") for one in tried]
    return [dict(zip(names, chosen, strict=True)) for chosen in itertools.product(*values)]


def changed(recipe: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """A copy of the recipe with other values for `section.setting` names."""
    copy: dict[str, Any] = json.loads(json.dumps(recipe))
    for name, value in values.items():
        section, _, setting = name.partition(".")
        copy[section][setting] = value
    return copy


def build(dataset: Any, recipe: dict[str, Any], place: Path, seed: int, threads: int) -> None:
    from shelfwalk.recipes.recipe import Recipe
    from shelfwalk.shelf.building import build_shelf
    from shelfwalk.shelf.training_tables import TrainingTables
    from shelfwalk.terminal import shown_progress

    tables = TrainingTables(events=dataset.searches)
    with shown_progress() as progress:
        build_shelf(
            dataset.items, Recipe(**recipe), place, tables=tables, seed=seed, threads=threads, progress=progress
        )


def of_what_learns(place: Path, asked: Try) -> Try:
    """The try with what was found of the generator, or of two towers; seconds are of the steps of the recipe's own."""
    from shelfwalk.shelf.shelf import Shelf

    facts = Shelf.open(place).recorded
    generative = facts.get("in_cluster")
    recalls = generative["recalls"].values() if generative else facts["two_tower"]["recalls"]
    loss = facts["training"]["held_out_loss"] if generative else None
    own = sum(facts["seconds"].get(step, 0.0) for step in ("towers", "identifiers", "generator"))
    return replace(asked, held_out_recall=max(recalls), held_out_loss=loss, seconds=own)


def of_bm25(place: Path, asked: Try) -> Try:
    """The try with the recall of the built shelf's BM25 on held-out queries, and the seconds of its indexing."""
    from shelfwalk.shelf.pair_step import read_pairs
    from shelfwalk.shelf.settling import held_out_requests, mean_recall
    from shelfwalk.shelf.shelf import Shelf
    from shelfwalk.shelf.steps import StepResult

    shelf = Shelf.open(place)
    pairs = read_pairs(StepResult("pairs", place / "building" / "steps" / "pairs", {}, True))
    unread = np.zeros((len(pairs.queries), 1), dtype=np.float32)
    recall = mean_recall(shelf.bm25, held_out_requests(pairs, unread))
    return replace(asked, held_out_recall=recall, seconds=shelf.recorded["seconds"]["bm25"])


if __name__ == "__main__":
    main()

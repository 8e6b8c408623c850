"""The measured table: a shelf of the Icecat products, evaluated against people's ratings, for several seeds.

    python benchmarks/icecat.py ../shared/data/icecat_chorus --seeds 0 1 2 --work demo/icecat

builds one shelf a seed in the work folder (an interrupted run goes on where it was), evaluates each, and appends one
line a seed to benchmarks/results/icecat.jsonl. `python benchmarks/icecat.py --table` prints the Markdown table of what
that file holds; the README's table is that text.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "icecat.jsonl"
CHANNELS = ("bm25", "dense", "generative", "bm25+dense", "fused")
MEASURES = ("R@100", "R@300", "nDCG@10", "Judged-R@100", "ExclusiveR@100")


def run_seed(data: Path, work: Path, seed: int, recipe: str, threads: int) -> None:
    """Build and evaluate the shelf of one seed; its line goes to the results file."""
    from shelfwalk.data.dataset import open_dataset
    from shelfwalk.evaluation.shelf_evaluation import evaluate_shelf
    from shelfwalk.recipes.recipe import load_recipe
    from shelfwalk.shelf.building import build_shelf
    from shelfwalk.shelf.shelf import Shelf
    from shelfwalk.terminal import print_evaluation, shown_progress

    dataset = open_dataset(data)
    if dataset.queries is None or dataset.judgements is None:
        sys.exit(f"{data} has no queries with judgements.")
    place = work / f"{recipe}-seed{seed}.shelf"
    with shown_progress() as progress:
        build_shelf(dataset.items, load_recipe(recipe), place, seed=seed, threads=threads, progress=progress)
        results = work / f"{recipe}-seed{seed}"
        result = evaluate_shelf(Shelf.open(place), dataset.queries, dataset.judgements, results, progress=progress)
    print_evaluation(result, results)
    line = (results / "results.jsonl").read_text(encoding="utf-8").splitlines()[-1]
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def table(records: Sequence[Mapping[str, Any]]) -> str:
    """The Markdown table of the newest line of every seed: mean over seeds, and the range where seeds differ."""
    newest = {record["seed"]: record for record in records}
    runs = [newest[seed] for seed in sorted(newest)]
    rows = ["| channel | " + " | ".join(MEASURES) + " |", "|---|" + "---:|" * len(MEASURES)]
    for channel in CHANNELS:
        cells = [_cell([run["figures"][channel].get(measure) for run in runs]) for measure in MEASURES]
        rows.append(f"| {channel} | {' | '.join(cells)} |")
    beams = [
        f"{width}: {_cell([run['figures']['generative'][f'HitRate@beam{width}'] for run in runs])} in "
        f"{_cell([run['figures']['generative'][f'Items@beam{width}'] for run in runs], 0)} items"
        for width in (1, 10, 100)
    ]
    first = runs[0]
    machine = first["machine"]
    return "\n".join(
        [
            *rows,
            "",
            f"Hit rate @ beam {'; '.join(beams)}. {_differences(runs)}",
            "",
            f"{first['queries']} queries with a relevant product, seeds {', '.join(str(run['seed']) for run in runs)} "
            f"(mean, and range where they differ), recipe `{first['recipe']}` {first['recipe_hash']}, data "
            f"{first['data_hash']}, {machine['cores']} cores of {machine['processor']}.",
        ]
    )


def _differences(runs: Sequence[Mapping[str, Any]]) -> str:
    parts = []
    for run in runs:
        found = [
            comparison
            for comparison in run["comparisons"]
            if (comparison["first"], comparison["second"], comparison["measure"]) == ("fused", "bm25+dense", "R@100")
        ]
        low, high = found[0]["interval"]
        parts.append(f"{found[0]['difference']:+.3f} [{low:+.3f}, {high:+.3f}] p = {found[0]['p']:.2f}")
    return f"Paired difference of R@100, fused − bm25+dense, for each seed: {'; '.join(parts)}."


def _cell(values: Sequence[float | None], digits: int = 3) -> str:
    numbers = [value for value in values if value is not None]
    if not numbers:
        return "–"
    mean, low, high = (f"{value:.{digits}f}" for value in (statistics.fmean(numbers), min(numbers), max(numbers)))
    return mean if low == high else f"{mean} ({low}–{high})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--recipe", default="rqkmeans")
    parser.add_argument("--threads", type=int, default=2, help="cores that each build has to itself")
    parser.add_argument("--work", type=Path, default=Path("demo/icecat"))
    parser.add_argument("--table", action="store_true", help="print the table of the results at hand")
    arguments = parser.parse_args()
    if arguments.data:
        for seed in arguments.seeds:
            run_seed(arguments.data, arguments.work, seed, arguments.recipe, arguments.threads)
    if arguments.table:
        print(table([json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()]))


if __name__ == "__main__":
    main()

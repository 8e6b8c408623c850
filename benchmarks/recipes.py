"""Recipes measured on a dataset with several seeds: what every table of results in the docs is made from.

    python benchmarks/recipes.py ../shared/data/icecat_chorus --name icecat --recipes rqkmeans --seeds 0 1 2
    shelfwalk market --standard --out demo/standard-market
    python benchmarks/recipes.py demo/standard-market --name standard-market --recipes dssm rqkmeans tiger

    python benchmarks/recipes.py demo/standard-market --name standard-market-visits --visits 2000 --recipes dssm dpsr

builds one shelf a recipe and seed in a work folder (an interrupted run goes on where it was), evaluates each, and
appends a line for each to benchmarks/results/NAME.jsonl. `python -m shelfwalk.evaluation.document_tables README.md
docs/*.md --write` puts what these files hold into the docs.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    from shelfwalk.errors import UserError

    try:
        run(arguments())
    except UserError as error:
        sys.exit(f"recipes.py: {error}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder of the data")
    parser.add_argument("--name", required=True, help="of the results file")
    parser.add_argument("--visits", type=int, help="ask so many visits of a simulated market, with their histories")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--work", type=Path, help="[default: demo/NAME-shelves]")
    parser.add_argument("--recipes", nargs="+", default=["rqkmeans"])
    parser.add_argument("--threads", type=int, default=2, help="cores that the build has to itself")
    return parser.parse_args()


def run(arguments: argparse.Namespace) -> None:
    from shelfwalk.data.dataset import open_dataset
    from shelfwalk.data.personal_queries import personal_queries
    from shelfwalk.evaluation.recipe_runs import run_recipe
    from shelfwalk.terminal import print_evaluation, shown_progress

    work = arguments.work or Path("demo") / f"{arguments.name}-shelves"
    dataset = (
        open_dataset(arguments.data) if arguments.visits is None else personal_queries(arguments.data, arguments.visits)
    )
    for recipe in arguments.recipes:
        for seed in arguments.seeds:
            with shown_progress() as progress:
                found = run_recipe(
                    dataset,
                    recipe,
                    seed,
                    work=work,
                    results=RESULTS / f"{arguments.name}.jsonl",
                    threads=arguments.threads,
                    progress=progress,
                )
            print_evaluation(found, work / f"{recipe}-seed{seed}")


if __name__ == "__main__":
    main()

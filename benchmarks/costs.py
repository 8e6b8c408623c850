"""What recipes cost: seconds to build, bytes, milliseconds a search.

    python benchmarks/costs.py demo/standard-market --name standard-market demo/standard-market-shelves/*.shelf

reads what the builds recorded, times searches of the data's queries one at a time on one thread, and appends a line a
shelf to benchmarks/results/costs/NAME.jsonl. Refuses a machine that is busy with something else.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from measuring import pin_threads, refuse_busy_machine

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder of the data, for its queries")
    parser.add_argument("shelves", type=Path, nargs="+")
    parser.add_argument("--name", required=True, help="of the data, in the table")
    arguments = parser.parse_args()
    pin_threads(1)
    refuse_busy_machine()
    from shelfwalk.data.dataset import open_dataset
    from shelfwalk.evaluation.costs import FOLDER, costs_table, measure_costs
    from shelfwalk.evaluation.results import append_result
    from shelfwalk.shelf.shelf import Shelf

    dataset = open_dataset(arguments.data)
    if dataset.queries is None:
        sys.exit(f"{arguments.data} has no queries.")
    queries = dataset.queries["query"].to_pylist()
    file = RESULTS / FOLDER / f"{arguments.name}.jsonl"
    for place in arguments.shelves:
        append_result(file, measure_costs(Shelf.open(place), queries, arguments.name))
        print(f"{place.name} done.", flush=True)
    print(costs_table(file, arguments.name))


if __name__ == "__main__":
    main()

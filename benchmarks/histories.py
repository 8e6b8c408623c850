"""What a recipe that knows shoppers makes of a shopper: its own history, none, or another shopper's, on one shelf.

    python benchmarks/histories.py demo/standard-market-shelves/cqsid-user-seed0.shelf demo/standard-market \\
        --name standard-market-visits --visits 500

asks a built shelf visits of a simulated market after its split; nothing is built anew. Each is asked three times:

    generative           with the history of its shopper
    no-history           as if nobody were known
    others-history       with the history of the next visit's shopper: what histories of any shopper do

A line with the paired comparisons goes to benchmarks/results/histories/NAME.jsonl.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from arms import keep_comparison
from shelfwalk.channels.channel import Hits
from shelfwalk.shelf.shelf import Shelf

RESULTS = Path(__file__).parent / "results" / "histories"
DEPTH = 300
OWN = "generative"


def histories_of(own: Sequence[list[str]]) -> dict[str, Sequence[list[str]]]:
    """What each arm is told, by visit."""
    return {OWN: own, "no-history": [[] for _ in own], "others-history": [*own[1:], *own[:1]]}


def rank(shelf: Shelf, texts: Sequence[str], arms: Mapping[str, Sequence[list[str]]]) -> dict[str, list[Hits]]:
    from shelfwalk.terminal import shown_progress

    found: dict[str, list[Hits]] = {name: [] for name in arms}
    with shown_progress() as progress:
        for number, text in enumerate(texts):
            for name, histories in arms.items():
                found[name].append(shelf.hits(text, DEPTH, (OWN,), shopper=histories[number])[OWN])
            progress("Asking visits", number + 1, len(texts))
    return found


def main() -> None:
    from shelfwalk.data.personal_queries import personal_queries
    from shelfwalk.evaluation.query_histories import query_histories

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shelf", type=Path)
    parser.add_argument("data", type=Path, help="the folder of a simulated market")
    parser.add_argument("--name", required=True, help="of the results file")
    parser.add_argument("--visits", type=int, default=500)
    arguments = parser.parse_args()
    shelf, dataset = Shelf.open(arguments.shelf), personal_queries(arguments.data, arguments.visits)
    assert dataset.queries is not None
    arms = histories_of(query_histories(dataset.queries, shelf.items["item_id"]))
    found = rank(shelf, dataset.queries["query"].to_pylist(), arms)
    pairs = [(OWN, name) for name in arms if name != OWN]
    keep_comparison(shelf, dataset, found, pairs, RESULTS / f"{arguments.name}.jsonl")


if __name__ == "__main__":
    main()

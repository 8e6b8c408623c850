"""What a recipe that knows shoppers makes of a shopper: its own history, none, or another shopper's, on one shelf.

    python benchmarks/histories.py demo/standard-market-shelves/cqsid-user-seed0.shelf demo/standard-market \\
        --name standard-market-visits --visits 500

asks a built shelf visits of a simulated market after its split; nothing is built anew. Each is asked several times, of
the generative channel or, where there is none, of the dense one:

    generative, dense    with the history of its shopper
    no-history           as if nobody were known
    others-history       with the history of the next visit's shopper: what histories of any shopper do
    history-weight-W     with the own one, and items of it that much ahead in their clusters (ranking/in_cluster.py);
                         of the generative channel alone

A line with the paired comparisons goes to benchmarks/results/histories/NAME.jsonl.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from copy import copy
from pathlib import Path

from arms import keep_comparison
from shelfwalk.channels.channel import Hits
from shelfwalk.channels.generative import GenerativeChannel
from shelfwalk.shelf.shelf import Shelf

RESULTS = Path(__file__).parent / "results" / "histories"
DEPTH = 300
WEIGHTS = (0.05, 0.1, 0.2)


def histories_of(own: Sequence[list[str]], channel: str) -> dict[str, Sequence[list[str]]]:
    """What each arm is told, by visit; the arm with the own history bears the channel's name."""
    return {channel: own, "no-history": [[] for _ in own], "others-history": [*own[1:], *own[:1]]}


def rank(shelf: Shelf, texts: Sequence[str], own: Sequence[list[str]], channel: str) -> dict[str, list[Hits]]:
    from shelfwalk.terminal import shown_progress

    histories = histories_of(own, channel)
    weighed = weighed_arms(shelf) if channel == "generative" else {}
    found: dict[str, list[Hits]] = {name: [] for name in (*histories, *weighed)}
    with shown_progress() as progress:
        for number, text in enumerate(texts):
            for name, of_arm in histories.items():
                request = shelf.request(text, shopper=of_arm[number])
                found[name].append(shelf.channel(channel).search(request, DEPTH))
            request = shelf.request(text, shopper=own[number])
            beams = shelf.generative.generate([request]) if weighed else None
            for name, of_weight in weighed.items():
                assert beams is not None
                found[name].append(of_weight.search_beams(request, beams, DEPTH))
            progress("Asking visits", number + 1, len(texts))
    return found


def weighed_arms(shelf: Shelf) -> dict[str, GenerativeChannel]:
    arms = {}
    for weight in WEIGHTS:
        arms[f"history-weight-{weight:g}"] = other = copy(shelf.generative)
        other.settings = other.settings.model_copy(update={"history_weight": weight})
    return arms


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
    channel = "generative" if "generative" in shelf.channels else "dense"
    own = query_histories(dataset.queries, shelf.items["item_id"])
    found = rank(shelf, dataset.queries["query"].to_pylist(), own, channel)
    pairs = [(channel, name) for name in found if name != channel]
    keep_comparison(shelf, dataset, found, pairs, RESULTS / f"{arguments.name}.jsonl")


if __name__ == "__main__":
    main()

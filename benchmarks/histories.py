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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from arms import keep_comparison
from shelfwalk.channels.channel import Channel, Hits
from shelfwalk.channels.generative import GenerativeChannel
from shelfwalk.shelf.shelf import Shelf

RESULTS = Path(__file__).parent / "results" / "histories"
DEPTH = 300
WEIGHTS = (0.05, 0.1, 0.2)


@dataclass(frozen=True)
class Arm:
    """A channel, and the history that it is told at each visit."""

    channel: Channel
    histories: Sequence[list[str]]


def arms_of(shelf: Shelf, own: Sequence[list[str]]) -> dict[str, Arm]:
    """The arms by name, the first of which has the shoppers' own histories."""
    plain = shelf.generative if "generative" in shelf.channels else shelf.channel("dense")
    arms = {
        plain.name: Arm(plain, own),
        "no-history": Arm(plain, [[] for _ in own]),
        "others-history": Arm(plain, [*own[1:], *own[:1]]),
    }
    if isinstance(plain, GenerativeChannel):
        for weight in WEIGHTS:
            arms[f"history-weight-{weight:g}"] = Arm(plain.with_settings(history_weight=weight), own)
    return arms


def rank(shelf: Shelf, texts: Sequence[str], arms: Mapping[str, Arm]) -> dict[str, list[Hits]]:
    from shelfwalk.terminal import shown_progress

    found: dict[str, list[Hits]] = {name: [] for name in arms}
    with shown_progress() as progress:
        for number, text in enumerate(texts):
            for name, arm in arms.items():
                request = shelf.request(text, shopper=arm.histories[number])
                found[name].append(arm.channel.search(request, DEPTH))
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
    arms = arms_of(shelf, query_histories(dataset.queries, shelf.items["item_id"]))
    found = rank(shelf, dataset.queries["query"].to_pylist(), arms)
    own, *others = arms
    pairs = [(own, name) for name in others]
    keep_comparison(shelf, dataset, found, pairs, RESULTS / f"{arguments.name}.jsonl")


if __name__ == "__main__":
    main()

"""Who comes first inside a generated cluster: our score against the published look-up order, on one shelf.

    python benchmarks/in_cluster.py demo/standard-market-shelves/cqsid-query-seed0.shelf demo/standard-market \\
        --name standard-market

asks a built shelf every query of the data and ranks what the same beams reach in several ways; nothing is built anew:

    generative           ours: cosine, path probability and words (ranking/in_cluster.py)
    lookup-clicks        the published order (ranking/lookup_order.py), efficiency = smoothed clicks an impression of
                         the data's log, where it has one
    lookup-popularity    the published order, efficiency = the catalogue's popularity
    lookup-cosine        clusters in beam order as well, but inside them the nearest item to the query first: what is
                         left to ours then is that a near item of a later cluster may come first
    lookup-random        the published order with a random efficiency: what an order of any use must beat
    path-weight-W        ours at another weight of the path's probability than the one that the build has settled

The published orders keep 1,000 items. A line with the paired comparisons goes to
benchmarks/results/in-cluster/NAME.jsonl.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from arms import keep_comparison
from shelfwalk.channels.channel import Hits
from shelfwalk.channels.generative import GenerativeChannel
from shelfwalk.data.adapter import Dataset
from shelfwalk.shelf.shelf import Shelf

RESULTS = Path(__file__).parent / "results" / "in-cluster"
BUDGET = 1_000
DEPTH = 300
COSINE = "lookup-cosine"
PATH_WEIGHTS = (0.02, 0.05, 0.1, 0.2)


def arms_of(shelf: Shelf, dataset: Dataset) -> dict[str, GenerativeChannel]:
    from shelfwalk.ranking.efficiency import efficiency_of

    random = np.random.default_rng(0).random(shelf.items.num_rows).astype(np.float32)
    orders = {"lookup-popularity": efficiency_of(shelf.items), "lookup-random": random}
    if dataset.searches is not None:
        orders = {"lookup-clicks": efficiency_of(shelf.items, dataset.searches), **orders}
    ours = shelf.generative
    arms = {ours.name: ours} | {name: ours.in_published_order(by, BUDGET) for name, by in orders.items()}
    for weight in PATH_WEIGHTS:
        arms[f"path-weight-{weight:g}"] = ours.with_settings(path_weight=weight)
    return arms


def rank(shelf: Shelf, arms: Mapping[str, GenerativeChannel], queries: pa.Table) -> dict[str, list[Hits]]:
    """What each arm makes of the same beams."""
    from shelfwalk.channels.channel import Request
    from shelfwalk.terminal import shown_progress

    texts = queries["query"].to_pylist()
    found: dict[str, list[Hits]] = {name: [] for name in (*arms, COSINE)}
    with shown_progress() as progress:
        for number, (text, vector) in enumerate(zip(texts, shelf.encoder.encode(texts), strict=True)):
            request = Request(text, vector)
            beams = shelf.generative.generate([request])
            nearest = np.asarray(shelf.vectors @ vector)
            of_query = {COSINE: shelf.generative.in_published_order(nearest, BUDGET)}
            for name, channel in {**arms, **of_query}.items():
                found[name].append(channel.search_beams(request, beams, DEPTH))
            progress("Asking queries", number + 1, len(texts))
    return found


def main() -> None:
    from shelfwalk.data.dataset import open_dataset

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shelf", type=Path)
    parser.add_argument("data", type=Path, help="the folder of the data")
    parser.add_argument("--name", required=True, help="of the results file")
    parser.add_argument("--queries", type=int, help="so many of them, evenly spaced [default: all]")
    arguments = parser.parse_args()
    shelf, dataset = Shelf.open(arguments.shelf), open_dataset(arguments.data).with_fewer_queries(arguments.queries)
    if dataset.queries is None or dataset.judgements is None:
        raise SystemExit(f"The data {dataset.name} has no queries with judgements.")
    found = rank(shelf, arms_of(shelf, dataset), dataset.queries)
    ours, *published = found
    pairs = [(ours, name) for name in published]
    keep_comparison(shelf, dataset, found, pairs, RESULTS / f"{arguments.name}.jsonl")


if __name__ == "__main__":
    main()

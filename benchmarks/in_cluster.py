"""Who comes first inside a generated cluster: our score against the published look-up order, on one shelf.

    python benchmarks/in_cluster.py demo/standard-market-shelves/cqsid-query-seed0.shelf demo/standard-market \\
        --name standard-market

asks a built shelf every query of the data and ranks what the same beams reach in several ways; nothing is built anew:

    generative           ours: cosine, path probability and words (ranking/in_cluster.py)
    lookup-clicks        the published order (ranking/lookup_order.py), efficiency = smoothed clicks an impression of
                         the data's log, where it has one
    lookup-popularity    the published order, efficiency = the catalogue's popularity
    lookup-random        the published order with a random efficiency: what an order of any use must beat

The published orders keep 1,000 items. A line with the paired comparisons goes to
benchmarks/results/in-cluster/NAME.jsonl.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from shelfwalk.channels.generative import GenerativeChannel
from shelfwalk.data.adapter import Dataset
from shelfwalk.shelf.shelf import Shelf

RESULTS = Path(__file__).parent / "results" / "in-cluster"
BUDGET = 1_000
DEPTH = 300
MEASURES = ("R@10", "R@100", "nDCG@10", "RR")


def arms_of(shelf: Shelf, dataset: Dataset) -> dict[str, GenerativeChannel]:
    from shelfwalk.ranking.efficiency import efficiency_of

    random = np.random.default_rng(0).random(shelf.items.num_rows).astype(np.float32)
    orders = {"lookup-popularity": efficiency_of(shelf.items), "lookup-random": random}
    if dataset.searches is not None:
        orders = {"lookup-clicks": efficiency_of(shelf.items, dataset.searches), **orders}
    ours = shelf.generative
    return {ours.name: ours} | {name: ours.in_published_order(by, BUDGET) for name, by in orders.items()}


def main() -> None:
    from shelfwalk.channels.channel import Request
    from shelfwalk.data.dataset import open_dataset
    from shelfwalk.evaluation.evaluate import evaluate
    from shelfwalk.evaluation.rankings import Rankings
    from shelfwalk.evaluation.results import append_evaluation, result_of
    from shelfwalk.evaluation.shelf_evaluation import data_hash
    from shelfwalk.terminal import shown_progress

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shelf", type=Path)
    parser.add_argument("data", type=Path, help="the folder of the data")
    parser.add_argument("--name", required=True, help="of the results file")
    arguments = parser.parse_args()
    shelf, dataset = Shelf.open(arguments.shelf), open_dataset(arguments.data)
    if dataset.queries is None or dataset.judgements is None:
        raise SystemExit(f"The data {dataset.name} has no queries with judgements.")
    arms = arms_of(shelf, dataset)
    texts = dataset.queries["query"].to_pylist()
    vectors = shelf.encoder.encode(texts)
    item_ids = np.asarray(shelf.items["item_id"].to_pylist(), dtype=object)
    query_ids = tuple(dataset.queries["query_id"].to_pylist())
    rankings = []
    for name, channel in arms.items():
        found = []
        with shown_progress() as progress:
            for number, (text, vector) in enumerate(zip(texts, vectors, strict=True)):
                found.append(channel.search(Request(text, vector), DEPTH))
                progress(name, number + 1, len(texts))
        items = [item_ids[hits.rows].tolist() for hits in found]
        rankings.append(Rankings(name, query_ids, items, [hits.scores.tolist() for hits in found]))
    ours, *published = arms
    pairs = [(ours, name) for name in published]
    evaluation = evaluate(
        rankings, dataset.judgements, dataset.queries, compared=pairs, compared_measures=MEASURES, fusions=()
    )
    facts = shelf.recorded
    result = result_of(
        evaluation,
        data_hash=data_hash(dataset.items, dataset.queries, dataset.judgements),
        recipe=shelf.recipe["name"],
        recipe_hash=facts["recipe_hash"],
        seed=facts["seed"],
        identifiers=facts.get("tokenizer"),
    )
    append_evaluation(RESULTS / f"{arguments.name}.jsonl", result)
    for name, measured in evaluation.figures.items():
        print(name, " ".join(f"{measure} {measured[measure]:.4f}" for measure in MEASURES))
    for compared in evaluation.comparisons:
        low, mean, high = compared.outcome.low, compared.outcome.mean, compared.outcome.high
        print(f"{compared.first} − {compared.second} {compared.measure}: {mean:+.4f} [{low:+.4f}, {high:+.4f}]")


if __name__ == "__main__":
    main()

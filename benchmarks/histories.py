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

import numpy as np

from shelfwalk.channels.channel import Hits
from shelfwalk.evaluation.rankings import Rankings
from shelfwalk.shelf.shelf import Shelf

RESULTS = Path(__file__).parent / "results" / "histories"
DEPTH = 300
OWN = "generative"
MEASURES = ("R@10", "R@100", "nDCG@10", "RR")


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
    from shelfwalk.evaluation.evaluate import evaluate
    from shelfwalk.evaluation.query_histories import query_histories
    from shelfwalk.evaluation.results import append_evaluation, result_of
    from shelfwalk.evaluation.shelf_evaluation import data_hash

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shelf", type=Path)
    parser.add_argument("data", type=Path, help="the folder of a simulated market")
    parser.add_argument("--name", required=True, help="of the results file")
    parser.add_argument("--visits", type=int, default=500)
    arguments = parser.parse_args()
    shelf, dataset = Shelf.open(arguments.shelf), personal_queries(arguments.data, arguments.visits)
    queries, judgements = dataset.queries, dataset.judgements
    assert queries is not None
    assert judgements is not None
    arms = histories_of(query_histories(queries, shelf.items["item_id"]))
    ids, query_ids = (
        np.asarray(shelf.items["item_id"].to_pylist(), dtype=object),
        tuple(queries["query_id"].to_pylist()),
    )
    rankings = [
        Rankings(name, query_ids, [ids[hits.rows].tolist() for hits in found], [hits.scores.tolist() for hits in found])
        for name, found in rank(shelf, queries["query"].to_pylist(), arms).items()
    ]
    pairs = [(OWN, name) for name in arms if name != OWN]
    evaluation = evaluate(
        rankings,
        judgements,
        queries,
        relevant_grade=dataset.relevant_grade,
        compared=pairs,
        compared_measures=MEASURES,
        fusions=(),
    )
    facts = shelf.recorded
    result = result_of(
        evaluation,
        data_hash=data_hash(dataset.items, queries, judgements),
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

"""What benchmarks share that rank one built shelf's items in several ways: the ways compared, kept and printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from shelfwalk.channels.channel import Hits
from shelfwalk.data.adapter import Dataset
from shelfwalk.shelf.shelf import Shelf

MEASURES = ("R@10", "R@100", "nDCG@10", "RR")


def keep_comparison(
    shelf: Shelf, dataset: Dataset, found: Mapping[str, Sequence[Hits]], pairs: Sequence[tuple[str, str]], file: Path
) -> None:
    """Evaluate what each arm `found`, one list of hits a query of the dataset; compare `pairs` of arms, paired by
    query; append a line to the results `file`, and print it."""
    from shelfwalk.evaluation.evaluate import evaluate
    from shelfwalk.evaluation.rankings import Rankings
    from shelfwalk.evaluation.results import append_evaluation, result_of
    from shelfwalk.evaluation.shelf_evaluation import data_hash

    queries, judgements = dataset.queries, dataset.judgements
    assert queries is not None
    assert judgements is not None
    item_ids = np.asarray(shelf.items["item_id"].to_pylist(), dtype=object)
    query_ids = tuple(queries["query_id"].to_pylist())
    rankings = [
        Rankings(arm, query_ids, [item_ids[one.rows].tolist() for one in hits], [one.scores.tolist() for one in hits])
        for arm, hits in found.items()
    ]
    evaluation = evaluate(
        rankings,
        judgements,
        queries,
        relevant_grade=dataset.relevant_grade,
        cold_items=dataset.cold_items,
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
    append_evaluation(file, result)
    for arm, measured in evaluation.figures.items():
        print(arm, " ".join(f"{measure} {measured[measure]:.4f}" for measure in MEASURES))
    for compared in evaluation.comparisons:
        low, mean, high = compared.outcome.low, compared.outcome.mean, compared.outcome.high
        print(f"{compared.first} − {compared.second} {compared.measure}: {mean:+.4f} [{low:+.4f}, {high:+.4f}]")

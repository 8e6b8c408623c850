"""A shop's purchases as if they had been searched for: a dataset with constructed queries, for data that has none.

In: a dataset whose events are purchases without queries (online_retail.py), settings and a seed. Out: a `Dataset` with
queries, judgements and a log that are *constructed* (constructed_examples.py): each query is made from the title of the
item that was bought, and that item is the only one that counts as relevant, beside those of the same constructed query.
Examples before the split are the log, those after it the evaluation. Results on it must be called constructed.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shelfwalk.data.adapter import Dataset
from shelfwalk.data.constructed_examples import ConstructedExampleSettings, constructed_examples
from shelfwalk.data.online_retail import with_buyers
from shelfwalk.data.tables import EVALUATION_QUERIES, EVENTS, JUDGEMENTS
from shelfwalk.errors import UserError

_NOTE = "The queries and their judgements are constructed from the titles of bought items: nobody typed them."


def constructed_searches(
    dataset: Dataset, seed: int, queries: int = 500, settings: ConstructedExampleSettings | None = None
) -> Dataset:
    """The dataset with constructed queries, at most `queries` of them to evaluate on, and a log of constructed clicks.

    Items of the log's time only have their buyers of that time as popularity. Raises UserError for data without events.
    """
    if dataset.events is None:
        raise UserError(f"The data {dataset.name} has no purchases to construct queries from.")
    examples = constructed_examples(dataset.items, dataset.events, settings or ConstructedExampleSettings(), seed)
    train = examples.filter(pc.equal(examples["part"], "train"))
    test = examples.filter(pc.equal(examples["part"], "test"))
    split = pc.min(test["at"])
    wanted: dict[str, set[str]] = defaultdict(set)
    for text, item in zip(test["query"].to_pylist(), test["item_id"].to_pylist(), strict=True):
        wanted[text].add(item)
    texts = sorted(wanted)
    chosen = np.sort(np.random.default_rng(seed).permutation(len(texts))[:queries])
    texts = [texts[place] for place in chosen]
    return Dataset(
        f"{dataset.name} (constructed queries)",
        with_buyers(dataset.items, dataset.events.filter(pc.less(dataset.events["timestamp"], split))),
        _queries(texts, set(train["query"].to_pylist())),
        _judgements([wanted[text] for text in texts]),
        _log(train),
        (*dataset.notes, _NOTE),
    )


def _queries(texts: list[str], seen: set[str]) -> pa.Table:
    columns = {name: [None] * len(texts) for name in EVALUATION_QUERIES.names}
    ids = [f"constructed {number}" for number in range(len(texts))]
    return pa.table(
        {**columns, "query_id": ids, "query": texts, "seen": [text in seen for text in texts]},
        schema=EVALUATION_QUERIES,
    )


def _judgements(wanted: list[set[str]]) -> pa.Table:
    rows = [(f"constructed {number}", item, 1) for number, items in enumerate(wanted) for item in sorted(items)]
    return pa.table(dict(zip(JUDGEMENTS.names, zip(*rows, strict=True), strict=True)), schema=JUDGEMENTS)


def _log(train: pa.Table) -> pa.Table:
    columns = {
        "timestamp": train["at"],
        "session_id": train["customer"],
        "client_id": train["customer"],
        "query_id": train["query"],
        "user_query": train["query"],
        "action_name": ["purchase"] * train.num_rows,
        "object_id": train["item_id"],
        "ordinal": pa.nulls(train.num_rows, pa.int32()),
    }
    return pa.table(columns, schema=EVENTS)

"""Pairs of a query and an item that are relevant or not, to train or test a relevance model on.

In: a search log, or judgements. Out: `LabelledPairs`.

Of a log, a pair is relevant if the item was clicked, put in a cart or bought for the query at least once, and
irrelevant if it was only ever shown. Only queries with both kinds count. That is what a shop has, and it is biased:
most relevant items that were shown are not clicked either, so probabilities come out far too low (an order does not
mind), and what the shop's own ranker put on top was looked at more, so a model learns a little of that ranker.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shelfwalk.data.asked_queries import has_query
from shelfwalk.data.query_item_pairs import LOGGED_ACTIONS
from shelfwalk.errors import UserError

IMPRESSION = "impression"


@dataclass(frozen=True)
class LabelledPairs:
    """Distinct pairs: `queries` are texts; `query_rows` and `item_rows` int32 [pairs]; `relevant` bool [pairs].

    Pairs stand query by query.
    """

    queries: tuple[str, ...]
    query_rows: npt.NDArray[np.int32]
    item_rows: npt.NDArray[np.int32]
    relevant: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.query_rows)

    def of_queries(self, chosen: npt.NDArray[np.bool_]) -> LabelledPairs:
        """The pairs of the chosen queries, bool [queries], which alone stay."""
        row_of = np.cumsum(chosen, dtype=np.int32) - 1
        kept = chosen[self.query_rows]
        queries = tuple(query for query, is_kept in zip(self.queries, chosen.tolist(), strict=True) if is_kept)
        return LabelledPairs(queries, row_of[self.query_rows[kept]], self.item_rows[kept], self.relevant[kept])

    def sample(self, most_queries: int, seed: int) -> LabelledPairs:
        """The pairs of at most so many queries, a seeded sample of more."""
        chosen = np.zeros(len(self.queries), bool)
        chosen[np.random.default_rng(seed).permutation(len(self.queries))[:most_queries]] = True
        return self if chosen.all() else self.of_queries(chosen)


def labelled_by_log(items: pa.Table, events: pa.Table) -> LabelledPairs:
    """Pairs shown for a query, relevant where they were clicked; raises UserError if the log has only one of both."""
    actions = events["action_name"]
    shown = pc.is_in(actions, value_set=pa.array([IMPRESSION, *LOGGED_ACTIONS]))
    events = events.filter(pc.and_(shown, has_query(events["user_query"])))
    item_rows = pc.fill_null(pc.index_in(events["object_id"], value_set=_joined(items["item_id"])), -1)
    queries = _joined(events["user_query"]).dictionary_encode()
    clicked = pc.is_in(events["action_name"], value_set=pa.array(LOGGED_ACTIONS))
    rows, labels = item_rows.to_numpy().astype(np.int64), clicked.to_numpy().astype(bool)
    known = rows >= 0
    if not labels[known].any():
        raise UserError(
            "The log has no click, cart or purchase on an item of the catalogue, so nothing tells a ranker what is"
            " relevant: give a log with clicks, or a recipe without [ranker]."
        )
    if labels[known].all():
        raise UserError(
            "The log shows no item that was not clicked, so nothing tells a ranker what is irrelevant: give a log with"
            " impressions, or a recipe without [ranker]."
        )
    texts = tuple(queries.dictionary.to_pylist())
    places = queries.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return _with_both(_distinct(texts, places[known], rows[known], labels[known], items.num_rows))


def labelled_by_judgements(
    items: pa.Table, queries: pa.Table, judgements: pa.Table, lowest_grade: int
) -> LabelledPairs:
    """Judged pairs, relevant from `lowest_grade` on; queries with judgements of one kind only are left out.

    Raises UserError if no query has both kinds.
    """
    rows = pc.fill_null(pc.index_in(judgements["item_id"], value_set=_joined(items["item_id"])), -1).to_numpy()
    places = pc.fill_null(pc.index_in(judgements["query_id"], value_set=_joined(queries["query_id"])), -1).to_numpy()
    known = (rows >= 0) & (places >= 0)
    labels = judgements["grade"].to_numpy() >= lowest_grade
    texts = tuple(queries["query"].to_pylist())
    found = _distinct(
        texts, places[known].astype(np.int64), rows[known].astype(np.int64), labels[known], items.num_rows
    )
    return _with_both(found)


def _distinct(
    texts: tuple[str, ...],
    places: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    labels: npt.NDArray[np.bool_],
    items: int,
) -> LabelledPairs:
    """Each pair once, relevant if it ever was."""
    keys, pair = np.unique(places * items + rows, return_inverse=True)
    relevant = np.bincount(pair, labels, len(keys)) > 0
    return LabelledPairs(texts, (keys // items).astype(np.int32), (keys % items).astype(np.int32), relevant)


def _with_both(pairs: LabelledPairs) -> LabelledPairs:
    """The pairs of the queries that have a relevant item and an irrelevant one; raises UserError if none has."""
    relevant = np.bincount(pairs.query_rows, pairs.relevant, len(pairs.queries))
    counts = np.bincount(pairs.query_rows, minlength=len(pairs.queries))
    both = (relevant > 0) & (relevant < counts)
    if not both.any():
        raise UserError(
            "No query has both a relevant and an irrelevant item, so nothing tells a ranker one from the other: give a"
            " longer log, or judgements of both kinds."
        )
    return pairs.of_queries(both)


def _joined(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)

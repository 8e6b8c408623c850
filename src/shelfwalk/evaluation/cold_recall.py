"""Recall of cold items: those that the catalogue got after the log, of which no shopper has told anything yet.

In: the rankings of a channel, judgements, and which items are cold. Out: `ColdR@k` per query, the share of its relevant
items that are cold which the top k hold. The part *cold start* of the queries (strata.py) is something else: there a
query's other relevant items count as well, and they are most of them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from shelfwalk.evaluation.judgements import GradedQueries
from shelfwalk.evaluation.rankings import Rankings

COLD_CUTOFF = 100
COLD_RECALL = f"ColdR@{COLD_CUTOFF}"


def cold_recall(
    rankings: Rankings,
    graded: GradedQueries,
    query_ids: Sequence[str],
    cold_items: Collection[str],
    cutoff: int = COLD_CUTOFF,
) -> NDArray[np.float64]:
    """Return the recall at `cutoff` of the relevant items among `cold_items`: float64, aligned with `query_ids`.

    NaN for a query without such an item. Each of `query_ids` needs a row in `rankings` (KeyError otherwise).
    """
    row_of = {query_id: row for row, query_id in enumerate(rankings.query_ids)}
    cold = frozenset(cold_items)
    values = np.full(len(query_ids), np.nan)
    for position, query_id in enumerate(query_ids):
        if wanted := graded.relevant(query_id) & cold:
            values[position] = len(wanted.intersection(rankings.item_ids[row_of[query_id]][:cutoff])) / len(wanted)
    return values

"""Hit rate at an equal budget of items: what identifiers reach when each system may return as many items as the other.

In: for each query the clusters in beam order, as in beams.py. Out: per query `HitRate@items B`, the share of its
relevant items among the first B items when the clusters are opened in beam order, and `Beams@items B`, how many
clusters that takes. Hit rate @ beam flatters whichever tokeniser has the larger clusters; this does not.

CQ-SID (arXiv 2605.14434) fills its budget of 1,000 with the best items of a beam by an efficiency score that is not
published. Departure: the cluster that passes the budget counts with the share of its items that still fits, which is
the expectation over every order inside it, so no score takes part.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shelfwalk.evaluation.beams import BeamHits
from shelfwalk.evaluation.judgements import GradedQueries

ITEM_BUDGETS = (100, 1_000)


def budget_values(
    beams: BeamHits, graded: GradedQueries, query_ids: Sequence[str], budgets: Sequence[int] = ITEM_BUDGETS
) -> dict[str, NDArray[np.float64]]:
    """Return `HitRate@items B` and `Beams@items B` for each budget B ≥ 1: float64 [queries], aligned with `query_ids`.

    Each of `query_ids` needs a relevant item and a row in `beams` (KeyError otherwise). A beam that ends before the
    budget is spent counts with what it has.
    """
    row_of = {query_id: row for row, query_id in enumerate(beams.query_ids)}
    values = {f"{name}@items{budget}": np.zeros(len(query_ids)) for budget in budgets for name in ("HitRate", "Beams")}
    for position, query_id in enumerate(query_ids):
        top = beams.clusters[row_of[query_id]]
        top = top[top >= 0]
        sizes = beams.cluster_sizes[top]
        before = np.cumsum(sizes) - sizes
        relevant = _relevant_by_place(beams, graded.relevant(query_id), top)
        for budget in budgets:
            share = np.clip((budget - before) / np.maximum(sizes, 1), 0, 1)
            hits = float(relevant @ share) / len(graded.relevant(query_id))
            values[f"HitRate@items{budget}"][position] = hits
            values[f"Beams@items{budget}"][position] = int((before < budget).sum())
    return values


def _relevant_by_place(beams: BeamHits, relevant: set[str], top: NDArray[np.integer]) -> NDArray[np.float64]:
    """Relevant items in each cluster of a beam: float64 [width]."""
    place_of = {cluster: place for place, cluster in enumerate(top.tolist())}
    counts = np.zeros(len(top))
    for item_id in relevant:
        place = place_of.get(beams.cluster_of_item.get(item_id, -1))
        if place is not None:
            counts[place] += 1
    return counts

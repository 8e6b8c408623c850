"""Hit rate at each beam when only the 1,000 most efficient items of its clusters are kept, as CQ-SID is measured.

In: for each query the clusters in beam order (beams.py), the items of each cluster, and how efficient items are. Out:
per query `HitRate@top1000beam b` for a grid of beams b: the share of its relevant items among the 1,000 most efficient
of all items that the top b clusters hold (arXiv 2605.14434, offline comparison at equal budget). Unlike the rates of
item_budget.py, where the beam decides who stays, this one may fall as b grows: more clusters push good items out.

The publication's efficiency score is not known; ours is in ranking/efficiency.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shelfwalk.evaluation.judgements import GradedQueries

EFFICIENCY_BUDGET = 1_000
BEAM_GRID = (1, 2, 5, 10, 15, 20, 30, 40, 50, 65, 80, 100, 130, 160, 200, 250, 300, 400, 500)


@dataclass(frozen=True)
class ClusterItems:
    """The items of each cluster: those of cluster c are `rows[offsets[c]:offsets[c + 1]]`, rows of the catalogue.

    `row_of_item`: the row of an item; `ranks` int64 [items]: the place of each row by efficiency, the most efficient 0.
    """

    offsets: NDArray[np.integer]
    rows: NDArray[np.integer]
    row_of_item: Mapping[str, int]
    ranks: NDArray[np.int64]

    @classmethod
    def by_efficiency(
        cls,
        offsets: NDArray[np.integer],
        rows: NDArray[np.integer],
        item_ids: Sequence[str],
        efficiency: NDArray[np.floating],
    ) -> ClusterItems:
        """The items `item_ids` with this efficiency [items]; of equal ones the smaller row comes first."""
        ranks = np.empty(len(item_ids), np.int64)
        ranks[np.argsort(-efficiency, kind="stable")] = np.arange(len(item_ids))
        return cls(offsets, rows, {name: row for row, name in enumerate(item_ids)}, ranks)


def grid_measure(beam: int, budget: int = EFFICIENCY_BUDGET) -> str:
    """The name of the hit rate at a beam."""
    return f"HitRate@top{budget}beam{beam}"


def efficiency_values(
    query_ids: Sequence[str],
    clusters: NDArray[np.integer],
    items: ClusterItems,
    graded: GradedQueries,
    counted: Sequence[str],
    budget: int = EFFICIENCY_BUDGET,
    grid: Sequence[int] = BEAM_GRID,
) -> dict[str, NDArray[np.float64]]:
    """`HitRate@top{budget}beam{b}` for each b of `grid` that is no wider than the beams: float64, one of each counted.

    `clusters` int [queries, width] in beam order, −1 where a beam found fewer. Each of `counted` needs a relevant item
    and a row among `query_ids` (KeyError otherwise).
    """
    row_of = {query_id: row for row, query_id in enumerate(query_ids)}
    widths = [beam for beam in grid if beam <= clusters.shape[1]]
    values = np.zeros((len(counted), len(widths)))
    for position, query_id in enumerate(counted):
        relevant = graded.relevant(query_id)
        known = [items.row_of_item[item] for item in relevant if item in items.row_of_item]
        wanted = items.ranks[np.array(known, np.int64)]
        values[position] = _kept(clusters[row_of[query_id]], items, wanted, widths, budget) / len(relevant)
    return {grid_measure(beam, budget): values[:, place] for place, beam in enumerate(widths)}


def _kept(
    top: NDArray[np.integer], items: ClusterItems, wanted: NDArray[np.int64], widths: Sequence[int], budget: int
) -> NDArray[np.int64]:
    """How many of the items of rank `wanted` are kept at each width."""
    top = top[top >= 0]
    sizes = items.offsets[top + 1] - items.offsets[top]
    ends = np.concatenate(([0], np.cumsum(sizes)))
    starts = np.repeat(items.offsets[top] - ends[:-1], sizes)
    ranks = items.ranks[items.rows[starts + np.arange(ends[-1])]]
    kept = np.zeros(len(widths), np.int64)
    for place, width in enumerate(widths):
        within = ranks[: ends[min(width, len(top))]]
        last = np.iinfo(np.int64).max if len(within) <= budget else np.partition(within, budget - 1)[budget - 1]
        kept[place] = (np.isin(wanted, within) & (wanted <= last)).sum()
    return kept

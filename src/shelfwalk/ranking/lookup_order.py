"""The published order of the items of generated identifiers: a table look-up, no model (CQ-SID, arXiv 2605.14434).

In: the candidates of one query, in the order of their paths, and the efficiency of every item (efficiency.py). Out: the
places of the candidates in the published order: clusters as the beam has them, inside a cluster the most efficient item
first, of equal ones the smaller row; cut where the budget of items ends, which may be inside a cluster.

Elsewhere such an order cost 2 to 7 % of the hit rate against one that is learnt, which is why ours is another
(in_cluster.py); this one is here to be compared with it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shelfwalk.ranking.in_cluster import Candidates


def lookup_order(
    candidates: Candidates, efficiency: npt.NDArray[np.float32], most_items: int | None = None
) -> npt.NDArray[np.int64]:
    """The places of the first `most_items` candidates in the published order; `efficiency` [items]."""
    order = np.lexsort((candidates.rows, -efficiency[candidates.rows], candidates.paths))
    return order[:most_items]


def place_scores(count: int) -> npt.NDArray[np.float32]:
    """Falling scores for an order that has none of its own: 1, 1/2, 1/3, … float32 [count]."""
    return (1 / np.arange(1, count + 1)).astype(np.float32)

"""Exact nearest neighbours of a query that has several vectors: an item counts by the vector that suits it best.

In: the vectors of queries, their heads, and the items' vectors. Out: the items with the highest of their products with
any head. One flat search over all heads finds them: an item among the best `k` is among the best `k` of the head that
it is best for, so that nothing is lost by looking no deeper than `k` at each.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


def nearest_by_best_head(heads: Floats, vectors: Floats, k: int) -> tuple[list[Floats], list[Rows]]:
    """Products and rows of the `k` nearest items of each query, best first; equal ones in faiss's or the rows' order.

    `heads` float32 [queries, heads, dimensions], at least one head; `vectors` float32 [items, dimensions].
    """
    import faiss

    queries, number, dimensions = heads.shape
    k = min(k, len(vectors))
    if not k:
        return [np.empty(0, np.float32)] * queries, [np.empty(0, np.int64)] * queries
    flat = np.ascontiguousarray(heads.reshape(-1, dimensions))
    found, rows = faiss.knn(flat, vectors, k, metric=faiss.METRIC_INNER_PRODUCT)
    if number == 1:
        return list(found), list(rows)
    best = [_best(*part, k) for part in zip(found.reshape(queries, -1), rows.reshape(queries, -1), strict=True)]
    return [scores for scores, _ in best], [kept for _, kept in best]


def _best(found: Floats, rows: Rows, k: int) -> tuple[Floats, Rows]:
    """The `k` best different rows of the lists of all heads."""
    order = np.lexsort((rows, -found))
    # The first place of an item is that of its best head.
    first = np.sort(np.unique(rows[order], return_index=True)[1])[:k]
    return found[order][first], rows[order][first]

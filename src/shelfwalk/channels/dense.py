"""The dense channel: exact nearest neighbours of the query's vector, through faiss.

In: the items' unit vectors, memory-mapped. Out: items by cosine; a query with several heads counts by the nearest of
them. Search is exact: 20 thousand items cost a few milliseconds, and no approximation stands between two figures that
are compared.
"""

from __future__ import annotations

import faiss
import numpy as np
import numpy.typing as npt

from shelfwalk.channels.channel import Evidence, Hits, Request, best_positions
from shelfwalk.encoders.best_head import nearest_by_best_head

FEW = 0.5
"""The share of items passing a filter below which only these are compared with the query."""


class DenseChannel:
    """Exact search by cosine over unit vectors float32 [items, dimensions]."""

    name = "dense"

    def __init__(self, vectors: npt.NDArray[np.float32], threads: int = 1) -> None:
        self._vectors = vectors
        faiss.omp_set_num_threads(threads)

    def search(self, request: Request, k: int) -> Hits:
        """The `k` items nearest to the query; of items equally near to the last of them, faiss says which are kept."""
        found, rows = self._nearest(request, k)
        # Of equal cosines faiss puts the larger row first.
        order = best_positions(rows, found, k)
        scores = found[order]

        def evidence(position: int) -> Evidence:
            cosine = float(scores[position])
            return Evidence(self.name, position + 1, cosine, f"meaning: cosine {cosine:.2f}")

        return Hits(rows[order].astype(np.int64), scores, evidence)

    def _nearest(self, request: Request, k: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Cosines and rows of the `k` nearest that pass the request's filter."""
        item_filter = request.item_filter
        heads = request.vector[None] if request.heads is None else request.heads
        if item_filter is None:
            return _nearest_rows(heads, self._vectors, k)
        if item_filter.count < FEW * len(self._vectors):
            rows = item_filter.rows[item_filter.rows < len(self._vectors)]
            found, places = _nearest_rows(heads, self._vectors[rows], k)
            return found, rows[places]
        wanted = k
        while True:
            # At least half of all pass: mostly enough of so many, and else of twice as many again.
            wanted = min(2 * wanted, len(self._vectors))
            found, rows = _nearest_rows(heads, self._vectors, wanted)
            passing = item_filter.passes(rows)
            if passing.sum() >= k or wanted == len(self._vectors):
                return found[passing][:k], rows[passing][:k]


def _nearest_rows(
    heads: npt.NDArray[np.float32], vectors: npt.NDArray[np.float32], k: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    (found,), (rows,) = nearest_by_best_head(heads[None], vectors, k)
    return found, rows

"""Pairs of a query and an item as a tokeniser learns from them: with the vectors of the queries.

In: `QueryItemPairs` and one vector for each of their queries. Out: the same, checked against a catalogue.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfwalk.data.query_item_pairs import QueryItemPairs
from shelfwalk.errors import UserError


@dataclass(frozen=True)
class LearningPairs:
    """Pairs, and the vectors of their queries, float32 [queries, dimensions], in the space of the items' vectors."""

    pairs: QueryItemPairs
    query_vectors: npt.NDArray[np.float32]

    def checked(self, items: int, dimensions: int) -> LearningPairs:
        """Itself; raises UserError if a pair names an item or a query that is not there, ValueError for bad vectors."""
        vectors, pairs = self.query_vectors, self.pairs
        if vectors.ndim != 2 or vectors.shape[1] != dimensions:
            raise ValueError(f"query vectors must be [queries, {dimensions}], not {list(vectors.shape)}")
        for what, rows, count in (("item", pairs.item_rows, items), ("query", pairs.query_rows, len(vectors))):
            unknown = np.flatnonzero((rows < 0) | (rows >= count))
            if len(unknown):
                raise UserError(
                    f"Pair {unknown[0]} of a query and an item names the {what} of row {rows[unknown[0]]}, but there"
                    f" are {count:,} (rows from 0): give pairs of this catalogue."
                )
        if not np.isfinite(vectors).all():
            raise ValueError("a query vector holds a number that is not finite")
        return self

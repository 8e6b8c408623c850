"""Pairs of queries and items as training draws them: rows at random places, from arrays that stay on disk.

In: rows of queries and items, int32. Out: the pairs at any positions; those of a small source repeated to its share;
and of any query a sample of what was chosen after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int32]
LOGGED_SHARE = 0.5
"""Of the pairs that a generator learns from, where a recipe does not say: a log speaks as shoppers do."""


class PairRows(Protocol):
    """Pairs side by side."""

    @property
    def query_rows(self) -> Rows:
        """The query of each pair."""
        ...

    @property
    def item_rows(self) -> Rows:
        """The item of each pair."""
        ...


class Pairs(Protocol):
    """Pairs that can be counted, and taken by position."""

    def __len__(self) -> int: ...

    def take(self, rows: npt.NDArray[np.int64]) -> PairRows:
        """The pairs at these positions."""
        ...


@dataclass(frozen=True)
class StoredPairs:
    """Pairs as `rows` int32 [2, pairs], queries above items."""

    rows: Rows

    @property
    def query_rows(self) -> Rows:
        """The query of each pair."""
        found: Rows = self.rows[0]
        return found

    @property
    def item_rows(self) -> Rows:
        """The item of each pair."""
        found: Rows = self.rows[1]
        return found

    def __len__(self) -> int:
        return int(self.rows.shape[1])

    def take(self, rows: npt.NDArray[np.int64]) -> StoredPairs:
        """See `Pairs.take`."""
        return StoredPairs(self.rows[:, rows])


@dataclass(frozen=True)
class MixedPairs:
    """Pairs of several sources one after the other, each repeated from its start until it has its size."""

    sources: Sequence[StoredPairs]
    sizes: Sequence[int]

    @classmethod
    def of(cls, logged: StoredPairs, pseudo: StoredPairs, logged_share: float | None) -> MixedPairs:
        """Those of the smaller source repeated until `logged_share` of all is logged.

        Without a log, or at a share of 0 or 1, they are the pairs of one source, each once; of the one that there is
        where the other was asked for.
        """
        share = LOGGED_SHARE if logged_share is None else logged_share
        asked = [(source, part) for source, part in ((logged, share), (pseudo, 1 - share)) if len(source) and part > 0]
        if len(asked) < 2:
            sources = [source for source, _ in asked] or [logged, pseudo]
            return cls(sources, [len(source) for source in sources])
        # The source that is short of its share gives the size.
        total = max(len(source) / part for source, part in asked)
        return cls([logged, pseudo], [round(total * part) for _, part in asked])

    def __len__(self) -> int:
        return sum(self.sizes)

    def take(self, rows: npt.NDArray[np.int64]) -> StoredPairs:
        """See `Pairs.take`."""
        found = np.empty((2, len(rows)), np.int32)
        first = 0
        for source, size in zip(self.sources, self.sizes, strict=True):
            here = (rows >= first) & (rows < first + size)
            if size:
                found[:, here] = source.rows[:, (rows[here] - first) % len(source)]
            first += size
        return StoredPairs(found)


@dataclass(frozen=True)
class QueryTargets:
    """What was chosen after each query: of query q the rows `items[begins[q]:begins[q + 1]]`.

    `begins` int64 [queries + 1]; `items` int32: one item for each different identifier.
    """

    begins: npt.NDArray[np.int64]
    items: Rows

    def draw(self, query_rows: Rows, count: int, chance: np.random.Generator) -> Rows:
        """`count` items of every query, int32 [queries, count]: different ones, all equally likely, while there are.

        A query that has fewer gives all of them, and then again from the first. Each query must have one.
        """
        begins, ends = self.begins[query_rows], self.begins[query_rows + 1]
        here = (ends - begins)[:, None]
        turns = (chance.integers(0, here) + np.arange(count)) % here
        # Floyd's way to a sample without repetition, which never looks at more of the query's items than it takes.
        chosen = np.full((len(query_rows), count), -1, np.int64)
        for place in range(count):
            last = np.maximum(here[:, 0] - count + place, 0)
            drawn = chance.integers(0, last + 1)
            taken = (chosen[:, :place] == drawn[:, None]).any(axis=1)
            chosen[:, place] = np.where(taken, last, drawn)
        return self.items[begins[:, None] + np.where(here >= count, chosen, turns)]

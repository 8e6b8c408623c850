"""What a generator learns from: prompts, and the identifier that each asks for.

In: pairs of queries and items, the vectors and texts of both, and the items' codes. Out: batches, drawn by chance.

A batch holds (query, item) pairs and, as CQ-SID's first stage does (arXiv 2605.14434, Item2SID), items that stand for
themselves: an item's own title and vector ask for its own identifier. Both go in one batch instead of one stage after
the other, so that nothing learned first is forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from shelfwalk.data.query_item_pairs import QueryItemPairs
from shelfwalk.generators.prompts import Prompts


@dataclass(frozen=True)
class Examples:
    """Prompts, and int32 [prompts, levels] the identifier that each asks for."""

    prompts: Prompts
    codes: npt.NDArray[np.int32]

    def take(self, rows: npt.NDArray[np.int64]) -> Examples:
        """Those of the examples."""
        return Examples(self.prompts.take(rows), self.codes[rows])


class ExampleSource(Protocol):
    """Where batches of examples come from."""

    @property
    def held_out(self) -> int:
        """How many held-out examples there are."""
        ...

    def is_empty(self) -> bool:
        """Whether there is nothing to draw from."""
        ...

    def draw(self, count: int, chance: np.random.Generator) -> Examples:
        """So many examples to train on."""
        ...

    def held_out_examples(self, rows: npt.NDArray[np.int64]) -> Examples:
        """Those of the held-out examples."""
        ...


@dataclass(frozen=True)
class Asked:
    """Texts that prompts are made of, and their vectors float32 [texts, dimensions], which may be memory-mapped."""

    texts: Sequence[str]
    vectors: npt.NDArray[np.float32]

    def prompts(self, rows: npt.NDArray[np.integer]) -> Prompts:
        """The prompts of rows."""
        return Prompts.of([self.texts[row] for row in rows.tolist()], self.vectors[rows])


@dataclass(frozen=True)
class QueryExamples:
    """Pairs of queries and items, and items that ask for themselves.

    `codes` int32 [items, levels]; `item_share` of a batch is items. `train` and `held_out` share the rows of `queries`.
    """

    queries: Asked
    items: Asked
    codes: npt.NDArray[np.int32]
    train: QueryItemPairs
    held_out_pairs: QueryItemPairs
    item_share: float

    @property
    def held_out(self) -> int:
        """See `ExampleSource.held_out`."""
        return len(self.held_out_pairs)

    def is_empty(self) -> bool:
        """See `ExampleSource.is_empty`."""
        return not len(self.train)

    def draw(self, count: int, chance: np.random.Generator) -> Examples:
        """See `ExampleSource.draw`; at least one is a pair."""
        items = min(round(count * self.item_share), count - 1)
        pairs = chance.integers(0, len(self.train), count - items)
        own = chance.integers(0, len(self.codes), items)
        asking, alone = self.queries.prompts(self.train.query_rows[pairs]), self.items.prompts(own)
        vectors = np.concatenate((asking.vectors, alone.vectors))
        asked = np.concatenate((self.train.item_rows[pairs], own))
        return Examples(Prompts.of(asking.texts + alone.texts, vectors), self.codes[asked])

    def held_out_examples(self, rows: npt.NDArray[np.int64]) -> Examples:
        """See `ExampleSource.held_out_examples`."""
        pairs = self.held_out_pairs
        return Examples(self.queries.prompts(pairs.query_rows[rows]), self.codes[pairs.item_rows[rows]])

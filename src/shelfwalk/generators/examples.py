"""What a generator learns from: prompts, and the identifier that each asks for.

In: pairs of queries and items, the vectors and texts of both, the items' codes, and shoppers' visits. Out: batches,
drawn by chance. All arrays may be memory-mapped: a batch reads its own rows and nothing else.

Without stages a batch holds (query, item) pairs and, as CQ-SID's first stage does (arXiv 2605.14434, Item2SID), items
that stand for themselves: an item's own title and vector ask for its own identifier. Both go in one batch instead of
one stage after the other, so that nothing learned first is forgotten. The published stages are sources of their own:
`ItemExamples`, `TargetExamples` (Query2SID) and `shopper_examples.ShopperExamples` (UQ2SID); the latter two can mix
items in as well, which the publication does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from shelfwalk.generators.pairs import Pairs, QueryTargets
from shelfwalk.generators.prompts import Prompts


@dataclass(frozen=True)
class Examples:
    """Prompts, and int32 [prompts, levels] the identifier that each asks for."""

    prompts: Prompts
    codes: npt.NDArray[np.int32]

    def take(self, rows: npt.NDArray[np.int64]) -> Examples:
        """Those of the examples."""
        return Examples(self.prompts.take(rows), self.codes[rows])

    @classmethod
    def join(cls, parts: Sequence[Examples]) -> Examples:
        """Examples of several kinds in one batch; of none of a kind nothing is left."""
        some = [part for part in parts if len(part.codes)]
        return cls(Prompts.join([part.prompts for part in some]), np.concatenate([part.codes for part in some]))


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
    """Texts that prompts are made of, and their vectors float32 [texts, dimensions].

    No texts: for a backbone that reads none, as they would fill the memory for nothing.
    """

    texts: Sequence[str] | None
    vectors: npt.NDArray[np.float32]

    def prompts(self, rows: npt.NDArray[np.integer], histories: npt.NDArray[np.int32] | None = None) -> Prompts:
        """The prompts of rows, by shoppers with these histories."""
        texts = [""] * len(rows) if self.texts is None else [self.texts[row] for row in rows.tolist()]
        return Prompts.of(texts, self.vectors[rows], histories)


@dataclass(frozen=True)
class ItemExamples:
    """Items that ask for themselves; `codes` int32 [items, levels].

    What is held out are pairs of queries and items, as all that is learned of items is for queries.
    """

    queries: Asked
    items: Asked
    codes: npt.NDArray[np.int32]
    held_out_pairs: Pairs

    @property
    def held_out(self) -> int:
        """See `ExampleSource.held_out`."""
        return len(self.held_out_pairs)

    def is_empty(self) -> bool:
        """See `ExampleSource.is_empty`."""
        return not len(self.codes)

    def draw(self, count: int, chance: np.random.Generator) -> Examples:
        """See `ExampleSource.draw`."""
        own = chance.integers(0, len(self.codes), count)
        return Examples(self.items.prompts(own), self.codes[own])

    def held_out_examples(self, rows: npt.NDArray[np.int64]) -> Examples:
        """See `ExampleSource.held_out_examples`."""
        pairs = self.held_out_pairs.take(rows)
        return Examples(self.queries.prompts(pairs.query_rows), self.codes[pairs.item_rows])


@dataclass(frozen=True)
class QueryExamples(ItemExamples):
    """Pairs of queries and items, and items that ask for themselves.

    `item_share` of a batch is items. `train` and the held-out pairs share the rows of `queries`.
    """

    train: Pairs
    item_share: float

    def is_empty(self) -> bool:
        """See `ExampleSource.is_empty`."""
        return not len(self.train)

    def draw(self, count: int, chance: np.random.Generator) -> Examples:
        """See `ExampleSource.draw`; at least one is a pair."""
        items = share_of_batch(count, self.item_share)
        asking = self.asking(count - items, chance)
        return Examples.join([asking, super().draw(items, chance)])

    def asking(self, count: int, chance: np.random.Generator) -> Examples:
        """So many queries, each with an item of its pairs."""
        pairs = self.train.take(chance.integers(0, len(self.train), count))
        return Examples(self.queries.prompts(pairs.query_rows), self.codes[pairs.item_rows])


@dataclass(frozen=True)
class TargetExamples(QueryExamples):
    """Queries, each with `count` of its identifiers, sampled anew whenever it is drawn: CQ-SID's Query2SID.

    A query is drawn as often as it has pairs. What is sampled are different identifiers while it has so many.
    """

    targets: QueryTargets
    count: int = 3

    def asking(self, count: int, chance: np.random.Generator) -> Examples:
        """So many examples, each query's side by side."""
        drawn = self.train.take(chance.integers(0, len(self.train), -(-count // self.count)))
        items = self.targets.draw(drawn.query_rows, self.count, chance)
        queries = np.repeat(drawn.query_rows, self.count)[:count]
        return Examples(self.queries.prompts(queries), self.codes[items.ravel()[:count]])


def share_of_batch(count: int, share: float) -> int:
    """How many of `count` are of a kind that is mixed in; never all."""
    return min(round(count * share), count - 1)

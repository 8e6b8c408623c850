"""Visits of shoppers as examples: a query and what its shopper chose before ask for what was chosen then (UQ2SID).

In: visits with histories, arrays that may be memory-mapped. Out: batches, drawn by chance. CQ-SID (arXiv 2605.14434)
also reads gender and age band, and takes only clicks of related categories; a log in the columns of `EVENTS` has
neither of the former, and what of a history is related is left to the model.

Some visits are learned from as if nothing were known of the shopper, so that such a one is answered as well; the
publication does not say what it does of them. Nor does it say whether a batch holds pairs of queries and items as well,
which it can here: there are far fewer visits than pairs, and a decoder soon knows them by heart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfwalk.generators.examples import Asked, Examples, QueryExamples, share_of_batch
from shelfwalk.generators.prompts import Prompts

Rows = npt.NDArray[np.int32]


@dataclass(frozen=True)
class StoredVisits:
    """Visits and what each led to.

    `query_rows` int32 [visits]; `histories` int32 [visits, length], rows of the catalogue, the latest first, −1 where
    there are fewer; `train` and `held_out` int32 [2, targets]: visits above the items that they led to.
    """

    query_rows: Rows
    histories: Rows
    train: Rows
    held_out: Rows


@dataclass(frozen=True)
class ShopperExamples:
    """Visits with histories, and items that ask for themselves; `codes` int32 [items, levels].

    `item_share` of a batch is items, `query_share` of the rest is `pairs`, whose rows of queries are those of the
    visits, and of the visits `unknown_share` are told without their histories.
    """

    queries: Asked
    items: Asked
    codes: Rows
    visits: StoredVisits
    item_share: float
    unknown_share: float
    pairs: QueryExamples
    query_share: float

    @property
    def held_out(self) -> int:
        """See `ExampleSource.held_out`."""
        return int(self.visits.held_out.shape[1])

    def is_empty(self) -> bool:
        """See `ExampleSource.is_empty`."""
        return not self.visits.train.shape[1]

    def draw(self, count: int, chance: np.random.Generator) -> Examples:
        """See `ExampleSource.draw`; at least one is a visit."""
        items = share_of_batch(count, self.item_share)
        pairs = share_of_batch(count - items, self.query_share)
        visits, chosen = self.visits.train[:, chance.integers(0, self.visits.train.shape[1], count - items - pairs)]
        asking = self._prompts(visits, chance.random(len(visits)) < self.unknown_share)
        own = chance.integers(0, len(self.codes), items)
        alone = Examples(self.items.prompts(own), self.codes[own])
        anybody = [self.pairs.asking(pairs, chance)] if pairs else []
        return Examples.join([Examples(asking, self.codes[chosen]), *anybody, alone])

    def held_out_examples(self, rows: npt.NDArray[np.int64]) -> Examples:
        """See `ExampleSource.held_out_examples`; their shoppers are known."""
        visits, chosen = self.visits.held_out[:, rows]
        return Examples(self._prompts(visits, np.zeros(len(rows), bool)), self.codes[chosen])

    def _prompts(self, visits: Rows, unknown: npt.NDArray[np.bool_]) -> Prompts:
        histories = identifiers_of(self.codes, self.visits.histories[visits])
        histories[unknown] = -1
        return self.queries.prompts(self.visits.query_rows[visits], histories)


def identifiers_of(codes: Rows, histories: npt.NDArray[np.integer]) -> Rows:
    """The identifiers of rows of the catalogue: [..., length] → int32 [..., length, levels], −1 where the row is −1."""
    found: Rows = np.where((histories >= 0)[..., None], codes[np.maximum(histories, 0)], np.int32(-1))
    return found

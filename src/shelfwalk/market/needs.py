"""Visits: who comes when, what they need and what they type.

In: a catalogue, its shoppers, a stretch of time and a seed. Out: `Visits`, in the order of time.

Each visit is about an item (targets.py), and the need is made of that item, so that it can be met: its category or now
and then the one above, none to three of its attribute values, its brand where the shopper is loyal, its price band
where money matters. What the shopper types of it is made in queries.py. Shares are our own choice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfwalk.market.catalogue import Catalogue
from shelfwalk.market.item_features import NONE
from shelfwalk.market.item_index import index_items
from shelfwalk.market.queries import express
from shelfwalk.market.shoppers import Shoppers
from shelfwalk.market.targets import draw_targets
from shelfwalk.market.wishes import MOST_VALUES, Wishes

PRICE_BANDS = ((0.0, 0.35), (0.3, 0.7), (0.65, 1.0))
"""Cheap, middling and dear: price levels within a category."""

_BROAD = 0.1
"""Share of the needs that a whole group of categories can meet."""
_VALUE_COUNTS = (0.3, 0.4, 0.2, 0.1)
"""Shares of the needs with 0, 1, 2 and 3 attribute values, where the item has as many."""
_PRICED = 0.3
_CHUNK = 50_000
_SPAWN_KEY = 102


@dataclass(frozen=True, eq=False)
class Visits:
    """One row a visit: a shopper with a need who types one query.

    `shopper` int32 [visits]: row of the shopper. `at` int64 [visits]: microseconds since 1970 in UTC, ascending.
    `needs` and `intents` [visits]: all that is wanted, and the part that the query says. `queries` [visits]: what was
    typed. `targets` int64 [visits]: row of the item that the need was made of; it fulfils need and intent with grade 3.
    """

    shopper: npt.NDArray[np.int32]
    at: npt.NDArray[np.int64]
    needs: Wishes
    intents: Wishes
    queries: list[str]
    targets: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.at)

    def take(self, rows: npt.NDArray[np.int64]) -> Visits:
        """Return the visits of these rows, in their order."""
        queries = [self.queries[row] for row in rows.tolist()]
        return Visits(
            self.shopper[rows],
            self.at[rows],
            self.needs.take(rows),
            self.intents.take(rows),
            queries,
            self.targets[rows],
        )


def draw_visits(catalogue: Catalogue, shoppers: Shoppers, count: int, seed: int, start: int, end: int) -> Visits:
    """Draw `count` visits between two moments, microseconds since 1970; the same arguments give the same visits.

    No need is made of an item that appears after the visit, as long as any item is there.
    """
    index = index_items(catalogue.tree, catalogue.features)
    random = _random(seed, 0)
    at = np.sort(random.integers(start, end, count))
    reached = np.cumsum(shoppers.activity)
    places = np.searchsorted(reached, random.random(count) * reached[-1], side="right")
    shopper = np.minimum(places, len(shoppers) - 1).astype(np.int32)
    parts = []
    for number, first in enumerate(range(0, count, _CHUNK), start=1):
        random = _random(seed, number)
        who, when = shopper[first : first + _CHUNK], at[first : first + _CHUNK]
        targets = draw_targets(catalogue, index, shoppers, who, when, random)
        needs = make_needs(catalogue, shoppers, who, targets, random)
        parts.append(Visits(who, when, needs, *express(needs, catalogue, random), targets))
    return _joined(parts)


def make_needs(
    catalogue: Catalogue,
    shoppers: Shoppers,
    shopper: npt.NDArray[np.int32],
    targets: npt.NDArray[np.int64],
    random: np.random.Generator,
) -> Wishes:
    """Make a need of each target item, for the shopper beside it; the item fulfils all of it."""
    features = catalogue.features
    leaf = features.category[targets]
    above = np.where(leaf != NONE, catalogue.tree.parent[leaf], NONE)
    broad = (random.random(len(targets)) < _BROAD) & (above != NONE)
    insists = random.random(len(targets)) < shoppers.loyalty[shopper]
    low, high = _price_bands(features.price_level[targets], random)
    return Wishes(
        category=np.where(broad, above, leaf).astype(np.int32),
        brand=np.where(insists, features.brand[targets], NONE).astype(np.int32),
        values=_values_of(catalogue, shoppers, targets, random),
        price_low=low,
        price_high=high,
    )


def _price_bands(
    level: npt.NDArray[np.float32], random: np.random.Generator
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """A band around each level where the price matters, from 0 to 1 where it does not."""
    low, high = np.array(PRICE_BANDS, np.float32).T
    band = np.searchsorted(high[:-1], level, side="left")
    priced = random.random(len(level)) < _PRICED
    return np.where(priced, low[band], np.float32(0)), np.where(priced, high[band], np.float32(1))


def _values_of(
    catalogue: Catalogue, shoppers: Shoppers, targets: npt.NDArray[np.int64], random: np.random.Generator
) -> npt.NDArray[np.int32]:
    """Up to three values of each item, int32 [targets, 3], the salient ones oftener, padded with NONE."""
    features = catalogue.features
    start = features.value_offsets[targets]
    counts = features.value_offsets[targets + 1] - start
    width = max(int(counts.max(initial=0)), MOST_VALUES)
    values = np.full((len(targets), width), NONE, np.int32)
    for step in range(int(counts.max(initial=0))):
        holding = counts > step
        values[holding, step] = features.values[start[holding] + step]
    # The order of log-weights plus Gumbel noise is that of drawing without replacement by weight.
    keys = np.full(values.shape, -np.inf)
    keys[values != NONE] = np.log(shoppers.value_salience[values[values != NONE]])
    order = np.argsort(-(keys + random.gumbel(size=keys.shape)), axis=1)[:, :MOST_VALUES]
    wanted = np.searchsorted(np.cumsum(_VALUE_COUNTS)[:-1], random.random(len(targets)), side="right")
    chosen = np.take_along_axis(values, order, axis=1)
    return np.where(np.arange(MOST_VALUES) < wanted[:, None], chosen, NONE).astype(np.int32)


def _random(seed: int, part: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_SPAWN_KEY, part)))


def _joined(parts: list[Visits]) -> Visits:
    return Visits(
        np.concatenate([part.shopper for part in parts]),
        np.concatenate([part.at for part in parts]),
        _joined_wishes([part.needs for part in parts]),
        _joined_wishes([part.intents for part in parts]),
        [query for part in parts for query in part.queries],
        np.concatenate([part.targets for part in parts]),
    )


def _joined_wishes(parts: list[Wishes]) -> Wishes:
    return Wishes(
        np.concatenate([part.category for part in parts]),
        np.concatenate([part.brand for part in parts]),
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.price_low for part in parts]),
        np.concatenate([part.price_high for part in parts]),
    )

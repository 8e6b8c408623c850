"""Who shops: stable tastes, interests that come and go, and a few who come very often.

In: a catalogue, a number of shoppers and a seed. Out: `Shoppers`, flat arrays, the same for the same input.

All distributions are our own choice, made to look like a shop and not measured on one:

- *Taste* is low-dimensional: brands and attribute values are points, a shopper is a direction for each (brand and
  style), and the dot product is how much it suits them. It never changes.
- The *price taste* is the price level, within any category, that a shopper prefers.
- *Interests* are a few categories, drawn by how much is bought in them. The weight of each swells and fades with a
  period of two weeks to three months, each interest in its own rhythm: `interest_weights`.
- *Activity* is log-normal, so a small part of the shoppers makes a large part of the visits.
- *Salience* is how often anybody names a value when asking: some attributes (a colour) are on everybody's lips, others
  never are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfwalk.market.catalogue import Catalogue
from shelfwalk.market.item_features import NONE

TASTE_DIMENSIONS = 8
INTERESTS = 5
"""Categories that a shopper is interested in."""

_ACTIVITY_SPREAD = 1.2
_PRICE_TASTE = (2.0, 2.0)
_LOYALTY = (1.5, 3.0)
_SALIENCE_OF_ATTRIBUTES = 1.5
_SALIENCE_OF_VALUES = 0.5
_POPULAR_INTERESTS = 1.3
"""Above 1, searches gather in popular categories more than sales do."""
_SWELL = 1.5
"""An interest at its height weighs e to the power of three times as much as at its low."""
_DAY = 86_400_000_000
_PERIODS = (14 * _DAY, 90 * _DAY)
_SPAWN_KEY = 101


@dataclass(frozen=True, eq=False)
class Shoppers:
    """One row a shopper, and the space of tastes that all share.

    Of shoppers: `activity` float64 [shoppers], sums to 1, the share of the visits that are theirs; `price_taste`
    float32 [shoppers], 0 to 1; `loyalty` float32 [shoppers], how readily they insist on a brand, 0 to 1; `brand_taste`
    and `style_taste` float32 [shoppers, dimensions]; `interests` int32 [shoppers, interests], nodes that hold items;
    `interest_strength` float32, `interest_period` (microseconds) and `interest_phase` (radians) float64 [shoppers,
    interests]. Of the space: `brand_places` float32 [brands, dimensions] and `value_places` float32 [values,
    dimensions]; `value_salience` float32 [values], above 0.
    """

    activity: npt.NDArray[np.float64]
    price_taste: npt.NDArray[np.float32]
    loyalty: npt.NDArray[np.float32]
    brand_taste: npt.NDArray[np.float32]
    style_taste: npt.NDArray[np.float32]
    interests: npt.NDArray[np.int32]
    interest_strength: npt.NDArray[np.float32]
    interest_period: npt.NDArray[np.float64]
    interest_phase: npt.NDArray[np.float64]
    brand_places: npt.NDArray[np.float32]
    value_places: npt.NDArray[np.float32]
    value_salience: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.activity)


def draw_shoppers(catalogue: Catalogue, count: int, seed: int) -> Shoppers:
    """Draw `count` shoppers of a catalogue, at least one; the same arguments give the same shoppers."""
    random = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_SPAWN_KEY,)))
    lexicon = catalogue.lexicon
    activity = random.lognormal(0.0, _ACTIVITY_SPREAD, count)
    return Shoppers(
        activity=activity / activity.sum(),
        price_taste=random.beta(*_PRICE_TASTE, count).astype(np.float32),
        loyalty=random.beta(*_LOYALTY, count).astype(np.float32),
        brand_taste=_directions(random, count),
        style_taste=_directions(random, count),
        interests=_interests(catalogue, count, random),
        interest_strength=random.exponential(1.0, (count, INTERESTS)).astype(np.float32),
        interest_period=random.uniform(*_PERIODS, (count, INTERESTS)),
        interest_phase=random.uniform(0.0, 2 * np.pi, (count, INTERESTS)),
        brand_places=_places(random, len(lexicon.brands)),
        value_places=_places(random, len(lexicon.values)),
        value_salience=_salience(lexicon.value_attributes, random),
    )


def interest_weights(
    shoppers: Shoppers, rows: npt.NDArray[np.int32], at: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Return how much each of these shoppers cares for each of their interests at a moment, float64 [rows, interests].

    `at` int64 [rows]: microseconds since 1970. Each row sums to 1.
    """
    turns = at[:, None] / shoppers.interest_period[rows]
    swell = np.exp(_SWELL * np.sin(2 * np.pi * turns + shoppers.interest_phase[rows]))
    weights = shoppers.interest_strength[rows] * swell
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float64)


def _directions(random: np.random.Generator, count: int) -> npt.NDArray[np.float32]:
    """Unit vectors: nobody has more taste than others, only another one."""
    vectors = random.standard_normal((count, TASTE_DIMENSIONS))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def _places(random: np.random.Generator, count: int) -> npt.NDArray[np.float32]:
    return random.standard_normal((count, TASTE_DIMENSIONS)).astype(np.float32)


def _interests(catalogue: Catalogue, count: int, random: np.random.Generator) -> npt.NDArray[np.int32]:
    """Categories by how much is bought in them; one drawn twice is a stronger interest."""
    features = catalogue.features
    held = features.category != NONE
    bought = np.bincount(features.category[held], features.popularity[held], len(catalogue.tree))
    reached = np.cumsum(bought**_POPULAR_INTERESTS)
    places = np.searchsorted(reached, random.random((count, INTERESTS)) * reached[-1], side="right")
    # A draw may be rounded up to the very end, past the last node that holds items.
    return np.asarray(np.minimum(places, np.flatnonzero(bought)[-1]), np.int32)


def _salience(attributes: tuple[str, ...], random: np.random.Generator) -> npt.NDArray[np.float32]:
    names = sorted(set(attributes))
    of_attribute = dict(zip(names, random.lognormal(0.0, _SALIENCE_OF_ATTRIBUTES, len(names)), strict=True))
    of_value = random.lognormal(0.0, _SALIENCE_OF_VALUES, len(attributes))
    return np.asarray(of_value * np.array([of_attribute[name] for name in attributes]), np.float32)

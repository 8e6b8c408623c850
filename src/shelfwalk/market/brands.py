"""The brands of a generated catalogue: what they are called, what they make, how dear and how good they are.

In: the leaves of the category tree and how many items there will be. Out: `Brands`.

A brand is at home in one to three groups of categories, sells a little elsewhere in their departments, and few sell
everywhere; within a leaf the strength of brands falls like a Zipf law. Dear brands tend to be good ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfwalk.market.brand_names import name_brands, name_series
from shelfwalk.market.category_tree import Leaves
from shelfwalk.market.item_features import NONE
from shelfwalk.market.vocabulary import Vocabulary
from shelfwalk.market.weighted_choices import WeightedChoices

_FEWEST, _MOST = 24, 3_000
_PER_ROOT_ITEM = 3.0
"""Brands grow with the root of the items: 95 for a thousand, 3,000 from a million on."""
_STRENGTH_FALL = 0.9
_IN_DEPARTMENT = 0.06
"""Strength of a brand beside its home groups but in their department, compared with at home."""
_EVERYWHERE = 0.05
"""Share of the brands that sell everywhere, and their strength there."""
_SECOND_HOME, _THIRD_HOME = 0.4, 0.15
_NO_BRAND = 0.04
_DEARNESS_SPREAD = 0.32
_MORE_SERIES = 1.2
_SERIES_SPREAD = 0.18


@dataclass(frozen=True, eq=False)
class Brands:
    """All brands, [brands] each.

    `phrases`: name, then nicknames. `dearness` float64: logarithm of what a brand's prices are to the usual ones.
    `quality` float64: deviation about 1. `sold`: which brands a leaf has, NONE among them. `series` are the names of
    product lines with their nicknames, `series_offsets` int64 [brands + 1] says whose they are, `series_dearness`
    float64 [series] is on top of the brand's.
    """

    phrases: tuple[tuple[str, ...], ...]
    dearness: npt.NDArray[np.float64]
    quality: npt.NDArray[np.float64]
    sold: WeightedChoices
    series: tuple[tuple[str, ...], ...]
    series_offsets: npt.NDArray[np.int64]
    series_dearness: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.phrases)


def draw_brands(words: Vocabulary, leaves: Leaves, items: int, generator: np.random.Generator) -> Brands:
    """Draw the brands of a catalogue of `items` items."""
    count = min(max(round(_PER_ROOT_ITEM * items**0.5), _FEWEST, int(leaves.group.max()) + 1), _MOST)
    phrases = name_brands(words.brands, count, generator)
    taste = generator.standard_normal(count)
    series_counts = 1 + generator.poisson(_MORE_SERIES, count)
    offsets = np.concatenate(([0], np.cumsum(series_counts)))
    return Brands(
        phrases=phrases,
        dearness=_DEARNESS_SPREAD * taste,
        quality=0.6 * taste + 0.8 * generator.standard_normal(count),
        sold=_sold(leaves, count, generator),
        series=name_series(words.series, int(offsets[-1]), generator),
        series_offsets=offsets,
        series_dearness=_SERIES_SPREAD * generator.standard_normal(int(offsets[-1])),
    )


def _sold(leaves: Leaves, count: int, generator: np.random.Generator) -> WeightedChoices:
    strength = (1.0 + generator.permutation(count)) ** -_STRENGTH_FALL
    home = _homes(leaves, count, generator)
    departments = _departments(leaves)
    at_department = np.stack([home[:, departments == number].any(axis=1) for number in range(departments.max() + 1)], 1)
    everywhere = generator.random(count) < _EVERYWHERE
    options, weights = [], []
    for group, department in zip(leaves.group.tolist(), leaves.department.tolist(), strict=True):
        affinity = np.where(home[:, group], 1.0, _IN_DEPARTMENT * at_department[:, department])
        weight = strength * np.maximum(affinity, _EVERYWHERE * everywhere)
        # Brands differ from leaf to leaf, also within a group.
        weight *= np.exp(0.5 * generator.standard_normal(count))
        brands = np.flatnonzero(weight)
        options.append(np.append(brands, NONE).astype(np.int32))
        weights.append(np.append(weight[brands], weight.sum() * _NO_BRAND / (1 - _NO_BRAND)))
    return WeightedChoices.of(options, weights)


def _homes(leaves: Leaves, count: int, generator: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Which groups each brand is at home in, bool [brands, groups]; every group is the first home of some brand."""
    departments = _departments(leaves)
    groups = len(departments)
    home = np.zeros((count, groups), bool)
    first = generator.permutation(np.arange(count) % groups)
    home[np.arange(count), first] = True
    extra = generator.random(count)
    other = generator.integers(0, groups, (count, 2))
    for brand in np.flatnonzero(extra < _SECOND_HOME).tolist():
        nearby = np.flatnonzero(departments == departments[first[brand]])
        home[brand, nearby[other[brand, 0] % len(nearby)]] = True
    far = np.flatnonzero(extra < _THIRD_HOME)
    home[far, other[far, 1]] = True
    return home


def _departments(leaves: Leaves) -> npt.NDArray[np.int32]:
    """The department of each group, int32 [groups]."""
    found = np.zeros(int(leaves.group.max()) + 1, np.int32)
    found[leaves.group] = leaves.department
    return found

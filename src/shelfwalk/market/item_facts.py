"""What the items of a chunk are: kind, brand, values, price, popularity, when they appear.

In: an assortment and how many items. Out: `ItemFacts`, from which both the file's columns and the simulation's
features come.

Price is the usual price of the kind, times what brand, attribute values and product line do to it, times noise,
rounded as shops do. Popularity is Pareto with exponent 1.3 (a fifth of the items gets about two thirds of the
interest), raised by quality. Sales before the log are a Poisson draw of it, so that a shop knows popularity with
noise, and nothing of new items.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfwalk.market.assortment import Assortment
from shelfwalk.market.item_features import NONE

_MISSING = 0.06
"""Share of the attributes that an item does not have although its kind does."""
_IN_SERIES = 0.7
_TILT = 1.5
"""How strongly dear brands lean to the dear values of an ordered attribute, for each unit of logarithmic dearness."""
_PRICE_NOISE = 0.12
_PARETO = 1.3
_MOST_ATTRACTION = 1e5
_QUALITY_PULL = 0.4
_SALES = 2.0
_AVAILABLE = 0.94
_ENDINGS = np.array([99, 95, 90, 49, 0, 79], np.int64)
_ENDING_SHARES = np.cumsum([0.5, 0.16, 0.1, 0.08, 0.1, 0.06])
_LEAST_ROUNDED = 300


@dataclass(frozen=True)
class AppearanceLaw:
    """When items appear: shares, and moments in microseconds since 1970 in UTC.

    `new_share` of them between `start` and `split`, `cold_share` in the first half of what follows up to `end`, so that
    there is time to look for them; the others were there before.
    """

    new_share: float
    cold_share: float
    start: int
    split: int
    end: int

    def draw(self, count: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
        """Draw when each of `count` items appears, int64, 0 for those that were there before the log."""
        fate = generator.random(count)
        new = generator.integers(self.start + 1, self.split, count)
        cold = generator.integers(self.split + 1, (self.split + self.end) // 2 + 2, count)
        later = np.where(fate < self.cold_share, cold, new)
        return np.where(fate < self.cold_share + self.new_share, later, 0)


@dataclass(frozen=True, eq=False)
class ItemFacts:
    """The facts of some items, [items] each.

    `leaf`, `brand` int32, NONE without brand. `values` int32 [items, attributes + 1]: NONE where there is none; the
    last is the product line. `cents` int64: price. `quality`, `attraction` float64: the second is popularity before
    it is made to sum to 1. `sales` float64: what the shop has counted. `available` bool. `appears` int64.
    """

    leaf: npt.NDArray[np.int32]
    brand: npt.NDArray[np.int32]
    values: npt.NDArray[np.int32]
    cents: npt.NDArray[np.int64]
    quality: npt.NDArray[np.float64]
    attraction: npt.NDArray[np.float64]
    sales: npt.NDArray[np.float64]
    available: npt.NDArray[np.bool_]
    appears: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.leaf)


def draw_facts(
    assortment: Assortment, appearance: AppearanceLaw, count: int, generator: np.random.Generator
) -> ItemFacts:
    """Draw `count` items."""
    leaf = _leaves(assortment.leaves.share, count, generator)
    brand = assortment.brands.sold.choose(leaf, generator.random(count))
    values, value_dearness = _values(assortment, leaf, brand, generator)
    series, series_dearness = _series(assortment, brand, generator)
    dearness = _of_brand(assortment.brands.dearness, brand) + value_dearness + series_dearness
    dearness += _PRICE_NOISE * generator.standard_normal(count)
    quality = 0.5 * _of_brand(assortment.brands.quality, brand) + 0.85 * generator.standard_normal(count)
    attraction = draw_attraction(count, generator) * np.exp(_QUALITY_PULL * quality)
    appears = appearance.draw(count, generator)
    sales = generator.poisson(_SALES * attraction).astype(np.float64)
    return ItemFacts(
        leaf=leaf,
        brand=brand,
        values=np.column_stack([values, series]),
        cents=_rounded(assortment.leaves.price[leaf] * np.exp(dearness), generator),
        quality=quality,
        attraction=attraction,
        sales=np.where(appears == 0, sales, 0.0),
        available=generator.random(count) < _AVAILABLE,
        appears=appears,
    )


def draw_attraction(count: int, generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """Draw how much interest each of `count` items meets, float64, 1 and above, with a long tail."""
    return np.minimum((1.0 - generator.random(count)) ** (-1.0 / _PARETO), _MOST_ATTRACTION)


def _leaves(share: npt.NDArray[np.float64], count: int, generator: np.random.Generator) -> npt.NDArray[np.int32]:
    """Draw the leaf of each item in even steps through the shares, so that no leaf of a small catalogue is left out."""
    steps = (np.arange(count) + generator.random()) / count
    leaf = np.minimum(np.searchsorted(np.cumsum(share), steps, side="right"), len(share) - 1)
    return generator.permutation(leaf).astype(np.int32)


def _of_brand(figures: npt.NDArray[np.float64], brand: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
    """The figure of each item's brand; of items without a brand, a low one."""
    return np.where(brand == NONE, np.quantile(figures, 0.2), figures[brand])


def _values(
    assortment: Assortment,
    leaf: npt.NDArray[np.int32],
    brand: npt.NDArray[np.int32],
    generator: np.random.Generator,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
    """Draw the attribute values [items, attributes], and the logarithm of what they do to the price [items]."""
    law = assortment.values
    rows = (leaf[:, None] * law.width + np.arange(law.width)).astype(np.int32)
    lean = np.exp(-_TILT * _of_brand(assortment.brands.dearness, brand))[:, None]
    draws = generator.random(rows.shape)
    draws = np.where(law.ordered[rows], draws**lean, draws)
    missing = generator.random(rows.shape) < _MISSING
    places = law.taken.places(rows, draws)
    values = np.where(missing, NONE, law.taken.options[places]).astype(np.int32)
    return values, np.where(missing, 0.0, law.dearness[places]).sum(axis=1)


def _series(
    assortment: Assortment, brand: npt.NDArray[np.int32], generator: np.random.Generator
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
    """Draw the product line of each item as a value, and the logarithm of what it does to the price."""
    brands = assortment.brands
    draws = generator.random((2, len(brand)))
    first, last = brands.series_offsets[brand], brands.series_offsets[brand + 1]
    series = first + ((last - first) * draws[0]).astype(np.int64)
    none = (brand == NONE) | (draws[1] >= _IN_SERIES)
    series[none] = 0
    values = np.where(none, NONE, assortment.first_series + series).astype(np.int32)
    return values, np.where(none, 0.0, brands.series_dearness[series])


def _rounded(price: npt.NDArray[np.float64], generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Prices in cents as shops write them: 41.37 becomes 41.99 or 41.49; the smallest stay as they are."""
    cents = np.maximum(np.rint(price * 100).astype(np.int64), 19)
    ending = _ENDINGS[np.searchsorted(_ENDING_SHARES[:-1], generator.random(len(price)), side="right")]
    return np.where(cents < _LEAST_ROUNDED, cents, cents // 100 * 100 + ending)

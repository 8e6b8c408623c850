"""What a generated catalogue draws its items from: categories, brands and attribute values, drawn once from the seed.

In: how many items and a seed. Out: an `Assortment`; the same arguments give the same one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shelfwalk.market.attribute_values import AttributeValues, draw_attribute_values
from shelfwalk.market.brands import Brands, draw_brands
from shelfwalk.market.category_tree import Leaves, generate_tree
from shelfwalk.market.item_features import CategoryTree, Lexicon
from shelfwalk.market.vocabulary import vocabulary

SERIES = "Series"
"""Name of the attribute whose values are the brands' product lines; they are numbered behind all other values."""
_SPAWN_KEY = 100


@dataclass(frozen=True, eq=False)
class Assortment:
    """Everything that items are drawn from."""

    tree: CategoryTree
    lexicon: Lexicon
    leaves: Leaves
    brands: Brands
    values: AttributeValues

    @property
    def first_series(self) -> int:
        """The value that stands for the first product line."""
        return len(self.values.phrases)


def draw_assortment(items: int, seed: int) -> Assortment:
    """Draw the assortment of a catalogue of `items` items."""
    words = vocabulary()
    generator = catalogue_generator(seed, 0)
    tree, categories, leaves = generate_tree(words, items, generator)
    brands = draw_brands(words, leaves, items, generator)
    values = draw_attribute_values(leaves, generator)
    lexicon = Lexicon(
        categories=categories,
        brands=brands.phrases,
        values=values.phrases + brands.series,
        value_attributes=values.attributes + (SERIES,) * len(brands.series),
    )
    return Assortment(tree, lexicon, leaves, brands, values)


def catalogue_generator(seed: int, *part: int) -> np.random.Generator:
    """The random numbers of one part of a catalogue: the same for the same seed and part, whatever else is drawn."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_SPAWN_KEY, *part)))

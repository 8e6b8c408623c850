"""What shoppers type: a part of what they need, in their own words.

In: needs. Out: for each the intent, exactly what its words express, and the text. Nothing else of the need is in the
text.

A shopper may name the category, or the one above it, or none; may leave out brand, values and price; says the phrase
that catalogue data has, or one of the others of the lexicon; mostly in the usual order, sometimes in any; and slips now
and then (misspellings.py). So there are queries of a category, of a brand, of an attribute alone, and of several. No
word of an intent is said twice. Shares are our own choice; slips are rarer than the 10 to 15 % of web queries that
Cucerzan and Brill (2004) found, since shops complete what is typed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfwalk.market.catalogue import Catalogue
from shelfwalk.market.item_features import NONE, CategoryTree
from shelfwalk.market.misspellings import misspelt
from shelfwalk.market.wishes import MOST_VALUES, Wishes

CHEAP = ("cheap", "budget", "affordable", "low cost", "inexpensive")
DEAR = ("premium", "luxury", "high end", "top quality", "best")

_CATEGORY_SAID = 0.8
_CATEGORY_ABOVE = 0.08
"""Share of the queries naming the category above, if there is one; the rest names none, if something else is said."""
_BRAND_SAID = 0.7
_VALUE_SAID = 0.5
_PRICE_SAID = 0.4
_CATALOGUE_WORD = 0.4
"""Share of the mentions that use the phrase of the catalogue, where there is another."""
_ANY_ORDER = 0.15
_SLIPS = 0.05


@dataclass(frozen=True, eq=False)
class _Phrases:
    """The phrases of many things, one after another, and where those of each start to be chosen.

    `reached` float64 [phrases]: the thing's number plus the chance of this phrase or one before it, so ascending.
    """

    texts: npt.NDArray[np.object_]
    reached: npt.NDArray[np.float64]

    def choose(self, things: npt.NDArray[np.int32], random: np.random.Generator) -> npt.NDArray[np.object_]:
        """Choose a phrase of each thing; an empty text for NONE."""
        draws = random.random(len(things))
        said = things != NONE
        # A draw close to 1 must not be rounded up into the next thing.
        aims = np.minimum(things + draws, np.nextafter(things + 1.0, 0.0))
        found = np.full(len(things), "", object)
        found[said] = self.texts[np.searchsorted(self.reached, aims[said], side="right")]
        return found


def express(needs: Wishes, catalogue: Catalogue, random: np.random.Generator) -> tuple[Wishes, list[str]]:
    """Choose what to say of each need and say it: intents and lower-case texts, both [needs]; no text is empty."""
    intents = choose_intents(needs, catalogue.tree, random)
    return intents, _texts(intents, catalogue, random)


def choose_intents(needs: Wishes, tree: CategoryTree, random: np.random.Generator) -> Wishes:
    """Return the part of each need that is said; something always is, and nothing that is not needed."""
    draws = random.random((len(needs), 3))
    brand = np.where(draws[:, 0] < _BRAND_SAID, needs.brand, NONE)
    values = np.where(random.random(needs.values.shape) < _VALUE_SAID, needs.values, NONE)
    values = np.take_along_axis(values, np.argsort(values == NONE, axis=1, kind="stable"), axis=1)
    category = _categories_said(needs.category, (brand != NONE) | (values[:, 0] != NONE), tree, draws[:, 1])
    # Only the ends of the scale have words, and those say nothing without a thing that is cheap or dear.
    extreme = (needs.price_low == 0) != (needs.price_high == 1)
    priced = extreme & (category != NONE) & (draws[:, 2] < _PRICE_SAID)
    low = np.where(priced, needs.price_low, np.float32(0))
    return Wishes(category, brand, values, low, np.where(priced, needs.price_high, np.float32(1)))


def _categories_said(
    category: npt.NDArray[np.int32],
    else_said: npt.NDArray[np.bool_],
    tree: CategoryTree,
    draws: npt.NDArray[np.float64],
) -> npt.NDArray[np.int32]:
    above = np.where(category != NONE, tree.parent[category], NONE)
    other = np.where(draws < _CATEGORY_SAID + _CATEGORY_ABOVE, above, NONE)
    said = np.where(draws < _CATEGORY_SAID, category, other)
    return np.where((said == NONE) & ~else_said, category, said).astype(np.int32)


def _texts(intents: Wishes, catalogue: Catalogue, random: np.random.Generator) -> list[str]:
    lexicon = catalogue.lexicon
    values = _phrases(lexicon.values)
    columns = [
        _phrases((CHEAP, DEAR)).choose(_price_words(intents), random),
        _phrases(lexicon.brands).choose(intents.brand, random),
        *(values.choose(intents.values[:, place], random) for place in range(MOST_VALUES)),
        _phrases(lexicon.categories).choose(intents.category, random),
    ]
    parts = np.stack(columns, axis=1)
    anyhow = random.random((len(intents), 1)) < _ANY_ORDER
    keys = np.where(anyhow, random.random(parts.shape), np.arange(len(columns)))
    ordered = np.take_along_axis(parts, np.argsort(keys, axis=1), axis=1)
    texts = [" ".join(dict.fromkeys(" ".join(row).split())) for row in ordered.tolist()]
    slips = np.flatnonzero(random.random(len(texts)) < _SLIPS).tolist()
    for row, text in zip(slips, misspelt([texts[row] for row in slips], random), strict=True):
        texts[row] = text
    return texts


def _price_words(intents: Wishes) -> npt.NDArray[np.int32]:
    """0 where the query asks for something cheap, 1 for something dear, NONE where it says nothing of the price."""
    said = np.where(intents.price_low > 0, 1, np.where(intents.price_high < 1, 0, NONE))
    return said.astype(np.int32)


def _phrases(things: Iterable[tuple[str, ...]]) -> _Phrases:
    """Give the catalogue's phrase its share, and the others the rest in proportion to 1, 1/2, 1/3 ..."""
    texts: list[str] = []
    reached: list[float] = []
    for number, phrases in enumerate(things):
        weights = 1 / np.arange(1, len(phrases))
        shares = np.concatenate(([_CATALOGUE_WORD], (1 - _CATALOGUE_WORD) * weights / weights.sum()))
        reached.extend((number + np.cumsum(shares / shares.sum())).tolist())
        reached[-1] = number + 1.0
        texts.extend(phrase.lower() for phrase in phrases)
    return _Phrases(np.array(texts, object), np.array(reached))

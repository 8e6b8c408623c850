"""What a simulation needs to know of a real catalogue, derived from its items table.

In: an items table and a seed. Out: a `Catalogue` as a generated one comes with, and a sentence for each thing that the
table lacks and that was made up. Names, brands and attribute values become the lexicon (spoken_variants.py); quality
and the moments at which items appear are always drawn, since no catalogue tells them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shelfwalk.errors import UserError
from shelfwalk.market.assortment import catalogue_generator
from shelfwalk.market.catalogue import Catalogue
from shelfwalk.market.category_tree import tree_of
from shelfwalk.market.feature_collection import price_levels, shares_of, standardised
from shelfwalk.market.item_facts import AppearanceLaw, draw_attraction
from shelfwalk.market.item_features import NONE, CategoryTree, ItemFeatures, Lexicon
from shelfwalk.market.real_values import attribute_values
from shelfwalk.market.spoken_variants import brand_phrases, category_phrases, value_phrases

_USUAL_PRICE, _CATEGORY_SPREAD, _ITEM_SPREAD = 30.0, 1.0, 0.4
_LEVEL_SEPARATOR = "\x1f"


def describe_catalogue(
    items: pa.Table,
    seed: int,
    start: int,
    split: int,
    end: int,
    *,
    new_share: float = 0.1,
    cold_share: float = 0.05,
) -> tuple[Catalogue, tuple[str, ...]]:
    """Derive tree, lexicon and features of an items table; the second part is a sentence for each thing made up.

    Times are microseconds since 1970 in UTC; shares as in `CatalogueSettings`. An item without a category has NONE.
    Raises UserError for a catalogue without any category.
    """
    generator = catalogue_generator(seed, 3)
    tree, category = _categories(items["category"])
    brands, brand = _brands(items["brand"])
    found = attribute_values(items["attributes"], items["title"])
    price, price_notes = _prices(items["price"], category, generator)
    attraction, popularity_notes = _attraction(items["popularity"], generator)
    lexicon = Lexicon(
        categories=tuple(category_phrases(path[-1]) for path in tree.paths),
        brands=brands,
        values=tuple(value_phrases(value) for _, value in found.names),
        value_attributes=tuple(attribute for attribute, _ in found.names),
    )
    features = ItemFeatures(
        category=category,
        brand=brand,
        price=price,
        price_level=price_levels(category, price),
        popularity=shares_of(attraction),
        quality=standardised(generator.standard_normal(len(items)).astype(np.float32)),
        value_offsets=found.offsets,
        values=found.values,
        appears=AppearanceLaw(new_share, cold_share, start, split, end).draw(len(items), generator),
    )
    notes = (*_category_notes(category), *price_notes, *popularity_notes)
    return Catalogue(tree, lexicon, features), notes


def _categories(column: pa.ChunkedArray) -> tuple[CategoryTree, npt.NDArray[np.int32]]:
    """The tree, and the node of each item, int32 [items]."""
    encoded = pc.fill_null(pc.binary_join(column, _LEVEL_SEPARATOR), "").combine_chunks().dictionary_encode()
    texts = encoded.dictionary.to_pylist()
    paths = [tuple(name.strip() for name in text.split(_LEVEL_SEPARATOR) if name.strip()) for text in texts]
    if not any(paths):
        raise UserError(
            "No item of the catalogue has a category, and a market's needs are made of categories: fill the column "
            "'category', root to leaf, before simulating a market on it."
        )
    tree = tree_of(path for path in paths if path)
    numbers = {path: number for number, path in enumerate(tree.paths)}
    nodes = np.array([numbers.get(path, NONE) for path in paths], np.int32)
    return tree, nodes[encoded.indices.to_numpy()]


def _category_notes(category: npt.NDArray[np.int32]) -> tuple[str, ...]:
    missing = int((category == NONE).sum())
    return (f"{missing:,} of {len(category):,} items have no category.",) if missing else ()


def _brands(column: pa.ChunkedArray) -> tuple[tuple[tuple[str, ...], ...], npt.NDArray[np.int32]]:
    """The phrases of each brand, the commonest brand first, and the brand of each item, int32 [items]."""
    encoded = pc.utf8_trim_whitespace(pc.fill_null(column, "")).combine_chunks().dictionary_encode()
    writings = encoded.dictionary.to_pylist()
    indices = encoded.indices.to_numpy()
    counts = np.bincount(indices, minlength=len(writings)).tolist()
    brands: dict[str, dict[str, int]] = {}
    for writing, count in sorted(zip(writings, counts, strict=True), key=lambda entry: (-entry[1], entry[0])):
        if writing:
            brands.setdefault(writing.casefold(), {})[writing] = count
    by_size = sorted(brands, key=lambda key: (-sum(brands[key].values()), key))
    numbers = {key: number for number, key in enumerate(by_size)}
    of_writing = np.array([numbers.get(writing.casefold(), NONE) for writing in writings], np.int32)
    return brand_phrases([tuple(brands[key]) for key in by_size]), of_writing[indices]


def _prices(
    column: pa.ChunkedArray, category: npt.NDArray[np.int32], generator: np.random.Generator
) -> tuple[npt.NDArray[np.float32], tuple[str, ...]]:
    """A price for each item, float32: the table's, or drawn around the usual price of the category."""
    price = pc.fill_null(column, 0.0).to_numpy().astype(np.float32)
    # Below a cent is no price, and an infinite one no level.
    known = np.isfinite(price) & (price >= 0.01)
    missing = int((~known).sum())
    usual = np.exp(generator.normal(np.log(_USUAL_PRICE), _CATEGORY_SPREAD, int(category.max()) + 2))
    noise = np.exp(generator.normal(0.0, _ITEM_SPREAD, len(price)))
    if not missing:
        return price, ()
    if not known.any():
        drawn = np.maximum(np.rint(usual[category] * noise * 100) / 100, 0.01)
        return drawn.astype(np.float32), ("The catalogue has no prices: they are drawn, log-normal by category.",)
    usual[:] = np.median(price[known])
    for node, row in _rows_by_category(category[known]).items():
        usual[node] = np.median(price[known][row])
    drawn = np.maximum(np.rint(usual[category] * noise * 100) / 100, 0.01)
    note = f"{missing:,} of {len(price):,} items have no price: theirs are drawn around the median of their category."
    return np.where(known, price, drawn).astype(np.float32), (note,)


def _rows_by_category(category: npt.NDArray[np.int32]) -> dict[int, npt.NDArray[np.int64]]:
    order = np.argsort(category, kind="stable")
    nodes, starts = np.unique(category[order], return_index=True)
    return dict(zip(nodes.tolist(), np.split(order, starts[1:]), strict=True))


def _attraction(
    column: pa.ChunkedArray, generator: np.random.Generator
) -> tuple[npt.NDArray[np.float32], tuple[str, ...]]:
    """How popular each item is, positive, float32: the table's figures, or drawn with a long tail."""
    figures = pc.fill_null(column, 0.0).to_numpy()
    figures = np.where(np.isfinite(figures) & (figures > 0), figures, 0.0)
    if not figures.any():
        drawn = draw_attraction(len(figures), generator).astype(np.float32)
        return drawn, ("The catalogue has no popularity: it is drawn, with a long tail.",)
    # What was never bought is bought now and then all the same.
    least = figures[figures > 0].min() / 2
    return np.maximum(figures, least).astype(np.float32), ()

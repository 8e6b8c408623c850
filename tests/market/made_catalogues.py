"""Catalogues for tests, made by hand or by hypothesis, without titles: only what the simulation knows."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from shelfwalk.market.catalogue import Catalogue
from shelfwalk.market.item_features import NONE, CategoryTree, ItemFeatures, Lexicon
from shelfwalk.market.wishes import MOST_VALUES, Wishes

DAY = 86_400_000_000


def tree_of(parents: list[int]) -> CategoryTree:
    paths: list[tuple[str, ...]] = []
    for node, parent in enumerate(parents):
        paths.append((*(paths[parent] if parent != NONE else ()), f"node{node}"))
    return CategoryTree(np.array(parents, np.int32), tuple(paths))


def lexicon_of(nodes: int, brands: int, values: int) -> Lexicon:
    """Everything has three names of its own that share no word with those of others."""

    def names(kind: str, count: int) -> tuple[tuple[str, ...], ...]:
        return tuple((f"{kind}{n}", f"{kind}word{n} {kind}two{n}", f"{kind}slang{n}") for n in range(count))

    attributes = tuple(f"attribute{value % 3}" for value in range(values))
    return Lexicon(names("category", nodes), names("brand", brands), names("value", values), attributes)


def features_of(
    category: list[int],
    brand: list[int],
    values: list[list[int]],
    price_level: list[float] | None = None,
    popularity: list[float] | None = None,
    quality: list[float] | None = None,
    appears: list[int] | None = None,
) -> ItemFeatures:
    count = len(category)
    level = np.array(price_level if price_level is not None else [0.5] * count, np.float32)
    likes = np.array(popularity if popularity is not None else [1.0] * count)
    return ItemFeatures(
        category=np.array(category, np.int32),
        brand=np.array(brand, np.int32),
        price=(10 + 90 * level).astype(np.float32),
        price_level=level,
        popularity=(likes / likes.sum()).astype(np.float32),
        quality=np.array(quality if quality is not None else [0.0] * count, np.float32),
        value_offsets=np.cumsum([0, *(len(held) for held in values)]).astype(np.int64),
        values=np.array([value for held in values for value in sorted(held)], np.int32),
        appears=np.array(appears if appears is not None else [0] * count, np.int64),
    )


def catalogue_of(parents: list[int], brands: int, value_count: int, features: ItemFeatures) -> Catalogue:
    return Catalogue(tree_of(parents), lexicon_of(len(parents), brands, value_count), features)


def shop(items: int = 600, seed: int = 0, appearing: tuple[int, int] | None = None) -> Catalogue:
    """Two departments of three groups of three categories, 12 brands, 30 values; a tenth appears later."""
    random = np.random.default_rng(seed)
    parents = [NONE, NONE, 0, 0, 0, 1, 1, 1, *np.repeat(np.arange(2, 8), 3).tolist()]
    leaves = np.arange(8, len(parents))
    appears = np.zeros(items, np.int64)
    if appearing is not None:
        appears[::10] = random.integers(*appearing, len(appears[::10]))
    features = features_of(
        random.choice(leaves, items, p=(weights := 1 / np.arange(1, 19)) / weights.sum()).tolist(),
        random.integers(-1, 12, items).tolist(),
        [random.choice(30, random.integers(0, 7), replace=False).tolist() for _ in range(items)],
        random.random(items).tolist(),
        (1 / np.arange(1, items + 1)).tolist(),
        random.standard_normal(items).tolist(),
        appears.tolist(),
    )
    return catalogue_of(parents, 12, 30, features)


@st.composite
def catalogues(draw: st.DrawFn) -> Catalogue:
    """Any tree, items anywhere in it or nowhere, with any brand or none, with any values."""
    nodes = draw(st.integers(1, 9))
    parents = [draw(st.integers(NONE, node - 1)) for node in range(nodes)]
    # Somewhere there must be an item that lies in a category and is there from the start.
    items = draw(st.integers(0, 12))
    category = [draw(st.integers(0, nodes - 1))] + [draw(st.integers(NONE, nodes - 1)) for _ in range(items)]
    brands = [draw(st.integers(NONE, 2)) for _ in category]
    values = [draw(st.lists(st.integers(0, 4), max_size=5, unique=True)) for _ in category]
    levels = [draw(st.sampled_from([0.0, 0.2, 0.35, 0.5, 0.65, 0.9, 1.0])) for _ in category]
    appears = [0] + [draw(st.sampled_from([0, 5 * DAY, 50 * DAY])) for _ in range(items)]
    features = features_of(category, brands, values, levels, appears=appears)
    return catalogue_of(parents, 3, 5, features)


@st.composite
def wishes_for(draw: st.DrawFn, catalogue: Catalogue) -> Wishes:
    """One wish that may ask for anything or nothing."""
    values = draw(st.lists(st.integers(0, 4), max_size=MOST_VALUES, unique=True))
    low, high = draw(st.sampled_from([(0.0, 1.0), (0.0, 0.35), (0.3, 0.7), (0.65, 1.0)]))
    return wish(draw(st.integers(NONE, len(catalogue.tree) - 1)), draw(st.integers(NONE, 2)), values, low, high)


def wish(
    category: int = NONE, brand: int = NONE, values: list[int] | None = None, low: float = 0.0, high: float = 1.0
) -> Wishes:
    held = [*(values or []), NONE, NONE, NONE][:MOST_VALUES]
    return Wishes(
        np.array([category], np.int32),
        np.array([brand], np.int32),
        np.array([held], np.int32),
        np.array([low], np.float32),
        np.array([high], np.float32),
    )

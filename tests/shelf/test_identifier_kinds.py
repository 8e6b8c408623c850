"""Shelves with the identifiers of CQ-SID and of two lengths: built, searched, refused before anything long."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shelfwalk import Shelf
from shelfwalk.commands.hourglass import codes_by_level
from shelfwalk.data.query_item_pairs import QueryItemPairs
from shelfwalk.data.readers import read_judgements, read_queries
from shelfwalk.errors import UserError
from shelfwalk.recipes.recipe import Recipe
from shelfwalk.shelf.building import build_shelf
from shelfwalk.shelf.identifier_step import _pairs_to_learn_from
from shelfwalk.shelf.pair_step import TrainingPairs
from shelfwalk.shelf.training_tables import TrainingTables
from shelfwalk.shelf.vectors import Vectors
from shelfwalk.tokenizers.hourglass import measure_hourglass
from small_shop import SmallShop

CQSID = {
    "kind": "cqsid",
    "level_sizes": (16, 4, 4),
    "hidden_widths": (16,),
    "latent_width": 8,
    "epochs": 3,
    "batch": 64,
    "cluster_cap": 4,
}
INNER = {"kind": "residual_kmeans", "level_sizes": (8, 4, 4)}


def recipe_with(shop: SmallShop, tokenizer: dict[str, Any]) -> Recipe:
    return Recipe.model_validate({**shop.recipe.model_dump(), "tokenizer": tokenizer})


def refuse_progress(stage: str, done: int, total: int) -> None:
    raise AssertionError(f"{stage} was started")


def test_a_cqsid_shelf_whose_categories_go_deeper_than_its_first_level(
    small_shop: SmallShop, shop_cache: Path, tmp_path: Path
) -> None:
    queries = read_queries(small_shop.queries_file).table
    judgements = read_judgements(small_shop.judgements_file).table
    tables = TrainingTables(queries=queries, judgements=judgements)
    build_shelf(
        small_shop.items(),
        recipe_with(small_shop, {**CQSID, "category_depth": 1}),
        tmp_path / "own.shelf",
        tables=tables,
    )
    shelf = Shelf.open(tmp_path / "own.shelf")
    trie = shelf.generative.trie
    roots = [path[0] for path in shelf.items["category"].to_pylist()]
    held = [trie.items_of(leaf) for leaf in range(trie.leaves)]
    first = {int(row): int(path[0]) for rows, path in zip(held, trie.paths(), strict=True) for row in rows}
    assert [first[row] for row in range(120)] == [sorted(set(roots)).index(root) for root in roots]
    assert max(map(len, held)) <= 4
    facts = shelf.recorded
    assert facts["category_level"] == {"depth": 1, "deepest": 2, "categories": 4, "known_share": 1.0}
    assert facts["level_sizes"][:2] == [4, 4]
    assert 0 < facts["tokenizer"]["capped_share"] <= 1
    found, sizes = codes_by_level(shelf)
    assert sizes == (4, 4, 4)
    assert facts["level_sizes"][2] > 4
    hourglass = measure_hourglass(found, sizes)
    assert [level["gini"] for level in facts["tokenizer"]["levels"]] == [level.use.gini for level in hourglass.levels]
    assert dict(shelf.facts())["first level"] == (
        "4 categories, 100.0% of items have one; those below level 1 of the tree count not"
    )
    assert dict(shelf.facts())["in split clusters"].endswith("% of items")
    facts["tokenizer"]["above_cap"] = 1_234
    assert dict(shelf.facts())["in split clusters"].endswith("% of items; 1,234 items above the cap")
    for query in ("usb hub", "something warm to read by"):
        assert len(shelf.search(query, 5, "generative").results) == 5


@pytest.mark.parametrize(
    ("tokenizer", "categories", "sentence"),
    [
        (CQSID, [[]] * 120, "No item has a category"),
        (CQSID, [["Things"]] * 120, "120 of 120 items with a category have the one category Things"),
        (CQSID, [["Things"]] * 20 + [[]] * 100, "20 of 20 items with a category have the one category Things"),
        (CQSID, [[f"c{number}"] for number in range(120)], "120 categories, but level 1 .* has 16"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_long(
    small_shop: SmallShop, tmp_path: Path, tokenizer: dict[str, Any], categories: list[list[str]], sentence: str
) -> None:
    items = small_shop.items()
    place = items.column_names.index("category")
    items = items.set_column(place, items.schema.field("category"), pa.array(categories, pa.list_(pa.string())))
    out = tmp_path / "own.shelf"
    with pytest.raises(UserError, match=sentence):
        build_shelf(items, recipe_with(small_shop, tokenizer), out, progress=refuse_progress)
    assert not out.exists()


def test_identifiers_of_two_lengths(small_shop: SmallShop, shop_cache: Path, tmp_path: Path) -> None:
    removal = {"kind": "hourglass", "level": 2, "most_used": 1, "inner": INNER}
    build_shelf(small_shop.items(), recipe_with(small_shop, removal), tmp_path / "own.shelf")
    shelf = Shelf.open(tmp_path / "own.shelf")
    assert shelf.recorded["level_sizes"] == [8, 4 + 4, 4 + 1], "the last level has an end"
    found, sizes = codes_by_level(shelf)
    assert sizes == (8, 4, 4)
    shortened = (found[:, 1] < 0).mean()
    assert 0.25 <= shortened < 1
    assert shelf.recorded["tokenizer"]["shortened_share"] == pytest.approx(shortened)
    assert (found[:, [0, 2]] >= 0).all()
    assert len(shelf.search("usb hub", 5, "generative").results) == 5


class FixedVectors(Vectors):
    """Query vectors without a build."""

    def __init__(self) -> None:
        pass

    def queries(self) -> np.ndarray:
        return np.eye(3, dtype=np.float32)


@pytest.mark.parametrize(
    ("is_logged", "logged_only", "items"),
    [
        ([True, False, True], True, [0, 2]),
        ([True, False, True], False, [0, 1, 2]),
        ([False, False, False], True, [0, 1, 2]),
    ],
)
def test_which_pairs_identifiers_learn_from(
    small_shop: SmallShop, is_logged: list[bool], logged_only: bool, items: list[int]
) -> None:
    """The logged ones where there are any, and never those of held-out queries."""
    train, held_out = QueryItemPairs.of([("a", 0), ("b", 1), ("c", 2)]), QueryItemPairs.of([("a", 9)])
    pairs = TrainingPairs(train.queries, np.array(is_logged), train, held_out)
    settings = recipe_with(small_shop, {**CQSID, "logged_pairs_only": logged_only}).tokenizer
    assert settings is not None
    found = _pairs_to_learn_from(settings, FixedVectors(), pairs)
    assert found is not None
    assert found.pairs.item_rows.tolist() == items
    assert small_shop.recipe.tokenizer is not None
    assert _pairs_to_learn_from(small_shop.recipe.tokenizer, FixedVectors(), pairs) is None

"""A shelf in int8: asked for in the recipe, decided on held-out queries, recorded, and searched with if taken."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from shelfwalk.data.query_item_pairs import QueryItemPairs
from shelfwalk.generators import int8
from shelfwalk.generators.int8 import INT8_STEP
from shelfwalk.generators.onnx_generator import OnnxGenerator
from shelfwalk.generators.open_generator import open_generator
from shelfwalk.recipes.recipe import parse_recipe
from shelfwalk.shelf import layout
from shelfwalk.shelf.building import build_shelf
from shelfwalk.shelf.int8_choice import choose_int8
from shelfwalk.shelf.pair_step import TrainingPairs
from shelfwalk.shelf.shelf import Shelf

if TYPE_CHECKING:
    from small_shop import SmallShop


@pytest.mark.parametrize("least", [0.0, 1.01])
def test_int8_is_searched_with_only_if_it_agrees(
    small_shop: SmallShop, shop_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, least: float
) -> None:
    monkeypatch.setattr(int8, "take_int8_if_alike", partial(int8.take_int8_if_alike, least_overlap=least))
    text = small_shop.recipe_file.read_text(encoding="utf-8")
    recipe = parse_recipe(text.replace("[generator]\n", "[generator]\nint8 = true\n"), "changed")
    assert recipe.hash != small_shop.recipe.hash
    shelf = small_shop.copy_of_shelf(tmp_path)
    assert "int8" not in Shelf.open(shelf).recorded
    build_shelf(small_shop.items(), recipe, shelf, threads=1)
    opened = Shelf.open(shelf)
    assert opened.recorded["int8"]["taken"] == (least == 0.0)
    assert 0.3 < opened.recorded["int8"]["overlap"] <= 1
    generator = open_generator(opened.folder / layout.GENERATOR)
    assert isinstance(generator, OnnxGenerator) and generator.is_int8 == (least == 0.0)
    assert len(opened.search("usb hub", 5, "generative").results) == 5


def test_without_a_held_out_query_int8_is_not_taken(small_shop: SmallShop) -> None:
    opened = Shelf.open(small_shop.shelf)
    pairs = TrainingPairs((), np.zeros(0, bool), QueryItemPairs.of(()), QueryItemPairs.of(()))
    folder = opened.folder / layout.GENERATOR
    facts = choose_int8(folder, opened.generative.trie, pairs, np.zeros((0, 32), np.float32), None)
    assert facts == {"int8": {"overlap": None, "taken": False}}
    assert not (folder / INT8_STEP).exists()

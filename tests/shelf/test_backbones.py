"""The same recipe on every backbone: one line changes, and a shelf is built and searched."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shelfwalk.errors import UserError
from shelfwalk.recipes.recipe import Recipe, load_recipe, parse_recipe
from shelfwalk.shelf import layout
from shelfwalk.shelf.building import build_shelf
from shelfwalk.shelf.shelf import Shelf
from tiny_language_models import write_model

if TYPE_CHECKING:
    from small_shop import SmallShop


def with_backbone(shop: SmallShop, *lines: str) -> Recipe:
    text = shop.recipe_file.read_text(encoding="utf-8")
    return parse_recipe(text.replace("[generator]\n", "\n".join(("[generator]", *lines, ""))), "changed")


@pytest.mark.parametrize(("kind", "more"), [("t5", ""), ("bart", ""), ("llama", "lora_rank = 2"), ("qwen2", "")])
def test_one_line_changes_the_backbone(
    small_shop: SmallShop, shop_cache: Path, tmp_path: Path, kind: str, more: str
) -> None:
    model = write_model(kind, tmp_path / kind)
    recipe = with_backbone(small_shop, f'backbone = "{model}"', more)
    shelf = small_shop.copy_of_shelf(tmp_path)
    build_shelf(small_shop.items(), recipe, shelf, threads=1)
    opened = Shelf.open(shelf)
    assert opened.recorded["training"]["steps"] == 40
    losses = opened.recorded["training"]["train_losses"]
    assert losses[-1] < losses[0]
    answer = opened.search("usb hub", 5, "generative")
    assert len(answer.results) == 5 and answer.results[0].evidence
    heavy = {"codes.safetensors", "model"} & {path.name for path in (opened.folder / layout.GENERATOR).iterdir()}
    assert bool(heavy) == (kind in ("llama", "qwen2"))


def test_a_changed_model_of_the_same_name_is_trained_anew(
    small_shop: SmallShop, shop_cache: Path, tmp_path: Path
) -> None:
    model = write_model("qwen2", tmp_path / "model")
    recipe = with_backbone(small_shop, f'backbone = "{model}"')
    shelf = small_shop.copy_of_shelf(tmp_path)
    losses = []
    for seed in (0, 0, 1):
        write_model("qwen2", model, seed)
        build_shelf(small_shop.items(), recipe, shelf, threads=1)
        losses.append(Shelf.open(shelf).recorded["training"]["train_losses"])
    assert losses[0] == losses[1] != losses[2]


def test_a_backbone_that_is_none_is_refused_before_anything_is_built(small_shop: SmallShop, tmp_path: Path) -> None:
    recipe = with_backbone(small_shop, f'backbone = "{tmp_path}"')
    with pytest.raises(UserError, match=r"is no Hugging Face model: .*\.$"):
        build_shelf(small_shop.items(), recipe, tmp_path / "new.shelf", threads=1)
    assert not (tmp_path / "new.shelf").exists()


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("lora_rank = 4",), "are of a backbone: name one"),
        (("prompt_tokens = 4",), "are of a backbone: name one"),
        (('backbone = "x"', "int8 = true"), "int8 is for the default backbone"),
        (('backbone = "x"', "lora_rank = 0"), "lora_rank"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    small_shop: SmallShop, lines: tuple[str, ...], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        with_backbone(small_shop, *lines)


def test_what_a_recipe_leaves_out_does_not_rename_it(small_shop: SmallShop) -> None:
    assert load_recipe("rqkmeans").hash == "f956ee69d3b63459"
    assert with_backbone(small_shop, 'backbone = "x"').hash != small_shop.recipe.hash

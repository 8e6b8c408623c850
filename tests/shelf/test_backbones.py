"""The same recipe on every backbone: one line changes, and a shelf is built and searched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from shelfwalk.errors import UserError
from shelfwalk.generators.settings import GeneratorSettings
from shelfwalk.recipes.recipe import Recipe, load_recipe, parse_recipe
from shelfwalk.shelf import layout
from shelfwalk.shelf.backbones import backbone_files, make_backbone
from shelfwalk.shelf.build import Build
from shelfwalk.shelf.building import build_shelf
from shelfwalk.shelf.shelf import Shelf
from shelfwalk.shelf.steps import Steps
from tiny_language_models import MODELS, write_model

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


def never(stage: str, done: int, total: int) -> None:
    raise AssertionError(f"{stage} was started")


def refused_at_once(shop: SmallShop, out: Path, model: Path, *lines: str) -> str:
    """The sentence that a build is refused with before it does anything, were the model's weights what they may."""
    for weights in model.glob("*.safetensors"):
        weights.write_bytes(b"no weights")
    with pytest.raises(UserError) as told:
        build_shelf(shop.items(), with_backbone(shop, f'backbone = "{model}"', *lines), out, progress=never)
    assert not out.exists()
    return str(told.value)


@pytest.mark.parametrize(
    ("kind", "line", "sentence"),
    [
        ("bloom", "", "A BloomForCausalLM counts the positions of its tokens itself"),
        ("mpt", "", "A MptForCausalLM counts the positions of its tokens itself"),
        ("pegasus", "", "A PegasusForConditionalGeneration is no encoder-decoder of the T5 or BART families"),
        ("marian", "", "A MarianMTModel is no encoder-decoder of the T5 or BART families"),
        ("olmo2", "lora_rank = 2", "A Olmo2ForCausalLM cannot be given low-rank adapters"),
        ("mbart", "lora_rank = 2", "A MBartForConditionalGeneration cannot be given low-rank adapters"),
    ],
)
def test_a_model_that_cannot_be_a_backbone_is_refused_at_once(
    small_shop: SmallShop, tmp_path: Path, kind: str, line: str, sentence: str
) -> None:
    model = write_model(kind, tmp_path / kind)
    assert refused_at_once(small_shop, tmp_path / "new.shelf", model, line).startswith(sentence)


@pytest.mark.parametrize("kind", ["llama", "qwen2", "t5"])
def test_a_model_without_a_tokenizer_is_refused_at_once(small_shop: SmallShop, tmp_path: Path, kind: str) -> None:
    model = write_model(kind, tmp_path / kind)
    for path in model.glob("token*"):
        path.unlink()
    assert "has no tokenizer that could be loaded" in refused_at_once(small_shop, tmp_path / "new.shelf", model)


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_settings_that_describe_no_model_are_refused_at_once(small_shop: SmallShop, tmp_path: Path, kind: str) -> None:
    model = write_model(kind, tmp_path / kind)
    settings = json.loads((model / "config.json").read_text()) | {"vocab_size": "many"}
    (model / "config.json").write_text(json.dumps(settings))
    assert "could not be loaded" in refused_at_once(small_shop, tmp_path / "new.shelf", model)


@pytest.mark.parametrize(
    ("kind", "rank"), [*((kind, None) for kind in MODELS), ("olmo2", None), ("llama", 2), ("t5", 2)]
)
def test_a_model_that_can_be_a_backbone_is_not_refused_by_what_describes_it(
    tmp_path: Path, kind: str, rank: int | None
) -> None:
    model = write_model(kind, tmp_path / kind)
    settings = GeneratorSettings(backbone=str(model), lora_rank=rank)
    before = torch.random.get_rng_state()
    files = backbone_files(settings)
    assert files is not None
    assert torch.equal(torch.random.get_rng_state(), before)
    (model / "model.safetensors").write_bytes(b"no weights")
    changed = backbone_files(settings)
    assert changed is not None and changed.sha256 != files.sha256


@pytest.mark.parametrize("kind", ["t5", "llama"])
def test_a_recipe_on_shoppers_reads_as_much_of_a_history_as_it_says(
    small_shop: SmallShop, tmp_path: Path, kind: str
) -> None:
    model = write_model(kind, tmp_path / kind)
    text = small_shop.recipe_file.read_text(encoding="utf-8")
    text = text.replace("[generator]\n", f'[generator]\nhistory_length = 3\nbackbone = "{model}"\n')
    recipe = parse_recipe(f'{text}\n[[training.stages]]\nkind = "shoppers"\n', "changed")
    steps = Steps(tmp_path / "steps", "")
    build = Build(small_shop.items(), recipe, tmp_path, 0, 1, never, steps)
    make_backbone(build, 2, (4, 4)).export(tmp_path / "exported")
    assert json.loads((tmp_path / "exported" / "generator.json").read_text())["history_length"] == 3


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

"""Causal models: all beams side by side score as each path would alone; codes learn; what is saved opens again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from shelfwalk.constraints.trie import Trie
from shelfwalk.errors import UserError
from shelfwalk.generators.beam_search import beam_search
from shelfwalk.generators.causal_backbone import CausalBackbone
from shelfwalk.generators.generator import Generator
from shelfwalk.generators.language_models import load_language_model
from shelfwalk.generators.open_generator import open_generator
from shelfwalk.generators.prompts import Prompts
from tiny_language_models import CAUSAL, asked, random_prompts, write_model

SIZES = (5, 7, 4)
PROMPTS = random_prompts(4, SIZES, np.random.default_rng(0))
PATHS = np.random.default_rng(1).integers(0, SIZES, (4, 6, 3))


def backbone_of(kind: str, folder: Path, **settings: Any) -> CausalBackbone:
    loaded = load_language_model(str(write_model(kind, folder / kind)))
    torch.manual_seed(0)
    return CausalBackbone(loaded, SIZES, **({"prompt_tokens": 12} | settings)).eval()


def scores_of(generator: Generator[Prompts], prompts: Prompts, paths: Any) -> list[np.ndarray]:
    """What the codes of paths [prompts, beams, levels] score at each level, the beams shuffled before each."""
    memory, cache, scores = generator.encode(prompts), generator.start(len(prompts)), []
    first, cache = generator.step(memory, cache, None, 0)
    scores.append(np.repeat(first, paths.shape[1], axis=1))
    cache = generator.reorder(cache, np.zeros(paths.shape[:2], np.int64))
    order = np.broadcast_to(np.arange(paths.shape[1]), paths.shape[:2])
    for level in range(1, paths.shape[2]):
        tokens = np.take_along_axis(paths[:, :, level - 1], order, axis=1).astype(np.int32)
        found, cache = generator.step(memory, cache, tokens, level)
        scores.append(np.take_along_axis(found, np.argsort(order, axis=1)[..., None], axis=1))
        moved = np.random.default_rng(level).permutation(paths.shape[1])
        cache = generator.reorder(cache, np.broadcast_to(moved, order.shape))
        order = order[:, moved]
    return scores


@pytest.fixture(scope="module", params=[*CAUSAL])
def backbone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CausalBackbone:
    return backbone_of(request.param, tmp_path_factory.mktemp("models"))


def alone(backbone: CausalBackbone, row: int, path: Any) -> list[np.ndarray]:
    """One path of one prompt as the model reads a plain text: no cache, no mask, no position."""
    vocabulary, words = backbone.codes.vocabulary, backbone.model.get_input_embeddings()
    tokens = [*backbone._reader.tokens(PROMPTS.take([row]))[0], int(vocabulary.starts[-1])]
    read = [
        words.weight[token] if token < vocabulary.words else backbone.codes.inputs[token - vocabulary.words]
        for token in tokens
    ]
    read += [
        backbone.codes.inputs[int(code + start - vocabulary.words)]
        for code, start in zip(path[:-1], vocabulary.starts, strict=False)
    ]
    with torch.no_grad():
        hidden = backbone.model(inputs_embeds=torch.stack(read)[None], output_hidden_states=True).hidden_states[-1][0]
        return [
            (hidden[len(tokens) - 1 + level] @ backbone.codes.head(level).T).log_softmax(-1).numpy()
            for level in range(3)
        ]


def test_beams_side_by_side_score_as_each_path_alone(backbone: CausalBackbone) -> None:
    found = scores_of(backbone.generator(), PROMPTS, PATHS)
    for row in range(4):
        for beam in range(PATHS.shape[1]):
            for level, expected in enumerate(alone(backbone, row, PATHS[row, beam])):
                np.testing.assert_allclose(found[level][row, beam], expected, atol=2e-4)


@pytest.mark.parametrize("rank", [None, 2])
def test_the_loss_is_that_of_what_walks(rank: int | None, tmp_path: Path) -> None:
    backbone = backbone_of("llama", tmp_path, lora_rank=rank)
    codes = PATHS[:, 0]
    scores = scores_of(backbone.generator(), PROMPTS, PATHS)
    total = sum(scores[level][np.arange(4), 0, codes[:, level]] for level in range(3))
    with torch.no_grad():
        assert backbone(PROMPTS, torch.from_numpy(codes)).item() == pytest.approx(-total.mean(), abs=1e-3)


@pytest.mark.parametrize("kind", [*CAUSAL])
@pytest.mark.parametrize("rank", [None, 2])
def test_codes_learn_with_adapters_and_without(kind: str, rank: int | None, tmp_path: Path) -> None:
    backbone = backbone_of(kind, tmp_path, lora_rank=rank).train()
    learning = [weight for group in backbone.parameter_groups(_settings()) for weight in group["params"]]
    assert any(weight is backbone.codes.inputs for weight in learning)
    prompts = asked("usb hub", "desk lamp", histories=[[[4, 6, 0]], [[-1, -1, -1]]])
    backbone(prompts, torch.tensor([[0, 1, 2], [3, 4, 3]])).backward()
    gradient = backbone.codes.inputs.grad
    assert gradient is not None
    read = [0, 3, 5 + 1, 5 + 4, 4, 5 + 6, 12 + 0, 16]
    assert torch.all(gradient[read].abs().sum(1) > 0)
    if backbone.codes.outputs is not None:
        heads = backbone.codes.outputs.grad
        assert heads is not None and torch.all(heads.abs().sum(1) > 0)
    assert (backbone.model.get_input_embeddings().weight.grad is None) == (rank is not None)
    adapted = [weight.grad is not None for name, weight in backbone.model.named_parameters() if "lora_" in name]
    assert all(adapted) and bool(adapted) == (rank is not None)


def _settings() -> Any:
    from shelfwalk.generators.settings import TrainingSettings

    return TrainingSettings()


@pytest.mark.parametrize("rank", [None, 2])
def test_what_is_saved_opens_as_it_was_with_adapters_added(rank: int | None, tmp_path: Path) -> None:
    backbone = backbone_of("qwen2", tmp_path, lora_rank=rank)
    with torch.no_grad():
        for name, weight in backbone.model.named_parameters():
            if "lora_B" in name:
                weight += torch.randn_like(weight)
    backbone.export(tmp_path / "exported")
    files = {path.suffix for path in (tmp_path / "exported").rglob("*") if path.is_file()}
    assert files == {".json", ".safetensors"}
    opened = open_generator(tmp_path / "exported")
    for one, other in zip(*(scores_of(each, PROMPTS, PATHS) for each in (opened, backbone.generator())), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    trie = Trie.build(np.random.default_rng(2).integers(0, SIZES, (50, 3)).astype(np.int32))
    found = beam_search(opened, trie, PROMPTS, 9)
    assert np.array_equal(trie.paths(found.states[:, :, 0].ravel()), found.codes.reshape(-1, 3))


@pytest.mark.parametrize("kind", ["bloom", "mpt"])
def test_a_model_that_counts_positions_itself_is_refused(kind: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^A (Bloom|Mpt)ForCausalLM counts the positions .*\.$"):
        backbone_of(kind, tmp_path)

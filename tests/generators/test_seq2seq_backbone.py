"""Encoder-decoders: what walks equals the model that was loaded, and its export equals what walks."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from shelfwalk.constraints.trie import Trie
from shelfwalk.generators.beam_search import beam_search
from shelfwalk.generators.generator import Generator
from shelfwalk.generators.language_models import load_language_model
from shelfwalk.generators.open_generator import open_generator
from shelfwalk.generators.prompt_tokens import side_by_side
from shelfwalk.generators.prompts import Prompts
from shelfwalk.generators.seq2seq_backbone import Seq2SeqBackbone
from tiny_language_models import SEQ2SEQ, VOCABULARY, asked, random_prompts, write_model

SIZES = (5, 7, 4)


def backbone_of(kind: str, folder: Path, seed: int = 0, **settings: Any) -> Seq2SeqBackbone:
    loaded = load_language_model(str(write_model(kind, folder / f"{kind}-{seed}", seed)))
    torch.manual_seed(seed)
    return Seq2SeqBackbone(loaded, SIZES, **({"prompt_tokens": 12} | settings)).eval()


def as_checkpoint(backbone: Seq2SeqBackbone) -> Any:
    """The model with its codes as tokens of its own vocabulary, as others would run it."""
    model = copy.deepcopy(backbone.model)
    model.resize_token_embeddings(VOCABULARY + sum(SIZES), mean_resizing=False)
    with torch.no_grad():
        model.get_input_embeddings().weight[VOCABULARY:] = backbone.codes.inputs
        if backbone.codes.outputs is not None:
            model.get_output_embeddings().weight[VOCABULARY:] = backbone.codes.outputs
    return model


def scores_of(generator: Generator[Prompts], prompts: Prompts, paths: Any) -> list[np.ndarray]:
    """What each level's codes score behind the given paths [prompts, beams, levels], one beam after another."""
    memory, cache, scores = generator.encode(prompts), generator.start(len(prompts)), []
    for level, size in enumerate(SIZES):
        tokens = paths[:, :, level - 1].astype(np.int32) if level else None
        found, cache = generator.step(memory, cache, tokens, level)
        scores.append(found[:, :, :size])
        assert np.all(found[:, :, size:] == -np.inf)
        if level == 0:
            cache = generator.reorder(cache, np.zeros(paths.shape[:2], np.int64))
    return scores


@pytest.fixture(scope="module", params=[*SEQ2SEQ])
def backbone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Seq2SeqBackbone:
    return backbone_of(request.param, tmp_path_factory.mktemp("models"))


PROMPTS = random_prompts(4, SIZES, np.random.default_rng(0))
PATHS = np.random.default_rng(1).integers(0, SIZES, (4, 6, 3))


def test_what_walks_scores_as_the_model_does(backbone: Seq2SeqBackbone) -> None:
    model, starts = as_checkpoint(backbone), backbone.codes.vocabulary.starts
    tokens, present = side_by_side(backbone._reader.tokens(PROMPTS))
    found = scores_of(backbone.generator(), PROMPTS, PATHS)
    opening = model.config.decoder_start_token_id
    for beam in range(PATHS.shape[1]):
        read = np.concatenate((np.full((4, 1), opening), PATHS[:, beam, :-1] + starts[:-2]), axis=1)
        with torch.no_grad():
            logits = model(
                input_ids=torch.from_numpy(tokens),
                attention_mask=torch.from_numpy(present).long(),
                decoder_input_ids=torch.from_numpy(read),
            ).logits
        for level in range(3):
            expected = logits[:, level, starts[level] : starts[level + 1]].log_softmax(-1).numpy()
            own = found[level][:, beam if level else 0]
            np.testing.assert_allclose(own, expected, atol=2e-4)


def test_the_loss_is_that_of_what_walks(backbone: Seq2SeqBackbone) -> None:
    codes = PATHS[:, 0]
    scores = scores_of(backbone.generator(), PROMPTS, PATHS[:, :1])
    total = sum(scores[level][np.arange(4), 0, codes[:, level]] for level in range(3))
    with torch.no_grad():
        loss = backbone(PROMPTS, torch.from_numpy(codes)).item()
    assert loss == pytest.approx(-total.mean(), abs=1e-3)


@pytest.mark.parametrize("kind", ["t5", "bart"])
def test_the_export_scores_and_finds_the_same_without_padding_or_with(kind: str, tmp_path: Path) -> None:
    backbone = backbone_of(kind, tmp_path)
    backbone.export(tmp_path / "exported")
    exported, generator = open_generator(tmp_path / "exported"), backbone.generator()
    assert exported.level_sizes == SIZES and exported.end_column is None
    for prompts, paths in ((PROMPTS, PATHS), (PROMPTS.take([2]), PATHS[2:3, :1])):
        for one, other in zip(*(scores_of(each, prompts, paths) for each in (exported, generator)), strict=True):
            np.testing.assert_allclose(one, other, atol=2e-4)
    trie = Trie.build(np.random.default_rng(2).integers(0, SIZES, (50, 3)).astype(np.int32))
    together = beam_search(exported, trie, PROMPTS, 9)
    for query in range(len(PROMPTS)):
        alone = beam_search(exported, trie, PROMPTS.take([query]), 9)
        assert np.array_equal(alone.codes[0], together.codes[query])


def test_a_history_is_read(backbone: Seq2SeqBackbone) -> None:
    texts = ("usb hub",) * 3
    prompts = asked(*texts, histories=[[[1, 2, 3]], [[1, 2, 2]], [[-1, -1, -1]]])
    first = scores_of(backbone.generator(), prompts, PATHS[:3])[0][:, 0]
    plain = scores_of(backbone.generator(), asked("usb hub"), PATHS[:1])[0][0, 0]
    assert np.abs(first[0] - first[1]).max() > 1e-3
    np.testing.assert_allclose(first[2], plain, atol=1e-4)


@pytest.mark.parametrize("kind", ["t5", "bart"])
@pytest.mark.parametrize("rank", [None, 2])
def test_codes_learn_with_adapters_and_without(kind: str, rank: int | None, tmp_path: Path) -> None:
    backbone = backbone_of(kind, tmp_path, lora_rank=rank).train()
    prompts = asked("usb hub", "desk lamp", histories=[[[4, 6, 0]], [[-1, -1, -1]]])
    backbone(prompts, torch.tensor([[0, 1, 2], [3, 4, 3]])).backward()
    gradient = backbone.codes.inputs.grad
    assert gradient is not None
    read = [0, 3, 5 + 1, 5 + 4, 4, 5 + 6, 12 + 0]
    assert torch.all(gradient[read].abs().sum(1) > 0)
    words = backbone.model.get_input_embeddings().weight
    assert (words.grad is None) == (rank is not None)


def test_adapters_are_in_what_walks(tmp_path: Path) -> None:
    backbone = backbone_of("t5", tmp_path, lora_rank=2)
    before = scores_of(backbone.generator(), PROMPTS, PATHS)
    with torch.no_grad():
        for name, weight in backbone.model.named_parameters():
            if "lora_B" in name:
                weight += torch.randn_like(weight)
    after = scores_of(backbone.generator(), PROMPTS, PATHS)
    assert np.abs(before[1] - after[1]).max() > 1e-2
    codes = torch.from_numpy(PATHS[:, 0])
    total = sum(after[level][np.arange(4), 0, PATHS[:, 0, level]] for level in range(3))
    with torch.no_grad():
        assert backbone(PROMPTS, codes).item() == pytest.approx(-total.mean(), abs=1e-3)

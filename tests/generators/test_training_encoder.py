"""Training the text encoder along with the decoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from toy_training import QUERIES, Toy, assert_equal_weights, make_toy, small_decoder, trainer_of, weights_of

from shelfwalk.data.query_item_pairs import QueryItemPairs
from shelfwalk.encoders.export import load_encoder, torch_encode
from shelfwalk.generators.decoder_backbone import DecoderBackbone
from shelfwalk.generators.examples import Asked
from shelfwalk.generators.prompts import Prompts
from shelfwalk.generators.training import Trainer

TEXTS = ("usb hub", "lamp", "a rather long query for a laptop", "4 port usb hub")


@pytest.fixture
def backbone(tiny_weights: Path) -> DecoderBackbone:
    return learning_both(tiny_weights)


def learning_both(tiny_weights: Path, seed: int = 0) -> DecoderBackbone:
    return DecoderBackbone(small_decoder(seed, 32), load_encoder(tiny_weights))


def asked(rows: Sequence[int]) -> Prompts:
    return Prompts.of([TEXTS[row] for row in rows], np.zeros((len(rows), 32), np.float32))


@pytest.fixture(scope="module")
def toy() -> Toy:
    """The toy's queries, each the name of the cluster that it asks for, beside vectors as wide as the encoder's."""
    return make_toy(dimensions=32)


def name_of(toy: Toy, item: int) -> str:
    first, second = toy.codes[item]
    return f"{'abcd'[first]} {'xyz'[second]}"


def named(toy: Toy) -> dict[str, Asked]:
    """The queries and the items by the names of their clusters."""
    names = [""] * QUERIES
    for pairs in (toy.train, toy.held_out):
        for query, item in zip(pairs.query_rows, pairs.item_rows, strict=True):
            names[query] = name_of(toy, item)
    titles = [name_of(toy, item) for item in range(len(toy.codes))]
    return {"queries": Asked(names, toy.query_vectors), "items": Asked(titles, toy.item_vectors)}


def trainer_with(toy: Toy, backbone: DecoderBackbone, folder: Path, steps: int = 12) -> Trainer:
    few = QueryItemPairs(toy.held_out.queries, toy.held_out.query_rows[:20], toy.held_out.item_rows[:20])
    settings = {"steps": steps, "validate_every": 6, "batch": 16, "encoder_learning_rate": 0.001, "warm_up_steps": 0}
    return trainer_of(toy.examples(**named(toy), held_out_pairs=few), folder, backbone, **settings)


def test_vectors_are_those_of_the_encoder_row_by_row(backbone: DecoderBackbone) -> None:
    rows = [2, 0, 3, 0, 1]
    vectors = backbone.vectors(asked(rows))
    expected = torch_encode(backbone.encoder, [TEXTS[row] for row in rows])
    assert vectors.dtype == torch.float32
    assert vectors.detach().numpy() == pytest.approx(expected, abs=1e-5)
    assert vectors.norm(dim=-1).tolist() == pytest.approx([1] * 5)


def test_a_text_that_stands_in_a_batch_twice_is_encoded_once_and_learns_from_both(backbone: DecoderBackbone) -> None:
    encoded: list[int] = []
    encoder = backbone.encoder
    assert encoder is not None
    encoder.register_forward_pre_hook(lambda _, given: encoded.append(len(given[0]["input_ids"])))
    weights = torch.linspace(-1, 1, 32)
    gradients = []
    for rows in ([1, 1, 1, 0], [1, 0]):
        encoder.zero_grad()
        vectors = backbone.vectors(asked(rows))
        times = 1 if len(rows) == 4 else torch.tensor([[3.0], [1.0]])
        (vectors * weights * times).sum().backward()
        gradients.append([p.grad.clone() for p in encoder.parameters() if p.grad is not None])
    assert encoded == [2, 2]
    assert len(gradients[0]) == len(gradients[1]) > 10
    for once, thrice in zip(*gradients, strict=True):
        assert torch.allclose(once, thrice, atol=1e-5)


def test_the_deprecated_name_of_preprocessing_is_not_needed(
    backbone: DecoderBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = backbone.vectors(asked([0, 1]))
    monkeypatch.setattr(SentenceTransformer, "tokenize", None, raising=False)
    assert torch.equal(backbone.vectors(asked([0, 1])), expected)


def test_the_encoder_learns_along_with_the_decoder(toy: Toy, tiny_weights: Path, tmp_path: Path) -> None:
    trainer = trainer_with(toy, learning_both(tiny_weights), tmp_path, steps=150)
    loss, before = trainer.held_out_loss(), weights_of(trainer)
    report = trainer.run()
    assert report.held_out_loss < 0.5 * loss
    changed = {name for name, weights in weights_of(trainer).items() if not torch.equal(weights, before[name])}
    trained = {name for name, parameter in trainer.backbone.named_parameters() if parameter.grad is not None}
    assert len(trained) > 10
    assert changed >= trained
    assert any(name.startswith("encoder.") for name in trained)
    # The best weights of both were written together, and are those that are there at the end.
    assert_equal_weights(weights_of(trainer), load_file(tmp_path / "best.safetensors"))


@pytest.mark.parametrize("stop", [6, 7, 11])
def test_interrupted_and_resumed_equals_uninterrupted(toy: Toy, tiny_weights: Path, tmp_path: Path, stop: int) -> None:
    def progress(step: int, _: float) -> None:
        if step == stop:
            raise KeyboardInterrupt

    whole = trainer_with(toy, learning_both(tiny_weights), tmp_path / "whole")
    report = whole.run()
    with pytest.raises(KeyboardInterrupt):
        trainer_with(toy, learning_both(tiny_weights), tmp_path / "parts").run(progress)
    resumed = trainer_with(toy, learning_both(tiny_weights, seed=99 if stop > 6 else 0), tmp_path / "parts")
    assert resumed.run() == report
    assert_equal_weights(weights_of(resumed), weights_of(whole))

"""Language models as backbones read as many items of a history as they learned from, however many there are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from shelfwalk.generators.causal_backbone import CausalBackbone
from shelfwalk.generators.generator import Generator
from shelfwalk.generators.language_models import load_language_model
from shelfwalk.generators.open_generator import open_generator
from shelfwalk.generators.prompts import Prompts
from shelfwalk.generators.seq2seq_backbone import Seq2SeqBackbone
from tiny_language_models import CAUSAL, asked, write_model

SIZES = (5, 7, 4)
LENGTH = 3
HISTORIES = np.random.default_rng(3).integers(0, SIZES, (2, 9, 3))
# One shopper has a history of four, one item longer than is read.
HISTORIES[1, LENGTH + 1 :] = -1
CODES = np.random.default_rng(4).integers(0, SIZES, (2, 3))


def prompts_of(items: int) -> Prompts:
    """Two shoppers, of whom so many of the latest items are told."""
    return asked("usb hub", "desk lamp", histories=HISTORIES[:, :items].tolist())


def backbone_of(kind: str, folder: Path, length: int | None) -> CausalBackbone | Seq2SeqBackbone:
    loaded = load_language_model(str(write_model(kind, folder / kind)))
    torch.manual_seed(0)
    made = CausalBackbone if kind in CAUSAL else Seq2SeqBackbone
    return made(loaded, SIZES, 12, history_length=length).eval()


def log_probabilities(generator: Generator[Prompts], prompts: Prompts) -> np.ndarray:
    """Of all codes of each level, behind the codes before it."""
    memory, cache, found = generator.encode(prompts), generator.start(len(prompts)), []
    for level, size in enumerate(SIZES):
        tokens = CODES[:, None, level - 1].astype(np.int32) if level else None
        scores, cache = generator.step(memory, cache, tokens, level)
        found.append(scores[:, 0, :size])
    return np.concatenate(found, axis=1)


@pytest.fixture(scope="module", params=["t5", "llama"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def backbone(kind: str, tmp_path_factory: pytest.TempPathFactory) -> CausalBackbone | Seq2SeqBackbone:
    return backbone_of(kind, tmp_path_factory.mktemp("models"), LENGTH)


def loss(backbone: CausalBackbone | Seq2SeqBackbone, items: int) -> float:
    with torch.no_grad():
        return float(backbone(prompts_of(items), torch.from_numpy(CODES)).item())


def test_training_reads_the_latest_alone(backbone: CausalBackbone | Seq2SeqBackbone) -> None:
    latest = loss(backbone, LENGTH)
    assert loss(backbone, 9) == loss(backbone, LENGTH + 1) == latest
    assert abs(loss(backbone, LENGTH - 1) - latest) > 1e-3


def test_what_walks_and_what_is_opened_read_the_latest_alone(
    backbone: CausalBackbone | Seq2SeqBackbone, tmp_path: Path
) -> None:
    backbone.export(tmp_path / "exported")
    walks, opened = backbone.generator(), open_generator(tmp_path / "exported")
    expected = log_probabilities(walks, prompts_of(LENGTH))
    assert np.abs(log_probabilities(walks, prompts_of(LENGTH - 1)) - expected).max(axis=1).min() > 1e-3
    np.testing.assert_allclose(log_probabilities(opened, prompts_of(LENGTH)), expected, atol=2e-4)
    for generator in (walks, opened):
        whole, latest = (log_probabilities(generator, prompts_of(items)) for items in (9, LENGTH))
        np.testing.assert_array_equal(whole, latest)


def test_without_a_length_all_of_a_history_is_read(kind: str, tmp_path: Path) -> None:
    backbone = backbone_of(kind, tmp_path, None)
    more, fewer = (log_probabilities(backbone.generator(), prompts_of(items)) for items in (LENGTH + 1, LENGTH))
    assert np.abs(more - fewer).max(axis=1).min() > 1e-3
    assert abs(loss(backbone, LENGTH + 1) - loss(backbone, LENGTH)) > 1e-3


def test_with_a_length_of_0_no_history_is_read(kind: str, tmp_path: Path) -> None:
    generator = backbone_of(kind, tmp_path, 0).generator()
    expected = log_probabilities(generator, asked("usb hub", "desk lamp"))
    np.testing.assert_array_equal(log_probabilities(generator, prompts_of(9)), expected)

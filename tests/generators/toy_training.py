"""A toy problem for training: queries that lie near their items, and items in clusters with two-level identifiers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from shelfwalk.data.query_item_pairs import QueryItemPairs
from shelfwalk.generators.backbone import Backbone
from shelfwalk.generators.decoder import DecoderShape, IdentifierDecoder
from shelfwalk.generators.decoder_backbone import DecoderBackbone
from shelfwalk.generators.examples import Asked, QueryExamples
from shelfwalk.generators.prompts import Prompts
from shelfwalk.generators.settings import TrainingSettings
from shelfwalk.generators.training import Trainer

LEVEL_SIZES = (4, 3)
DIMENSIONS = 12
QUERIES = 300


@dataclass(frozen=True)
class Toy:
    """Four items in each of twelve clusters; every fifth query is held out."""

    query_vectors: npt.NDArray[np.float32]
    item_vectors: npt.NDArray[np.float32]
    codes: npt.NDArray[np.int32]
    train: QueryItemPairs
    held_out: QueryItemPairs

    def examples(self, **changed: Any) -> QueryExamples:
        parts: dict[str, Any] = {
            "queries": Asked(self.train.queries, self.query_vectors),
            "items": Asked(tuple(f"item {row}" for row in range(len(self.codes))), self.item_vectors),
            "codes": self.codes,
            "train": self.train,
            "held_out_pairs": self.held_out,
            "item_share": 0.125,
        }
        return QueryExamples(**(parts | changed))


def make_toy(dimensions: int = DIMENSIONS) -> Toy:
    random = np.random.default_rng(0)
    codes = np.array([(a, b) for a in range(4) for b in range(3)], np.int32).repeat(4, axis=0)
    first, second = random.normal(size=(4, dimensions)), random.normal(size=(4, 3, dimensions))
    items = first[codes[:, 0]] + 0.8 * second[codes[:, 0], codes[:, 1]]
    items += 0.1 * random.normal(size=items.shape)
    item_rows = random.integers(0, len(codes), QUERIES)
    queries = items[item_rows] + 0.2 * random.normal(size=(QUERIES, dimensions))
    texts = tuple(f"query {row}" for row in range(QUERIES))
    parts = np.array_split(np.random.default_rng(1).permutation(QUERIES), 5)
    held_out, train = parts[0], np.concatenate(parts[1:])
    pairs = (
        QueryItemPairs(texts, rows.astype(np.int32), item_rows[rows].astype(np.int32)) for rows in (train, held_out)
    )
    return Toy(unit(queries), unit(items), codes, *pairs)


def unit(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def small_decoder(seed: int = 0, dimensions: int = DIMENSIONS) -> IdentifierDecoder:
    shape = DecoderShape(dimensions, LEVEL_SIZES, width=16, layers=1, heads=2, memory_tokens=2, dropout=0.1)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return IdentifierDecoder(shape)


def asked_with(vectors: npt.NDArray[np.float32]) -> Prompts:
    return Prompts.of([""] * len(vectors), vectors)


def trainer_of(examples: QueryExamples, folder: Path, backbone: Backbone | None = None, **settings: Any) -> Trainer:
    chosen = {"steps": 60, "batch": 32, "learning_rate": 0.01, "warm_up_steps": 5, "validate_every": 20} | settings
    backbone = backbone or DecoderBackbone(small_decoder(dimensions=examples.items.vectors.shape[1]))
    return Trainer(backbone, examples, TrainingSettings(**chosen), 0, folder)


def weights_of(trainer: Trainer) -> dict[str, torch.Tensor]:
    """Copies of all weights that the trainer trains."""
    return {name: tensor.clone() for name, tensor in trainer.backbone.state_dict().items()}


def assert_equal_weights(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    assert [name for name, tensor in first.items() if not torch.equal(tensor, second[name])] == []

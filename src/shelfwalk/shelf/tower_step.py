"""The step of a build that trains two towers, where the recipe has them: the shelf's vectors are then theirs.

Written: the query tower, the items' vectors and the vectors of the training queries, which replace those of the
pretrained encoder in everything that follows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shelfwalk.encoders.two_tower_settings import TwoTowerSettings
from shelfwalk.shelf import layout
from shelfwalk.shelf.build import Build
from shelfwalk.shelf.catalogue_steps import encoder_texts
from shelfwalk.shelf.pair_step import QUERY_VECTORS, TrainingPairs, read_pairs
from shelfwalk.shelf.steps import StepResult

if TYPE_CHECKING:
    from shelfwalk.encoders.shopper_tower import ShopperTower
    from shelfwalk.encoders.two_tower import Tower
    from shelfwalk.encoders.two_tower_training import Side, TwoTowerData, TwoTowerReport

    Towers = tuple[Tower | ShopperTower, Tower, TwoTowerReport]

Advance = Callable[[int, float], None]
"""Told of a finished step and its loss."""


def train_towers(
    build: Build, settings: TwoTowerSettings, vectors: StepResult, pairs: StepResult, folder: Path, kept: Path
) -> dict[str, Any]:
    """Train the two towers on the pairs and run them over the catalogue and the training queries.

    `kept`: where an interrupted training left its checkpoints.
    """
    from shelfwalk.encoders.two_tower_training import TwoTowerData, train_two_towers

    read = read_pairs(pairs)
    logged = read.of_source(read.train, logged=True)
    pseudo = read.of_source(read.train, logged=False)
    data = TwoTowerData(*sides(build, vectors, pairs, read), logged, pseudo, read.to_choose_by())

    def train(advance: Advance) -> Towers:
        return train_two_towers(data, settings, build.seed, advance, kept)

    return write_towers(build, settings, data, train, folder, layout.QUERY_TOWER)


def sides(build: Build, vectors: StepResult, pairs: StepResult, read: TrainingPairs) -> tuple[Side, Side]:
    """The training queries and the catalogue, as the towers read them."""
    from shelfwalk.encoders.two_tower_training import Side

    queries = Side(read.queries, np.load(pairs.folder / QUERY_VECTORS, allow_pickle=False))
    return queries, Side(encoder_texts(build), np.load(vectors.folder / layout.VECTORS, allow_pickle=False))


def write_towers(
    build: Build,
    settings: TwoTowerSettings,
    data: TwoTowerData,
    train: Callable[[Advance], Towers],
    folder: Path,
    name: str,
) -> dict[str, Any]:
    """Train, write the query tower under its `name` and the vectors of both sides into `folder`, and tell of it."""
    import torch

    torch.set_num_threads(build.threads)

    def advance(step: int, loss: float) -> None:
        build.progress(f"Training two towers (loss {loss:.2f})", step, settings.steps)

    query_tower, item_tower, report = train(advance)
    query_tower.save(folder / name)
    for side, tower, file in ((data.items, item_tower, layout.VECTORS), (data.queries, query_tower, QUERY_VECTORS)):
        np.save(folder / file, tower.vectors(side.texts, side.vectors), allow_pickle=False)
    return {"two_tower": asdict(report)}

"""The step of a build that trains two towers, where the recipe has them: the shelf's vectors are then theirs.

Written: the query tower, the items' vectors and the vectors of the training queries, which replace those of the
pretrained encoder in everything that follows.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from shelfwalk.encoders.two_tower_settings import TwoTowerSettings
from shelfwalk.shelf import layout
from shelfwalk.shelf.build import Build
from shelfwalk.shelf.catalogue_steps import encoder_texts
from shelfwalk.shelf.pair_step import QUERY_VECTORS, read_pairs
from shelfwalk.shelf.steps import StepResult


def train_towers(
    build: Build, settings: TwoTowerSettings, vectors: StepResult, pairs: StepResult, folder: Path, kept: Path
) -> dict[str, Any]:
    """Train the two towers on the pairs and run them over the catalogue and the training queries.

    `kept`: where an interrupted training left its checkpoints.
    """
    import torch

    from shelfwalk.encoders.two_tower_training import Side, TwoTowerData, train_two_towers

    torch.set_num_threads(build.threads)
    read = read_pairs(pairs)
    queries = Side(read.queries, np.load(pairs.folder / QUERY_VECTORS, allow_pickle=False))
    items = Side(encoder_texts(build), np.load(vectors.folder / layout.VECTORS, allow_pickle=False))
    logged = read.of_source(read.train, logged=True)
    pseudo = read.of_source(read.train, logged=False)
    data = TwoTowerData(queries, items, logged, pseudo, read.to_choose_by())

    def advance(step: int, loss: float) -> None:
        build.progress(f"Training two towers (loss {loss:.2f})", step, settings.steps)

    query_tower, item_tower, report = train_two_towers(data, settings, build.seed, advance, kept)
    query_tower.save(folder / layout.QUERY_TOWER)
    np.save(folder / layout.VECTORS, item_tower.vectors(items.texts, items.vectors), allow_pickle=False)
    np.save(folder / QUERY_VECTORS, query_tower.vectors(queries.texts, queries.vectors), allow_pickle=False)
    return {"two_tower": asdict(report)}

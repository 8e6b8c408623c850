"""Opens what encodes queries: the pretrained text encoder, with the query tower on top where there is one.

In: folders of a shelf, or of the steps of a build, that hold the encoder and the towers. Out: one encoder of queries,
the same for a build that predicts for a query beforehand as for a search that does so live.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from shelfwalk.encoders.onnx import OnnxTextEncoder
from shelfwalk.encoders.shopper_tower import ShopperTextEncoder, ShopperTower
from shelfwalk.encoders.two_tower import Tower, TowerTextEncoder
from shelfwalk.shelf import layout


def open_query_encoder(
    with_encoder: Path, with_towers: Path, item_vectors: npt.NDArray[np.float32], threads: int
) -> OnnxTextEncoder | TowerTextEncoder | ShopperTextEncoder:
    """The encoder in the folder `with_encoder`, under the query tower of either kind that `with_towers` may have.

    `item_vectors` float32 [items, dimensions]: the catalogue's, by which a tower that knows shoppers reads histories.
    """
    encoder = OnnxTextEncoder(with_encoder / layout.TEXT_ENCODER, threads)
    of_shoppers, tower = with_towers / layout.SHOPPER_TOWER, with_towers / layout.QUERY_TOWER
    if of_shoppers.is_dir():
        return ShopperTextEncoder(encoder, ShopperTower.open(of_shoppers), item_vectors)
    return TowerTextEncoder(encoder, Tower.open(tower)) if tower.is_dir() else encoder

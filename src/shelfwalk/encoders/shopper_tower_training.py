"""Trains two towers whose query side has several heads and knows the shopper: see shopper_tower.py for the formula.

In: what two towers learn from, each pair with who asked: a query with the history before it. Out: the towers chosen as
in two_tower_training.py, by the recall of held-out queries with their own shoppers' histories. Loss and negatives are
those of two_tower_training.py, but that what another shopper chose for the same words is a negative like any other
where a history tells the two apart; the logit of an item is

    s = sum over heads k of w_k c_k / t,   w = softmax over k of c_k / T,   c_k = the item's cosine with head k

which lets each head learn from the items that it suits (the attention of DPSR, arXiv 2006.02282, over its heads).
Departure: the vectors of a history's items are the item tower's at the last validation, and no gradient flows into
them; so a step costs no run of the item tower over thousands of items, and a search reads histories with the vectors
that the shelf has. Of one head and no history nothing is left but the training of two towers, to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from shelfwalk.encoders.shopper_tower import ShopperTower
from shelfwalk.encoders.two_tower import Floats, Tower
from shelfwalk.encoders.two_tower_settings import ShopperTowerSettings, TwoTowerSettings
from shelfwalk.encoders.two_tower_training import (
    TowerNetwork,
    TowerTraining,
    TwoTowerData,
    TwoTowerReport,
    refuse_no_pairs,
)

_HEAD_SPREAD = 0.02
_SHARPNESS = 5.0
"""What the cosine of a query with an item of the history counts in the attention before training."""

Rows = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Asks:
    """Who asked what: a row of the query side, and the catalogue rows of the asker's history.

    `query_rows` int32 [asks]; `histories` int32 [asks, length], most recent first, -1 at the end.
    """

    query_rows: Rows
    histories: Rows

    @classmethod
    def of_nobody(cls, queries: int, length: int) -> Asks:
        """Every query once, without a history."""
        return cls(np.arange(queries, dtype=np.int32), np.full((queries, length), -1, np.int32))


@dataclass(frozen=True)
class ShopperData(TwoTowerData):
    """As `TwoTowerData`, but that the `query_rows` of all pairs are rows of `asks`."""

    asks: Asks


class ShopperNetwork(TowerNetwork):
    """The query tower while it learns."""

    def __init__(self, dimensions: int, settings: TwoTowerSettings, shopper: ShopperTowerSettings) -> None:
        super().__init__(dimensions, settings)
        further, length = shopper.heads - 1, shopper.history_length
        # Made only where they are used: every draw of an initial weight changes those that follow.
        self.more = nn.Linear(settings.hidden_width, further * dimensions) if further else None
        self.history = nn.Linear(dimensions, settings.hidden_width, bias=False) if length else None
        attends = bool(length) and shopper.history_pooling == "attention"
        self.attention = nn.Parameter(_SHARPNESS * torch.eye(dimensions)) if attends else None
        self.recency = nn.Parameter(torch.zeros(length)) if attends else None
        self._length = length
        if self.more is not None:
            # Heads that begin alike stay alike.
            nn.init.normal_(self.more.weight, std=_HEAD_SPREAD)
            nn.init.zeros_(self.more.bias)

    def heads(
        self, pieces: Tensor, offsets: Tensor, text_vectors: Tensor, history_vectors: Tensor, known: Tensor
    ) -> Tensor:
        """Unit vectors [texts, heads, dimensions]; `history_vectors` [texts, length, dimensions], `known` bool."""
        before = self.hidden(self.inputs(pieces, offsets, text_vectors))
        if self.history is not None:
            before = before + self.history(self._shoppers(text_vectors, history_vectors, known))
        hidden = self.dropout(torch.relu(before))
        moved = self.out(hidden)
        if self.more is not None:
            moved = torch.cat((moved, self.more(hidden)), dim=1)
        heads = text_vectors[:, None] + moved.reshape(len(moved), -1, text_vectors.shape[1])
        return nn.functional.normalize(heads, dim=-1)

    def _shoppers(self, text_vectors: Tensor, history_vectors: Tensor, known: Tensor) -> Tensor:
        told = torch.zeros(known.shape)
        if self.attention is not None and self.recency is not None:
            told = torch.einsum("td,tjd->tj", text_vectors @ self.attention, history_vectors) + self.recency
        # An empty history is all zeros, whatever weighs it.
        weights = torch.softmax(told.masked_fill(~known, -1e9), dim=1) * known
        return torch.einsum("tj,tjd->td", weights, history_vectors)

    def trained_heads(self) -> ShopperTower:
        """The tower as arrays, which further training does not change."""
        dimensions, hidden = self.out.out_features, self.out.in_features
        nothing = np.zeros((hidden, 0), np.float32)
        attention = np.zeros((dimensions, dimensions), np.float32)
        return ShopperTower(
            self.trained(),
            nothing if self.more is None else _array(self.more.weight.T),
            np.zeros(0, np.float32) if self.more is None else _array(self.more.bias),
            np.zeros((dimensions, hidden), np.float32) if self.history is None else _array(self.history.weight.T),
            attention if self.attention is None else _array(self.attention),
            np.zeros(self._length, np.float32) if self.recency is None else _array(self.recency),
        )


def train_shopper_towers(
    data: ShopperData,
    settings: TwoTowerSettings,
    shopper: ShopperTowerSettings,
    seed: int,
    progress: Callable[[int, float], None] = lambda step, loss: None,
    checkpoints: Path | None = None,
) -> tuple[ShopperTower, Tower, TwoTowerReport]:
    """Train and return (query tower, item tower, report); `progress` is told the finished step and its loss.

    A training that was interrupted goes on from its last validation if it is given the same folder of `checkpoints`.
    Raises UserError where there is no pair to learn from.
    """
    refuse_no_pairs(data)
    return _ShopperTowers(data, settings, shopper, seed).run(progress, checkpoints)


class _ShopperTowers(TowerTraining[ShopperTower]):
    _query_tower: ShopperNetwork

    def __init__(self, data: ShopperData, settings: TwoTowerSettings, shopper: ShopperTowerSettings, seed: int) -> None:
        self._shopper = shopper
        self._asks = data.asks
        super().__init__(data, settings, seed)

    def _make_query_tower(self, dimensions: int) -> ShopperNetwork:
        return ShopperNetwork(dimensions, self._settings, self._shopper)

    def _trained_query_tower(self, network: ShopperNetwork) -> ShopperTower:
        return network.trained_heads()

    def _told_apart_by(self) -> tuple[dict[str, Any], list[npt.NDArray[Any]]]:
        facts, arrays = super()._told_apart_by()
        return {**facts, "shopper": self._shopper.model_dump()}, [*arrays, self._asks.query_rows, self._asks.histories]

    def _alike(self, rows: Rows) -> Rows:
        # What another shopper chose for the same words is what a history has to tell from the right item.
        known = (self._asks.histories[rows] >= 0).any(axis=1)
        own = len(self._data.queries.texts) + rows
        return np.where(known, own, self._asks.query_rows[rows]).astype(np.int32)

    def _asked(self, rows: Rows) -> Tensor:
        """The heads of these asks, [asks, heads, dimensions]."""
        texts = self._asks.query_rows[rows]
        taken = self._query_pieces.take(texts)
        histories = self._asks.histories[rows]
        return self._query_tower.heads(
            torch.from_numpy(taken.pieces),
            torch.from_numpy(taken.offsets[:-1]),
            torch.from_numpy(np.asarray(self._data.queries.vectors[texts])),
            torch.from_numpy(np.asarray(self._item_vectors[np.maximum(histories, 0)])),
            torch.from_numpy(histories >= 0),
        )

    def _scores(self, queries: Tensor, items: Tensor) -> Tensor:
        if queries.shape[1] == 1:
            return queries[:, 0] @ items.T
        cosines = torch.einsum("qhd,id->qhi", queries, items)
        weights = torch.softmax(cosines / self._shopper.head_temperature, dim=1)
        return (weights * cosines).sum(dim=1)


def _array(weights: Tensor) -> Floats:
    return np.array(weights.detach().numpy(), np.float32, order="C")

"""A query tower with several heads that knows the shopper: from a query and a history to several unit vectors.

In: texts with their pretrained vectors, and for each the catalogue rows of what its shopper had wanted before. Out: one
vector a head. After JD's "Towards personalized and semantic retrieval" (DPSR, arXiv 2006.02282), whose query tower has
several heads, so that one query can mean several things, and reads the shopper's history. What is known of it leaves
much open; ours adds both to the tower of two_tower.py:

    x_j = the item tower's vector of the j-th item of the history, most recent first
    a   = softmax over j of (v' A x_j + r_j)           attention to the history by the query; uniform for "mean"
    u   = sum over j of a_j x_j                        0 for an empty history
    h   = relu( W1 [v ; bag] + b1 + U u )
    head_k = unit( v + W2_k h + b2_k )

An item's score is its highest cosine with a head. One head without a history is the tower of DSSM. Running it takes
numpy alone: a search needs no torch, and the item vectors are those that the shelf has anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shelfwalk.encoders.onnx import EncoderCard, OnnxTextEncoder
from shelfwalk.encoders.two_tower import Floats, Tower
from shelfwalk.encoders.word_hashing import hash_texts

Rows = npt.NDArray[np.int32]

_OWN_ARRAYS = ("more_weight", "more_bias", "history_weight", "attention", "recency")
_AT_ONCE = 512


@dataclass(frozen=True)
class ShopperTower:
    """One trained tower of heads.

    `text`: everything but the history and the further heads. Of `heads - 1` further heads `more_weight` float32
    [hidden, further × dimensions] and `more_bias`; `history_weight` [dimensions, hidden], U; `attention` [dimensions,
    dimensions], A; `recency` [length], r, as long as the longest history that is looked at.
    """

    text: Tower
    more_weight: Floats
    more_bias: Floats
    history_weight: Floats
    attention: Floats
    recency: Floats

    @property
    def length(self) -> int:
        """Items of a history that are looked at."""
        return len(self.recency)

    def heads(self, texts: Sequence[str], text_vectors: Floats, histories: Rows, item_vectors: Floats) -> Floats:
        """Unit vectors float32 [texts, heads, dimensions].

        `text_vectors` are the pretrained encoder's; `histories` int32 [texts, items], rows of `item_vectors`, most
        recent first, -1 for none; what is beyond `length` is not looked at.
        """
        dimensions = len(self.text.out_bias)
        heads = np.empty((len(texts), 1 + len(self.more_bias) // dimensions, dimensions), np.float32)
        for start in range(0, len(texts), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            vectors = text_vectors[part]
            inputs = self.text.inputs(hash_texts(texts[part], len(self.text.table)), vectors)
            known = self._shoppers(vectors, histories[part, : self.length], item_vectors)
            hidden = np.maximum(inputs @ self.text.hidden_weight + self.text.hidden_bias + known, 0)
            first = hidden @ self.text.out_weight + self.text.out_bias
            more = hidden @ self.more_weight + self.more_bias
            heads[part] = np.concatenate((first, more), axis=1).reshape(len(vectors), -1, dimensions)
            heads[part] += vectors[:, None]
        return _unit(heads)

    def vectors(self, texts: Sequence[str], text_vectors: Floats) -> Floats:
        """Unit vectors [texts, dimensions] between the heads, without a history: for what takes one vector a query."""
        nobody = np.empty((len(texts), 0), np.int32)
        return between(self.heads(texts, text_vectors, nobody, text_vectors))

    def _shoppers(self, text_vectors: Floats, histories: Rows, item_vectors: Floats) -> Floats:
        """What the histories add to the hidden layer, float32 [texts, hidden]."""
        known = histories >= 0
        if not known.any():
            return np.zeros((len(text_vectors), self.history_weight.shape[1]), np.float32)
        items = item_vectors[np.maximum(histories, 0)]
        told = np.einsum("td,tjd->tj", text_vectors @ self.attention, items) + self.recency[: histories.shape[1]]
        told = np.where(known, told, -np.inf)
        highest = np.where(known.any(axis=1), told.max(axis=1), 0)
        weights = np.exp(told - highest[:, None])
        weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
        shoppers = np.einsum("tj,tjd->td", weights, items).astype(np.float32)
        return np.asarray(shoppers @ self.history_weight)

    def save(self, folder: Path) -> None:
        """Write the arrays into `folder`, which is created."""
        self.text.save(folder)
        for name in _OWN_ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name), allow_pickle=False)

    @classmethod
    def open(cls, folder: Path) -> ShopperTower:
        """Open a saved tower, memory-mapped."""
        own = (np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _OWN_ARRAYS)
        return cls(Tower.open(folder), *own)


class ShopperTextEncoder:
    """The pretrained encoder with such a tower on top, and the item vectors that histories are read by."""

    def __init__(self, encoder: OnnxTextEncoder, tower: ShopperTower, item_vectors: Floats) -> None:
        self._encoder = encoder
        self._tower = tower
        self._item_vectors = item_vectors

    @property
    def card(self) -> EncoderCard:
        """Of the pretrained encoder."""
        return self._encoder.card

    def encode(self, texts: Sequence[str]) -> Floats:
        """Unit vectors float32 [texts, dimensions] between the heads, of shoppers of whom nothing is known."""
        return self._tower.vectors(texts, self._encoder.encode(texts))

    def heads(self, text: str, history: Rows) -> Floats:
        """The unit vectors float32 [heads, dimensions] of one query; `history` int32 [items], most recent first."""
        heads = self._tower.heads([text], self._encoder.encode([text]), history[None], self._item_vectors)
        return np.asarray(heads[0])


def between(heads: Floats) -> Floats:
    """The unit vectors between the heads, float32 [..., dimensions], of heads [..., heads, dimensions]."""
    return _unit(heads.mean(axis=-2))


def _unit(vectors: Floats) -> Floats:
    unit: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    return unit

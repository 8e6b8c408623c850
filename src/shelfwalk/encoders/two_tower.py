"""Two towers over a pretrained text encoder: query and item vectors that learned from a shop's own log.

In: texts and their vectors by the pretrained encoder. Out: unit vectors of the same width. DSSM (Huang et al., CIKM
2013): two towers over hashed letter trigrams, compared by cosine. Departure: each tower also reads the pretrained
vector and adds to it what it has learned, so that before training it is the pretrained encoder and never worse.

    tower(text) = unit( v + W2 relu( W1 [v ; bag] + b1 ) + b2 )

with bag = the sum of the table's rows of the text's pieces over the root of their number, so that one word that matters
is not averaged away in a long title. Running a tower takes numpy alone: a search needs no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shelfwalk.encoders.onnx import EncoderCard, OnnxTextEncoder
from shelfwalk.encoders.word_hashing import HashedTexts, hash_texts

_ARRAYS = ("table", "hidden_weight", "hidden_bias", "out_weight", "out_bias")
_AT_ONCE = 4_096

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Tower:
    """One trained tower.

    `table` float32 [buckets, piece width]; `hidden_weight` [dimensions + piece width, hidden]; `hidden_bias` [hidden];
    `out_weight` [hidden, dimensions]; `out_bias` [dimensions].
    """

    table: Floats
    hidden_weight: Floats
    hidden_bias: Floats
    out_weight: Floats
    out_bias: Floats

    def vectors(self, texts: Sequence[str], text_vectors: Floats) -> Floats:
        """Unit vectors float32 [texts, dimensions]; `text_vectors` are those of the pretrained encoder."""
        return self.hashed_vectors(hash_texts(texts, len(self.table)), text_vectors)

    def hashed_vectors(self, hashed: HashedTexts, text_vectors: Floats) -> Floats:
        """As `vectors`, of texts that are hashed already."""
        vectors = np.empty((len(hashed), len(self.out_bias)), np.float32)
        for start in range(0, len(hashed), _AT_ONCE):
            rows = np.arange(start, min(start + _AT_ONCE, len(hashed)))
            vectors[rows] = self._run(hashed.take(rows), text_vectors[rows])
        return vectors

    def inputs(self, hashed: HashedTexts, text_vectors: Floats) -> Floats:
        """What the hidden layer reads, float32 [texts, dimensions + piece width]: [v ; bag]."""
        return np.concatenate((text_vectors, self._bags(hashed)), axis=1)

    def _run(self, hashed: HashedTexts, text_vectors: Floats) -> Floats:
        hidden = np.maximum(self.inputs(hashed, text_vectors) @ self.hidden_weight + self.hidden_bias, 0)
        vectors = text_vectors + hidden @ self.out_weight + self.out_bias
        unit: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return unit

    def _bags(self, hashed: HashedTexts) -> Floats:
        """The bag of each text; zeros for a text without a word."""
        lengths = np.diff(hashed.offsets)
        bags = np.zeros((len(hashed), self.table.shape[1]), np.float32)
        filled = lengths > 0
        if filled.any():
            sums = np.add.reduceat(self.table[hashed.pieces], hashed.offsets[:-1][filled], axis=0)
            bags[filled] = sums / np.sqrt(lengths[filled, None], dtype=np.float32)
        return bags

    def save(self, folder: Path) -> None:
        """Write the arrays into `folder`, which is created."""
        folder.mkdir(parents=True)
        for name in _ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name), allow_pickle=False)

    @classmethod
    def open(cls, folder: Path) -> Tower:
        """Open a saved tower, memory-mapped."""
        return cls(*(np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _ARRAYS))


class TowerTextEncoder:
    """The pretrained encoder with a tower on top: what encodes the queries of a shelf that has towers."""

    def __init__(self, encoder: OnnxTextEncoder, tower: Tower) -> None:
        self._encoder = encoder
        self._tower = tower

    @property
    def card(self) -> EncoderCard:
        """Of the pretrained encoder."""
        return self._encoder.card

    def encode(self, texts: Sequence[str]) -> Floats:
        """Unit vectors float32 [texts, dimensions]; a text's vector does not depend on the texts beside it."""
        return self._tower.vectors(texts, self._encoder.encode(texts))

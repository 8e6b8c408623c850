"""What identifiers are generated for: a batch of prompts.

In: the texts of queries (or of items that ask for themselves), their vectors by the shelf's encoder, and the
identifiers that each shopper has lately clicked or bought. Out: one object that training, rollouts, evaluation and
search all hand to a generator, which takes of it what its backbone reads: the default one the vectors, a language model
the texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Prompts:
    """A batch of prompts.

    `texts` [prompts]; `vectors` float32 [prompts, dimensions]; `histories` int32 [prompts, length, levels], identifiers
    with the latest first, −1 where a history or an identifier is shorter; length 0 for shoppers that are not known.
    """

    texts: tuple[str, ...]
    vectors: npt.NDArray[np.float32]
    histories: npt.NDArray[np.int32]

    @classmethod
    def join(cls, parts: Sequence[Prompts]) -> Self:
        """Prompts of several kinds in one batch; histories that are shorter are padded."""
        shapes = np.array([part.histories.shape[1:] for part in parts])
        length, levels = shapes.max(axis=0).tolist()
        padded = [part.latest(length, levels).astype(np.int32) for part in parts]
        texts = tuple(text for part in parts for text in part.texts)
        return cls(texts, np.concatenate([part.vectors for part in parts]), np.concatenate(padded))

    @classmethod
    def of(
        cls,
        texts: Sequence[str],
        vectors: npt.NDArray[np.float32],
        histories: npt.NDArray[np.int32] | None = None,
    ) -> Self:
        """Prompts of shoppers that are not known, or of those with these histories."""
        return cls(tuple(texts), vectors, np.empty((len(texts), 0, 0), np.int32) if histories is None else histories)

    def take(self, rows: npt.NDArray[np.integer] | Sequence[int]) -> Self:
        """Those of the prompts."""
        return type(self)(tuple(self.texts[row] for row in rows), self.vectors[rows], self.histories[rows])

    def latest(self, length: int, levels: int) -> npt.NDArray[np.int64]:
        """The latest identifiers of every shopper, int64 [prompts, length, levels], −1 where there are fewer."""
        found = np.full((len(self), length, levels), -1, np.int64)
        known = self.histories[:, :length]
        if known.size:
            found[:, : known.shape[1]] = known
        return found

    def __len__(self) -> int:
        return len(self.texts)

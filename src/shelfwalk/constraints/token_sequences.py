"""Token sequences of any lengths, end to end in two arrays: the documents of a span index, or spans.

In: lists of tokens, or the two arrays. Out: a `TokenSequences`, checked where it comes from outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class TokenSequences:
    """Sequence i is `tokens[offsets[i]:offsets[i + 1]]`; a sequence may be empty."""

    offsets: npt.NDArray[np.int64]
    """[sequences + 1]"""
    tokens: npt.NDArray[np.int32]
    """[offsets[-1]]"""

    @classmethod
    def of(cls, sequences: Iterable[Sequence[int] | npt.NDArray[np.integer]]) -> TokenSequences:
        """Put sequences of integers end to end; raises OverflowError for a token beyond int32."""
        parts = list(sequences)
        offsets = np.zeros(len(parts) + 1, np.int64)
        np.cumsum([len(part) for part in parts], out=offsets[1:])
        tokens = np.fromiter((token for part in parts for token in part), np.int32, int(offsets[-1]))
        return cls(offsets, tokens)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, number: int) -> npt.NDArray[np.int32]:
        """The tokens of one sequence; raises IndexError for a number that is out of range."""
        if not 0 <= number < len(self):
            raise IndexError(f"there are {len(self)} sequences, so none has the number {number}")
        return self.tokens[self.offsets[number] : self.offsets[number + 1]]

    def lengths(self) -> npt.NDArray[np.int64]:
        """How many tokens each sequence has: [sequences]."""
        return np.diff(self.offsets)

    def check(self, vocabulary: int) -> None:
        """Raise ValueError unless the offsets fit the tokens and every token lies in [0, vocabulary)."""
        offsets = self.offsets
        if offsets.ndim != 1 or len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != len(self.tokens):
            raise ValueError("offsets must be one list from 0 to the number of tokens")
        if np.any(np.diff(offsets) < 0):
            raise ValueError("offsets must not fall")
        if len(self.tokens) and (self.tokens.min() < 0 or self.tokens.max() >= vocabulary):
            wrong = int(np.flatnonzero((self.tokens < 0) | (self.tokens >= vocabulary))[0])
            document = int(np.searchsorted(offsets, wrong, side="right")) - 1
            raise ValueError(
                f"token {int(self.tokens[wrong])} of sequence {document} lies outside the vocabulary of {vocabulary}"
            )

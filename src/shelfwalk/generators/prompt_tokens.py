"""Reads prompts as token numbers: a shopper's history as tokens of codes, then the query's words.

In: a tokenizer, how many words the model knows, and the sizes of the levels. Out: numbers, side by side. The words come
first, then a token for each code of each level; a backbone may add tokens of its own behind. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from shelfwalk.encoders.onnx import CHARACTERS_A_TOKEN
from shelfwalk.generators.prompts import Prompts

FEW_TEXTS = 16
"""Up to so many texts are read one after another."""


@dataclass(frozen=True)
class Vocabulary:
    """Which token number is what: words up to `words`, then the codes of each level."""

    words: int
    level_sizes: tuple[int, ...]

    @property
    def starts(self) -> npt.NDArray[np.int64]:
        """The token of code 0 of each level, and the first token behind all codes: int64 [levels + 1]."""
        return self.words + np.concatenate(([0], np.cumsum(self.level_sizes)))


class PromptReader:
    """Prompts to token numbers."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        vocabulary: Vocabulary,
        limit: int,
        most: int | None = None,
        history_length: int | None = None,
    ) -> None:
        """`limit`: tokens read of a text. `most`: tokens of a whole prompt, where the model can read no more.
        `history_length`: identifiers read of a history, the latest, 0 for none; all where not given."""
        # A copy of its own: what follows changes it.
        self.tokenizer: Tokenizer = Tokenizer.from_str(tokenizer.to_str())
        self.tokenizer.no_padding()
        self.vocabulary, self.most, self.history_length = vocabulary, most, history_length
        self.limit = limit if most is None else min(limit, most)
        self.tokenizer.enable_truncation(self.limit)

    def tokens(self, prompts: Prompts) -> list[list[int]]:
        """The tokens of each prompt, at least one: its history, the latest last, then its text."""
        cut = [text[: CHARACTERS_A_TOKEN * self.limit].encode("utf-8", "replace").decode() for text in prompts.texts]
        # The tokenizer's own batches wake a pool of threads: for a few texts that takes longer than reading them.
        few = len(cut) <= FEW_TEXTS
        encodings = map(self.tokenizer.encode, cut) if few else self.tokenizer.encode_batch(cut)
        read = [encoding.ids or [0] for encoding in encodings]
        if not prompts.histories.size:
            return read
        histories = self._histories(self._read_of(prompts))
        return [self._within(history, text) for history, text in zip(histories, read, strict=True)]

    def _read_of(self, prompts: Prompts) -> npt.NDArray[np.integer]:
        """What is read of histories: no more than the model has learned from, however many there are."""
        if self.history_length is None:
            return prompts.histories
        return prompts.latest(self.history_length, len(self.vocabulary.level_sizes))

    def _histories(self, histories: npt.NDArray[np.integer]) -> list[list[int]]:
        """[prompts, length, levels], the latest first → tokens, the latest last."""
        numbers = np.where(histories < 0, -1, histories + self.vocabulary.starts[:-1])[:, ::-1]
        return [[token for token in row if token >= 0] for row in numbers.reshape(len(numbers), -1).tolist()]

    def _within(self, history: list[int], text: list[int]) -> list[int]:
        dropped = 0 if self.most is None else max(len(history) + len(text) - self.most, 0)
        return history[dropped:] + text


def side_by_side(
    tokens: Sequence[list[int]], *, right_aligned: bool = False
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """int64 [prompts, length], filled up with 0, and where the prompts stand in it."""
    length = max(len(row) for row in tokens)
    numbers, present = np.zeros((len(tokens), length), np.int64), np.zeros((len(tokens), length), bool)
    for row, own in enumerate(tokens):
        place = slice(length - len(own), length) if right_aligned else slice(len(own))
        numbers[row, place], present[row, place] = own, True
    return numbers, present

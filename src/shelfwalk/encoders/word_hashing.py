"""Word hashing: a text as the bag of its words and their letter trigrams, each a row of a table of fixed size.

In: texts. Out: `HashedTexts`. Huang, He, Gao, Deng, Acero and Heck, "Learning deep structured semantic models for web
search using clickthrough data" (CIKM 2013), section 3.2, break words with their ends marked (#word#) into letter
trigrams, which no misspelling and no new word escapes. Departure: whole words are pieces as well, so that a brand's
nickname is more than its letters, and pieces are hashed, so that no vocabulary has to be kept.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

_WORD = re.compile(r"\w+")
_MOST_WORDS = 128
_CACHED_WORDS = 200_000


@dataclass(frozen=True)
class HashedTexts:
    """The pieces of texts: `pieces` int32, those of text i at `offsets[i]` to `offsets[i + 1]`, int64 [texts + 1]."""

    pieces: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def take(self, rows: npt.NDArray[np.integer]) -> HashedTexts:
        """The texts of these rows, in their order."""
        lengths = np.diff(self.offsets)[rows]
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
        return HashedTexts(self.pieces[np.repeat(self.offsets[rows], lengths) + within], offsets)


def hash_texts(texts: Sequence[str], buckets: int) -> HashedTexts:
    """The pieces of each text, as numbers from 0 to `buckets` - 1; a text without a word has none.

    At most the first 128 words of a text are read.
    """
    bags = [_text_pieces(text, buckets) for text in texts]
    offsets = np.concatenate(([0], np.cumsum([len(bag) for bag in bags]))).astype(np.int64)
    return HashedTexts(np.array([piece for bag in bags for piece in bag], np.int32), offsets)


def _text_pieces(text: str, buckets: int) -> list[int]:
    words = _WORD.findall(text.lower())[:_MOST_WORDS]
    return [piece for word in words for piece in _word_pieces(word, buckets)]


@lru_cache(_CACHED_WORDS)
def _word_pieces(word: str, buckets: int) -> tuple[int, ...]:
    marked = f"#{word}#"
    pieces = {marked, *(marked[start : start + 3] for start in range(len(marked) - 2))}
    # crc32, as Python's own hash of a text differs from one process to the next.
    return tuple(sorted(zlib.crc32(piece.encode("utf-8", "replace")) % buckets for piece in pieces))

"""An end that is a code like others, for a generator that knows identifiers of one length only.

In: codes of several lengths, int32 [items, levels], −1 behind the end. Out: the same with an end code, one more than
the level had, in place of every −1; such a level is a code larger. The way back is `without_end_codes`.
"""

from __future__ import annotations

import numpy as np

from shelfwalk.tokenizers.item_tokenizer import Codes


def with_end_codes(codes: Codes, level_sizes: tuple[int, ...]) -> tuple[Codes, tuple[int, ...]]:
    """The codes with ends, and the level sizes: larger by one where any identifier of `codes` lacks the level."""
    absent = codes < 0
    sizes = np.array(level_sizes)
    grown = sizes + absent.any(axis=0)
    return np.where(absent, sizes, codes).astype(np.int32), tuple(grown.tolist())


def without_end_codes(codes: Codes, level_sizes: tuple[int, ...]) -> Codes:
    """The codes with −1 again for what is beyond `level_sizes`, those of the tokeniser."""
    return np.where(codes >= np.array(level_sizes), -1, codes).astype(np.int32)

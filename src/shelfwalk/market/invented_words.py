"""Words that nobody knows: names of brands and series, nicknames, and what only this shop's customers say.

In: lists of syllables and a seeded generator. Out: words, all different.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np


def invent_words(
    parts: Sequence[Sequence[str]], count: int, generator: np.random.Generator, taken: frozenset[str] = frozenset()
) -> list[str]:
    """Put together `count` different words, one syllable of each list in turn, none of which is in `taken`.

    Raises ValueError where the syllables do not make that many.
    """
    sizes = [len(part) for part in parts]
    found: dict[str, None] = {}
    for number in generator.permutation(prod(sizes)).tolist():
        if len(found) == count:
            break
        word = "".join(part[place] for part, place in zip(parts, np.unravel_index(number, sizes), strict=True))
        if word not in taken:
            found[word] = None
    if len(found) < count:
        raise ValueError(f"{len(found)} words can be put together, {count} are needed")
    return list(found)

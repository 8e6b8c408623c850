"""Slips of the finger: one letter of one word of a text changed, as hurried people do.

In: texts and a seeded generator. Out: the texts with a slip each. The four kinds (a letter left out, doubled, swapped
with the next, replaced by its neighbour on the keyboard) are the single-error classes of Damerau (1964); the first
letter stays, since people seldom miss it (Pollock and Zamora, 1984).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

_LONG_WORD = re.compile(r"[^\W\d_]{5,}")
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBOURS = {
    letter: "".join(row[place] for place in (at - 1, at + 1) if 0 <= place < len(row))
    for row in _ROWS
    for at, letter in enumerate(row)
}


def misspelt(texts: Sequence[str], generator: np.random.Generator) -> list[str]:
    """Put one slip into one word of each text; a text without a word of five letters or more comes back unchanged."""
    draws = generator.random((len(texts), 4))
    return [_misspelt(text, *row) for text, row in zip(texts, draws.tolist(), strict=True)]


def _misspelt(text: str, which: float, where: float, kind: float, side: float) -> str:
    words = list(_LONG_WORD.finditer(text))
    if not words:
        return text
    word = words[int(which * len(words))]
    at = word.start() + 1 + int(where * (len(word.group()) - 2))
    before, letter, following, rest = text[:at], text[at], text[at + 1], text[at + 2 :]
    if kind < 0.3:
        return before + following + rest
    if kind < 0.5:
        return before + letter + letter + following + rest
    if kind < 0.8 and letter != following:
        return before + following + letter + rest
    neighbours = _NEIGHBOURS.get(letter.lower(), letter)
    slip = neighbours[int(side * len(neighbours))]
    return before + (slip.upper() if letter.isupper() else slip) + following + rest

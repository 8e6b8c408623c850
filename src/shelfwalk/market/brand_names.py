"""What brands and their product lines are called, and what shoppers call them.

In: syllables and a seeded generator. Out: phrases, the name first. A nickname is either cut from the name ("velmy"),
which a reader may guess, or has nothing to do with it ("bluefox"), which only a log tells.
"""

from __future__ import annotations

import re

import numpy as np

from shelfwalk.market.invented_words import invent_words
from shelfwalk.market.vocabulary import InventedWords

_TWO_WORDS = 0.25
_OPAQUE = 0.6
"""Share of the brands with a nickname that has nothing to do with the name."""
_CUT = 0.6
_VOWELS = re.compile(r"(?<!^)[aeiou]")


def name_brands(words: InventedWords, count: int, generator: np.random.Generator) -> tuple[tuple[str, ...], ...]:
    """Invent `count` brands; no phrase stands for two of them."""
    stems = invent_words(words.parts, count, generator)
    nicknames = iter(invent_words(words.nickname_parts, round(count * _OPAQUE) + 1, generator))
    two_words = generator.random(count) < _TWO_WORDS
    seconds = generator.integers(0, len(words.second_words), count).tolist()
    opaque = np.zeros(count, bool)
    opaque[generator.choice(count, round(count * _OPAQUE), replace=False)] = True
    cut = (generator.random(count) < _CUT) | ~opaque
    taken: set[str] = {stem.lower() for stem in stems}
    brands = []
    for number, stem in enumerate(stems):
        name = f"{stem} {words.second_words[seconds[number]]}" if two_words[number] else stem
        others = [stem.lower()] if two_words[number] else []
        if cut[number]:
            others += _cut_names(stem, taken)
        if opaque[number]:
            others.append(next(nicknames))
        brands.append((name, *others))
    return tuple(brands)


def name_series(words: InventedWords, count: int, generator: np.random.Generator) -> tuple[tuple[str, ...], ...]:
    """Invent `count` product lines, with a nickname each where a short one is free."""
    names = invent_words(words.parts, count, generator)
    taken = {name.lower() for name in names}
    return tuple((name, *_cut_names(name, taken)) for name in names)


def _cut_names(name: str, taken: set[str]) -> list[str]:
    """The first nickname of a name that nothing else has: its beginning, or its consonants."""
    lower = name.lower()
    for nickname in (f"{lower[:4]}y", f"{lower[:3]}o", _VOWELS.sub("", lower), f"{lower[:5]}ie", f"{lower}s"):
        if nickname not in taken:
            taken.add(nickname)
            return [nickname]
    return []

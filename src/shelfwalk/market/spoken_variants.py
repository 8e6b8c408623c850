"""How shoppers say what a real catalogue writes: simple variants of names, brands and values.

In: the catalogue's phrases. Out: for each the phrase itself and its variants: other writings of a brand, its initials
or first word; the parts and the singular of a category's name; a measure without its space, words without their
hyphen.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from shelfwalk.data.plurals import singular

_PARTS = re.compile(r"\s*(?:&|/|,|\band\b)\s*", re.IGNORECASE)
_MEASURE = re.compile(r"(\d+(?:[.,]\d+)?) ([^\W\d_]{1,4})")
_BRACKETS = re.compile(r"\s*\(([^()]+)\)\s*")
_FEWEST_LETTERS = 3
_SPELLINGS = {"grey": "gray", "colour": "color", "aluminium": "aluminum", "fibre": "fiber", "jewellery": "jewelry"}
_SPELLINGS |= {american: british for british, american in _SPELLINGS.items()}


def category_phrases(name: str) -> tuple[str, ...]:
    """The name, its parts ("Sofas & Couches" is said "sofas" and "couches"), and all in the singular."""
    parts = [name, *(part for part in _PARTS.split(name) if len(part) >= _FEWEST_LETTERS)]
    return _different([name, *(_in_singular(part) for part in parts), *parts, *map(_respelt, parts)])


def value_phrases(value: str) -> tuple[str, ...]:
    """The value, without the space of a measure, without hyphens, without or only what is in brackets, and respelt."""
    bracketed = _BRACKETS.search(value)
    parts = [_BRACKETS.sub(" ", value), bracketed.group(1)] if bracketed else []
    return _different(
        [value, *parts, _MEASURE.sub(r"\1\2", value), value.replace("-", " "), _respelt(value)],
    )


def brand_phrases(writings: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """The writings of each brand and, where no other brand has them, its name in one word, initials and first word."""
    variants = [(*names, *_brand_variants(names[0])) for names in writings]
    users = Counter(phrase for phrases in variants for phrase in {phrase.lower() for phrase in phrases})
    return tuple(
        _different([*names, *(phrase for phrase in phrases[len(names) :] if users[phrase.lower()] == 1)])
        for names, phrases in zip(writings, variants, strict=True)
    )


def _brand_variants(name: str) -> list[str]:
    words = re.findall(r"\w+", name.lower())
    if len(words) < 2:
        return []
    return [phrase for phrase in ("".join(words), "".join(word[0] for word in words), words[0]) if len(phrase) > 1]


def _in_singular(phrase: str) -> str:
    *front, last = phrase.lower().split()
    return " ".join([*front, singular(last)])


def _respelt(phrase: str) -> str:
    return " ".join(_SPELLINGS.get(word, word) for word in phrase.lower().split())


def _different(phrases: Sequence[str]) -> tuple[str, ...]:
    """The first phrase, and those of the others that differ in more than capitals from all before them."""
    found = {phrases[0].lower(): phrases[0]}
    for phrase in phrases[1:]:
        words = " ".join(phrase.split())
        if words:
            found.setdefault(words.lower(), words)
    return tuple(found.values())

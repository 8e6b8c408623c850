"""The words that a generated catalogue is made of: categories, attributes, units, and what fills titles.

In: the TOML files in `words/`, all of them our own. Out: one `Vocabulary`, checked. Phrases that mean the same stand
in one string, separated by "|": first the catalogue's, then what shoppers say.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from pydantic import Field

from shelfwalk.settings import Settings

_NUMBER = "{}"


class AttributeWords(Settings):
    """An attribute and the values it can take, cheapest first where `ordered`."""

    name: str
    values: tuple[str, ...] = Field(min_length=2)
    ordered: bool = False

    @property
    def phrases(self) -> tuple[tuple[str, ...], ...]:
        """The phrases of each value."""
        return tuple(phrases_of(value) for value in self.values)


class LeafWords(Settings):
    """A kind of product: its names, its usual price, the attributes it has, and sizes as numbers before their unit."""

    names: str
    price: float = Field(gt=0)
    has: tuple[str, ...] = ()
    sizes: dict[str, str] = Field(default_factory=dict)


class GroupWords(Settings):
    """Kinds of product that lie side by side; `has` are the attributes that all of them have."""

    name: str
    has: tuple[str, ...] = ()
    leaves: tuple[LeafWords, ...] = Field(min_length=2)


class DepartmentWords(Settings):
    """The top of the category tree."""

    name: str
    groups: tuple[GroupWords, ...] = Field(min_length=2)


class TitleWords(Settings):
    """What titles and descriptions hold beside brand, name and values; words that are written in capitals."""

    adjectives: tuple[str, ...]
    tails: tuple[str, ...]
    sentences: tuple[str, ...]
    acronyms: tuple[str, ...]


class InventedWords(Settings):
    """Parts of invented words: one of each list in turn makes a word."""

    parts: tuple[tuple[str, ...], ...]
    second_words: tuple[str, ...] = ()
    nickname_parts: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Vocabulary:
    """All words; `units` maps a unit to its writings, `{}` for the number."""

    departments: tuple[DepartmentWords, ...]
    attributes: dict[str, AttributeWords]
    units: dict[str, tuple[str, ...]]
    titles: TitleWords
    brands: InventedWords
    house_words: InventedWords
    series: InventedWords

    def attributes_of(self, group: GroupWords, leaf: LeafWords) -> tuple[AttributeWords, ...]:
        """The attributes of a leaf: its own, those of its group, and its sizes."""
        sizes = (
            AttributeWords(name=name, values=self._measures(text), ordered=True) for name, text in leaf.sizes.items()
        )
        return (*(self.attributes[key] for key in (*leaf.has, *group.has)), *sizes)

    def _measures(self, text: str) -> tuple[str, ...]:
        """The values of a size: "1 1.5 l" gives "1 l | 1l | 1 litre" and "1.5 l | 1.5l | 1.5 litre"."""
        words = text.split()
        numbers = [word for word in words if word.replace(".", "").isdigit()]
        unit = " ".join(words[len(numbers) :])
        writings = self.units.get(unit, (f"{_NUMBER} {unit}", f"{_NUMBER}{unit}"))
        return tuple("|".join(writing.replace(_NUMBER, number) for writing in writings) for number in numbers)


def phrases_of(text: str) -> tuple[str, ...]:
    """Split a string of phrases that mean the same."""
    return tuple(phrase.strip() for phrase in text.split("|"))


@cache
def vocabulary() -> Vocabulary:
    """Read all words; they are read once."""
    folder = files("shelfwalk.market") / "words"
    departments = sorted((folder / "departments").iterdir(), key=lambda file: file.name)
    invented = _read(folder / "invented.toml")
    return Vocabulary(
        tuple(DepartmentWords(**_read(file)) for file in departments),
        {key: AttributeWords(**words) for key, words in _read(folder / "attributes.toml").items()},
        {unit: phrases_of(text) for unit, text in _read(folder / "units.toml").items()},
        TitleWords(**_read(folder / "titles.toml")),
        **{key: InventedWords(**words) for key, words in invented.items()},
    )


def _read(file: Traversable) -> dict[str, Any]:
    return tomllib.loads(file.read_text(encoding="utf-8"))

"""The text of an item that BM25 indexes and the encoder reads.

In: a table of items. Out: a string an item: title, description, brand, category and, where asked for, attribute values,
each left out if what stands before it says the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

LONGEST_DESCRIPTION = 600
"""Characters of the description that are read; the encoder's token limit cuts near there anyway."""
LONGEST_VALUE = 30
"""Longer attribute values are lists of compatible products and legal notes, which would drown the rest."""

_WORD = re.compile(r"\w+")
_LETTERS = re.compile(r"[^\W\d_]{2}")
_ANSWERS = ("true", "false", "yes", "no")


def item_texts(items: pa.Table, attribute_values: int) -> list[str]:
    """The text of every item of an `items` table, in its order, with at most so many attribute values each."""
    columns = ("title", "description", "brand", "category", "attributes")
    records = zip(*(items[column].to_pylist() for column in columns), strict=True)
    return [_text(record, attribute_values) for record in records]


def spoken_values(attributes: Iterable[tuple[str, str]]) -> Iterator[str]:
    """The attribute values that read as words: short, and with two letters in a row."""
    for _, value in attributes:
        value = value.strip()
        if len(value) <= LONGEST_VALUE and _LETTERS.search(value) and value.lower() not in _ANSWERS:
            yield value


def _text(record: tuple[Any, ...], attribute_values: int) -> str:
    title, description, brand, category, attributes = record
    text: str = title
    said = spaced(title)
    for part in (description[:LONGEST_DESCRIPTION], brand, *reversed(category)):
        words = spaced(part)
        if words.strip() and words not in said:
            text = f"{text}. {part}"
            said += words
    kept: list[str] = []
    for value in spoken_values(attributes):
        words = spaced(value)
        if len(kept) < attribute_values and words not in said:
            kept.append(value)
            said += words
    return f"{text}. {', '.join(kept)}" if kept else text


def spaced(text: str) -> str:
    """The words of a text, each between spaces: "red" is then no part of "wired"."""
    return f" {' '.join(_WORD.findall(text.lower()))} "

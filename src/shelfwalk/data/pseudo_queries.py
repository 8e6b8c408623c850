"""Pseudo-queries: what a shopper might type for an item, made of the catalogue's own text.

In: a table of items and a seed. Out: `QueryItemPairs` of a made-up query and the item it was made from. No query and no
judgement of anybody is read, so a shop without a log can train; a shop with one trains on the log as well.

For every item: pieces of its title and of its description (1 to 4 words in a row, mostly 1 or 2); its category, the
leaf and the level above it; its brand; brand + category; an attribute value + category; brand + attribute value. Pieces
without a word of letters are dropped. The idea of training on text pieces is SEAL's (arXiv 2204.10628, unsupervised
spans); brand, type and value are the fields that queries of a shop are made of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from shelfwalk.data.item_text import spoken_values
from shelfwalk.data.query_item_pairs import QueryItemPairs
from shelfwalk.settings import Settings

_WORD = re.compile(r"[^\W_][\w.\-/+&']*")
_LETTERS = re.compile(r"[^\W\d_]{2}")
_DESCRIPTION_WORDS = 40
_BLOCK = 4_096
"""Items whose texts are read at a time."""
_PIECE_LENGTHS = (0.3, 0.4, 0.2, 0.1)
"""Shares of pieces of 1, 2, 3 and 4 words: most queries of a shop have one or two."""


class PseudoQuerySettings(Settings):
    """How many pseudo-queries an item gives, at most."""

    title_pieces: int = Field(default=6, ge=0)
    description_pieces: int = Field(default=2, ge=0)
    attribute_values: int = Field(default=2, ge=0)
    most_items: int = Field(default=200_000, ge=1)
    """A larger catalogue is sampled: more pairs than a training run reads are of no use."""
    held_out: float = Field(default=0.02, gt=0, lt=1)
    """Share of them that is never trained on: for early stopping and for settling weights."""


def make_pseudo_queries(items: pa.Table, settings: PseudoQuerySettings, seed: int) -> QueryItemPairs:
    """Make the pseudo-queries of a catalogue; the same items, settings and seed give the same pairs."""
    return QueryItemPairs.of(each_pseudo_query(items, settings, seed))


def each_pseudo_query(items: pa.Table, settings: PseudoQuerySettings, seed: int) -> Iterator[tuple[str, int]]:
    """The pseudo-queries one after another, each with the row of its item: whether there is any is soon known."""
    generator = np.random.default_rng(seed)
    rows = np.arange(len(items))
    if len(items) > settings.most_items:
        rows = np.sort(generator.choice(rows, settings.most_items, replace=False))
    texts = items.select(("title", "description", "brand", "category", "attributes"))
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        records = zip(*(column.to_pylist() for column in texts.take(pa.array(block)).columns), strict=True)
        for row, record in zip(block.tolist(), records, strict=True):
            for query in _queries_of(record, settings, generator):
                yield query, row


def held_out_queries(count: int, share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Choose which of `count` queries to hold out of training, bool [count].

    A `share` of them, at least one where there are two, and never all.
    """
    held_out = np.zeros(count, bool)
    number = min(max(round(share * count), 1), count - 1)
    if number > 0:
        held_out[np.random.default_rng(seed).choice(count, number, replace=False)] = True
    return held_out


def _queries_of(
    record: tuple[Any, ...], settings: PseudoQuerySettings, generator: np.random.Generator
) -> Iterator[str]:
    title, description, brand, category, attributes = record
    yield from _pieces(title, settings.title_pieces, generator)
    yield from _pieces(description, settings.description_pieces, generator)
    values = list(spoken_values(attributes))
    generator.shuffle(values)
    kind = category[-1] if category else ""
    candidates = [*reversed(category[-2:]), brand]
    if kind:
        candidates.append(f"{brand} {kind}")
        candidates += [f"{value} {kind}" for value in values[: settings.attribute_values]]
    if values:
        candidates.append(f"{brand} {values[0]}")
    for candidate in candidates:
        query = " ".join(candidate.lower().split())
        if _LETTERS.search(query):
            yield query


def _pieces(text: str, count: int, generator: np.random.Generator) -> Iterator[str]:
    """Up to `count` runs of words of a text."""
    words = _WORD.findall(text)[:_DESCRIPTION_WORDS]
    if not words:
        return
    lengths = generator.choice(len(_PIECE_LENGTHS), count, p=_PIECE_LENGTHS) + 1
    for length, place in zip(lengths, generator.random(count), strict=True):
        start = int(place * max(len(words) - length + 1, 1))
        query = " ".join(words[start : start + length]).lower()
        if _LETTERS.search(query):
            yield query

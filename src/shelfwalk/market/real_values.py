"""The attribute values of a real catalogue that needs can be made of: those that shoppers would say.

In: the columns of attributes and titles. Out: `RealValues`: which values there are, and those of each item in flat
arrays.

Shoppers say a value that reads as words, that several items share, and that the title of one of these mentions: this
keeps "black" and "500 GB" and leaves out "country of origin: China".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shelfwalk.data.item_text import spaced, spoken_values

FEWEST_ITEMS = 3
LARGEST_SHARE = 0.5
"""A value of more items than this says nothing."""
MOST_VALUES = 5_000
_TITLES_READ = 100
"""So many titles of a value are searched for it."""


@dataclass(frozen=True, eq=False)
class RealValues:
    """Attribute and text of each value, and the values of each item.

    `offsets` int64 [items + 1] into `values` int32: those of each item, ascending.
    """

    names: tuple[tuple[str, str], ...]
    offsets: npt.NDArray[np.int64]
    values: npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class _Entries:
    """Every attribute of every item once: row of the item and number of the pair (attribute, text), by pair and
    item."""

    pairs: tuple[tuple[str, str], ...]
    item: npt.NDArray[np.int64]
    pair: npt.NDArray[np.int64]


def attribute_values(attributes: pa.ChunkedArray, titles: pa.ChunkedArray) -> RealValues:
    """Find the values that shoppers say, the commonest first, 5,000 at most."""
    entries = _entries(attributes)
    chosen = list(_chosen(entries, titles))
    numbers = np.full(len(entries.pairs), -1, np.int32)
    numbers[chosen] = np.arange(len(chosen), dtype=np.int32)
    values = numbers[entries.pair]
    item, values = entries.item[values >= 0], values[values >= 0]
    counts = np.bincount(item, minlength=len(titles))
    return RealValues(
        names=tuple(entries.pairs[pair] for pair in chosen),
        offsets=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        values=values[np.lexsort((values, item))],
    )


def _entries(attributes: pa.ChunkedArray) -> _Entries:
    maps = attributes.combine_chunks()
    lists = maps.cast(pa.list_(pa.struct([("name", pa.string()), ("text", pa.string())])))
    # flatten heeds where a sliced array starts and which rows are null; the raw children do not.
    flat = lists.flatten()
    item = np.repeat(np.arange(len(maps)), lists.value_lengths().fill_null(0).to_numpy())
    names, texts = (pc.utf8_trim_whitespace(flat.field(number).fill_null("")).dictionary_encode() for number in (0, 1))
    coded = names.indices.to_numpy().astype(np.int64) * len(texts.dictionary) + texts.indices.to_numpy()
    distinct, pair = np.unique(coded, return_inverse=True)
    pair, item = np.divmod(np.unique(pair * len(maps) + item), max(len(maps), 1))
    said, spelt = names.dictionary.to_pylist(), texts.dictionary.to_pylist()
    places = (divmod(code, len(spelt)) for code in distinct.tolist())
    return _Entries(tuple((said[name], spelt[text]) for name, text in places), item, pair)


def _chosen(entries: _Entries, titles: pa.ChunkedArray) -> Iterator[int]:
    """The pairs to keep, the commonest first, of equal ones the first of the catalogue."""
    starts = np.concatenate(([0], np.cumsum(np.bincount(entries.pair, minlength=len(entries.pairs)))))
    counts = np.diff(starts)
    found = 0
    for pair in np.argsort(-counts, kind="stable").tolist():
        if found == MOST_VALUES or counts[pair] < FEWEST_ITEMS:
            return
        name, text = entries.pairs[pair]
        common = counts[pair] > LARGEST_SHARE * len(titles)
        if common or not name or not any(spoken_values([(name, text)])):
            continue
        rows = entries.item[starts[pair] : starts[pair + 1]][:_TITLES_READ]
        words = spaced(text)
        if any(words in spaced(title) for title in titles.take(pa.array(rows)).to_pylist()):
            found += 1
            yield pair

"""Builds a trie from identifiers in any order, in bounded memory.

In: codes int32 [items, levels]. Out: a `Trie`. The codes of an item are packed into one word, with the item's position
behind them where both fit into 64 bits, so that one sort of plain integers orders the catalogue; longer identifiers are
sorted by several words. No step needs more than a few arrays of one number an item.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from shelfwalk.constraints.constraint import END
from shelfwalk.constraints.flat_trie import FlatTrie
from shelfwalk.errors import UserError

_WORD_BITS = 64
_MOST_NODES = 2**31 - 1
_SMALL = 2**15
_Array = TypeVar("_Array", bound=npt.NDArray[np.generic])


def build_trie(
    codes: npt.NDArray[np.int32], rows: npt.NDArray[np.int64] | None, level_sizes: Sequence[int] | None
) -> FlatTrie:
    """See `Trie.build`."""
    sizes = _checked_sizes(codes, level_sizes)
    rows = _checked_rows(codes, rows)
    # Items of one path must come out by ascending row.
    if rows is not None and np.any(rows[1:] < rows[:-1]):
        by_row = np.argsort(rows, kind="stable")
        rows, codes = rows[by_row], codes[by_row]
    ordered = _sorted(codes, sizes)
    starts = _starts_of_nodes(ordered, len(sizes))
    return FlatTrie(
        _frozen(_children(starts.fresh, starts.counts)),
        _frozen(_tokens(ordered, starts.fresh, max(sizes))),
        _frozen(np.append(np.flatnonzero(starts.fresh < len(sizes)), len(codes)).astype(np.int32)),
        _frozen((ordered.order if rows is None else rows[ordered.order]).astype(np.int32)),
        sizes,
    )


def _checked_sizes(codes: npt.NDArray[np.int32], level_sizes: Sequence[int] | None) -> tuple[int, ...]:
    if codes.ndim != 2:
        raise UserError(f"Identifiers are rows of codes, all equally wide; these have {codes.ndim} dimensions.")
    items, levels = codes.shape
    if items == 0 or levels == 0:
        raise UserError(f"The catalogue is empty ({items} items of {levels} levels): give at least one of each.")
    if items > _MOST_NODES // (levels + 1):
        raise UserError(f"{items:,} identifiers of {levels} levels are too many for one index: split them.")
    largest = codes.max(axis=0)
    if level_sizes is not None and len(level_sizes) != levels:
        raise UserError(f"The identifiers have {levels} levels, but there are {len(level_sizes)} codebooks.")
    sizes = tuple(int(size) for size in (largest + 1 if level_sizes is None else level_sizes))
    for level in range(levels):
        column = codes[:, level]
        # One that ended stays so, and none ends before it began.
        wrong = (column < END) | (column >= sizes[level]) | (column == END if level == 0 else False)
        if level:
            wrong |= (codes[:, level - 1] == END) & (column != END)
        if np.any(wrong):
            item = int(np.argmax(wrong))
            shown = " ".join(map(str, codes[item].tolist()))
            raise UserError(
                f"The identifier {shown} of item {item} does not fit: level {level + 1} has the codes 0 to "
                f"{sizes[level] - 1}, and {END} may only fill up the levels behind the last code."
            )
    return tuple(max(size, 1) for size in sizes)


def _checked_rows(codes: npt.NDArray[np.int32], rows: npt.NDArray[np.int64] | None) -> npt.NDArray[np.int64] | None:
    if rows is None:
        return None
    rows = np.asarray(rows, np.int64)
    if rows.shape != (len(codes),) or rows.min() < 0 or rows.max() > _MOST_NODES:
        raise UserError(f"{len(codes)} identifiers need as many catalogue rows of at least 0, not {rows.shape}.")
    if len(np.unique(rows)) < len(rows):
        raise UserError("A catalogue row has two identifiers: give each row one.")
    return rows


@dataclass(frozen=True)
class _Sorted:
    """A catalogue in the order of its paths.

    `words` uint64, each [items]: the packed codes in that order. `order` [items]: the position of each item among the
    given ones. `places`: for each level its word and how far its code is shifted in it; `masks`: the bits of its code.
    """

    words: tuple[npt.NDArray[np.uint64], ...]
    order: npt.NDArray[np.int64]
    places: tuple[tuple[int, int], ...]
    masks: tuple[int, ...]

    def column(self, level: int) -> npt.NDArray[np.uint64]:
        """The codes of a level, one more than they are, so that an end is 0: [items]."""
        word, shift = self.places[level]
        return (self.words[word] >> np.uint64(shift)) & np.uint64(self.masks[level])


def _sorted(codes: npt.NDArray[np.int32], sizes: Sequence[int]) -> _Sorted:
    # One more than the code is packed: 0 stands for an end.
    bits = [int(size).bit_length() for size in sizes]
    row_bits = (len(codes) - 1).bit_length()
    with_row = sum(bits) + row_bits <= _WORD_BITS
    words, places = [], {}
    for number, levels in enumerate(_split(bits)):
        shift = row_bits if with_row else 0
        word = np.zeros(len(codes), np.uint64)
        for level in reversed(levels):
            word |= (codes[:, level] + 1).astype(np.uint64) << np.uint64(shift)
            places[level] = (number, shift)
            shift += bits[level]
        words.append(word)
    if with_row:
        words[0] |= np.arange(len(codes), dtype=np.uint64)
        words[0].sort()
        order = (words[0] & np.uint64((1 << row_bits) - 1)).astype(np.int64)
    else:
        order = np.lexsort(words[::-1])
        words = [word[order] for word in words]
    masks = tuple((1 << width) - 1 for width in bits)
    return _Sorted(tuple(words), order, tuple(places[level] for level in range(len(bits))), masks)


def _split(bits: Sequence[int]) -> list[list[int]]:
    """The levels that share a word, the first ones first."""
    words: list[list[int]] = [[]]
    room = _WORD_BITS
    for level, width in enumerate(bits):
        if width > room:
            words.append([])
            room = _WORD_BITS
        words[-1].append(level)
        room -= width
    return words


@dataclass(frozen=True)
class _Starts:
    """`fresh` int8 [items]: the first level at which an item's path leaves that of the one before it (levels: nowhere).
    `counts`: nodes of each level, the root's first."""

    fresh: npt.NDArray[np.int8]
    counts: tuple[int, ...]


def _starts_of_nodes(ordered: _Sorted, levels: int) -> _Starts:
    fresh = np.full(len(ordered.order), levels, np.int8)
    for level in reversed(range(levels)):
        column = ordered.column(level)
        fresh[1:][column[1:] != column[:-1]] = level
    fresh[0] = 0
    counts = np.cumsum(np.bincount(fresh, minlength=levels + 1)[:levels])
    return _Starts(fresh, (1, *map(int, counts)))


def _children(fresh: npt.NDArray[np.int8], counts: Sequence[int]) -> npt.NDArray[np.int32]:
    parts = [np.ones(1, np.int32)]
    first = 1 + counts[1]
    for level in range(len(counts) - 2):
        # Among the nodes of the next level, those with which a node of this level begins.
        begins = np.flatnonzero(fresh[fresh <= level + 1] <= level)
        parts.append((first + begins).astype(np.int32))
        first += counts[level + 2]
    return np.concatenate([*parts, np.array([first], np.int32)])


def _tokens(
    ordered: _Sorted, fresh: npt.NDArray[np.int8], largest: int
) -> npt.NDArray[np.int16] | npt.NDArray[np.int32]:
    kind = np.dtype(np.int16 if largest <= _SMALL else np.int32)
    parts = [np.full(1, END, kind)]
    for level in range(len(ordered.masks)):
        tokens = ordered.column(level)[fresh <= level].astype(np.int64) - 1
        parts.append(tokens.astype(kind))
    whole: npt.NDArray[np.int16] | npt.NDArray[np.int32] = np.concatenate(parts)
    return whole


def _frozen(array: _Array) -> _Array:
    array.flags.writeable = False
    return array

"""The rank structure of the FM-index: bit vectors with counts, and a wavelet matrix made of them.

In: an array of symbols. Out: for any row its symbol, for any range the distinct symbols with their counts, for any
symbol the count before a row, each in one step a bit of the alphabet.

After Claude, Navarro and Ordóñez, "The wavelet matrix" (2015): level l holds bit l (the highest first) of every symbol,
and rows are partitioned by it, stably, for the next level. A line of a bit vector is 64 bytes, one cache line: 32 bits
say how many ones stand before it, 480 are the bits themselves (6.7 % on top of the bits).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from shelfwalk.constraints.compiled import Integer, compiled, inlined, ones_in
from shelfwalk.constraints.span_corpus import Ints, read_only

LINE_BITS = 480
HEAD_BITS = 32
"""Of the first word: the count of ones before the line."""
WORDS = 8
_HEAD = np.uint64(2**HEAD_BITS - 1)
_HEAD_BITS = np.uint64(HEAD_BITS)
_ONE = np.uint64(1)

Lines = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class WaveletMatrix:
    """Symbols as one bit vector a level.

    `lines` uint64 [levels · lines a level, 8] and `zeros` int32 [levels], how many zeros each level has.
    """

    lines: Lines
    zeros: Ints

    @classmethod
    def build(cls, symbols: npt.NDArray[np.integer], alphabet_size: int) -> WaveletMatrix:
        """Build from symbols [rows] below `alphabet_size`."""
        levels = max(1, int(alphabet_size - 1).bit_length())
        lines, zeros = [], []
        current = symbols
        for level in reversed(range(levels)):
            bits = ((current >> level) & 1).astype(bool)
            lines.append(bit_lines(bits))
            zeros.append(len(bits) - np.count_nonzero(bits))
            current = np.concatenate((current[~bits], current[bits]))
        return cls(read_only(np.concatenate(lines)), read_only(np.array(zeros, np.int32)))

    def last_level_starts(self, counts: npt.NDArray[np.integer]) -> Ints:
        """Where each symbol's rows begin below the last level, given the counts of all symbols: [symbols].

        Rows are ordered there by the bits of their symbols read backwards.
        """
        symbols = np.arange(len(counts))
        backwards = np.zeros(len(counts), np.int64)
        for _ in range(len(self.zeros)):
            backwards = backwards << 1 | symbols & 1
            symbols >>= 1
        order = np.argsort(backwards)
        starts = np.empty(len(counts), np.int32)
        starts[order] = np.concatenate(([0], np.cumsum(np.asarray(counts)[order], dtype=np.int64)[:-1]))
        return starts

    @cached_property
    def lines_per_level(self) -> int:
        """How many lines one level takes."""
        return len(self.lines) // len(self.zeros)


def bit_lines(bits: npt.NDArray[np.bool_]) -> Lines:
    """Lay bits [rows] out in lines; one line more than full ones, so that the count before the end can be read."""
    count = len(bits) // LINE_BITS + 1
    padded = np.zeros((count, HEAD_BITS + LINE_BITS), bool)
    flat = np.zeros(count * LINE_BITS, bool)
    flat[: len(bits)] = bits
    padded[:, HEAD_BITS:] = flat.reshape(count, LINE_BITS)
    lines = np.packbits(padded, axis=1, bitorder="little").view("<u8").astype(np.uint64)
    ones = np.bitwise_count(lines).sum(axis=1, dtype=np.int64)
    lines[:, 0] |= (np.cumsum(ones) - ones).astype(np.uint64)
    return lines


@inlined
def ones_and_bit(lines: Lines, first_line: Integer, row: Integer) -> tuple[Integer, Integer]:
    """How many ones stand before `row` in the bit vector that begins at `first_line`, and the bit of `row`.

    Without a branch: processors guess wrongly where a row stands in its line, and that costs more than all the words.
    """
    full_lines = np.uint32(row) // np.uint32(LINE_BITS)
    line = first_line + np.int64(full_lines)
    place = np.int64(np.uint32(row) - full_lines * np.uint32(LINE_BITS)) + HEAD_BITS
    word = place >> 6
    own, head = lines[line, word], lines[line, 0]
    ones = np.int64(head & _HEAD) + ones_in(own & ((_ONE << np.uint64(place & 63)) - _ONE))
    # The count in the head is not among the bits.
    ones += ones_in(head >> _HEAD_BITS) if word > 0 else -ones_in(head & _HEAD)
    for before in range(1, WORDS - 1):
        ones += ones_in(lines[line, before]) if before < word else 0
    return ones, np.int64((own >> np.uint64(place & 63)) & _ONE)


@inlined
def ones_before(lines: Lines, first_line: Integer, row: Integer) -> Integer:
    """How many ones stand before `row`."""
    ones, _ = ones_and_bit(lines, first_line, row)
    return ones


@inlined
def bit_at(lines: Lines, first_line: Integer, row: Integer) -> Integer:
    """The bit of `row`."""
    full_lines = np.uint32(row) // np.uint32(LINE_BITS)
    place = np.int64(np.uint32(row) - full_lines * np.uint32(LINE_BITS)) + HEAD_BITS
    word = lines[first_line + np.int64(full_lines), place >> 6]
    return np.int64((word >> np.uint64(place & 63)) & _ONE)


@compiled
def descend(lines: Lines, zeros: Ints, rows: npt.NDArray[np.int64], symbols: Ints) -> None:
    """Write the symbol of each of `rows`, and put where the row stands below the last level in its place.

    All rows go down together, a level at a time: no step hangs on its neighbours, so that many are under way at once.
    """
    lines_per_level = len(lines) // len(zeros)
    symbols[:] = 0
    for level in range(len(zeros)):
        first_line = level * lines_per_level
        for index in range(len(rows)):
            row = rows[index]
            ones, bit = ones_and_bit(lines, first_line, row)
            # zeros + ones for a one, row − ones for a zero.
            rows[index] = row - ones + bit * (zeros[level] + 2 * ones - row)
            symbols[index] = symbols[index] << 1 | bit


@compiled
def descend_by(lines: Lines, zeros: Ints, symbols: Ints, rows: npt.NDArray[np.int64]) -> None:
    """Where the rows of a symbol each, from each of `rows` [symbols, columns] on, begin below the last level; in place.

    All go down together as in `descend`.
    """
    levels = len(zeros)
    lines_per_level = len(lines) // levels
    for level in range(levels):
        for index in range(len(symbols)):
            is_one = (symbols[index] >> (levels - 1 - level)) & 1
            for column in range(rows.shape[1]):
                row = rows[index, column]
                ones = ones_before(lines, level * lines_per_level, row)
                rows[index, column] = zeros[level] + ones if is_one else row - ones


@inlined
def _ones_in_rows(lines: Lines, first_line: Integer, low: Integer, high: Integer, before_low: Integer) -> Integer:
    """How many ones stand in the rows [low, high), given how many stand before."""
    full_lines = np.uint32(low) // np.uint32(LINE_BITS)
    place = np.int64(np.uint32(low) - full_lines * np.uint32(LINE_BITS)) + HEAD_BITS
    rows = high - low
    if 0 < rows <= 64 - (place & 63):
        # Most ranges of a few rows lie inside a word.
        word = lines[first_line + np.int64(full_lines), place >> 6] >> np.uint64(place & 63)
        return ones_in(word << np.uint64(64 - rows))
    return ones_before(lines, first_line, high) - before_low


@compiled
def distinct_symbols(lines: Lines, zeros: Ints, nodes: Ints, room: Ints, count: Integer) -> tuple[Ints, Integer]:
    """The distinct symbols of ranges of rows, ascending in each range, symbol 0 among them.

    In: `count` rows of `nodes` [most, 4], each the low and high of a range that is not empty, 0, and a number to know
    it by; `room` [most, 4]; `most` must be one more than there are symbols to find. Out: one of the two arrays, with
    low and high below the last level, symbol and number, and how many rows it has.

    All ranges go down together as in `descend`. Both children are written, and what has no row is written over.
    """
    lines_per_level = len(lines) // len(zeros)
    for level in range(len(zeros)):
        first_line, below = level * lines_per_level, 0
        for node in range(count):
            low, high = np.int64(nodes[node, 0]), np.int64(nodes[node, 1])
            before_low = ones_before(lines, first_line, low)
            ones = _ones_in_rows(lines, first_line, low, high, before_low)
            room[below, 0] = low - before_low
            room[below, 1] = high - before_low - ones
            room[below, 2] = nodes[node, 2] << 1
            room[below, 3] = nodes[node, 3]
            below += 1 if high - low > ones else 0
            room[below, 0] = zeros[level] + before_low
            room[below, 1] = zeros[level] + before_low + ones
            room[below, 2] = nodes[node, 2] << 1 | 1
            room[below, 3] = nodes[node, 3]
            below += 1 if ones > 0 else 0
        nodes, room = room, nodes
        count = below
    return nodes, count

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

from shelfwalk.constraints.compiled import Integer, compiled, ones_in
from shelfwalk.constraints.span_corpus import Ints, read_only

LINE_BITS = 480
HEAD_BITS = 32
"""Of the first word: the count of ones before the line."""
WORDS = 8
_HEAD = np.uint64(2**HEAD_BITS - 1)
_HEAD_BITS = np.uint64(HEAD_BITS)
_ONE = np.uint64(1)
_LAST_BIT = np.uint64(63)

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


@compiled
def ones_before(lines: Lines, first_line: Integer, row: Integer) -> Integer:
    """How many ones stand before `row` in the bit vector that begins at `first_line`."""
    line = first_line + row // LINE_BITS
    place = np.uint64(row % LINE_BITS + HEAD_BITS)
    word = np.int64(place >> np.uint64(6))
    below = (_ONE << (place & _LAST_BIT)) - _ONE
    head = lines[line, 0]
    ones = np.int64(head & _HEAD)
    if word == 0:
        return ones + ones_in((head & below) >> _HEAD_BITS)
    ones += ones_in(head >> _HEAD_BITS) + ones_in(lines[line, word] & below)
    for before in range(1, word):
        ones += ones_in(lines[line, before])
    return ones


@compiled
def bit_at(lines: Lines, first_line: Integer, row: Integer) -> Integer:
    """The bit of `row`."""
    place = np.uint64(row % LINE_BITS + HEAD_BITS)
    word = lines[first_line + row // LINE_BITS, np.int64(place >> np.uint64(6))]
    return np.int64((word >> (place & _LAST_BIT)) & _ONE)


@compiled
def descend(lines: Lines, zeros: Ints, row: Integer) -> tuple[Integer, Integer]:
    """The symbol of `row`, and where the row stands below the last level."""
    lines_per_level = len(lines) // len(zeros)
    symbol: Integer = 0
    for level in range(len(zeros)):
        first_line = level * lines_per_level
        ones = ones_before(lines, first_line, row)
        bit = bit_at(lines, first_line, row)
        row = zeros[level] + ones if bit else row - ones
        symbol = symbol << 1 | bit
    return symbol, row


@compiled
def descend_by(lines: Lines, zeros: Ints, row: Integer, symbol: Integer) -> Integer:
    """Where the rows of `symbol` from `row` on begin below the last level."""
    levels = len(zeros)
    lines_per_level = len(lines) // levels
    for level in range(levels):
        ones = ones_before(lines, level * lines_per_level, row)
        row = zeros[level] + ones if (symbol >> (levels - 1 - level)) & 1 else row - ones
    return row


@compiled
def distinct_symbols(
    lines: Lines,
    zeros: Ints,
    low: Integer,
    high: Integer,
    stack: npt.NDArray[np.int64],
    symbols: Ints,
    counts: Ints,
    at: Integer,
) -> Integer:
    """Write the distinct symbols of the rows [low, high), ascending, with their counts, from index `at` on.

    Symbol 0 is left out. Returns the index after the last. `stack` is room for [levels + 1, 4].
    """
    levels = len(zeros)
    lines_per_level = len(lines) // levels
    level, symbol, waiting = 0, 0, 0
    while True:
        while level < levels:
            first_line = level * lines_per_level
            ones_low = ones_before(lines, first_line, low)
            if high - low == 1:
                ones_high = ones_low + bit_at(lines, first_line, low)
            else:
                ones_high = ones_before(lines, first_line, high)
            ones = ones_high - ones_low
            level += 1
            symbol <<= 1
            if ones == 0:
                low, high = low - ones_low, high - ones_high
                continue
            if ones < high - low:
                stack[waiting, 0] = level
                stack[waiting, 1] = zeros[level - 1] + ones_low
                stack[waiting, 2] = zeros[level - 1] + ones_high
                stack[waiting, 3] = symbol | 1
                waiting += 1
                low, high = low - ones_low, high - ones_high
            else:
                low, high = zeros[level - 1] + ones_low, zeros[level - 1] + ones_high
                symbol |= 1
        if symbol != 0:
            symbols[at] = symbol
            counts[at] = high - low
            at += 1
        if waiting == 0:
            return at
        waiting -= 1
        level = stack[waiting, 0]
        low, high, symbol = stack[waiting, 1], stack[waiting, 2], stack[waiting, 3]

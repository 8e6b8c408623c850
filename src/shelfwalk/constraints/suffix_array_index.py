"""The plain suffix array behind the interface of a span index: about four times the space of the FM-index, and faster.

In: documents as token sequences. Out: a `SpanIndex`.

The rows [low, high) of a span are the suffixes of the text that begin with it (Manber and Myers 1990). As they are in
order, the tokens that follow stand in order inside the range: a step is a binary search, and the distinct ones are
found by leaps of doubling length.

Short spans have the longest ranges, and two things are kept for them. For spans of up to BOUNDARIES tokens a bit a row
says that the row differs from the one before it in what follows the span (or before): the distinct tokens are the ones
among these bits. Where symbols take two bytes, those at the places 1 to COLUMNS of each suffix are kept in the order of
the rows as well, so that a step reads memory in a row and not all over the text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shelfwalk.constraints.compiled import Integer, compiled, inlined, zeros_below
from shelfwalk.constraints.index_files import SavedIndex
from shelfwalk.constraints.ranges import offsets_of, ranges
from shelfwalk.constraints.span_corpus import Alphabet, Ints, Places, SpanCorpus, Symbols, read_only
from shelfwalk.constraints.span_index import (
    HIGH,
    LOW,
    NextTokens,
    SpanIndex,
    States,
    as_compiled,
    row_offsets,
    saved_corpus,
)
from shelfwalk.constraints.suffix_sorting import suffix_array
from shelfwalk.constraints.token_sequences import TokenSequences

COLUMNS = 2
BOUNDARIES = 4
"""With text, rows and what leads to documents these make 11 bytes a symbol of a catalogue of titles."""

Bits = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class SuffixArrayIndex(SpanIndex):
    """Sorted suffixes.

    `text` [length] and `suffixes` int32 [length]; `columns` [0 or COLUMNS, length]: column d − 1 holds the symbol at
    place d of every suffix, in the order of the rows. `boundaries` uint64 [BOUNDARIES, words]: bit `row & 63` of word
    `row >> 6` of line d − 1 is set where the first d + 1 symbols of the suffix are not those of the row before.
    """

    alphabet: Alphabet
    places: Places
    text: Symbols
    suffixes: Ints
    columns: Symbols
    boundaries: Bits

    kind = "suffix-array"

    @classmethod
    def build(cls, documents: TokenSequences, vocabulary: int) -> SuffixArrayIndex:
        """Index documents whose tokens lie in [0, vocabulary); raises ValueError as `SpanCorpus.build` does."""
        corpus = SpanCorpus.build(documents, vocabulary)
        text, length = corpus.text, len(corpus.text)
        suffixes = suffix_array(text)
        columns = np.zeros((COLUMNS if text.itemsize == 2 else 0, length), text.dtype)
        for place, column in enumerate(columns, start=1):
            column[:] = _symbols_at(text, suffixes, place)
        return cls(
            corpus.alphabet,
            corpus.places,
            read_only(text),
            read_only(suffixes),
            read_only(columns),
            read_only(_boundaries(text, suffixes)),
        )

    @classmethod
    def of_saved(cls, saved: SavedIndex) -> SuffixArrayIndex:
        """The index of a folder that `read_index` read."""
        arrays = saved.arrays
        return cls(
            *saved_corpus(saved),
            arrays["text"],
            arrays["suffixes"],
            arrays["columns"],
            arrays["boundaries"],
        )

    def own_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """See `SpanIndex.own_arrays`."""
        return {
            "text": self.text,
            "suffixes": self.suffixes,
            "columns": self.columns,
            "boundaries": self.boundaries,
        }

    @property
    def rows(self) -> int:
        """The rows of the empty span: the text's symbols."""
        return len(self.suffixes)

    def next_tokens(self, state: States) -> NextTokens:
        """The tokens that follow each span of [states, 3], with counts."""
        state, _ = as_compiled(state)
        alphabet = self.alphabet
        most = np.minimum(state[:, HIGH] - state[:, LOW], len(alphabet.tokens)).clip(0).sum()
        offsets = np.zeros(len(state) + 1, np.int64)
        # Room for the most there can be: pages that are never written cost nothing.
        tokens, counts = np.empty(most, np.int32), np.empty(most, np.int32)
        arrays = (self.text, self.suffixes, self.columns, self.boundaries, alphabet.tokens, alphabet.counts)
        _next_tokens(state, *arrays, offsets, tokens, counts)
        return NextTokens(offsets, tokens[: offsets[-1]].copy(), counts[: offsets[-1]].astype(np.int64))

    def extend(self, state: States, tokens: Ints) -> States:
        """The states of [states, 3] after one token each; an empty range of rows where the token does not follow."""
        state, tokens = as_compiled(state, tokens)
        extended = np.empty_like(state)
        alphabet = self.alphabet
        symbols, first_rows = alphabet.symbol_of_token, alphabet.first_rows
        _extend(state, tokens, symbols, first_rows, self.text, self.suffixes, self.columns, extended)
        return extended

    def text_positions(self, state: States) -> tuple[npt.NDArray[np.int64], Ints]:
        """Offsets [states + 1], and the position in the text of every row of each state, in the order of the rows."""
        offsets = row_offsets(state)
        return offsets, self.suffixes[ranges(state[:, LOW], np.diff(offsets))]

    def document_tokens(self, documents: npt.NDArray[np.integer]) -> TokenSequences:
        """The tokens of some documents; raises IndexError for a document that does not exist."""
        self.check_documents(documents)
        begin = self.places.starts[documents].astype(np.int64)
        lengths = self.places.starts[documents + 1] - begin - 1
        return TokenSequences(offsets_of(lengths), self.alphabet.tokens[self.text[ranges(begin, lengths)]])


def _symbols_at(text: Symbols, suffixes: Ints, place: int) -> Symbols:
    """The symbol at a place of every suffix; beyond the end stands a separator, as at every edge of a document."""
    symbols: Symbols = np.append(text[place:], np.zeros(place, text.dtype))[suffixes]
    return symbols


def _boundaries(text: Symbols, suffixes: Ints) -> Bits:
    """Where the rows differ from the one before in their first 2, 3 and so on symbols."""
    lines = np.zeros((BOUNDARIES, (len(suffixes) // 64 + 1) * 8), np.uint8)
    differs = np.ones(len(suffixes), bool)
    differs[1:] = np.diff(text[suffixes]) != 0
    for place, line in enumerate(lines, start=1):
        differs[1:] |= np.diff(_symbols_at(text, suffixes, place)) != 0
        packed = np.packbits(differs, bitorder="little")
        line[: len(packed)] = packed
    return lines.view("<u8").astype(np.uint64)


@inlined
def _symbol_at(text: Symbols, suffixes: Ints, columns: Symbols, row: Integer, place: Integer) -> Integer:
    """The symbol at a place of the suffix of `row`; the suffix must reach so far."""
    if 0 < place <= len(columns):
        return np.int64(columns[place - 1, row])
    return np.int64(text[suffixes[row] + place])


@inlined
def _first_not_below(
    text: Symbols, suffixes: Ints, columns: Symbols, low: Integer, high: Integer, place: Integer, symbol: Integer
) -> Integer:
    """The first row of the ordered range [low, high) whose symbol at `place` is at least `symbol`, or `high`."""
    while low < high:
        middle = (low + high) >> 1
        if _symbol_at(text, suffixes, columns, middle, place) < symbol:
            low = middle + 1
        else:
            high = middle
    return low


@inlined
def _next_boundary(boundaries: Bits, line: Integer, row: Integer, high: Integer) -> Integer:
    """The first row from `row` on whose bit is set, or `high`."""
    word = row >> 6
    bits = boundaries[line, word] >> np.uint64(row & 63) << np.uint64(row & 63)
    while bits == 0 and (word + 1) << 6 < high:
        word += 1
        bits = boundaries[line, word]
    return high if bits == 0 else min((word << 6) + zeros_below(bits), high)


@compiled
def _end_of_run(
    text: Symbols, suffixes: Ints, columns: Symbols, low: Integer, high: Integer, place: Integer
) -> Integer:
    """The first row after `low` in the ordered range whose symbol at `place` is not that of `low`."""
    symbol, leap = _symbol_at(text, suffixes, columns, low, place), 1
    while low + leap < high and _symbol_at(text, suffixes, columns, low + leap, place) == symbol:
        leap <<= 1
    begin, end = low + (leap >> 1) + 1, min(low + leap, high)
    return _first_not_below(text, suffixes, columns, begin, end, place, symbol + 1)


@compiled
def _next_tokens(
    state: States,
    text: Symbols,
    suffixes: Ints,
    columns: Symbols,
    boundaries: Bits,
    token_of_symbol: Ints,
    all_counts: Ints,
    offsets: npt.NDArray[np.int64],
    tokens: Ints,
    counts: Ints,
) -> None:
    at: Integer = 0
    for span in range(len(state)):
        low, high, length = state[span]
        if length == 0 and low < high:
            # The most there can be, and always the same.
            for any_symbol in range(1, len(token_of_symbol)):
                tokens[at] = token_of_symbol[any_symbol]
                counts[at] = all_counts[any_symbol]
                at += 1
            low = high
        while low < high:
            # Spelled out, as is the symbol: a call that takes several arrays costs ten times the work.
            if length <= len(boundaries):
                end = _next_boundary(boundaries, length - 1, low + 1, high)
            else:
                end = _end_of_run(text, suffixes, columns, low, high, length)
            if length <= len(columns):
                symbol = np.int64(columns[length - 1, low])
            else:
                symbol = np.int64(text[suffixes[low] + length])
            if symbol != 0:
                tokens[at] = token_of_symbol[symbol]
                counts[at] = end - low
                at += 1
            low = end
        offsets[span + 1] = at


@compiled
def _extend(
    state: States,
    tokens: Ints,
    symbol_of_token: Ints,
    first_rows: Ints,
    text: Symbols,
    suffixes: Ints,
    columns: Symbols,
    extended: States,
) -> None:
    for span in range(len(state)):
        low, high, length = state[span]
        token = tokens[span]
        symbol = np.int64(symbol_of_token[token]) if 0 <= token < len(symbol_of_token) else 0
        if symbol == 0 or low >= high:
            high = low
        elif length == 0:
            low = np.int64(first_rows[symbol])
            high = np.int64(first_rows[symbol + 1])
        else:
            low = _first_not_below(text, suffixes, columns, low, high, length, symbol)
            high = _first_not_below(text, suffixes, columns, low, high, length, symbol + 1)
        extended[span, 0] = low
        extended[span, 1] = high
        extended[span, 2] = length + 1

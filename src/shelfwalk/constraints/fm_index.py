"""The FM-index over token sequences: spans in less space than the text itself.

In: documents as token sequences. Out: a `SpanIndex`.

After Ferragina and Manzini, "Opportunistic data structures with applications" (2000), on a wavelet matrix
(wavelet_matrix.py). A backward search extends a pattern to the left, so the *reversed* text is indexed and spans grow
to the right: the rows [low, high) of a span are the suffixes of the reversed text that begin with the reversed span,
the transform's symbols in these rows are the tokens that follow it, and one step to a symbol c is

    low, high  →  C(c) + rank(c, low), C(c) + rank(c, high)

with C(c) the rows that begin with a smaller symbol. Row 0 is the empty suffix; the transform's end mark shares symbol 0
with the separators, as no step ever crosses a document's edge.

A place is found by stepping to the right until a row that knows its position: the last token of every document does,
and every SAMPLE-th before it. A document is read from the row of the separator before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shelfwalk.constraints.compiled import Integer, compiled
from shelfwalk.constraints.index_files import SavedIndex, save_index
from shelfwalk.constraints.span_corpus import Alphabet, Ints, Places, SpanCorpus, Symbols, read_only
from shelfwalk.constraints.span_index import HIGH, LOW, NextTokens, SpanIndex, States, row_offsets
from shelfwalk.constraints.suffix_sorting import suffix_array
from shelfwalk.constraints.token_sequences import TokenSequences
from shelfwalk.constraints.wavelet_matrix import (
    Lines,
    WaveletMatrix,
    bit_at,
    bit_lines,
    descend,
    descend_by,
    distinct_symbols,
    ones_before,
)

SAMPLE = 16
"""Steps to a row that knows its position are fewer than this."""


@dataclass(frozen=True)
class FMIndex(SpanIndex):
    """A Burrows-Wheeler transform with ranks, and samples of the suffix array.

    `marks` uint64 [lines, 8] says which rows know their position; `samples` int32 holds these positions in the order of
    the rows; `document_rows` int32 [documents] is the row from which each document is read.
    """

    alphabet: Alphabet
    places: Places
    transform: WaveletMatrix
    marks: Lines
    samples: Ints
    document_rows: Ints

    kind = "fm-index"

    @classmethod
    def build(cls, documents: TokenSequences, vocabulary: int) -> FMIndex:
        """Index documents whose tokens lie in [0, vocabulary); raises ValueError as `SpanCorpus.build` does."""
        corpus = SpanCorpus.build(documents, vocabulary)
        backwards: Symbols = corpus.text[::-1].copy()
        suffixes = suffix_array(backwards)
        symbols = np.empty(len(backwards) + 1, backwards.dtype)
        symbols[0] = backwards[-1]
        # The suffix that is the whole reversed text has nothing before it: it takes the first symbol, a separator.
        symbols[1:] = backwards[np.maximum(suffixes - 1, 0)]
        positions = len(backwards) - 1 - suffixes
        knows = np.concatenate(([False], _is_sampled(corpus)[positions]))
        separators = positions[: corpus.places.documents + 1]
        document_rows = np.argsort(separators)[: corpus.places.documents] + 1
        return cls(
            corpus.alphabet,
            corpus.places,
            WaveletMatrix.build(symbols, len(corpus.alphabet.tokens)),
            read_only(bit_lines(knows)),
            read_only(positions[knows[1:]]),
            read_only(document_rows.astype(np.int32)),
        )

    @classmethod
    def of_saved(cls, saved: SavedIndex) -> FMIndex:
        """The index of a folder that `read_index` read."""
        arrays = saved.arrays
        return cls(
            Alphabet(saved.facts["vocabulary"], arrays["tokens"], arrays["counts"]),
            Places(arrays["starts"], arrays["first_documents"]),
            WaveletMatrix(arrays["transform"], arrays["zeros"]),
            arrays["marks"],
            arrays["samples"],
            arrays["document_rows"],
        )

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What is saved, by name."""
        return {
            "tokens": self.alphabet.tokens,
            "counts": self.alphabet.counts,
            "starts": self.places.starts,
            "first_documents": self.places.first_documents,
            "transform": self.transform.lines,
            "zeros": self.transform.zeros,
            "marks": self.marks,
            "samples": self.samples,
            "document_rows": self.document_rows,
        }

    def save(self, folder: Path) -> None:
        """Write the index into `folder`, whole or not at all."""
        save_index(folder, self.kind, {"vocabulary": self.vocabulary}, self.arrays())

    @property
    def rows(self) -> int:
        """The rows of the empty span: the text's symbols and the end mark."""
        return int(self.places.starts[-1]) + 1

    @cached_property
    def _shifts(self) -> Ints:
        """From below the last level of the transform to the row that a step leads to: [symbols]."""
        counts = self.alphabet.counts.astype(np.int64)
        counts[0] += 1
        first_rows = np.cumsum(counts) - counts
        shifts: Ints = read_only((first_rows - self.transform.last_level_starts(counts)).astype(np.int32))
        return shifts

    def next_tokens(self, state: States) -> NextTokens:
        """The tokens that follow each span of [states, 3], with counts."""
        most = np.minimum(state[:, HIGH] - state[:, LOW], len(self.alphabet.tokens)).clip(0).sum()
        offsets = np.zeros(len(state) + 1, np.int64)
        # Room for the most there can be: pages that are never written cost nothing.
        tokens, counts = np.empty(most, np.int32), np.empty(most, np.int32)
        transform = self.transform
        _next_tokens(
            state, transform.lines, transform.zeros, self.alphabet.tokens, self.alphabet.counts, offsets, tokens, counts
        )
        return NextTokens(offsets, tokens[: offsets[-1]].copy(), counts[: offsets[-1]].astype(np.int64))

    def extend(self, state: States, tokens: Ints) -> States:
        """The states of [states, 3] after one token each; an empty range of rows where the token does not follow."""
        extended = np.empty_like(state)
        symbols = self.alphabet.symbol_of_token
        _extend(state, tokens, symbols, self.transform.lines, self.transform.zeros, self._shifts, extended)
        return extended

    def text_positions(self, state: States) -> tuple[npt.NDArray[np.int64], Ints]:
        """Offsets [states + 1], and the position in the text of every row of each state, in the order of the rows."""
        offsets = row_offsets(state)
        positions = np.empty(offsets[-1], np.int32)
        transform = self.transform
        _positions(state, transform.lines, transform.zeros, self._shifts, self.marks, self.samples, positions)
        return offsets, positions

    def document_tokens(self, documents: npt.NDArray[np.integer]) -> TokenSequences:
        """The tokens of some documents; raises IndexError for a document that does not exist."""
        self.check_documents(documents)
        lengths = self.places.starts[documents + 1] - self.places.starts[documents] - 1
        offsets = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
        tokens = np.empty(offsets[-1], np.int32)
        rows, transform = self.document_rows[documents], self.transform
        _read(rows, offsets, transform.lines, transform.zeros, self._shifts, self.alphabet.tokens, tokens)
        return TokenSequences(offsets, tokens)


def _is_sampled(corpus: SpanCorpus) -> npt.NDArray[np.bool_]:
    """Which positions of the text are kept: in every document the last token and every SAMPLE-th before it."""
    starts = corpus.places.starts
    # The first separator lies in no document; its distance is never read, as it is no token.
    next_separator = np.repeat(starts[1:] - 1, np.diff(starts))
    to_edge = next_separator - np.arange(starts[0], starts[-1]) - 1
    sampled = np.zeros(len(corpus.text), bool)
    sampled[starts[0] :] = (to_edge % SAMPLE == 0) & (to_edge >= 0)
    return sampled


@compiled
def _next_tokens(
    state: States,
    lines: Lines,
    zeros: Ints,
    token_of_symbol: Ints,
    all_counts: Ints,
    offsets: npt.NDArray[np.int64],
    tokens: Ints,
    counts: Ints,
) -> None:
    stack = np.empty((len(zeros) + 1, 4), np.int64)
    at: Integer = 0
    for row in range(len(state)):
        begin = at
        low, high, length = state[row]
        if length == 0 and low < high:
            # The most there can be, and always the same.
            for symbol in range(1, len(token_of_symbol)):
                tokens[at] = token_of_symbol[symbol]
                counts[at] = all_counts[symbol]
                at += 1
        elif low < high:
            at = distinct_symbols(lines, zeros, low, high, stack, tokens, counts, at)
            for index in range(begin, at):
                tokens[index] = token_of_symbol[tokens[index]]
        offsets[row + 1] = at


@compiled
def _extend(
    state: States, tokens: Ints, symbol_of_token: Ints, lines: Lines, zeros: Ints, shifts: Ints, extended: States
) -> None:
    for row in range(len(state)):
        low, high, length = state[row]
        token = tokens[row]
        symbol = symbol_of_token[token] if 0 <= token < len(symbol_of_token) else 0
        if symbol == 0 or low >= high:
            high = low
        else:
            low = shifts[symbol] + descend_by(lines, zeros, low, symbol)
            high = shifts[symbol] + descend_by(lines, zeros, high, symbol)
        extended[row, 0] = low
        extended[row, 1] = high
        extended[row, 2] = length + 1


@compiled
def _positions(
    state: States, lines: Lines, zeros: Ints, shifts: Ints, marks: Lines, samples: Ints, positions: Ints
) -> None:
    at: Integer = 0
    for span in range(len(state)):
        low, high, length = state[span]
        for first in range(low, high):
            row, steps = first, 0
            while bit_at(marks, 0, row) == 0:
                symbol, below = descend(lines, zeros, row)
                row = shifts[symbol] + below
                steps += 1
            # A row is found by the span's last token.
            positions[at] = samples[ones_before(marks, 0, row)] - steps - (length - 1)
            at += 1


@compiled
def _read(
    rows: Ints,
    offsets: npt.NDArray[np.int64],
    lines: Lines,
    zeros: Ints,
    shifts: Ints,
    token_of_symbol: Ints,
    tokens: Ints,
) -> None:
    for document in range(len(rows)):
        row = np.int64(rows[document])
        for place in range(offsets[document], offsets[document + 1]):
            symbol, below = descend(lines, zeros, row)
            row = shifts[symbol] + below
            tokens[place] = token_of_symbol[symbol]

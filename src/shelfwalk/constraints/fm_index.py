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
from typing import Any

import numpy as np
import numpy.typing as npt

from shelfwalk.constraints.compiled import compiled
from shelfwalk.constraints.index_files import SavedIndex
from shelfwalk.constraints.ranges import offsets_of
from shelfwalk.constraints.span_corpus import Alphabet, Ints, Places, SpanCorpus, Symbols, read_only
from shelfwalk.constraints.span_index import (
    HIGH,
    LENGTH,
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
TOGETHER = 4096
"""So many rows are located at a time: enough to keep the processor busy, few enough to stay in its nearest cache."""


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
            *saved_corpus(saved),
            WaveletMatrix(arrays["transform"], arrays["zeros"]),
            arrays["marks"],
            arrays["samples"],
            arrays["document_rows"],
        )

    def own_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """See `SpanIndex.own_arrays`."""
        return {
            "transform": self.transform.lines,
            "zeros": self.transform.zeros,
            "marks": self.marks,
            "samples": self.samples,
            "document_rows": self.document_rows,
        }

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
        state, _ = as_compiled(state)
        begin, end = state[:, LOW], state[:, HIGH]
        is_root = (state[:, LENGTH] == 0) & (begin < end)
        most = int(np.minimum(end - begin, len(self.alphabet.tokens)).clip(0)[~is_root].sum()) + 1
        # Room for the most there can be: pages that are never written cost nothing.
        nodes, room = np.empty((most, 4), np.int32), np.empty((most, 4), np.int32)
        transform, alphabet = self.transform, self.alphabet
        return NextTokens(
            *_next_tokens(
                state, is_root, transform.lines, transform.zeros, alphabet.tokens, alphabet.counts, nodes, room
            )
        )

    def extend(self, state: States, tokens: Ints) -> States:
        """The states of [states, 3] after one token each; an empty range of rows where the token does not follow."""
        state, tokens = as_compiled(state, tokens)
        extended = np.empty_like(state)
        symbols = self.alphabet.symbol_of_token
        _extend(state, tokens, symbols, self.transform.lines, self.transform.zeros, self._shifts, extended)
        return extended

    def text_positions(self, state: States) -> tuple[npt.NDArray[np.int64], Ints]:
        """Offsets [states + 1], and the position in the text of every row of each state, in the order of the rows."""
        state, _ = as_compiled(state)
        offsets = row_offsets(state)
        positions = np.empty(offsets[-1], np.int32)
        transform = self.transform
        _positions(state, transform.lines, transform.zeros, self._shifts, self.marks, self.samples, positions)
        return offsets, positions

    def document_tokens(self, documents: npt.NDArray[np.integer]) -> TokenSequences:
        """The tokens of some documents; raises IndexError for a document that does not exist."""
        self.check_documents(documents)
        lengths = self.places.starts[documents + 1] - self.places.starts[documents] - 1
        offsets = offsets_of(lengths)
        tokens = np.empty(offsets[-1], np.int32)
        rows, transform = self.document_rows[documents].astype(np.int64), self.transform
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
    is_root: npt.NDArray[np.bool_],
    lines: Lines,
    zeros: Ints,
    token_of_symbol: Ints,
    all_counts: Ints,
    nodes: Ints,
    room: Ints,
) -> tuple[npt.NDArray[np.int64], Ints, npt.NDArray[np.int64]]:
    ranges = 0
    for span in range(len(state)):
        if state[span, 0] < state[span, 1] and not is_root[span]:
            nodes[ranges] = (state[span, 0], state[span, 1], 0, span)
            ranges += 1
    nodes, found = distinct_symbols(lines, zeros, nodes, room, ranges)
    everything = len(token_of_symbol) - 1
    total = np.count_nonzero(is_root) * everything + np.count_nonzero(nodes[:found, 2])
    offsets = np.empty(len(state) + 1, np.int64)
    tokens, counts = np.empty(total, np.int32), np.empty(total, np.int64)
    at, node = 0, 0
    for span in range(len(state)):
        offsets[span] = at
        if is_root[span]:
            # The most there can be, and always the same.
            tokens[at : at + everything] = token_of_symbol[1:]
            counts[at : at + everything] = all_counts[1:]
            at += everything
        while node < found and nodes[node, 3] == span:
            if nodes[node, 2] != 0:
                tokens[at] = token_of_symbol[nodes[node, 2]]
                counts[at] = nodes[node, 1] - nodes[node, 0]
                at += 1
            node += 1
    offsets[len(state)] = at
    return offsets, tokens, counts


@compiled
def _extend(
    state: States, tokens: Ints, symbol_of_token: Ints, lines: Lines, zeros: Ints, shifts: Ints, extended: States
) -> None:
    symbols = np.zeros(len(state), np.int32)
    for span in range(len(state)):
        extended[span] = state[span]
        extended[span, 2] += 1
        if 0 <= tokens[span] < len(symbol_of_token) and state[span, 0] < state[span, 1]:
            symbols[span] = symbol_of_token[tokens[span]]
        if symbols[span] == 0:
            # Nothing follows; any empty range will do.
            extended[span, 0] = 0
            extended[span, 1] = 0
    descend_by(lines, zeros, symbols, extended[:, :2])
    for span in range(len(state)):
        extended[span, 0] += shifts[symbols[span]]
        extended[span, 1] += shifts[symbols[span]]


@compiled
def _positions(
    state: States, lines: Lines, zeros: Ints, shifts: Ints, marks: Lines, samples: Ints, positions: Ints
) -> None:
    at = 0
    for span in range(len(state)):
        low, high = state[span, 0], state[span, 1]
        for begin in range(low, high, TOGETHER):
            end = min(begin + TOGETHER, high)
            rows, places = np.arange(begin, end), np.arange(at, at + end - begin)
            symbols = np.empty(len(rows), np.int32)
            at += len(rows)
            # A row is found by the span's last token.
            waiting, back = len(rows), state[span, 2] - 1
            while waiting > 0:
                still = 0
                for index in range(waiting):
                    row, place = rows[index], places[index]
                    if bit_at(marks, 0, row):
                        positions[place] = samples[ones_before(marks, 0, row)] - back
                    else:
                        rows[still], places[still] = row, place
                        still += 1
                waiting = still
                back += 1
                descend(lines, zeros, rows[:waiting], symbols[:waiting])
                for index in range(waiting):
                    rows[index] += shifts[symbols[index]]


@compiled
def _read(
    rows: npt.NDArray[np.int64],
    offsets: npt.NDArray[np.int64],
    lines: Lines,
    zeros: Ints,
    shifts: Ints,
    token_of_symbol: Ints,
    tokens: Ints,
) -> None:
    """Read all documents together, a token of each at a time; the longest first, as those unread stand in front."""
    longest_first = np.argsort(offsets[:-1] - offsets[1:])
    rows = rows[longest_first]
    symbols = np.empty(len(rows), np.int32)
    unread, place = len(rows), 0
    while True:
        while unread > 0 and offsets[longest_first[unread - 1]] + place >= offsets[longest_first[unread - 1] + 1]:
            unread -= 1
        if unread == 0:
            return
        descend(lines, zeros, rows[:unread], symbols[:unread])
        for index in range(unread):
            rows[index] += shifts[symbols[index]]
            tokens[offsets[longest_first[index]] + place] = token_of_symbol[symbols[index]]
        place += 1

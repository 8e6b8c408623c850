"""The text that a span index is built on: documents with separators between them, in as few symbols as occur.

In: documents as token sequences. Out: one array of symbols and what leads back to documents and tokens.

Symbol 0 separates documents; it stands before the first, after the last and between any two, so that no span reaches
over an edge. The tokens that occur are symbols 1, 2 and so on in ascending order: a vocabulary of 250 thousand, of
which a catalogue uses 8 thousand, costs 13 bits a symbol and not 18.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from shelfwalk.constraints.compiled import Integer, inlined
from shelfwalk.constraints.token_sequences import TokenSequences

LARGEST_VOCABULARY = 2**20
"""More than any text tokeniser has; the tables from tokens to symbols are of the vocabulary's size."""
MOST_SYMBOLS = 2**31 - 2
"""Rows and positions are int32."""
PLACES_SHIFT = 5
"""Of every 2**5 positions one knows its document; the others are at most 2**5 documents further."""

Ints = npt.NDArray[np.int32]
Symbols = npt.NDArray[np.uint16] | Ints
"""Two bytes a symbol where the alphabet fits into them, else four."""
Array = TypeVar("Array", bound=npt.NDArray[Any])


@dataclass(frozen=True)
class Alphabet:
    """Which tokens occur, and how often."""

    vocabulary: int
    """Tokens lie in [0, vocabulary)."""
    tokens: Ints
    """The token of each symbol, ascending: [symbols]; −1 for symbol 0, the separator."""
    counts: Ints
    """How often each symbol stands in the text: [symbols]."""

    @cached_property
    def symbol_of_token(self) -> Ints:
        """[vocabulary]; 0 for a token that does not occur."""
        symbols = np.zeros(self.vocabulary, np.int32)
        symbols[self.tokens[1:]] = np.arange(1, len(self.tokens), dtype=np.int32)
        return read_only(symbols)

    @cached_property
    def first_rows(self) -> Ints:
        """The number of symbols in the text that are smaller than each symbol: [symbols + 1]."""
        return read_only(np.concatenate(([0], np.cumsum(self.counts, dtype=np.int64))).astype(np.int32))


@dataclass(frozen=True)
class Places:
    """Which document a position of the text lies in."""

    starts: Ints
    """The position of each document's first token, and the length of the text: [documents + 1]."""
    first_documents: Ints
    """The document of every 2**PLACES_SHIFT-th position."""

    @classmethod
    def build(cls, starts: Ints) -> Places:
        """Note the document of every 2**PLACES_SHIFT-th position."""
        positions = np.arange(0, int(starts[-1]) + 1, 1 << PLACES_SHIFT)
        documents = np.searchsorted(starts, positions, side="right") - 1
        return cls(read_only(starts), read_only(documents.clip(0).astype(np.int32)))

    @property
    def documents(self) -> int:
        """The number of documents."""
        return len(self.starts) - 1


@dataclass(frozen=True)
class SpanCorpus:
    """Documents as one text."""

    alphabet: Alphabet
    places: Places
    text: Symbols
    """The symbols of all documents, each document between separators."""

    @classmethod
    def build(cls, documents: TokenSequences, vocabulary: int) -> SpanCorpus:
        """Lay out the documents.

        Raises ValueError for a token outside [0, vocabulary), offsets that do not fit the tokens, a vocabulary beyond
        LARGEST_VOCABULARY, and a text that is longer than MOST_SYMBOLS.
        """
        if not 1 <= vocabulary <= LARGEST_VOCABULARY:
            raise ValueError(f"the vocabulary must have 1 to {LARGEST_VOCABULARY} tokens, not {vocabulary}")
        documents.check(vocabulary)
        length = len(documents.tokens) + len(documents) + 1
        if length > MOST_SYMBOLS:
            raise ValueError(f"a span index holds at most {MOST_SYMBOLS} symbols, not {length}: split the documents")
        counts = np.bincount(documents.tokens, minlength=vocabulary)
        present = np.flatnonzero(counts)
        tokens = np.concatenate(([-1], present)).astype(np.int32)
        symbol_counts = np.concatenate(([len(documents) + 1], counts[present])).astype(np.int32)
        alphabet = Alphabet(vocabulary, read_only(tokens), read_only(symbol_counts))
        starts = (documents.offsets + np.arange(1, len(documents) + 2)).astype(np.int32)
        text: Symbols = np.zeros(length, np.uint16) if len(tokens) <= 2**16 else np.zeros(length, np.int32)
        is_token = np.ones(length, bool)
        is_token[0] = False
        is_token[starts[1:] - 1] = False
        text[is_token] = alphabet.symbol_of_token[documents.tokens]
        return cls(alphabet, Places.build(starts), text)


def read_only(array: Array) -> Array:
    """Compiled code is made once for arrays that cannot be written, as memory-mapped ones are."""
    array.setflags(write=False)
    return array


@inlined
def document_of(position: Integer, starts: Ints, first_documents: Ints) -> Integer:
    """The document that holds a position of the text."""
    document: Integer = first_documents[position >> PLACES_SHIFT]
    while starts[document + 1] <= position:
        document += 1
    return document

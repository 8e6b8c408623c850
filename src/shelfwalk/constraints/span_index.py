"""The contract of a span index, and what every kind of it has in common.

A span is a run of tokens inside one document (a product title, say). The index counts spans, says what follows them and
finds where they stand; span_constraint.py makes a `Constraint` of it.

In: documents as token sequences. Out, for a batch of spans held as states: the tokens that may follow with their
counts, the documents, the places.

A state is three integers, int64 [states, 3]: the rows [low, high) of the index that begin with the span, and the
span's length. Extending a span by a token takes one step from its state, however long it is. Rows of one kind of index
mean nothing to another.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shelfwalk.constraints.compiled import compiled
from shelfwalk.constraints.index_files import SavedIndex, save_index
from shelfwalk.constraints.ranges import offsets_of
from shelfwalk.constraints.span_corpus import Alphabet, Ints, Places, document_of
from shelfwalk.constraints.token_sequences import TokenSequences

States = npt.NDArray[np.int64]
LOW, HIGH, LENGTH = 0, 1, 2


@dataclass(frozen=True)
class NextTokens:
    """For each state the tokens that follow its span, ascending, and how often each does.

    Set i is the slice from `offsets[i]` to `offsets[i + 1]` of `tokens` int32 and `counts` int64.
    """

    offsets: npt.NDArray[np.int64]
    tokens: Ints
    counts: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Occurrences:
    """For each state every place of its span, ascending: the slice from `offsets[i]` to `offsets[i + 1]`.

    `documents` int32, and `positions` int32: where in the document the span begins.
    """

    offsets: npt.NDArray[np.int64]
    documents: Ints
    positions: Ints


@dataclass(frozen=True)
class DocumentSets:
    """For each state the distinct documents that hold its span, in no promised order."""

    offsets: npt.NDArray[np.int64]
    documents: Ints


def saved_corpus(saved: SavedIndex) -> tuple[Alphabet, Places]:
    """What every kind of index has saved of its documents."""
    arrays = saved.arrays
    alphabet = Alphabet(saved.facts["vocabulary"], arrays["tokens"], arrays["counts"])
    return alphabet, Places(arrays["starts"], arrays["first_documents"])


class SpanIndex(ABC):
    """The spans of a set of documents."""

    kind: str
    alphabet: Alphabet
    places: Places

    @property
    def documents(self) -> int:
        """The number of documents."""
        return self.places.documents

    @property
    def tokens(self) -> int:
        """The number of tokens in all documents."""
        return int(self.places.starts[-1]) - self.documents - 1

    @property
    def vocabulary(self) -> int:
        """Tokens lie in [0, vocabulary)."""
        return self.alphabet.vocabulary

    @property
    def bytes(self) -> int:
        """The size of the arrays that are saved."""
        return sum(array.nbytes for array in self.arrays().values())

    @abstractmethod
    def own_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What is saved of this kind of index alone, by name."""

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What is saved, by name."""
        return {
            "tokens": self.alphabet.tokens,
            "counts": self.alphabet.counts,
            "starts": self.places.starts,
            "first_documents": self.places.first_documents,
            **self.own_arrays(),
        }

    def save(self, folder: Path) -> None:
        """Write the index into `folder`; the folder holds its former index or all of this one, whatever happens."""
        save_index(folder, self.kind, {"vocabulary": self.vocabulary}, self.arrays())

    @property
    @abstractmethod
    def rows(self) -> int:
        """The rows of the empty span."""

    @abstractmethod
    def next_tokens(self, state: States) -> NextTokens:
        """The tokens that follow each span of [states, 3], with counts."""

    @abstractmethod
    def extend(self, state: States, tokens: Ints) -> States:
        """The states of [states, 3] after one token each; an empty range of rows where the token does not follow."""

    @abstractmethod
    def text_positions(self, state: States) -> tuple[npt.NDArray[np.int64], Ints]:
        """Offsets [states + 1], and the position in the text of every row of each state, in the order of the rows."""

    @abstractmethod
    def document_tokens(self, documents: npt.NDArray[np.integer]) -> TokenSequences:
        """The tokens of some documents; raises IndexError for a document that does not exist."""

    def initial(self, batch: int) -> States:
        """The state of the empty span, once for each request: int64 [batch, 3]."""
        return np.tile(np.array([0, self.rows, 0], np.int64), (batch, 1))

    def count(self, state: States) -> npt.NDArray[np.int64]:
        """How often each span of [states, 3] occurs; the empty span occurs once at each token."""
        rows = state[:, HIGH] - state[:, LOW]
        return np.where(state[:, LENGTH] == 0, np.minimum(rows, self.tokens), rows)

    def find(self, spans: TokenSequences) -> States:
        """The states of whole spans: int64 [spans, 3]; the range is empty for a span that does not occur."""
        state = self.initial(len(spans))
        lengths = spans.lengths()
        for place in range(int(lengths.max(initial=0))):
            longer = np.flatnonzero(lengths > place)
            state[longer] = self.extend(state[longer], spans.tokens[spans.offsets[longer] + place])
        return state

    def locate(self, state: States) -> Occurrences:
        """Every place of each span; raises ValueError for the empty span, which has none."""
        offsets, positions = self._checked_positions(state)
        documents = np.empty(len(positions), np.int32)
        places = np.empty(len(positions), np.int32)
        _sorted_places(offsets, positions, self.places.starts, self.places.first_documents, documents, places)
        return Occurrences(offsets, documents, places)

    def documents_of(self, state: States) -> DocumentSets:
        """The documents of each span; raises ValueError for the empty span, which is in all of them."""
        offsets, positions = self._checked_positions(state)
        ends = np.zeros(len(state) + 1, np.int64)
        documents = np.empty(len(positions), np.int32)
        _distinct_documents(offsets, positions, self.places.starts, self.places.first_documents, ends, documents)
        return DocumentSets(ends, documents[: ends[-1]])

    def _checked_positions(self, state: States) -> tuple[npt.NDArray[np.int64], Ints]:
        if np.any(state[:, LENGTH] == 0):
            raise ValueError("the empty span stands nowhere")
        return self.text_positions(state)

    def check_documents(self, documents: npt.NDArray[np.integer]) -> None:
        """Raise IndexError if one of `documents` does not exist."""
        outside = (documents < 0) | (documents >= self.documents)
        if np.any(outside):
            raise IndexError(f"there are {self.documents} documents, so none has the number {documents[outside][0]}")


_NO_TOKENS = np.empty(0, np.int32)


def as_compiled(state: States, tokens: Ints = _NO_TOKENS) -> tuple[States, Ints]:
    """States and tokens laid out as compiled code expects them, which would else be compiled once more for others."""
    return np.ascontiguousarray(state, np.int64), np.ascontiguousarray(tokens, np.int32)


def row_offsets(state: States) -> npt.NDArray[np.int64]:
    """Where the rows of each state begin if they stand end to end: [states + 1]."""
    return offsets_of(np.maximum(state[:, HIGH] - state[:, LOW], 0))


@compiled
def _sorted_places(
    offsets: npt.NDArray[np.int64], positions: Ints, starts: Ints, first_documents: Ints, documents: Ints, places: Ints
) -> None:
    for span in range(len(offsets) - 1):
        ordered = np.sort(positions[offsets[span] : offsets[span + 1]])
        for index in range(len(ordered)):
            document = document_of(ordered[index], starts, first_documents)
            documents[offsets[span] + index] = document
            places[offsets[span] + index] = ordered[index] - starts[document]


@compiled
def _distinct_documents(
    offsets: npt.NDArray[np.int64],
    positions: Ints,
    starts: Ints,
    first_documents: Ints,
    ends: npt.NDArray[np.int64],
    documents: Ints,
) -> None:
    last_seen_by = np.zeros(len(starts), np.int32)
    at = 0
    for span in range(len(offsets) - 1):
        for index in range(offsets[span], offsets[span + 1]):
            document = document_of(positions[index], starts, first_documents)
            if last_seen_by[document] != span + 1:
                last_seen_by[document] = span + 1
                documents[at] = document
                at += 1
        ends[span + 1] = at

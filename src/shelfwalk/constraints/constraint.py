"""The contract of a constraint: what may follow a prefix.

State is a plain integer array that travels with the beam, one row of int64 a beam, so that a step never starts again
from the root. How many integers a row holds is the constraint's own affair: a node of a trie needs one, a span of a
span index three.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from shelfwalk.constraints.item_filter import ItemFilter

END = -1
"""The token that ends a path where others may go on; the smallest, so that a path precedes its extensions."""


@dataclass(frozen=True)
class TokenSets:
    """One ascending set of tokens a state, end to end: set i is `tokens[offsets[i]:offsets[i + 1]]`."""

    offsets: npt.NDArray[np.int64]
    """[states + 1]"""
    tokens: npt.NDArray[np.int32]
    """[offsets[-1]]"""


@dataclass(frozen=True)
class TokenRanges:
    """Ascending sets of tokens that lie anywhere in one array: set i is `tokens[begins[i]:ends[i]]`."""

    begins: npt.NDArray[np.int64]
    """[states]"""
    ends: npt.NDArray[np.int64]
    """[states]"""
    tokens: npt.NDArray[np.int16] | npt.NDArray[np.int32]
    """As many as the array holds."""


@dataclass(frozen=True)
class Postings:
    """The items of several paths, end to end: those of path i are `rows[offsets[i]:offsets[i + 1]]`, ascending."""

    offsets: npt.NDArray[np.int64]
    """[paths + 1]"""
    rows: npt.NDArray[np.int64]
    """[offsets[-1]]"""

    def of(self, path: int) -> npt.NDArray[np.int64]:
        """The rows of one path."""
        return self.rows[self.offsets[path] : self.offsets[path + 1]]


class Constraint(Protocol):
    """What may follow a prefix."""

    def initial(self, batch: int) -> npt.NDArray[np.int64]:
        """The state of the empty prefix, once for each request: [batch, integers a state]."""
        ...

    def allowed(self, states: npt.NDArray[np.int64]) -> TokenSets:
        """The tokens that may follow each of `states` [states, integers]; an empty set closes the path.

        `END` is among them where a path is complete that is shorter than others may be.
        """
        ...

    def advance(self, states: npt.NDArray[np.int64], tokens: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """`states` after one allowed token each; raises ValueError for a token that is not allowed.

        After `END` nothing may follow and the path is complete.
        """
        ...

    def complete(self, states: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which of `states` are whole paths, that a search may return: [states]."""
        ...


class InPlace(Protocol):
    """A constraint whose sets lie ready in an array, so that a search need not copy them."""

    def allowed_in_place(self, states: npt.NDArray[np.int64]) -> TokenRanges:
        """The same sets as `allowed` gives."""
        ...


class Identifiers(Constraint, Protocol):
    """A constraint over the identifiers of a catalogue, which knows the items under each."""

    def postings(self, states: npt.NDArray[np.int64]) -> Postings:
        """The items of each complete path of `states` [states, integers] that the filters let through."""
        ...

    def cluster_sizes(self, states: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """How many items each complete path of `states` holds, filtered out or not: [states]."""
        ...

    def narrowed(self, item_filter: ItemFilter) -> Identifiers:
        """The same identifiers, with the same states, but only those of which some item passes the filter.

        A filter that was narrowed by before narrows still.
        """
        ...

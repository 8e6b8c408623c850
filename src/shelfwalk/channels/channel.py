"""The contract of a channel: a request in, scored items with evidence out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from shelfwalk.constraints.item_filter import ItemFilter
from shelfwalk.data.shopper_history import no_history


@dataclass(frozen=True)
class Request:
    """One search: the text as typed, and its vector, made once for every channel that needs it."""

    query: str
    vector: npt.NDArray[np.float32]
    """Unit vector [dimensions]."""
    item_filter: ItemFilter | None = None
    """The items that may be found; None for all. Every channel honours it exactly."""
    history: npt.NDArray[np.int32] = field(default_factory=no_history)
    """Catalogue rows of what the shopper had clicked or bought, most recent first; a channel may not know its use."""
    heads: npt.NDArray[np.float32] | None = None
    """Unit vectors [heads, dimensions] where the query has several; `vector` then lies between them."""


@dataclass(frozen=True)
class Evidence:
    """Why a channel returned an item, fit to show to a person."""

    channel: str
    rank: int
    """From 1."""
    score: float
    reason: str
    identifier: tuple[int, ...] | None = None
    """The codes of the item's cluster, from the generative channel."""
    probability: float | None = None
    """Of that identifier, given the query."""


@dataclass(frozen=True)
class Hits:
    """Items of one channel, best first: rows of the catalogue int64 [hits] and scores float32 [hits]."""

    rows: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]
    evidence: Callable[[int], Evidence]
    """The evidence of the hit at a position; made when asked for, as a list of hundreds is rarely explained."""

    def __len__(self) -> int:
        return len(self.rows)

    def first(self, k: int) -> Hits:
        """The `k` best of them."""
        return Hits(self.rows[:k], self.scores[:k], self.evidence)


class Channel(Protocol):
    """Returns scored items for a request."""

    @property
    def name(self) -> str:
        """The channel's name in results."""
        ...

    def search(self, request: Request, k: int) -> Hits:
        """At most `k` items, best first; none if nothing fits."""
        ...


def best_positions(rows: npt.NDArray[np.int64], scores: npt.NDArray[np.float32], k: int) -> npt.NDArray[np.int64]:
    """Positions of the `k` best of scored rows, best first; equal scores keep the smaller row first."""
    return np.lexsort((rows, -scores))[:k]

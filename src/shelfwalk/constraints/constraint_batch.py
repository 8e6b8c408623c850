"""The constraints of a batch of requests as one: every beam asks that of its own request.

In: one constraint for all requests, or one each (the same catalogue behind different filters, say). Out: the calls of a
`Constraint`, with the request of every state beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from shelfwalk.constraints.constraint import Constraint, TokenRanges, TokenSets
from shelfwalk.constraints.ranges import offsets_of, ranges

Numbers = npt.NDArray[np.int64]
NO_STATE = -1


class ConstraintBatch:
    """One constraint a request; states of those that need fewer integers are filled up with −1."""

    def __init__(self, constraint: Constraint | Sequence[Constraint], requests: int) -> None:
        """Raises ValueError if there are several constraints, but not one a request."""
        several = list(constraint) if isinstance(constraint, Sequence) else [constraint] * requests
        if len(several) != requests:
            raise ValueError(f"{requests} requests need one constraint or {requests}, not {len(several)}")
        self._distinct = list({id(one): one for one in several}.values())
        number = {id(one): place for place, one in enumerate(self._distinct)}
        self._number = np.array([number[id(one)] for one in several], np.int64)
        # Asked by name: whether it is `InPlace` by all the rules takes longer to find out than a step.
        only = self._distinct[0] if len(self._distinct) == 1 else None
        self._in_place: Callable[[Numbers], TokenRanges] | None = getattr(only, "allowed_in_place", None)
        starts = [one.initial(1) for one in self._distinct]
        self._widths = [start.shape[1] for start in starts]
        self.width = max(self._widths, default=1)
        """Integers a state."""

    def initial(self) -> Numbers:
        """The state of the empty prefix of every request: [requests, width]."""
        states = np.full((len(self._number), self.width), NO_STATE, np.int64)
        for place, one in enumerate(self._distinct):
            own = self._number == place
            states[own, : self._widths[place]] = one.initial(int(own.sum()))
        return states

    def allowed(self, requests: Numbers, states: Numbers) -> TokenRanges:
        """What may follow each of `states` [states, width], which belong to `requests` [states]."""
        if len(self._distinct) == 1:
            in_place = self._in_place
            return _as_ranges(self._distinct[0].allowed(states)) if in_place is None else in_place(states)
        parts = [(own, one.allowed(states[own, :width])) for own, one, width in self._owners(requests)]
        counts = np.zeros(len(states), np.int64)
        for own, sets in parts:
            counts[own] = np.diff(sets.offsets)
        offsets = offsets_of(counts)
        tokens = np.empty(offsets[-1], np.int32)
        for own, sets in parts:
            tokens[ranges(offsets[own], counts[own])] = sets.tokens
        return _as_ranges(TokenSets(offsets, tokens))

    def advance(self, requests: Numbers, states: Numbers, tokens: npt.NDArray[np.int32]) -> Numbers:
        """`states` [states, width] of `requests` [states] after one allowed token each."""
        if len(self._distinct) == 1:
            return self._distinct[0].advance(states, tokens)
        moved = np.full(states.shape, NO_STATE, np.int64)
        for own, one, width in self._owners(requests):
            moved[own, :width] = one.advance(states[own, :width], tokens[own])
        return moved

    def complete(self, requests: Numbers, states: Numbers) -> npt.NDArray[np.bool_]:
        """Which of `states` [states, width] of `requests` [states] are whole paths: [states]."""
        whole = np.zeros(len(states), bool)
        for own, one, width in self._owners(requests):
            whole[own] = one.complete(states[own, :width])
        return whole

    def _owners(self, requests: Numbers) -> list[tuple[Numbers, Constraint, int]]:
        """For each constraint the states that are its own."""
        numbers = self._number[requests]
        return [
            (np.flatnonzero(numbers == place), one, self._widths[place]) for place, one in enumerate(self._distinct)
        ]


def _as_ranges(sets: TokenSets) -> TokenRanges:
    return TokenRanges(sets.offsets[:-1], sets.offsets[1:], sets.tokens)

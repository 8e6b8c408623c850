"""The widest beam that answers within a time budget, by a measured cost model.

In: a search that can be run at any width, and requests like those to come. Out: how long each width takes on this
machine, and for a budget the widest that fits. The cost of a width is the time that nine of ten searches keep to: a
median would miss its budget every other time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

WIDTHS = (10, 20, 50, 100, 200)
_KEPT_BY = 0.9
_ROUNDS = 5
_Request = TypeVar("_Request")


@dataclass(frozen=True)
class Choice:
    """The width that was chosen for a budget, and the milliseconds that it is expected to take.

    `fits` is False where even the narrowest is expected to take longer; it is chosen all the same.
    """

    width: int
    milliseconds: float
    fits: bool


@dataclass(frozen=True)
class CostModel:
    """`milliseconds` of a search at each of `widths`, which ascend; a wider beam never counts as cheaper."""

    widths: tuple[int, ...]
    milliseconds: tuple[float, ...]

    @classmethod
    def measured(
        cls,
        search: Callable[[_Request, int], object],
        requests: Sequence[_Request],
        widths: Sequence[int] = WIDTHS,
        clock: Callable[[], float] = time.perf_counter,
    ) -> CostModel:
        """Time `search(request, width)` at every width, the widths in turn, after one round that is not counted.

        Raises ValueError if there are no requests.
        """
        if not requests:
            raise ValueError("a cost model needs requests to measure")
        ascending = tuple(sorted(widths))
        taken = np.empty((_ROUNDS + 1, len(requests), len(ascending)))
        for number in range(_ROUNDS + 1):
            for place, request in enumerate(requests):
                for column, width in enumerate(ascending):
                    started = clock()
                    search(request, width)
                    taken[number, place, column] = 1e3 * (clock() - started)
        costs = np.quantile(taken[1:].reshape(-1, len(ascending)), _KEPT_BY, axis=0)
        return cls(ascending, tuple(map(float, np.maximum.accumulate(costs))))

    def widest_within(self, budget: float) -> Choice:
        """The widest beam whose search keeps to `budget` milliseconds, or the narrowest if none does."""
        fitting = int(np.searchsorted(self.milliseconds, budget, side="right"))
        place = max(fitting - 1, 0)
        return Choice(self.widths[place], self.milliseconds[place], fitting > 0)

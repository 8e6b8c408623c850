"""The widest beam within a budget, with a clock that the test turns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.generators.time_budget import WIDTHS, Choice, CostModel


class Clock:
    """Stands still but for what a search takes: `cost` milliseconds by request and width."""

    def __init__(self, cost: dict[int, float]) -> None:
        self.now = 0.0
        self.asked: list[tuple[str, int]] = []
        self._cost = cost

    def __call__(self) -> float:
        return self.now

    def search(self, request: str, width: int) -> None:
        # The first round is slow, as it loads what it needs.
        slow = 100 if (request, width) not in self.asked else 1
        self.asked.append((request, width))
        self.now += slow * self._cost[width] / 1e3


def test_measures_every_width_in_turn_and_forgets_the_first_round() -> None:
    clock = Clock({10: 2.0, 50: 5.0, 200: 11.0})
    costs = CostModel.measured(clock.search, ["a", "b"], (50, 10, 200), clock)
    assert costs.widths == (10, 50, 200)
    assert costs.milliseconds == pytest.approx((2.0, 5.0, 11.0))
    assert clock.asked[:6] == [("a", 10), ("a", 50), ("a", 200), ("b", 10), ("b", 50), ("b", 200)]


def test_a_wider_beam_never_counts_as_cheaper() -> None:
    clock = Clock({10: 4.0, 50: 3.0, 200: 11.0})
    assert CostModel.measured(clock.search, ["a"], (10, 50, 200), clock).milliseconds == pytest.approx((4, 4, 11))


@given(st.lists(st.floats(0.1, 100), min_size=5, max_size=5), st.floats(0, 120))
def test_chooses_the_widest_that_fits(costs: list[float], budget: float) -> None:
    costs.sort()
    chosen = CostModel(WIDTHS, tuple(costs)).widest_within(budget)
    fitting = [width for width, cost in zip(WIDTHS, costs, strict=True) if cost <= budget]
    assert chosen.width == (fitting[-1] if fitting else WIDTHS[0])
    assert chosen.fits == bool(fitting)
    assert chosen.milliseconds == costs[WIDTHS.index(chosen.width)]


def test_the_narrowest_is_taken_and_said_not_to_fit_where_none_does() -> None:
    assert CostModel((10, 20), (3.0, 4.0)).widest_within(1.0) == Choice(10, 3.0, False)


def test_refuses_to_measure_without_requests() -> None:
    with pytest.raises(ValueError, match="requests"):
        CostModel.measured(lambda request, width: None, [])

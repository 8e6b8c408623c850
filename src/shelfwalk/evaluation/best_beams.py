"""Two systems compared at the beams that suit them: how small a beam reaches the other's best hit rate, and the best.

In: hit rates at a grid of beams of both systems, as efficiency_budget.py gives them. Out: for CQ-SID against RQ-VAE the
figures that its publication puts at 0.46 and 1.034 (beam 30 of 65, hit rate 0.4422 over 0.4275, arXiv 2605.14434).

The other's beam is the one at which its own hit rate is highest, the smallest of equal ones. Between two beams of the
grid the hit rate counts as a straight line; infinity stands for a hit rate that is never reached.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Rates = NDArray[np.float64]


def smallest_beam_reaching(beams: Sequence[int], rates: Rates, wanted: float) -> float:
    """The smallest beam, between those of the ascending grid as well, with a hit rate of `wanted`; infinity if none."""
    reached = np.flatnonzero(rates >= wanted)
    if not len(reached):
        return np.inf
    place = int(reached[0])
    if place == 0:
        return float(beams[0])
    rise = (wanted - rates[place - 1]) / (rates[place] - rates[place - 1])
    return float(beams[place - 1] + rise * (beams[place] - beams[place - 1]))


def beam_share(beams: Sequence[int], treatment: Rates, control: Rates) -> tuple[float, float, int]:
    """The share, the treatment's beam and the control's; `treatment` and `control` are hit rates [beams]."""
    best = int(control.argmax())
    beam = smallest_beam_reaching(beams, treatment, float(control[best]))
    return beam / beams[best], beam, beams[best]


def best_rate_ratio(beams: Sequence[int], treatment: Rates, control: Rates) -> tuple[float, float, int]:
    """The best hit rate over that of the control, and both beams; infinity where the control hits nothing."""
    best, of_control = int(treatment.argmax()), int(control.argmax())
    ratio = float(treatment[best] / control[of_control]) if control[of_control] else np.inf
    return ratio, float(beams[best]), beams[of_control]

"""Ranges of several lengths laid end to end, without a loop."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def ranges(starts: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """`starts[i]`, `starts[i] + 1`, … (`counts[i]` numbers) of each range [ranges] in turn: [sum of counts]."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    numbers: npt.NDArray[np.int64] = np.arange(total) + np.repeat(starts - (ends - counts), counts)
    return numbers


def offsets_of(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Where each of so many entries begins when they are laid end to end, and where the last ends: [counts + 1]."""
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets

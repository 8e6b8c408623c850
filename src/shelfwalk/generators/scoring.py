"""How a beam search scores paths: the temperature of the model and the penalty of a path's length.

In: log-probabilities of the next codes, or the sum of a path's. Out: those at another temperature, or the score that
paths are ranked by, sum / length ^ penalty (Wu et al., arXiv 1609.08144, without its constants, as is usual).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from shelfwalk.generators.generator import FloatArray


@dataclass(frozen=True)
class Scoring:
    """`temperature` above 0: below 1 sharpens the model, above 1 flattens it, level by level.

    `length_penalty`: 0 ranks by plain probability, above 0 favours longer paths, below 0 shorter ones; the length is
    the number of codes. Raises ValueError for a temperature that is not above 0 or numbers that are not finite.
    """

    temperature: float = 1.0
    length_penalty: float = 0.0

    def __post_init__(self) -> None:
        if not (0 < self.temperature < np.inf and np.isfinite(self.length_penalty)):
            raise ValueError(f"the temperature must be above 0, and both numbers finite: {self}")

    def tempered(self, steps: FloatArray) -> FloatArray:
        """Log-probabilities [..., codes] at the temperature, float32, normalised again over all codes."""
        if self.temperature == 1.0:
            return steps
        # The highest first brought to 0: a small temperature must not overflow.
        highest = steps.max(axis=-1, keepdims=True)
        scaled = (steps - np.where(np.isfinite(highest), highest, 0)) / np.float32(self.temperature)
        # At least 1, unless every code is impossible and stays so.
        total = np.log(np.maximum(np.exp(scaled).sum(axis=-1, keepdims=True), 1))
        tempered: FloatArray = (scaled - total).astype(np.float32)
        return tempered

    def ranked(self, sums: FloatArray, length: int) -> FloatArray:
        """The scores of paths of `length` codes from their log-probabilities, float32."""
        scores: FloatArray = sums / self._divisors(length)[-1]
        return scores

    def highest(self, sums: FloatArray, length: int, levels: int) -> FloatArray:
        """The most that open paths of `length` codes can score when they end, at any length up to `levels`, float32."""
        scores: FloatArray = sums / self._divisors(levels)[length - 1 :].max()
        return scores

    def _divisors(self, length: int) -> FloatArray:
        return _divisors(self.length_penalty, length)


@lru_cache(maxsize=64)
def _divisors(penalty: float, length: int) -> FloatArray:
    """What the sums of paths of 1 to `length` codes are divided by."""
    divisors: FloatArray = (np.arange(1, length + 1, dtype=np.float64) ** penalty).astype(np.float32)
    return divisors

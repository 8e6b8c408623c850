"""The hourglass: levels of residual codes that are used widely, narrowly and widely again (arXiv 2407.21488).

In: codes, int32 [items, levels], −1 where a level is absent, and the level sizes. Out: for each level, with x_j items
on code j of n,

    entropy, Gini (diagnosis.py; unused codes count) ;  std = standard deviation of x
    path sparsity = different paths down to the level that are in use / all that its codebooks could make

and whether there is a waist: a level that is used less evenly than the ones before and after it. The publication's
explanation: what level 1 leaves over is small for most items and large for a few, so that most gather at few codes of
level 2 while the rest scatter over the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shelfwalk.tokenizers.diagnosis import LevelUse, diagnose
from shelfwalk.tokenizers.item_tokenizer import Codes


@dataclass(frozen=True)
class HourglassLevel:
    """One level: its use, and how sparse the paths down to it are."""

    use: LevelUse
    standard_deviation: float
    """Of the items a code."""
    largest_share: float
    """Items on the commonest code."""
    path_sparsity: float


@dataclass(frozen=True)
class Hourglass:
    """All levels, first to last."""

    levels: tuple[HourglassLevel, ...]

    @property
    def waist(self) -> int | None:
        """The level, counted from 1, whose Gini exceeds both neighbours' by most; None if no level's does."""
        gaps = self._gaps()
        best = max(gaps, key=lambda level: gaps[level], default=None)
        return best if best is not None and gaps[best] > 0 else None

    @property
    def gap(self) -> float:
        """By how much the Gini of some level exceeds its neighbours' larger one; at most 0 where there is no waist.

        0 where there are fewer than three levels.
        """
        return max(self._gaps().values(), default=0.0)

    def _gaps(self) -> dict[int, float]:
        ginis = [level.use.gini for level in self.levels]
        return {
            number + 1: ginis[number] - max(ginis[number - 1], ginis[number + 1]) for number in range(1, len(ginis) - 1)
        }


def measure_hourglass(codes: Codes, level_sizes: tuple[int, ...]) -> Hourglass:
    """Measure every level; raises ValueError for no items or codes beyond the level sizes."""
    diagnosis = diagnose(codes, level_sizes)
    sparsities = _path_sparsities(codes, level_sizes)
    return Hourglass(
        tuple(
            HourglassLevel(
                use,
                float(use.counts.std()),
                float(use.counts.max() / max(int(use.counts.sum()), 1)),
                sparsity,
            )
            for use, sparsity in zip(diagnosis.levels, sparsities, strict=True)
        )
    )


def hourglass_sentence(hourglass: Hourglass) -> str:
    """Whether there is an hourglass, in one sentence."""
    ginis = [f"{level.use.gini:.3f}" for level in hourglass.levels]
    if len(ginis) < 3:
        return f"Identifiers of {len(ginis)} levels have no middle, so there is no hourglass to look for."
    if hourglass.waist is None:
        return f"No level is used less evenly than those before and after it (Gini {', '.join(ginis)}): no hourglass."
    before, waist, after = ginis[hourglass.waist - 2 : hourglass.waist + 1]
    return (
        f"Level {hourglass.waist} is used less evenly than those before and after it (Gini {waist} against {before} and"
        f" {after}): an hourglass."
    )


def _path_sparsities(codes: Codes, level_sizes: tuple[int, ...]) -> list[float]:
    ordered = codes[np.lexsort(codes.T[::-1])]
    changed = np.append(np.full((1, codes.shape[1]), True), ordered[1:] != ordered[:-1], axis=0)
    paths = np.logical_or.accumulate(changed, axis=1).sum(axis=0)
    # As floats: the product of large codebooks is beyond any whole number of the machine.
    return [
        float(count / possible) for count, possible in zip(paths, np.cumprod(np.array(level_sizes, float)), strict=True)
    ]

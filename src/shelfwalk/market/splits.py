"""The split by time: what may be trained on, and the queries of later visits that systems are evaluated on.

In: visits in the order of time and the moment of the split. Out: `EvaluationQueries`, drawn so that rare queries are
there as well as frequent ones.

Bands follow the visits before the split: `head` are the most frequent texts that together make the first third of them,
`middle` those of the second third, `tail` the rest, all texts that were asked at most once, and those never asked.
Texts of one frequency share a band.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfwalk.market.needs import Visits

BANDS = ("head", "middle", "tail")

_SPAWN_KEY = 105


@dataclass(frozen=True)
class EvaluationQueries:
    """Distinct query texts of visits after the split.

    `frequency` int64 [queries]: visits before the split with that very text. `bands` [queries]: of BANDS.
    """

    texts: tuple[str, ...]
    frequency: npt.NDArray[np.int64]
    bands: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def seen(self) -> npt.NDArray[np.bool_]:
        """Whether a text was asked before the split."""
        return self.frequency > 0


def visits_before(visits: Visits, split: int) -> int:
    """How many visits, which stand in the order of time, begin before the split."""
    return int(np.searchsorted(visits.at, split, side="left"))


def draw_queries(visits: Visits, split: int, count: int, seed: int) -> EvaluationQueries:
    """Draw up to `count` queries of the visits after the split, a third of each band where there are as many.

    Within a band the chance goes with the number of visits after the split. Bands with too few texts leave their places
    to the others. The queries stand in the order of their first visit after the split.
    """
    before = visits_before(visits, split)
    asked = Counter(visits.queries[:before])
    later = Counter(visits.queries[before:])
    texts = list(later)
    frequency = np.array([asked[text] for text in texts], np.int64)
    bands = _bands(np.array(list(asked.values()), np.int64), frequency)
    random = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_SPAWN_KEY,)))
    # The largest sums of log-weight and Gumbel noise are a draw without replacement by weight.
    keys = np.log(np.array(list(later.values()), np.float64)) + random.gumbel(size=len(texts))
    chosen = np.sort(_stratified(bands, keys, count))
    picked = chosen.tolist()
    return EvaluationQueries(
        tuple(texts[row] for row in picked), frequency[chosen], tuple(BANDS[band] for band in bands[chosen].tolist())
    )


def _bands(asked: npt.NDArray[np.int64], frequency: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The number of each text's band; `asked` are the frequencies of all texts before the split."""
    ordered = np.sort(asked)
    visits = np.concatenate(([0], np.cumsum(ordered)))
    total = int(visits[-1])
    asked_oftener = total - visits[np.searchsorted(ordered, frequency, side="right")]
    third = np.minimum(asked_oftener * 3 // max(total, 1), 2)
    return np.where(frequency <= 1, 2, third)


def _stratified(bands: npt.NDArray[np.int64], keys: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.int64]:
    """Rows of the largest keys, a third of each band first, then whatever is left."""
    order = np.argsort(-keys, kind="stable")
    within = np.empty(len(keys), np.int64)
    for band in range(len(BANDS)):
        members = order[bands[order] == band]
        within[members] = np.arange(len(members))
    left_over = within >= count // len(BANDS)
    return np.lexsort((-keys, left_over))[:count]

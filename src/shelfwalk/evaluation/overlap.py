"""Who found what: which channels have a relevant item in their top k, and what only one of them found.

In: rankings of several channels and judgements. Out: `ExclusiveR@k` per channel and query (the share of the query's
relevant items that are in this channel's top k and in no other's) and the count of relevant items for each set of
channels that found them. ir-measures scores one run at a time, so it has no measure of this kind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shelfwalk.evaluation.judgements import GradedQueries
from shelfwalk.evaluation.rankings import Rankings


@dataclass(frozen=True)
class FoundBy:
    """How many relevant (query, item) pairs are in the top k of exactly these channels; none for what all missed."""

    channels: tuple[str, ...]
    pairs: int


@dataclass(frozen=True)
class Overlap:
    """`exclusive[channel]` float64 [queries] and the pairs by the set of channels that found them, most first."""

    cutoff: int
    channels: tuple[str, ...]
    exclusive: dict[str, NDArray[np.float64]]
    found_by: tuple[FoundBy, ...]


def overlap(
    channels: Sequence[Rankings], graded: GradedQueries, query_ids: Sequence[str], cutoff: int = 100
) -> Overlap:
    """Compare the top `cutoff` of `channels` over `query_ids`, each of which needs a relevant item.

    Give only channels that search on their own: a fusion contains the others, so nothing would be exclusive.
    """
    names = tuple(channel.channel for channel in channels)
    tops = [_tops(channel, cutoff) for channel in channels]
    exclusive = {name: np.zeros(len(query_ids)) for name in names}
    pairs: Counter[tuple[str, ...]] = Counter()
    for position, query_id in enumerate(query_ids):
        relevant = graded.relevant(query_id)
        for item_id in relevant:
            finders = tuple(name for name, top in zip(names, tops, strict=True) if item_id in top[query_id])
            pairs[finders] += 1
            if len(finders) == 1:
                exclusive[finders[0]][position] += 1
        for counts in exclusive.values():
            counts[position] /= len(relevant)
    found_by = [FoundBy(finders, count) for finders, count in pairs.items()]
    found_by.sort(key=lambda found: (-found.pairs, found.channels))
    return Overlap(cutoff, names, exclusive, tuple(found_by))


def _tops(rankings: Rankings, cutoff: int) -> dict[str, set[str]]:
    return {
        query_id: set(items[:cutoff]) for query_id, items in zip(rankings.query_ids, rankings.item_ids, strict=True)
    }

"""Fusion: the lists of several channels into one, by weighted reciprocal rank.

In: the hits of each channel. Out: one list. The score of an item is the sum over channels of weight / (60 + rank), the
rank counted from 1 (Cormack, Clarke and Büttcher, "Reciprocal rank fusion", SIGIR 2009, with its constant of 60; with
weights 1 it is theirs). Ranks need no calibration between channels whose scores have nothing in common.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from shelfwalk.channels.channel import Evidence, Hits, best_positions

RANK_CONSTANT = 60


def fuse(hits: Mapping[str, Hits], weights: Mapping[str, float], k: int) -> Hits:
    """The `k` best items of the channels in `weights`; ties keep the smaller catalogue row first.

    A channel of weight 0 takes no part: what only it found is not among them.
    """
    counted = {name: weight for name, weight in weights.items() if weight > 0}
    found = [np.empty(0, np.int64), *(hits[name].rows for name in counted)]
    points = [
        weight / (RANK_CONSTANT + np.arange(1, len(hits[name]) + 1, dtype=np.float64))
        for name, weight in counted.items()
    ]
    items, place = np.unique(np.concatenate(found), return_inverse=True)
    totals = np.bincount(place, np.concatenate([np.empty(0), *points]), len(items)).astype(np.float32)
    kept = best_positions(items, totals, k)
    rows, scores = items[kept], totals[kept]

    def evidence(position: int) -> Evidence:
        parts = evidence_of_row(hits, counted, int(rows[position]))
        reason = "; ".join(f"{part.channel} rank {part.rank}" for part in parts)
        return Evidence("fused", position + 1, float(scores[position]), reason)

    return Hits(rows, scores, evidence)


def evidence_of_row(hits: Mapping[str, Hits], names: Iterable[str], row: int) -> tuple[Evidence, ...]:
    """What each of the named channels says of the item at a catalogue row, but for those that did not find it."""
    found = []
    for name in names:
        positions = np.flatnonzero(hits[name].rows == row)
        if len(positions):
            found.append(hits[name].evidence(int(positions[0])))
    return tuple(found)

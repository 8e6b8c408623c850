"""Hit rate @ beam: how much of what is relevant lies inside the identifiers that a beam search found first.

In: for each query the clusters (identifiers) in beam order, the cluster of each item, the size of each cluster. Out:
per query `HitRate@beam b`, the share of the query's relevant items inside the clusters of the top b identifiers, and
`Items@beam b`, how many items those clusters hold: a hit rate means nothing without it, as one cluster of everything
hits all. No measure of ir-measures does this, as it ranks clusters, not items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shelfwalk.evaluation.efficiency_budget import ClusterItems
from shelfwalk.evaluation.judgements import GradedQueries

BEAM_WIDTHS = (1, 10, 100)


@dataclass(frozen=True)
class BeamHits:
    """What a generative channel's beam search returned.

    `clusters` int [queries, width]: cluster numbers in beam order, −1 where a beam found fewer. `cluster_of_item`: the
    cluster of an item; only judged items are looked up, and an item without a cluster is never hit. `cluster_sizes` int
    [clusters]: items in each; `items`: which they are, where that is known. Raises ValueError for wrong shapes, numbers
    out of range, or a cluster twice in one beam.
    """

    query_ids: tuple[str, ...]
    clusters: NDArray[np.integer]
    cluster_of_item: Mapping[str, int]
    cluster_sizes: NDArray[np.integer]
    channel: str = "generative"
    items: ClusterItems | None = None

    def __post_init__(self) -> None:
        if self.clusters.ndim != 2 or len(self.clusters) != len(self.query_ids) or self.cluster_sizes.ndim != 1:
            raise ValueError("clusters must be [queries, width] and cluster_sizes [clusters]")
        if self.clusters.size and not -1 <= self.clusters.min() <= self.clusters.max() < len(self.cluster_sizes):
            raise ValueError("a beam names a cluster that has no size")
        ordered = np.sort(self.clusters, axis=1)
        if np.any((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)):
            raise ValueError("a beam names the same cluster twice")


def beam_values(
    beams: BeamHits, graded: GradedQueries, query_ids: Sequence[str], widths: Sequence[int] = BEAM_WIDTHS
) -> dict[str, NDArray[np.float64]]:
    """Return `HitRate@beam b` and `Items@beam b` for each width b: float64 [queries], aligned with `query_ids`.

    Each of `query_ids` needs a relevant item and a row in `beams` (KeyError otherwise). A beam narrower than b counts
    with what it has.
    """
    row_of = {query_id: row for row, query_id in enumerate(beams.query_ids)}
    values: dict[str, NDArray[np.float64]] = {}
    for width in widths:
        counts = [_hits_and_items(beams, row_of[name], graded.relevant(name), width) for name in query_ids]
        values[f"HitRate@beam{width}"] = np.array([share for share, _ in counts], dtype=np.float64)
        values[f"Items@beam{width}"] = np.array([items for _, items in counts], dtype=np.float64)
    return values


def _hits_and_items(beams: BeamHits, row: int, relevant: set[str], width: int) -> tuple[float, int]:
    top = beams.clusters[row, :width]
    top = top[top >= 0]
    reached = set(top.tolist())
    hits = sum(beams.cluster_of_item.get(item_id, -1) in reached for item_id in relevant)
    return hits / len(relevant), int(beams.cluster_sizes[top].sum())

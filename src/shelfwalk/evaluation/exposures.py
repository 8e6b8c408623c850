"""pvr@k: how much of what shoppers were shown for a query the first k identifiers cover.

In: a log of what was shown (impressions, in UBI columns), and beams as in beams.py. Out: per query `pvr@k`, the share
of the items shown for it that lie inside the clusters of its top k identifiers; its mean over queries is the measure of
CQ-SID (arXiv 2605.14434). It says how wide identifiers reach, not how well: what was shown was another system's choice.
Departure: every item that the log shows for the query's text counts, as the paper's window of time is not known.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shelfwalk.evaluation.beams import BeamHits

EXPOSURE_WIDTHS = (10,)


def exposed_items(events: pa.Table, queries: pa.Table) -> dict[str, frozenset[str]]:
    """Return by query id the items that `events` show for exactly its text; a query without an impression is absent."""
    wanted = pc.and_(
        pc.equal(events["action_name"], "impression"),
        pc.is_in(events["user_query"], value_set=queries["query"].combine_chunks()),
    )
    shown = events.filter(wanted).group_by("user_query").aggregate([("object_id", "distinct")])
    items_of = dict(zip(shown["user_query"].to_pylist(), shown["object_id_distinct"].to_pylist(), strict=True))
    asked = zip(queries["query_id"].to_pylist(), queries["query"].to_pylist(), strict=True)
    return {query_id: frozenset(items_of[text]) for query_id, text in asked if text in items_of}


def exposure_values(
    beams: BeamHits,
    exposed: Mapping[str, Collection[str]],
    query_ids: Sequence[str],
    widths: Sequence[int] = EXPOSURE_WIDTHS,
) -> dict[str, NDArray[np.float64]]:
    """Return `pvr@k` for each width k: float64 [queries], aligned with `query_ids`; NaN where nothing was shown.

    Each of `query_ids` needs a row in `beams` (KeyError otherwise).
    """
    row_of = {query_id: row for row, query_id in enumerate(beams.query_ids)}
    values = {f"pvr@{width}": np.full(len(query_ids), np.nan) for width in widths}
    for position, query_id in enumerate(query_ids):
        clusters = beams.clusters[row_of[query_id]]
        items = exposed.get(query_id, ())
        for width in widths if items else ():
            reached = {cluster for cluster in clusters[:width].tolist() if cluster >= 0}
            covered = sum(beams.cluster_of_item.get(item_id, -1) in reached for item_id in items)
            values[f"pvr@{width}"][position] = covered / len(items)
    return values

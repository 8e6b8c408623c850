"""Parts of the query set that are looked at apart.

In: the queries, with what is known of each (`EVALUATION_QUERIES` in data/tables.py; every column but the first two may
be missing). Out: a label for each query and kind of part: head, middle and tail by how often it is asked, seen or
unseen in the training log, cold start (it asks for an item that came after that log) or not, one word or several.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shelfwalk.errors import UserError
from shelfwalk.evaluation.metrics import PerQuery

Labels = NDArray[np.str_]

POPULARITY_PARTS = ("head", "middle", "tail")
PARTS = {
    "band": POPULARITY_PARTS,
    "seen": ("seen", "unseen"),
    "cold": ("cold start", "no cold start"),
    "length": ("one word", "several words"),
}
"""The labels of each kind of part, in the order in which they are shown."""
ALL = "all"
"""The part that every query is in."""


@dataclass(frozen=True)
class Stratum:
    """Means over one part of the queries: `figures[channel][measure]`."""

    name: str
    queries: int
    figures: Mapping[str, Mapping[str, float]]


def query_labels(queries: pa.Table, query_ids: Sequence[str]) -> dict[str, Labels]:
    """Label each of `query_ids`, all of which must be in `queries`: str [queries] by kind of part, "" where unknown.

    Kinds of which nothing is known are left out. Bands that are not given are thirds by `frequency`, where that is; a
    query without one counts as never asked. Raises UserError for a band of another name.
    """
    row_of = {query_id: row for row, query_id in enumerate(queries["query_id"].to_pylist())}
    asked = queries.take(pa.array([row_of[query_id] for query_id in query_ids], pa.int64()))
    labels = {
        "band": _bands(asked),
        "seen": _flags(asked, "seen"),
        "cold": _flags(asked, "cold"),
        "length": np.array([PARTS["length"][len(text.split()) > 1] for text in asked["query"].to_pylist()]),
    }
    return {kind: of_kind for kind, of_kind in labels.items() if (of_kind != "").any()}


def strata(per_query: Mapping[str, PerQuery], labels: Mapping[str, Labels]) -> tuple[Stratum, ...]:
    """Average each channel's values over each part that has a query; values and labels must be aligned."""
    parts = []
    for kind, of_kind in labels.items():
        for name in PARTS[kind]:
            members = of_kind == name
            if members.any():
                parts.append(Stratum(name, int(members.sum()), _means(per_query, members)))
    return tuple(parts)


def popularity_labels(frequencies: NDArray[np.float64]) -> Labels:
    """Label each query, float [queries] → str [queries]: head, middle or tail, a third of the queries each.

    A query's place is the number of queries asked more often, so equally frequent queries always share a part, and a
    part can be larger than a third or empty.
    """
    ordered = np.sort(frequencies)
    asked_more = len(frequencies) - np.searchsorted(ordered, frequencies, side="right")
    third = np.minimum(asked_more * 3 // max(len(frequencies), 1), 2)
    return np.array(POPULARITY_PARTS)[third]


def _bands(queries: pa.Table) -> Labels:
    given = [band or "" for band in _column(queries, "band")]
    if strange := {*given} - {*POPULARITY_PARTS, ""}:
        raise UserError(
            f'The queries have a band "{min(strange)}": write head, middle or tail, or leave the column out and give '
            "the frequency, of which thirds are made."
        )
    frequencies = _column(queries, "frequency")
    if not any(given) and any(frequency is not None for frequency in frequencies):
        return popularity_labels(np.array([frequency or 0.0 for frequency in frequencies]))
    return np.array(given, dtype=np.str_)


def _flags(queries: pa.Table, kind: str) -> Labels:
    yes, no = PARTS[kind]
    return np.array(["" if flag is None else yes if flag else no for flag in _column(queries, kind)], dtype=np.str_)


def _column(queries: pa.Table, name: str) -> list[Any]:
    return queries[name].to_pylist() if name in queries.column_names else [None] * len(queries)


def _means(per_query: Mapping[str, PerQuery], members: NDArray[np.bool_]) -> dict[str, dict[str, float]]:
    return {
        channel: {
            measure: float(np.nanmean(values[members]))
            for measure, values in scored.values.items()
            if np.isfinite(values[members]).any()
        }
        for channel, scored in per_query.items()
    }

"""Parts of the query set that are looked at apart.

In: the queries with their texts, and how often each is asked where that is known. Out: a name for each query's part:
head, middle and tail by frequency, and one word or several words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shelfwalk.evaluation.metrics import PerQuery

POPULARITY_PARTS = ("head", "middle", "tail")
_LENGTH_PARTS = ("one word", "several words")


@dataclass(frozen=True)
class Stratum:
    """Means over one part of the queries: `figures[channel][measure]`."""

    name: str
    queries: int
    figures: Mapping[str, Mapping[str, float]]


def strata(
    per_query: Mapping[str, PerQuery],
    query_ids: Sequence[str],
    texts: Mapping[str, str],
    frequencies: Mapping[str, float] | None,
) -> tuple[Stratum, ...]:
    """Average each channel's values over each part that has a query; all values must be aligned with `query_ids`.

    Without `frequencies` there is no head, middle and tail; a query that they lack counts as never asked.
    """
    labellings = [np.array([_LENGTH_PARTS[len(texts[query_id].split()) > 1] for query_id in query_ids])]
    if frequencies is not None:
        labellings.insert(0, popularity_labels(np.array([frequencies.get(name, 0.0) for name in query_ids])))
    parts = []
    for labels in labellings:
        for name in (*POPULARITY_PARTS, *_LENGTH_PARTS):
            members = labels == name
            if members.any():
                parts.append(Stratum(name, int(members.sum()), _means(per_query, members)))
    return tuple(parts)


def popularity_labels(frequencies: NDArray[np.float64]) -> NDArray[np.str_]:
    """Label each query, float [queries] → str [queries]: head, middle or tail, a third of the queries each.

    A query's place is the number of queries asked more often, so equally frequent queries always share a part, and a
    part can be larger than a third or empty.
    """
    ordered = np.sort(frequencies)
    asked_more = len(frequencies) - np.searchsorted(ordered, frequencies, side="right")
    third = np.minimum(asked_more * 3 // max(len(frequencies), 1), 2)
    return np.array(POPULARITY_PARTS)[third]


def _means(per_query: Mapping[str, PerQuery], members: NDArray[np.bool_]) -> dict[str, dict[str, float]]:
    return {
        channel: {measure: float(values[members].mean()) for measure, values in scored.values.items()}
        for channel, scored in per_query.items()
    }

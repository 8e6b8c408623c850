"""How far a query's identifiers and an item's agree: DSIRM's match feature (arXiv 2606.04374).

In: the identifiers that a generator predicts for a query, int32 [..., K, levels], with their log-probabilities, and
those of items, int32 [..., levels]. Out: one number a query and item, float32.

    d(s, t) = how many leading levels of s and t agree ;  value = 0, 0.25, 0.5, 1 for d = 0, 1, 2, 3 of 3 levels

Levels count from the top: where level 1 differs nothing below it counts. For another number of levels L our
generalisation is 2 ** (d − L), and 0 for d = 0: every level that is missing halves the value, which for three levels is
what was published. How the K candidates become one number was not published; `Aggregation` is a switch, by default the
largest. A −1 is the absence of a level: identifiers of one length that agree are equal, and a row of −1 alone, which
is no identifier, agrees with none.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

Aggregation = Literal["max", "mean", "first", "weighted"]
"""Over the candidates of a query: the largest value, their mean, that of the most probable one, or their mean weighed
by their probabilities."""

Codes = npt.NDArray[np.int32]
FloatArray = npt.NDArray[np.float32]


def values_of_depths(levels: int) -> FloatArray:
    """The value of each depth, float32 [levels + 1], from 0 for none to 1 for all; raises ValueError for no level."""
    if levels < 1:
        raise ValueError(f"an identifier has at least 1 level, not {levels}")
    values = np.exp2(np.arange(levels + 1, dtype=np.float32) - levels)
    values[0] = 0
    return values


def match_depths(query_codes: Codes, item_codes: Codes) -> npt.NDArray[np.int64]:
    """How many leading levels agree: int64 [..., K], from 0 to the number of levels.

    `query_codes` [..., K, levels] and `item_codes` [..., levels], of which the leading axes broadcast.
    """
    if query_codes.shape[-1] != item_codes.shape[-1]:
        raise ValueError(
            f"identifiers of {query_codes.shape[-1]} and of {item_codes.shape[-1]} levels cannot be compared"
        )
    agree = (query_codes == item_codes[..., None, :]) & (query_codes[..., :1] >= 0)
    depths: npt.NDArray[np.int64] = np.logical_and.accumulate(agree, axis=-1).sum(axis=-1)
    return depths


def prefix_match(
    query_codes: Codes, log_probabilities: FloatArray, item_codes: Codes, aggregation: Aggregation = "max"
) -> FloatArray:
    """The match feature of queries and items: float32 [...], from 0 to 1.

    `query_codes` [..., K, levels], best candidate first; `log_probabilities` [..., K], −inf for a candidate that is not
    there; `item_codes` [..., levels]; leading axes broadcast. A query without a candidate matches nothing.
    """
    values = values_of_depths(item_codes.shape[-1])[match_depths(query_codes, item_codes)]
    there = log_probabilities > -np.inf
    values = np.where(there, values, np.float32(0))
    if values.shape[-1] == 0:
        return np.zeros(values.shape[:-1], np.float32)
    if aggregation == "max":
        found = values.max(axis=-1)
    elif aggregation == "first":
        found = values[..., 0]
    else:
        found = (values * _weights(log_probabilities, there, aggregation)).sum(axis=-1)
    return np.asarray(found, np.float32)


def _weights(log_probabilities: FloatArray, there: npt.NDArray[np.bool_], aggregation: Aggregation) -> FloatArray:
    """What each candidate counts: they sum to 1, or to 0 where there is none."""
    if aggregation == "mean":
        shares = there.astype(np.float32)
    else:
        best = log_probabilities.max(axis=-1, keepdims=True)
        # Of no candidate at all the best is −inf, from which nothing can be taken.
        shares = np.exp(log_probabilities - np.where(np.isfinite(best), best, 0))
    return np.asarray(shares / np.maximum(shares.sum(axis=-1, keepdims=True), np.finfo(np.float32).tiny), np.float32)

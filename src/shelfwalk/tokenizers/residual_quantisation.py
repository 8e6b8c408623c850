"""Residual quantisation: a vector becomes one code a level, each level quantising what the one before left over.

In: points, float32 [n, d], and codebooks. Out: codes, int32 [n, levels]:

    r_1 = x ;  c_l = argmin_j || r_l − e_l,j ||² ;  r_l+1 = r_l − e_l,c_l        (TIGER, arXiv 2305.05065, section 3.1)

A point's code depends on the point and the codebook alone, to the last bit: matrix products round differently for
other batch sizes, threads and libraries, so they only narrow the choice, and whatever is within their rounding error
of the nearest is measured again, in float64, pair by pair. The lowest number wins a tie.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from shelfwalk.tokenizers.item_tokenizer import Codes

Points = npt.NDArray[np.float32]
"""[n, d]"""
Codebook = npt.NDArray[np.float32]
"""[codes, d]"""

_ROWS_AT_A_TIME = 8_192
_PAIRS_AT_A_TIME = 16_384


def nearest_codes(points: Points, codebook: Codebook) -> npt.NDArray[np.int32]:
    """The code with the least Euclidean distance to each point: int32 [n]."""
    codes = np.empty(len(points), np.int32)
    for start in range(0, len(points), _ROWS_AT_A_TIME):
        block = slice(start, start + _ROWS_AT_A_TIME)
        codes[block] = _nearest_of_block(points[block], codebook)
    return codes


def residual_codes(points: Points, codebooks: Sequence[Codebook]) -> Codes:
    """The codes of points at every level: int32 [n, levels]; `points` may be memory-mapped."""
    codes = np.empty((len(points), len(codebooks)), np.int32)
    for start in range(0, len(points), _ROWS_AT_A_TIME):
        block = slice(start, start + _ROWS_AT_A_TIME)
        residuals = np.array(points[block], np.float32)
        for level, codebook in enumerate(codebooks):
            codes[block, level] = nearest_codes(residuals, codebook)
            residuals -= codebook[codes[block, level]]
    return codes


def distinct_rows(points: Points, most: int | None = None) -> npt.NDArray[np.int64]:
    """The numbers of the different rows, each where it first appears, ascending; it stops after `most` of them."""
    seen: set[bytes] = set()
    kept = []
    for number, row in enumerate(points):
        # Adding zero makes minus zero plus zero, whose bytes differ.
        content = (row + np.float32(0)).tobytes()
        if content not in seen:
            seen.add(content)
            kept.append(number)
            if len(kept) == most:
                break
    return np.array(kept, np.int64)


def _nearest_of_block(points: Points, codebook: Codebook) -> npt.NDArray[np.int32]:
    candidates = _candidates(points, codebook)
    codes: npt.NDArray[np.int32] = candidates.argmax(axis=1).astype(np.int32)
    open_rows = np.flatnonzero(candidates.sum(axis=1) > 1)
    if len(open_rows) == 0:
        return codes
    rows, contenders = np.nonzero(candidates[open_rows])
    rows = open_rows[rows]
    distances = _exact_distances(points, codebook, rows, contenders)
    order = np.lexsort((contenders, distances, rows))
    first = np.flatnonzero(np.diff(rows[order], prepend=-1))
    codes[rows[order][first]] = contenders[order][first]
    return codes


def _candidates(points: Points, codebook: Codebook) -> npt.NDArray[np.bool_]:
    """Which codes may be nearest, as far as float32 can tell: bool [n, codes], at least one in each row."""
    norms = (codebook.astype(np.float64) ** 2).sum(axis=1)
    # Some matrix kernels report invalid values that they read beyond the edge of small arrays and do not use.
    with np.errstate(invalid="ignore"):
        distances = norms.astype(np.float32) - 2 * (points @ codebook.T)
    # Twice the bound on the rounding error of a product of d terms, once for each of the two that are compared.
    rounding = 4 * (points.shape[1] + 2) * float(np.finfo(np.float32).eps)
    longest = float(np.sqrt(norms.max()))
    tolerance = rounding * longest * (np.linalg.norm(points, axis=1) + longest)
    return np.asarray(distances <= distances.min(axis=1, keepdims=True) + tolerance[:, None])


def _exact_distances(
    points: Points, codebook: Codebook, rows: npt.NDArray[np.int64], codes: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Squared distances of the pairs (row of `points`, code); each sum runs over one row, so no batch changes it."""
    distances = np.empty(len(rows))
    for start in range(0, len(rows), _PAIRS_AT_A_TIME):
        pairs = slice(start, start + _PAIRS_AT_A_TIME)
        differences = points[rows[pairs]].astype(np.float64) - codebook[codes[pairs]]
        distances[pairs] = (differences**2).sum(axis=1)
    return distances

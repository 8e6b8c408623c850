"""The rank structure against counting by hand, with sizes around the edges of words and lines."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfwalk.constraints.span_corpus import read_only
from shelfwalk.constraints.wavelet_matrix import (
    LINE_BITS,
    WaveletMatrix,
    bit_at,
    bit_lines,
    descend,
    descend_by,
    distinct_symbols,
    ones_before,
)

EDGES = sorted({*range(1, 36), 63, 64, 65, 95, 96, 97, *(LINE_BITS * k + d for k in (1, 2, 5) for d in (-1, 0, 1))})


@pytest.mark.parametrize("density", [0.0, 0.02, 0.5, 1.0])
@pytest.mark.parametrize("size", EDGES)
def test_ones_before_every_row_are_counted(size: int, density: float) -> None:
    bits = np.random.default_rng(size).random(size) < density
    # A line before it: bit vectors of a matrix do not begin at the first line.
    lines = read_only(np.concatenate((np.full((1, 8), 2**64 - 1, np.uint64), bit_lines(bits))))
    expected = np.concatenate(([0], np.cumsum(bits))).tolist()
    assert [ones_before(lines, 1, row) for row in range(size + 1)] == expected
    assert [bit_at(lines, 1, row) for row in range(size)] == bits.astype(int).tolist()


def distinct(matrix: WaveletMatrix, ranges: npt.NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """Number of the range, symbol and count of all symbols that each range holds."""
    most = int((ranges[:, 1] - ranges[:, 0]).sum()) + 1
    nodes, room = np.zeros((most, 4), np.int32), np.zeros((most, 4), np.int32)
    nodes[: len(ranges), :2] = ranges
    nodes[: len(ranges), 3] = np.arange(len(ranges))
    found, count = distinct_symbols(matrix.lines, matrix.zeros, nodes, room, len(ranges))
    return [(number, symbol, high - low) for low, high, symbol, number in found[:count].tolist()]


@settings(max_examples=100)
@given(size=st.integers(1, 2_000), alphabet=st.sampled_from([1, 2, 3, 7, 8, 9, 300, 70_000]), seed=st.integers(0, 99))
def test_symbols_ranks_and_distinct_symbols_are_those_of_the_array(size: int, alphabet: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    symbols: npt.NDArray[np.int32] = (alphabet * generator.random(size) ** 2).astype(np.int32)
    matrix = WaveletMatrix.build(symbols, alphabet)
    starts = matrix.last_level_starts(np.bincount(symbols, minlength=alphabet))
    drawn = generator.integers(0, size, 20)
    below, found = drawn.copy(), np.empty(20, np.int32)
    descend(matrix.lines, matrix.zeros, below, found)
    np.testing.assert_array_equal(found, symbols[drawn])
    np.testing.assert_array_equal(below - starts[found], [np.sum(symbols[:row] == symbols[row]) for row in drawn])
    rows = generator.integers(0, size + 1, (20, 2))
    asked = generator.integers(0, alphabet, 20).astype(np.int32)
    below = rows.copy()
    descend_by(matrix.lines, matrix.zeros, asked, below)
    ranks = [[np.sum(symbols[:row] == symbol) for row in pair] for pair, symbol in zip(rows, asked, strict=True)]
    np.testing.assert_array_equal(below - starts[asked][:, None], ranks)
    ranges = np.sort(generator.integers(0, size + 1, (10, 2)), axis=1)
    ranges = ranges[ranges[:, 0] < ranges[:, 1]]
    expected = [
        (number, symbol, count)
        for number, (low, high) in enumerate(ranges)
        for symbol, count in sorted(Counter(symbols[low:high].tolist()).items())
    ]
    assert distinct(matrix, ranges) == expected

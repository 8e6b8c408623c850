"""The rank structure against counting by hand, with sizes around the edges of words and lines."""

from __future__ import annotations

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


def distinct(matrix: WaveletMatrix, low: int, high: int) -> dict[int, int]:
    room = high - low
    symbols, counts = np.empty(room, np.int32), np.empty(room, np.int32)
    stack = np.empty((len(matrix.zeros) + 1, 4), np.int64)
    used = distinct_symbols(matrix.lines, matrix.zeros, low, high, stack, symbols, counts, 0)
    return dict(zip(symbols[:used].tolist(), counts[:used].tolist(), strict=True))


@settings(max_examples=100, deadline=None)
@given(size=st.integers(1, 2_000), alphabet=st.sampled_from([1, 2, 3, 7, 8, 9, 300, 70_000]), seed=st.integers(0, 99))
def test_symbols_ranks_and_distinct_symbols_are_those_of_the_array(size: int, alphabet: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    symbols: npt.NDArray[np.int32] = (alphabet * generator.random(size) ** 2).astype(np.int32)
    matrix = WaveletMatrix.build(symbols, alphabet)
    starts = matrix.last_level_starts(np.bincount(symbols, minlength=alphabet))
    for row in generator.integers(0, size, 20):
        symbol, below = descend(matrix.lines, matrix.zeros, int(row))
        assert symbol == symbols[row]
        assert below - starts[symbol] == np.sum(symbols[:row] == symbol)
        other = int(generator.integers(0, alphabet))
        rank = descend_by(matrix.lines, matrix.zeros, int(row), other) - starts[other]
        assert rank == np.sum(symbols[:row] == other)
    for low, high in np.sort(generator.integers(0, size + 1, (10, 2)), axis=1):
        if low < high:
            values, counts = np.unique(symbols[low:high], return_counts=True)
            expected = dict(zip(values.tolist(), counts.tolist(), strict=True))
            expected.pop(0, None)
            assert list(distinct(matrix, int(low), int(high)).items()) == list(expected.items())

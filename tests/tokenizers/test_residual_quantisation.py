"""Nearest codes against exhaustive search in float64, and that neither batch nor threads change a code."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from threadpoolctl import threadpool_limits

from shelfwalk.tokenizers import residual_quantisation
from shelfwalk.tokenizers.residual_quantisation import distinct_rows, nearest_codes, residual_codes

Float32 = npt.NDArray[np.float32]
NUMBERS = st.floats(-8, 8, width=32, allow_subnormal=False).map(lambda number: np.float32(np.round(number, 3)))


@st.composite
def points_and_codebooks(draw: st.DrawFn, levels: int = 1) -> tuple[Float32, list[Float32]]:
    dimensions = draw(st.integers(1, 6))
    points = draw(arrays.arrays(np.float32, (draw(st.integers(1, 12)), dimensions), elements=NUMBERS))
    shapes = [(draw(st.integers(1, 9)), dimensions) for _ in range(levels)]
    return points, [draw(arrays.arrays(np.float32, shape, elements=NUMBERS)) for shape in shapes]


def nearest_by_exhaustive_search(point: Float32, codebook: Float32) -> int:
    distances = [float(((point.astype(np.float64) - code) ** 2).sum()) for code in codebook]
    return distances.index(min(distances))


@given(points_and_codebooks())
def test_nearest_codes_are_those_of_exhaustive_search(case: tuple[Float32, list[Float32]]) -> None:
    points, (codebook,) = case
    assert nearest_codes(points, codebook).tolist() == [nearest_by_exhaustive_search(p, codebook) for p in points]


@given(points_and_codebooks(levels=3))
def test_each_level_quantises_what_the_one_before_left(case: tuple[Float32, list[Float32]]) -> None:
    points, codebooks = case
    expected = []
    for point in points:
        residual, path = point, []
        for codebook in codebooks:
            path.append(nearest_by_exhaustive_search(residual, codebook))
            residual = residual - codebook[path[-1]]
        expected.append(path)
    assert residual_codes(points, codebooks).tolist() == expected


def test_the_lowest_of_equal_codes_wins() -> None:
    codebook = np.array([[9, 9], [1, 0], [-1, 0], [1, 0]], np.float32)
    points = np.array([[0, 0], [0, 5], [1, 0]], np.float32)
    assert nearest_codes(points, codebook).tolist() == [1, 1, 1]


@pytest.fixture(scope="module")
def near_ties() -> tuple[Float32, Float32]:
    """Points half-way between codes, but for less than a float32 product can tell."""
    random = np.random.default_rng(3)
    codebook = random.normal(size=(40, 96)).astype(np.float32)
    pairs = np.array([random.choice(40, 2, replace=False) for _ in range(600)])
    points = codebook[pairs].mean(axis=1) + 1e-7 * random.normal(size=(600, 96))
    return points.astype(np.float32), codebook


def test_near_ties_are_decided_as_exhaustive_search_does(near_ties: tuple[Float32, Float32]) -> None:
    points, codebook = near_ties
    plain = (codebook**2).sum(axis=1) - 2 * points @ codebook.T
    expected = [nearest_by_exhaustive_search(point, codebook) for point in points]
    assert plain.argmin(axis=1).tolist() != expected, "the points are no test of near ties"
    assert nearest_codes(points, codebook).tolist() == expected


@pytest.mark.parametrize("rows", [1, 7, 100])
def test_the_batch_does_not_change_a_code(near_ties: tuple[Float32, Float32], rows: int) -> None:
    points, codebook = near_ties
    parts = [nearest_codes(points[start : start + rows], codebook) for start in range(0, len(points), rows)]
    assert np.array_equal(np.concatenate(parts), nearest_codes(points, codebook))


def test_threads_do_not_change_a_code(near_ties: tuple[Float32, Float32]) -> None:
    points, codebook = near_ties
    with threadpool_limits(1):
        one = nearest_codes(points, codebook)
    with threadpool_limits(2):
        assert np.array_equal(nearest_codes(points, codebook), one)


def test_blocks_fit_together(near_ties: tuple[Float32, Float32], monkeypatch: pytest.MonkeyPatch) -> None:
    points, codebook = near_ties
    whole = residual_codes(points, [codebook, codebook[:5]])
    monkeypatch.setattr(residual_quantisation, "_ROWS_AT_A_TIME", 64)
    monkeypatch.setattr(residual_quantisation, "_PAIRS_AT_A_TIME", 10)
    assert np.array_equal(residual_codes(points, [codebook, codebook[:5]]), whole)


def test_quantising_leaves_the_points_as_they_were(near_ties: tuple[Float32, Float32]) -> None:
    points, codebook = near_ties
    before = points.copy()
    residual_codes(points, [codebook, codebook])
    assert np.array_equal(points, before)


SMALL_NUMBERS = st.sampled_from([np.float32(number) for number in (0.0, -0.0, 1.0, 2.5)])


@settings(max_examples=60)
@given(arrays.arrays(np.float32, st.tuples(st.integers(1, 15), st.just(2)), elements=SMALL_NUMBERS), st.integers(1, 20))
def test_distinct_rows_are_first_appearances(points: Float32, most: int) -> None:
    seen: list[list[float]] = []
    expected = []
    for number, row in enumerate(points.tolist()):
        if row not in seen:  # −0.0 == 0.0 holds for lists as well.
            seen.append(row)
            expected.append(number)
    assert distinct_rows(points).tolist() == expected
    assert distinct_rows(points, most).tolist() == expected[:most]

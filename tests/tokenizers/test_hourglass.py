"""The hourglass measured: figures by their formulas, and the phenomenon where it is known to appear and where not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.evaluation.hourglass_codes import evenly_spread, mixture_with_outliers
from shelfwalk.tokenizers.hourglass import Hourglass, hourglass_sentence, measure_hourglass
from shelfwalk.tokenizers.residual_kmeans import ResidualKMeansTokenizer

Floats = npt.NDArray[np.float32]


def measured(vectors: Floats, sizes: tuple[int, ...]) -> Hourglass:
    items = pa.table({"item_id": [str(number) for number in range(len(vectors))]})
    tokenizer = ResidualKMeansTokenizer(sizes).fit(items, vectors)
    return measure_hourglass(tokenizer.encode(items, vectors), tokenizer.level_sizes)


SEEDS = (0, 1, 2, 3, 4)
SIZES = (4, 16, 16)


@pytest.mark.parametrize("seed", SEEDS)
def test_uneven_vectors_make_an_hourglass(seed: int) -> None:
    hourglass = measured(mixture_with_outliers(seed), SIZES)
    first, second, third = (level.use.gini for level in hourglass.levels)
    assert hourglass.waist == 2
    assert hourglass.gap == pytest.approx(second - max(first, third))
    assert hourglass.gap > 0.05
    assert hourglass.levels[1].use.entropy < hourglass.levels[2].use.entropy
    assert hourglass.levels[1].standard_deviation > 1.1 * hourglass.levels[2].standard_deviation
    assert "Level 2 is used less evenly" in hourglass_sentence(hourglass)


def test_evenly_spread_vectors_make_none_to_speak_of() -> None:
    gaps = {"even": [], "uneven": []}
    for seed in SEEDS:
        gaps["even"].append(measured(evenly_spread(seed), SIZES).gap)
        gaps["uneven"].append(measured(mixture_with_outliers(seed), SIZES).gap)
    assert max(gaps["even"]) < 0.05
    assert np.mean(gaps["uneven"]) > 0.15


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-1, 3), st.integers(-1, 1)), min_size=1, max_size=40))
def test_every_figure_follows_its_formula(rows: list[tuple[int, int, int]]) -> None:
    codes, sizes = np.array(rows, np.int32), (3, 4, 2)
    for number, level in enumerate(measure_hourglass(codes, sizes).levels):
        counts = [sum(row[number] == code for row in rows) for code in range(sizes[number])]
        mean = sum(counts) / len(counts)
        assert level.standard_deviation == pytest.approx((sum((c - mean) ** 2 for c in counts) / len(counts)) ** 0.5)
        assert level.largest_share == pytest.approx(max(counts) / max(sum(counts), 1))
        possible = np.prod(sizes[: number + 1])
        assert level.path_sparsity == pytest.approx(len({row[: number + 1] for row in rows}) / possible)


def codes_with(counts: list[list[int]]) -> npt.NDArray[np.int32]:
    """One column a level, in which code j comes counts[level][j] times."""
    return np.column_stack([np.repeat(np.arange(len(level)), level) for level in counts]).astype(np.int32)


@pytest.mark.parametrize(
    ("counts", "waist"),
    [
        ([[4, 4], [7, 1], [4, 4]], 2),
        ([[7, 1], [7, 1], [4, 4]], None),
        ([[4, 4], [7, 1], [8, 0]], None),
        ([[4, 4], [4, 4], [4, 4]], None),
        ([[4, 4], [6, 2], [4, 4], [8, 0], [4, 4]], 4),
        ([[4, 4], [7, 1]], None),
    ],
)
def test_a_waist_is_less_even_than_both_neighbours(counts: list[list[int]], waist: int | None) -> None:
    hourglass = measure_hourglass(codes_with(counts), tuple(len(level) for level in counts))
    assert hourglass.waist == waist
    assert (hourglass.gap > 0) == (waist is not None)
    assert ("an hourglass." in hourglass_sentence(hourglass)) == (waist is not None)


def test_unused_codes_count() -> None:
    """A level that uses two of many codes evenly has collapsed, which only its unused codes tell."""
    codes = codes_with([[4, 4], [4, 4], [4, 4]])
    assert measure_hourglass(codes, (2, 2, 2)).waist is None
    assert measure_hourglass(codes, (2, 64, 2)).waist == 2

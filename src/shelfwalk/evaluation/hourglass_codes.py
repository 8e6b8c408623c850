"""The hourglass and its cures measured on codes alone: no generator is trained.

In: vectors of a catalogue, level sizes, a seed. Out: a `CodesMeasurement`: how evenly residual k-means uses each level,
and what each cure (level_removal.py) does to the identifiers. What the cures do to retrieval is measured on shelves
(benchmarks/hourglass.py).

Beside catalogues there are two made-up sets: vectors that are spread evenly, where nothing should show, and a mixture
that was looked for until it showed an hourglass (docs/identifiers.md), where the measure must see it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shelfwalk.tokenizers.hourglass import Hourglass, measure_hourglass
from shelfwalk.tokenizers.level_removal import Removal, sweep_removals
from shelfwalk.tokenizers.residual_kmeans import ResidualKMeansTokenizer

KIND = "hourglass codes"
CURED_LEVEL = 2
TOP_SHARES = (0.2, 0.5)
"""Adaptive removal of the codes that together have this share of the items."""
TOP_PART = 16
"""Adaptive removal of the commonest sixteenth of the codes."""


@dataclass(frozen=True)
class CodesMeasurement:
    """One fit: `levels` and `cures` hold the figures of each level and each cure as plain values.

    `data` and `data_hash` name the catalogue, `vectors` what made its vectors; `time` is ISO 8601, UTC.
    """

    kind: str
    time: str
    data: str
    data_hash: str
    vectors: str
    items: int
    level_sizes: list[int]
    seed: int
    waist: int | None
    gap: float
    levels: list[dict[str, Any]]
    cures: list[dict[str, Any]]

    @property
    def key(self) -> tuple[str, str, tuple[int, ...], int]:
        """What it is a measurement of: a finished one is not made again."""
        return (self.data_hash, self.vectors, tuple(self.level_sizes), self.seed)


def removals_for(level_size: int) -> dict[str, Removal]:
    """The cures that are compared, by name, for a middle level of so many codes; the first is none."""
    most = max(level_size // TOP_PART, 1)
    return {
        "plain": Removal(CURED_LEVEL, most_used=0),
        "level removed": Removal(CURED_LEVEL),
        f"top {most} codes": Removal(CURED_LEVEL, most_used=most),
        **{f"share {share:g}": Removal(CURED_LEVEL, share=share) for share in TOP_SHARES},
    }


def measure_codes(
    vectors: NDArray[np.float32], level_sizes: tuple[int, ...], seed: int
) -> tuple[Hourglass, list[dict[str, Any]]]:
    """The use of the levels of one fit on `vectors` [items, dimensions], and what each cure makes of its identifiers.

    Raises UserError as the tokeniser does.
    """
    items = pa.table({"item_id": pa.array(np.arange(len(vectors)).astype(str))})
    tokenizer = ResidualKMeansTokenizer(level_sizes, seed=seed).fit(items, vectors)
    codes, sizes = tokenizer.encode(items, vectors), tokenizer.level_sizes
    removals = removals_for(sizes[CURED_LEVEL - 1])
    points = sweep_removals(codes, sizes, list(removals.values()))
    cures = [
        {"name": name, **{field: value for field, value in asdict(point).items() if field != "removal"}}
        for name, point in zip(removals, points, strict=True)
    ]
    return measure_hourglass(codes, sizes), cures


def level_figures(hourglass: Hourglass) -> list[dict[str, Any]]:
    """The figures of each level as plain values."""
    return [
        {
            "size": level.use.size,
            "used": level.use.used,
            "entropy": level.use.entropy,
            "gini": level.use.gini,
            "standard_deviation": level.standard_deviation,
            "largest_share": level.largest_share,
            "path_sparsity": level.path_sparsity,
        }
        for level in hourglass.levels
    ]


def evenly_spread(seed: int, items: int = 4_000) -> NDArray[np.float32]:
    """Made-up vectors without any structure: uniform numbers, float32 [items, 8]."""
    return np.random.default_rng(seed).random((items, 8)).astype(np.float32)


def mixture_with_outliers(seed: int, items: int = 4_000) -> NDArray[np.float32]:
    """Made-up vectors of the kind that the publication explains the hourglass by, float32 [items, 32].

    Most items are near one of four centres; three in ten are far off it, in one of ten directions.
    """
    random = np.random.default_rng(seed)
    vectors = 20 * np.eye(32)[random.integers(4, size=items)] + 0.5 * random.normal(size=(items, 32))
    outliers = random.random(items) < 0.3
    vectors[outliers] += 5 * np.eye(32)[4 + random.integers(10, size=int(outliers.sum()))]
    return vectors.astype(np.float32)


def principal_components(vectors: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """The vectors in their `count` directions of most variance, float32 [items, count]; not scaled."""
    centred = vectors - vectors.mean(axis=0, dtype=np.float64)
    _, directions = np.linalg.eigh(centred.T @ centred)
    return np.ascontiguousarray(centred @ directions[:, -count:], np.float32)

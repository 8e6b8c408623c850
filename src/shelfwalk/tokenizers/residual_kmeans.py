"""Residual k-means: one k-means a level, on what the level before left over.

In: vectors, float32 [items, dimensions]. Out: codes, int32 [items, levels]; several items may share an identifier.

"RK-means" of GRID (arXiv 2507.22224), where it is not worse than TIGER's RQ-VAE (arXiv 2305.05065) and needs no
training; faiss does the k-means. Departures: levels may differ in size, and a level that has fewer different
residuals than codes (a tiny catalogue, identical vectors) shrinks to those residuals.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shelfwalk.tokenizers.item_tokenizer import (
    Codes,
    Progress,
    Vectors,
    checked_level_sizes,
    checked_vectors,
    vectors_to_fit,
)
from shelfwalk.tokenizers.learning_pairs import LearningPairs
from shelfwalk.tokenizers.residual_quantisation import Codebook, Points, distinct_rows, nearest_codes, residual_codes
from shelfwalk.tokenizers.tokenizer_files import load_arrays, read_description, save_arrays, write_description

ITERATIONS = 20
"""Of each k-means, unless one is asked for with others."""
FEWEST_SAMPLED_POINTS = 131_072
SAMPLED_POINTS_A_CODE = 256
"""k-means learns from all points of a catalogue up to these bounds (the larger one), and from a sample beyond."""


def rows_to_sample(count: int, level_sizes: tuple[int, ...], seed: int) -> npt.NDArray[np.int64]:
    """All of `count` rows, or a seeded sample, large enough for these levels and bounded in memory; ascending."""
    most = max(FEWEST_SAMPLED_POINTS, SAMPLED_POINTS_A_CODE * max(level_sizes))
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, most, replace=False))


def sampled_rows(points: Points, level_sizes: tuple[int, ...], seed: int) -> Points:
    """A copy of all points, or of the sample of them that `rows_to_sample` tells."""
    return np.array(points[rows_to_sample(len(points), level_sizes, seed)], np.float32)


def fit_codebooks(
    points: Points,
    level_sizes: tuple[int, ...],
    seed: int,
    iterations: int = ITERATIONS,
    progress: Progress | None = None,
) -> tuple[Codebook, ...]:
    """Learn one codebook a level, float32 [at most the level's size, d]; `points` is used up.

    The same for any number of threads. A codebook has fewer codes where there are fewer different residuals.
    """
    codebooks = []
    for level, size in enumerate(level_sizes):
        if progress is not None:
            progress("residual k-means", level, len(level_sizes))
        codebook = _fit_level(points, size, seed + level, iterations)
        points -= codebook[nearest_codes(points, codebook)]
        codebooks.append(codebook)
    if progress is not None:
        progress("residual k-means", len(level_sizes), len(level_sizes))
    return tuple(codebooks)


def _fit_level(points: Points, size: int, seed: int, iterations: int) -> Codebook:
    distinct = distinct_rows(points, size + 1)
    if len(distinct) <= size:
        return points[distinct]
    import faiss

    kmeans = faiss.Kmeans(
        points.shape[1],
        size,
        niter=iterations,
        seed=seed,
        # The sample is bounded already, and too few points a code are no news worth a line on standard error.
        max_points_per_centroid=len(points),
        min_points_per_centroid=1,
    )
    with _one_faiss_thread():
        kmeans.train(points)
    return np.array(kmeans.centroids, np.float32)


@contextmanager
def _one_faiss_thread() -> Iterator[None]:
    """Matrix products split over threads may round differently; with one thread the number of cores does not matter."""
    import faiss

    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)


class ResidualKMeansTokenizer:
    """An `ItemTokenizer` by residual k-means; looks at vectors only."""

    kind = "residual-kmeans"

    def __init__(self, level_sizes: tuple[int, ...], *, seed: int = 0, iterations: int = ITERATIONS) -> None:
        self.seed = seed
        self.iterations = iterations
        self._asked_sizes = checked_level_sizes(tuple(level_sizes))
        self._codebooks: tuple[Codebook, ...] = ()

    @property
    def codebooks(self) -> tuple[Codebook, ...]:
        """One a level, float32 [codes, dimensions]; raises ValueError before fitting."""
        if not self._codebooks:
            raise ValueError("the tokeniser is not fitted yet")
        return self._codebooks

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """The number of codes of each level."""
        return tuple(len(codebook) for codebook in self._codebooks) or self._asked_sizes

    def fit(
        self,
        items: pa.Table,
        vectors: Vectors,
        pairs: LearningPairs | None = None,
        *,
        progress: Progress | None = None,
        checkpoints: Path | None = None,
    ) -> Self:
        """See `ItemTokenizer.fit`; needs no pairs. It takes seconds, so it keeps no checkpoints."""
        points = sampled_rows(vectors_to_fit(items, vectors), self._asked_sizes, self.seed)
        self._codebooks = fit_codebooks(points, self._asked_sizes, self.seed, self.iterations, progress)
        return self

    def encode(self, items: pa.Table, vectors: Vectors) -> Codes:
        """See `ItemTokenizer.encode`; no level is ever absent."""
        return residual_codes(checked_vectors(items, vectors, self.codebooks[0].shape[1]), self.codebooks)

    def save(self, folder: Path) -> None:
        """Write one npy file a codebook, and `tokenizer.json`."""
        save_arrays(folder, "codebook", self.codebooks)
        facts = {"level_sizes": self.level_sizes, "seed": self.seed, "iterations": self.iterations}
        write_description(folder, self.kind, facts)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read what `save` wrote; raises UserError if a file is missing or damaged."""
        facts = read_description(folder)
        tokenizer = cls(tuple(facts["level_sizes"]), seed=facts["seed"], iterations=facts["iterations"])
        tokenizer._codebooks = load_arrays(folder, "codebook", len(tokenizer.level_sizes))
        return tokenizer

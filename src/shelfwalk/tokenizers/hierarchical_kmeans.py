"""Hierarchical k-means: every cluster is split by a k-means of its own, DSI's way to structured identifiers.

In: vectors, float32 [items, dimensions]. Out: codes, int32 [items, levels]; several items may share an identifier. A
code means something only behind its prefix: code 3 below one cluster has nothing to do with code 3 below another.

DSI (arXiv 2202.06991, section 3.2, semantically structured identifiers) splits into 10 until a cluster has at most 100
documents, whose last number is arbitrary. Departures: as many levels and codes as asked for, so that identifiers
compare with other kinds of the same sizes, and the last code is the nearest centre too, so that an item that comes
later has one. A cluster with fewer different vectors than codes has a code for each of those.
"""

from __future__ import annotations

from dataclasses import dataclass
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
from shelfwalk.tokenizers.residual_kmeans import ITERATIONS, fit_codebooks, sampled_rows
from shelfwalk.tokenizers.residual_quantisation import Points, nearest_codes
from shelfwalk.tokenizers.tokenizer_files import load_arrays, read_description, save_arrays, write_description


@dataclass(frozen=True)
class _Level:
    """`centres` float32 [clusters, d]; below cluster n of the level above are `offsets[n]` to `offsets[n + 1]`."""

    centres: Points
    offsets: npt.NDArray[np.int64]

    def below(self, cluster: int) -> Points:
        return self.centres[self.offsets[cluster] : self.offsets[cluster + 1]]

    def descended(self, points: Points, clusters: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
        """The code of each point below its cluster: int32 [points]."""
        codes = np.zeros(len(points), np.int32)
        order = np.argsort(clusters, kind="stable")
        for members in np.split(order, np.flatnonzero(np.diff(clusters[order])) + 1):
            if len(members):
                codes[members] = nearest_codes(points[members], self.below(int(clusters[members[0]])))
        return codes


class HierarchicalKMeansTokenizer:
    """An `ItemTokenizer` by k-means within k-means; looks at vectors only."""

    kind = "hierarchical-kmeans"

    def __init__(self, level_sizes: tuple[int, ...], *, seed: int = 0, iterations: int = ITERATIONS) -> None:
        self.seed = seed
        self.iterations = iterations
        self._asked_sizes = checked_level_sizes(tuple(level_sizes))
        self._levels: tuple[_Level, ...] = ()

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """The number of codes of each level: of the cluster that has most."""
        return tuple(int(np.diff(level.offsets).max()) for level in self._levels) or self._asked_sizes

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
        clusters, parents, levels = np.zeros(len(points), np.int64), points.mean(axis=0, keepdims=True), []
        for number, size in enumerate(self._asked_sizes):
            if progress is not None:
                progress("Levels of k-means", number, len(self._asked_sizes))
            levels.append(self._split(points, clusters, parents, size))
            clusters = levels[-1].offsets[clusters] + levels[-1].descended(points, clusters)
            parents = levels[-1].centres
        self._levels = tuple(levels)
        return self

    def encode(self, items: pa.Table, vectors: Vectors) -> Codes:
        """See `ItemTokenizer.encode`; no level is ever absent."""
        levels = self._fitted
        points = checked_vectors(items, vectors, levels[0].centres.shape[1])
        clusters, codes = np.zeros(len(points), np.int64), np.empty((len(points), len(levels)), np.int32)
        for number, level in enumerate(levels):
            codes[:, number] = level.descended(points, clusters)
            clusters = level.offsets[clusters] + codes[:, number]
        return codes

    def save(self, folder: Path) -> None:
        """Write the centres and offsets of each level as npy files, and `tokenizer.json`."""
        levels = self._fitted
        save_arrays(folder, "centres", [level.centres for level in levels])
        save_arrays(folder, "offsets", [level.offsets for level in levels])
        facts = {"level_sizes": self.level_sizes, "seed": self.seed, "iterations": self.iterations}
        write_description(folder, self.kind, facts)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read what `save` wrote; raises UserError if a file is missing or damaged."""
        facts = read_description(folder)
        tokenizer = cls(tuple(facts["level_sizes"]), seed=facts["seed"], iterations=facts["iterations"])
        centres, offsets = (load_arrays(folder, name, len(facts["level_sizes"])) for name in ("centres", "offsets"))
        tokenizer._levels = tuple(_Level(*arrays) for arrays in zip(centres, offsets, strict=True))
        return tokenizer

    @property
    def _fitted(self) -> tuple[_Level, ...]:
        if not self._levels:
            raise ValueError("the tokeniser is not fitted yet")
        return self._levels

    def _split(self, points: Points, clusters: npt.NDArray[np.int64], parents: Points, size: int) -> _Level:
        """Split every cluster, of which `parents` [clusters, d] are the centres and `clusters` [points] the members."""
        order = np.argsort(clusters, kind="stable")
        begins = np.searchsorted(clusters[order], np.arange(len(parents) + 1))
        parts = []
        for cluster, parent in enumerate(parents):
            members = points[order[begins[cluster] : begins[cluster + 1]]]
            # A centre that lost all its points still needs a way down.
            split = fit_codebooks(members, (size,), self.seed, self.iterations)[0] if len(members) else parent[None]
            parts.append(split)
        return _Level(np.concatenate(parts), np.cumsum([0, *map(len, parts)]).astype(np.int64))

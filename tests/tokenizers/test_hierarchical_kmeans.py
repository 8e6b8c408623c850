"""Hierarchical k-means: codes behind their prefix, the same every time, and small clusters that cannot be split."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from shelfwalk.errors import UserError
from shelfwalk.tokenizers.hierarchical_kmeans import HierarchicalKMeansTokenizer
from shelfwalk.tokenizers.saved_tokenizer import open_tokenizer


def fitted(catalogue: Callable[..., tuple], sizes: tuple[int, ...] = (4, 3, 2)) -> tuple:
    items, vectors = catalogue(300, 8)
    return HierarchicalKMeansTokenizer(sizes, seed=1).fit(items, vectors), items, vectors


def test_every_code_is_the_nearest_centre_behind_its_prefix(catalogue: Callable[..., tuple]) -> None:
    tokenizer, items, vectors = fitted(catalogue)
    for row, codes in enumerate(tokenizer.encode(items, vectors).tolist()):
        cluster = 0
        for level, code in zip(tokenizer._fitted, codes, strict=True):
            centres = level.centres[level.offsets[cluster] : level.offsets[cluster + 1]].astype(np.float64)
            distances = ((centres - vectors[row]) ** 2).sum(axis=1)
            assert distances[code] <= distances.min() + 1e-9
            cluster = int(level.offsets[cluster]) + code


def test_a_cluster_is_split_by_centres_of_its_own(catalogue: Callable[..., tuple]) -> None:
    tokenizer, items, vectors = fitted(catalogue)
    codes = tokenizer.encode(items, vectors)
    second = tokenizer._fitted[1]
    for first in range(4):
        members = vectors[codes[:, 0] == first]
        spread = np.linalg.norm(members - members.mean(axis=0), axis=1).max()
        inside = np.linalg.norm(second.below(first) - members.mean(axis=0), axis=1)
        assert (inside <= spread + 1e-6).all(), "its centres lie among its items"
    assert tokenizer.level_sizes == (4, 3, 2)


def test_the_same_every_time_alone_and_from_the_disk(catalogue: Callable[..., tuple], tmp_path: Path) -> None:
    tokenizer, items, vectors = fitted(catalogue)
    codes = tokenizer.encode(items, vectors)
    assert codes.dtype == np.int32
    again = HierarchicalKMeansTokenizer((4, 3, 2), seed=1).fit(items, vectors)
    assert (again.encode(items, vectors) == codes).all()
    for row in (0, 17, 299):
        assert (tokenizer.encode(items.slice(row, 1), vectors[row : row + 1]) == codes[row]).all()
    tokenizer.save(tmp_path)
    assert (open_tokenizer(tmp_path).encode(items, vectors) == codes).all()
    (tmp_path / "offsets_2.npy").unlink()
    with pytest.raises(UserError, match="missing or damaged"):
        open_tokenizer(tmp_path)


def test_clusters_too_small_to_split(catalogue: Callable[..., tuple]) -> None:
    """Five different vectors, four times each: no level can have more codes than there are, and no item lacks one."""
    items, vectors = catalogue(20, 4)
    vectors = vectors[np.arange(20) % 5]
    tokenizer = HierarchicalKMeansTokenizer((3, 8, 8)).fit(items, vectors)
    codes = tokenizer.encode(items, vectors)
    assert len({tuple(row) for row in codes.tolist()}) == 5
    assert (codes[:5] == codes[5:10]).all()
    assert tokenizer.level_sizes[0] == 3
    assert max(tokenizer.level_sizes[1:]) <= 5
    assert (codes < np.array(tokenizer.level_sizes)).all()


def test_no_items_and_not_fitted(catalogue: Callable[..., tuple]) -> None:
    items, vectors = catalogue(5, 4)
    with pytest.raises(UserError, match="no items"):
        HierarchicalKMeansTokenizer((4,)).fit(items.slice(0, 0), vectors[:0])
    with pytest.raises(ValueError, match="not fitted"):
        HierarchicalKMeansTokenizer((4,)).encode(items, vectors)

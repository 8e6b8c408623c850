"""Small made-up catalogues for the tokenisers: items that are no more than an id, and vectors with some structure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

Catalogue = tuple[pa.Table, npt.NDArray[np.float32]]


def items_of(ids: list[str]) -> pa.Table:
    return pa.table({"item_id": pa.array(ids, pa.string())})


def mixture(items: int, dimensions: int, clusters: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """Unit vectors around uneven cluster centres, as products stand around product types."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(clusters, dimensions))
    members = random.choice(clusters, size=items, p=random.dirichlet(np.ones(clusters)))
    vectors = centres[members] + 0.5 * random.normal(size=(items, dimensions))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="session")
def catalogue() -> Callable[[int, int], Catalogue]:
    def make(items: int, dimensions: int, clusters: int = 12, seed: int = 0) -> Catalogue:
        return items_of([f"item {number}" for number in range(items)]), mixture(items, dimensions, clusters, seed)

    return make


@pytest.fixture
def folder_content() -> Callable[[Path], dict[str, bytes]]:
    """All files below a folder by their relative names."""

    def read(folder: Path) -> dict[str, bytes]:
        files = (path for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): path.read_bytes() for path in files}

    return read

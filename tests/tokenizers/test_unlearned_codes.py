"""Identifiers that nobody learnt: hyperplanes tell how far apart vectors are, random codes tell nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfwalk.errors import UserError
from shelfwalk.tokenizers.item_tokenizer import ItemTokenizer
from shelfwalk.tokenizers.locality_sensitive_hashing import LSHTokenizer
from shelfwalk.tokenizers.random_codes import RandomTokenizer
from shelfwalk.tokenizers.saved_tokenizer import open_tokenizer

MAKERS: dict[str, Callable[[int], ItemTokenizer]] = {
    "lsh": lambda seed: LSHTokenizer((8, 16, 2), seed=seed),
    "random": lambda seed: RandomTokenizer((8, 16, 2), seed=seed),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_the_same_every_time_alone_later_and_from_the_disk(
    kind: str, catalogue: Callable[..., tuple], tmp_path: Path
) -> None:
    items, vectors = catalogue(200, 8)
    tokenizer = MAKERS[kind](1).fit(items.slice(0, 150), vectors[:150])
    codes = tokenizer.encode(items, vectors)
    assert codes.dtype == np.int32
    assert codes.shape == (200, 3)
    assert (codes >= 0).all()
    assert (codes.max(axis=0) == (7, 15, 1)).all(), "every code can be had"
    for row in (0, 17, 199):
        assert (tokenizer.encode(items.slice(row, 1), vectors[row : row + 1]) == codes[row]).all()
    tokenizer.save(tmp_path)
    opened = open_tokenizer(tmp_path)
    assert opened.level_sizes == (8, 16, 2)
    assert (opened.encode(items, vectors) == codes).all()
    assert (MAKERS[kind](2).fit(items, vectors).encode(items, vectors) != codes).any()


def test_two_vectors_share_a_bit_as_often_as_no_hyperplane_parts_them(catalogue: Callable[..., tuple]) -> None:
    """One minus the angle over pi: the property that locality-sensitive hashing by hyperplanes is for."""
    items, vectors = catalogue(2, 6)
    vectors[1] = vectors[0] + 0.6 * vectors[1]
    vectors = np.concatenate([vectors, -vectors])
    of_four = items.take([0, 1, 0, 1])
    tokenizer = LSHTokenizer((2,) * 4_000).fit(of_four, vectors)
    codes = tokenizer.encode(of_four, vectors)
    cosine = vectors[0] @ vectors[1] / np.linalg.norm(vectors[0]) / np.linalg.norm(vectors[1])
    assert (codes[0] == codes[1]).mean() == pytest.approx(1 - np.arccos(cosine) / np.pi, abs=0.04)
    assert (codes[0] != codes[2]).all(), "opposite sides of the mean"


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.floats(-100, 100, width=32))
def test_a_code_is_the_sides_of_its_hyperplanes_wherever_the_catalogue_stands(seed: int, shift: float) -> None:
    random = np.random.default_rng(seed)
    vectors = (random.normal(size=(60, 5)) + shift).astype(np.float32)
    items = pa.table({"item_id": [str(row) for row in range(60)]})
    tokenizer = LSHTokenizer((8, 4), seed=seed % 7).fit(items, vectors)
    codes = tokenizer.encode(items, vectors)
    centred = vectors.astype(np.float64) - vectors.astype(np.float64).mean(axis=0)
    for level, normals in enumerate(tokenizer._hyperplanes):
        sides = centred @ normals.T.astype(np.float64)
        expected = [int("".join("1" if side > 0 else "0" for side in row), 2) for row in sides]
        clear = (np.abs(sides) > 1e-3).all(axis=1)
        assert (codes[clear, level] == np.array(expected)[clear]).all()
        assert clear.sum() > 50


def test_random_codes_look_at_nothing_but_the_id(catalogue: Callable[..., tuple]) -> None:
    items, vectors = catalogue(4_000, 4)
    tokenizer = RandomTokenizer((16, 16)).fit(items, vectors)
    codes = tokenizer.encode(items, vectors)
    assert (tokenizer.encode(items, vectors[::-1]) == codes).all()
    expected = 4_000 / 256
    counts = np.bincount(codes[:, 0] * 16 + codes[:, 1], minlength=256)
    assert ((counts - expected) ** 2 / expected).sum() < 340, "chi squared of 255 degrees; 1 in 5,000 is above"


@pytest.mark.parametrize("sizes", [(256, 100), (1,), (0,), ()])
def test_codes_that_no_hyperplanes_make(sizes: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="give"):
        LSHTokenizer(sizes)


@pytest.mark.parametrize("kind", MAKERS)
def test_no_items_to_learn_from(kind: str, catalogue: Callable[..., tuple]) -> None:
    items, vectors = catalogue(5, 4)
    with pytest.raises(UserError, match="no items"):
        MAKERS[kind](0).fit(items.slice(0, 0), vectors[:0])


def test_hyperplanes_are_of_the_fitted_dimensions(catalogue: Callable[..., tuple]) -> None:
    items, vectors = catalogue(5, 4)
    with pytest.raises(ValueError, match="not fitted"):
        LSHTokenizer((2,)).encode(items, vectors)
    with pytest.raises(ValueError, match="fitted on 4 dimensions"):
        LSHTokenizer((2,)).fit(items, vectors).encode(items, vectors[:, :3])

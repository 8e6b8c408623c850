"""Two levels in each other's place: the same clusters under turned identifiers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from shelfwalk.errors import UserError
from shelfwalk.recipes.recipe import load_recipe, parse_recipe
from shelfwalk.tokenizers.made_of_settings import tokenizer_of
from shelfwalk.tokenizers.residual_kmeans import ResidualKMeansTokenizer
from shelfwalk.tokenizers.saved_tokenizer import open_tokenizer
from shelfwalk.tokenizers.swapped import SwappedTokenizer

SIZES = (8, 6, 4)


@pytest.fixture(scope="module")
def vectors() -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(300, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def items() -> pa.Table:
    return pa.table({"item_id": [str(row) for row in range(300)]})


@pytest.mark.parametrize(("first", "second", "order"), [(1, 2, [1, 0, 2]), (3, 1, [2, 1, 0]), (2, 3, [0, 2, 1])])
def test_the_columns_change_places_and_so_do_their_sizes(
    items: pa.Table, vectors: npt.NDArray[np.float32], tmp_path: Path, first: int, second: int, order: list[int]
) -> None:
    plain = ResidualKMeansTokenizer(SIZES).fit(items, vectors)
    swapped = SwappedTokenizer(ResidualKMeansTokenizer(SIZES), first, second).fit(items, vectors)
    assert swapped.level_sizes == tuple(SIZES[level] for level in order)
    codes = swapped.encode(items, vectors)
    assert codes.dtype == np.int32
    assert codes.tolist() == plain.encode(items, vectors)[:, order].tolist()
    swapped.save(tmp_path)
    again = open_tokenizer(tmp_path)
    assert again.level_sizes == swapped.level_sizes
    assert again.encode(items, vectors).tolist() == codes.tolist()


@pytest.mark.parametrize("levels", [(1, 1), (0, 1), (2, 4)])
def test_levels_that_cannot_change_places_are_refused(levels: tuple[int, int]) -> None:
    with pytest.raises(UserError, match="cannot change places"):
        SwappedTokenizer(ResidualKMeansTokenizer(SIZES), *levels)


def test_the_recipe_differs_from_the_plain_one_in_the_order_only() -> None:
    plain, swapped = load_recipe("rqkmeans"), load_recipe("hourglass-swapped")
    assert swapped.tokenizer.inner == plain.tokenizer
    without = {"name", "tokenizer"}
    assert swapped.model_dump(exclude=without) == plain.model_dump(exclude=without)
    assert tokenizer_of(swapped.tokenizer, 0).level_sizes == (64, 64, 32)
    assert isinstance(tokenizer_of(swapped.tokenizer, 0), SwappedTokenizer)


@pytest.mark.parametrize(
    ("inner", "levels", "complaint"),
    [
        ('kind = "residual_kmeans"', "[1, 4]", "levels must be two different ones of 3"),
        ('kind = "residual_kmeans"', "[2, 2]", "levels must be two different ones of 3"),
        ('kind = "rqvae"', "[1, 2]", "inner.unique numbers items in the last level"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused_before_anything_is_built(inner: str, levels: str, complaint: str) -> None:
    text = f'name = "x"\n[tokenizer]\nkind = "swapped"\nlevels = {levels}\n[tokenizer.inner]\n{inner}\n'
    with pytest.raises(UserError) as refused:
        parse_recipe(text, "x.toml")
    assert complaint in str(refused.value)

"""Pairs to learn from fit the catalogue, or are refused in one sentence before anything is learnt."""

from __future__ import annotations

import numpy as np
import pytest

from shelfwalk.data.query_item_pairs import QueryItemPairs
from shelfwalk.errors import UserError
from shelfwalk.tokenizers.learning_pairs import LearningPairs

VECTORS = np.eye(2, 3, dtype=np.float32)
PAIRS = QueryItemPairs.of([("red", 0), ("blue", 4), ("red", 3)])


def test_pairs_of_the_catalogue_pass_unchanged() -> None:
    pairs = LearningPairs(PAIRS, VECTORS)
    assert pairs.checked(5, 3) is pairs


@pytest.mark.parametrize(
    ("items", "sentence"), [(4, "Pair 1 .* names the item of row 4, but there are 4"), (0, "Pair 0")]
)
def test_a_pair_that_names_an_unknown_item(items: int, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        LearningPairs(PAIRS, VECTORS).checked(items, 3)


def test_a_pair_that_names_an_unknown_query() -> None:
    with pytest.raises(UserError, match=r"Pair 1 .* names the query of row 1, but there are 1 "):
        LearningPairs(PAIRS, VECTORS[:1]).checked(5, 3)


def test_a_row_below_zero_is_no_row() -> None:
    below = QueryItemPairs(("red",), np.zeros(1, np.int32), np.array([-1], np.int32))
    with pytest.raises(UserError, match="item of row -1"):
        LearningPairs(below, VECTORS).checked(5, 3)


@pytest.mark.parametrize("vectors", [VECTORS[:, :2], VECTORS[0], np.full((2, 3), np.nan, np.float32)])
def test_vectors_that_do_not_fit(vectors: np.ndarray) -> None:
    with pytest.raises(ValueError, match="query vector"):
        LearningPairs(PAIRS, vectors).checked(5, 3)

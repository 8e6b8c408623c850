"""Pairs put in order block by block come out as if all of them had been held at once."""

from __future__ import annotations

import tempfile
from pathlib import Path
from unittest.mock import patch

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.generators import pair_files
from shelfwalk.generators.pair_files import divided, stored_targets
from shelfwalk.generators.pairs import StoredPairs

QUERIES, ITEMS = 5, 8
PAIRS = st.lists(st.tuples(st.integers(0, QUERIES - 1), st.integers(0, ITEMS - 1)), max_size=40)
BLOCKS = st.integers(1, 12)


def stored(pairs: list[tuple[int, int]]) -> StoredPairs:
    return StoredPairs(np.array(pairs, np.int32).reshape(-1, 2).T)


@given(pairs=PAIRS, parts=st.lists(st.integers(-1, 2), min_size=QUERIES, max_size=QUERIES), block=BLOCKS)
def test_every_part_has_the_pairs_of_its_queries_in_their_order(
    pairs: list[tuple[int, int]], parts: list[int], block: int
) -> None:
    with tempfile.TemporaryDirectory() as folder, patch.object(pair_files, "BLOCK", block):
        files = [Path(folder) / f"{part}.npy" for part in range(3)]
        found = divided(stored(pairs), np.array(parts, np.int8), files)
        for part, of_part in enumerate(found):
            assert of_part.rows.T.tolist() == [list(pair) for pair in pairs if parts[pair[0]] == part]
            assert of_part.rows.dtype == np.int32
            np.testing.assert_array_equal(np.load(files[part]), of_part.rows)


@given(sources=st.lists(PAIRS, max_size=3), leaves=st.lists(st.integers(0, 3), min_size=8, max_size=8), block=BLOCKS)
def test_targets_are_the_first_items_of_a_querys_different_identifiers(
    sources: list[list[tuple[int, int]]], leaves: list[int], block: int
) -> None:
    slow: list[dict[int, int]] = [{} for _ in range(QUERIES)]
    for query, item in (pair for pairs in sources for pair in pairs):
        slow[query].setdefault(leaves[item], item)
    with tempfile.TemporaryDirectory() as folder, patch.object(pair_files, "BLOCK", block):
        found = stored_targets([stored(pairs) for pairs in sources], QUERIES, np.array(leaves, np.int32), Path(folder))
        assert found.begins.tolist() == np.cumsum([0, *map(len, slow)]).tolist()
        assert found.items.tolist() == [items[leaf] for items in slow for leaf in sorted(items)]
        assert (found.begins.dtype, found.items.dtype) == (np.int64, np.int32)

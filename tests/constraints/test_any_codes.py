"""No constraint is the trie of every combination of codes, without its size."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfwalk.constraints.any_codes import AnyCodes
from shelfwalk.constraints.trie import Trie


@settings(max_examples=30)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.randoms())
def test_it_is_walked_as_the_trie_of_all_combinations(sizes: list[int], random: object) -> None:
    everything = np.array(list(product(*map(range, sizes))), np.int32)
    trie, free = Trie.build(everything, level_sizes=sizes), AnyCodes(sizes)
    paths = everything[random.sample(range(len(everything)), min(6, len(everything)))]  # type: ignore[attr-defined]
    of_trie, of_free = trie.initial(len(paths)), free.initial(len(paths))
    for level in range(len(sizes) + 1):
        expected, found = trie.allowed(of_trie), free.allowed(of_free)
        assert found.offsets.tolist() == expected.offsets.tolist()
        assert found.tokens.tolist() == expected.tokens.tolist()
        assert free.complete(of_free).tolist() == trie.complete(of_trie).tolist() == [level == len(sizes)] * len(paths)
        if level < len(sizes):
            of_trie, of_free = (
                one.advance(states, paths[:, level]) for one, states in ((trie, of_trie), (free, of_free))
            )


@pytest.mark.parametrize("token", [-1, 3])
def test_a_token_that_the_level_lacks(token: int) -> None:
    free = AnyCodes([3, 9])
    with pytest.raises(ValueError, match="not a code"):
        free.advance(free.initial(1), np.array([token], np.int32))


@pytest.mark.parametrize("sizes", [[], [3, 0]])
def test_sizes_that_make_no_identifier(sizes: list[int]) -> None:
    with pytest.raises(ValueError, match="no identifier"):
        AnyCodes(sizes)

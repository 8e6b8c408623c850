"""The flat trie against a trie of dictionaries on random catalogues."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shelfwalk.constraints.trie import Trie

Codes = npt.NDArray[np.int32]
Prefix = tuple[int, ...]


@st.composite
def catalogues(draw: st.DrawFn) -> Codes:
    """Codes of 1 to 60 items with 1 to 5 levels of unequal sizes; few codes a level, so that many items collide."""
    sizes = draw(st.lists(st.integers(1, 7), min_size=1, max_size=5))
    drawn = draw(arrays(np.int32, (draw(st.integers(1, 60)), len(sizes)), elements=st.integers(0, 5040)))
    # Far apart, so that a token is never by chance a node number.
    return (drawn % np.array(sizes, np.int32)) * 1000


class DictionaryTrie:
    """Every prefix with its next tokens, and every path with its items."""

    def __init__(self, codes: Codes) -> None:
        self.next: dict[Prefix, set[int]] = {}
        self.items: dict[Prefix, list[int]] = {}
        for item, path in enumerate(map(tuple, codes.tolist())):
            for length in range(len(path)):
                self.next.setdefault(path[:length], set()).add(path[length])
            self.next.setdefault(path, set())
            self.items.setdefault(path, []).append(item)

    def prefixes(self) -> list[Prefix]:
        """All prefixes, the shorter ones first, those of one length in lexicographic order."""
        return sorted(self.next, key=lambda prefix: (len(prefix), prefix))


def one(value: int) -> npt.NDArray[Any]:
    return np.array([value])


def node_of(trie: Trie, prefix: Prefix) -> int:
    state = trie.initial(1)
    for token in prefix:
        state = trie.advance(state, one(token))
    return int(state[0])


@settings(max_examples=200, deadline=None)
@given(catalogues())
def test_walks_as_a_dictionary_trie_does(codes: Codes) -> None:
    trie, oracle = Trie.build(codes), DictionaryTrie(codes)
    prefixes = oracle.prefixes()
    # Numbers count the prefixes level by level, in the order of their paths: ties by number are ties by path.
    assert [node_of(trie, prefix) for prefix in prefixes] == list(range(len(prefixes))) == list(range(len(trie.tokens)))

    allowed = trie.allowed(np.arange(len(prefixes)))
    sets = np.split(allowed.tokens, allowed.offsets[1:-1])
    assert [part.tolist() for part in sets] == [sorted(oracle.next[prefix]) for prefix in prefixes]
    assert (allowed.offsets[0], allowed.offsets[-1]) == (0, len(allowed.tokens))


@settings(max_examples=100, deadline=None)
@given(catalogues(), st.randoms(use_true_random=False))
def test_walks_many_states_at_once_in_any_order(codes: Codes, random: Any) -> None:
    trie, oracle = Trie.build(codes), DictionaryTrie(codes)
    number = {prefix: node for node, prefix in enumerate(oracle.prefixes())}
    steps = [(prefix, token) for prefix, tokens in oracle.next.items() for token in tokens] * 2
    random.shuffle(steps)
    states = np.array([number[prefix] for prefix, _ in steps])
    moved = trie.advance(states, np.array([token for _, token in steps], np.int32))
    assert moved.tolist() == [number[(*prefix, token)] for prefix, token in steps]


@settings(max_examples=200, deadline=None)
@given(catalogues())
def test_keeps_every_item_under_its_path(codes: Codes) -> None:
    trie, oracle = Trie.build(codes), DictionaryTrie(codes)
    paths = [tuple(path) for path in trie.paths().tolist()]
    assert paths == sorted(oracle.items)
    assert trie.leaves == len(paths)
    assert [trie.items_of(leaf).tolist() for leaf in range(trie.leaves)] == [oracle.items[path] for path in paths]
    assert trie.cluster_sizes().tolist() == [len(oracle.items[path]) for path in paths]
    assert [paths[leaf] for leaf in trie.leaf_of_item()] == list(map(tuple, codes.tolist()))
    assert [node_of(trie, path) - trie.first_leaf for path in paths] == list(range(trie.leaves))


@settings(max_examples=100, deadline=None)
@given(catalogues(), st.data())
def test_gives_the_paths_of_chosen_leaves_in_the_order_asked(codes: Codes, data: st.DataObject) -> None:
    trie = Trie.build(codes)
    leaves = np.array(data.draw(st.lists(st.integers(0, trie.leaves - 1))), np.int64)
    chosen = trie.paths(trie.first_leaf + leaves)
    assert chosen.dtype == np.int32
    assert chosen.tolist() == trie.paths()[leaves].tolist()


@settings(max_examples=200, deadline=None)
@given(catalogues(), st.data())
def test_refuses_a_token_that_does_not_follow(codes: Codes, data: st.DataObject) -> None:
    trie, oracle = Trie.build(codes), DictionaryTrie(codes)
    prefix = data.draw(st.sampled_from(oracle.prefixes()))
    follows = oracle.next[prefix]
    # Next to each token that follows, before the first and behind the last, and tokens of other prefixes.
    near = {token + step for token in follows for step in (-1, 1)} | {-1, 0, 10**6} | set(codes.ravel().tolist())
    wrong = data.draw(st.sampled_from(sorted(near - follows)))
    states = np.array([node_of(trie, prefix), 0])
    tokens = np.array([wrong, min(oracle.next[()])], np.int32)
    for order in ([0], [0, 1], [1, 0]):
        with pytest.raises(ValueError, match="does not follow"):
            trie.advance(states[order], tokens[order])


@settings(max_examples=50, deadline=None)
@given(catalogues())
def test_opens_what_it_saved_memory_mapped(codes: Codes) -> None:
    trie = Trie.build(codes)
    with TemporaryDirectory() as name:
        folder = Path(name, "deep", "trie")
        trie.save(folder)
        opened = Trie.open(folder, trie.levels)
        for field in ("children", "tokens", "posting_offsets", "posting_items"):
            kept, read = getattr(trie, field), getattr(opened, field)
            assert isinstance(read, np.memmap)
            assert read.dtype == kept.dtype
            np.testing.assert_array_equal(read, kept)
        assert opened.levels == trie.levels
        np.testing.assert_array_equal(opened.paths(), trie.paths())
        state = opened.advance(opened.initial(3), np.repeat(codes[:1, 0], 3))
        assert state.tolist() == trie.advance(trie.initial(3), np.repeat(codes[:1, 0], 3)).tolist()


def test_arrays_have_the_documented_types_whatever_comes_in() -> None:
    trie = Trie.build(np.array([[3, 1], [0, 2]], np.int64))
    assert (trie.children.dtype, trie.tokens.dtype) == (np.int64, np.int32)
    assert (trie.posting_offsets.dtype, trie.posting_items.dtype) == (np.int64, np.int64)
    assert trie.initial(2).dtype == np.int64
    assert trie.allowed(trie.initial(2)).tokens.dtype == np.int32


def test_asking_for_no_states_gives_nothing() -> None:
    trie = Trie.build(np.array([[3, 1], [0, 2]], np.int32))
    nothing = trie.allowed(trie.initial(0))
    assert (nothing.offsets.tolist(), nothing.tokens.tolist()) == ([0], [])
    assert trie.advance(trie.initial(0), np.empty(0, np.int32)).tolist() == []


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0), (3,), (2, 2, 2)])
def test_refuses_codes_without_items_or_levels(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="at least one of each"):
        Trie.build(np.zeros(shape, np.int32))


def test_refuses_negative_codes() -> None:
    with pytest.raises(ValueError, match="negative"):
        Trie.build(np.array([[0, 1], [2, -1]], np.int32))

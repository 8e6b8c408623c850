"""Filtered tries against tries of the items that pass alone."""

from __future__ import annotations

import numpy as np
import pytest
from catalogues import Codes, assert_same_walk, catalogues, path_of, plain_trie, sets_of, state_of, whole_paths
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfwalk.constraints import masked_trie
from shelfwalk.constraints.item_filter import ItemFilter
from shelfwalk.constraints.masked_trie import MaskedTrie, alive_nodes
from shelfwalk.constraints.trie import Trie

SHARES = st.sampled_from([0.0, 0.02, 0.3, 0.9, 1.0])


def some_rows(seed: int, share: float, items: int) -> ItemFilter:
    return ItemFilter(np.random.default_rng(seed).random(items) < share)


@pytest.fixture(params=[0.0, 2.0], ids=["by scan", "by climbing"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masked_trie, "SCAN_FROM", request.param)


# The fixture holds for all examples of a test.
SETTINGS = settings(max_examples=150)


@pytest.mark.usefixtures("way")
def test_offers_a_path_exactly_if_an_allowed_item_lies_under_it() -> None:
    @SETTINGS
    @given(catalogues(), st.integers(0, 2**32), SHARES)
    def check(codes: Codes, seed: int, share: float) -> None:
        item_filter = some_rows(seed, share, len(codes))
        narrowed = Trie.build(codes).narrowed(item_filter)
        plain = plain_trie(codes, item_filter.rows.tolist())
        assert_same_walk(narrowed, plain, codes.shape[1])
        whole = whole_paths(plain, codes.shape[1])
        ends = np.concatenate([narrowed.initial(0), *(state_of(narrowed, path) for path in whole)])
        postings = narrowed.postings(ends)
        assert [postings.of(place).tolist() for place in range(len(ends))] == [
            plain.items[path_of(path)] for path in whole
        ]
        # How large a cluster is does not depend on who asks.
        everything = plain_trie(codes)
        assert narrowed.cluster_sizes(ends).tolist() == [len(everything.items[path_of(path)]) for path in whole]

    check()


@settings(max_examples=150)
@given(catalogues(), st.integers(0, 2**32), SHARES)
def test_both_ways_find_the_same_nodes(codes: Codes, seed: int, share: float) -> None:
    trie, item_filter = Trie.build(codes), some_rows(seed, share, len(codes))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(masked_trie, "SCAN_FROM", 0.0)
        scanned = alive_nodes(trie, item_filter)
        patch.setattr(masked_trie, "SCAN_FROM", 2.0)
        assert scanned.tolist() == alive_nodes(trie, item_filter).tolist()


@settings(max_examples=150)
@given(catalogues(), st.integers(0, 2**32), SHARES, st.data())
def test_refuses_tokens_that_lead_to_filtered_items_only(
    codes: Codes, seed: int, share: float, data: st.DataObject
) -> None:
    item_filter = some_rows(seed, share, len(codes))
    narrowed = Trie.build(codes).narrowed(item_filter)
    plain, everything = plain_trie(codes, item_filter.rows.tolist()), plain_trie(codes)
    prefix = data.draw(st.sampled_from(plain.prefixes()))
    for token in set(everything.allowed(prefix)) - set(plain.allowed(prefix)):
        with pytest.raises(ValueError, match="does not follow"):
            narrowed.advance(state_of(narrowed, prefix), np.array([token], np.int32))


@settings(max_examples=100)
@given(catalogues(), st.integers(0, 2**32), SHARES, SHARES)
def test_narrowing_twice_is_narrowing_by_both(codes: Codes, seed: int, first: float, second: float) -> None:
    one, other = some_rows(seed, first, len(codes)), some_rows(seed + 1, second, len(codes))
    twice = Trie.build(codes).narrowed(one).narrowed(other)
    assert_same_walk(twice, plain_trie(codes, (one & other).rows.tolist()), codes.shape[1])


@pytest.mark.usefixtures("way")
def test_items_that_came_after_a_filter_was_made_do_not_pass() -> None:
    trie = Trie.build(np.array([[0], [1], [2]], np.int32))
    assert sets_of(trie.narrowed(ItemFilter(np.array([False, True]))).allowed(trie.initial(1))) == [[1]]
    assert sets_of(trie.narrowed(ItemFilter(np.array([], bool))).allowed(trie.initial(1))) == [[]]


@pytest.mark.usefixtures("way")
def test_rows_of_a_filter_that_are_not_in_the_trie_do_no_harm() -> None:
    trie = Trie.build(np.array([[0], [1]], np.int32), np.array([2, 5]))
    narrowed = trie.narrowed(ItemFilter.of_rows([0, 3, 5, 9], 10))
    assert sets_of(narrowed.allowed(trie.initial(1))) == [[1]]


def test_a_large_catalogue_with_wide_levels_is_filtered_over_whole_words_of_bits() -> None:
    random = np.random.default_rng(0)
    codes = random.integers(0, (300, 500), (20_000, 2)).astype(np.int32)
    trie = Trie.build(codes)
    for share in (0.0003, 0.01, 0.5):
        item_filter = ItemFilter(random.random(len(codes)) < share)
        narrowed = MaskedTrie.of(trie, item_filter)
        alive = trie.build(codes[item_filter.allowed])
        assert sets_of(narrowed.allowed(narrowed.initial(1))) == sets_of(alive.allowed(alive.initial(1)))
        (first,) = sets_of(alive.allowed(alive.initial(1)))
        tokens = np.array(first, np.int32)
        states = narrowed.advance(narrowed.initial(len(tokens)), tokens)
        assert sets_of(narrowed.allowed(states)) == sets_of(
            alive.allowed(alive.advance(alive.initial(len(tokens)), tokens))
        )

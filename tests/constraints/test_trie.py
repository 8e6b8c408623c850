"""The flat trie against a trie of dictionaries on random catalogues."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from catalogues import (
    Codes,
    assert_same_walk,
    catalogues,
    path_of,
    plain_trie,
    sets_of,
    state_of,
    whole_paths,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfwalk.constraints.constraint import END
from shelfwalk.constraints.trie import Trie
from shelfwalk.errors import UserError


@settings(max_examples=200)
@given(catalogues())
def test_walks_as_a_dictionary_trie_does(codes: Codes) -> None:
    assert_same_walk(Trie.build(codes), plain_trie(codes), codes.shape[1])


@settings(max_examples=100)
@given(catalogues(several_lengths=False))
def test_nodes_are_numbered_level_by_level_in_the_order_of_their_paths(codes: Codes) -> None:
    trie, plain = Trie.build(codes), plain_trie(codes)
    prefixes = sorted({*plain.prefixes(), *plain.items}, key=lambda prefix: (len(prefix), prefix))
    assert [int(state_of(trie, prefix)[0, 0]) for prefix in prefixes] == list(range(len(trie.tokens)))
    assert not trie.has_ends


@settings(max_examples=100)
@given(catalogues(), st.randoms(use_true_random=False))
def test_walks_many_states_at_once_in_any_order(codes: Codes, random: Any) -> None:
    trie, plain = Trie.build(codes), plain_trie(codes)
    steps = [(prefix, token) for prefix in plain.prefixes() for token in plain.allowed(prefix)] * 2
    random.shuffle(steps)
    states = np.concatenate([state_of(trie, prefix) for prefix, _ in steps])
    moved = trie.advance(states, np.array([token for _, token in steps], np.int32))
    assert moved.tolist() == [state_of(trie, (*prefix, token)).tolist()[0] for prefix, token in steps]
    assert sets_of(trie.allowed(states)) == [plain.allowed(prefix) for prefix, _ in steps]


@settings(max_examples=200)
@given(catalogues())
def test_keeps_every_item_under_its_path(codes: Codes) -> None:
    trie, plain = Trie.build(codes), plain_trie(codes)
    paths = [path_of(path) for path in trie.paths().tolist()]
    assert paths == sorted(plain.items)
    assert trie.leaves == len(paths)
    assert [trie.items_of(leaf).tolist() for leaf in range(trie.leaves)] == [plain.items[path] for path in paths]
    assert trie.all_cluster_sizes().tolist() == [len(plain.items[path]) for path in paths]
    assert [paths[leaf] for leaf in trie.leaf_of_item] == list(map(path_of, codes.tolist()))
    ends = np.concatenate([state_of(trie, path) for path in whole_paths(plain, codes.shape[1])])
    assert (ends[:, 0] - trie.first_leaf).tolist() == list(range(trie.leaves))
    postings = trie.postings(ends[::-1])
    assert [postings.of(place).tolist() for place in range(len(ends))] == [plain.items[path] for path in paths[::-1]]
    assert trie.cluster_sizes(ends).tolist() == trie.all_cluster_sizes().tolist()


@settings(max_examples=100)
@given(catalogues(), st.data())
def test_gives_the_paths_of_chosen_leaves_in_the_order_asked(codes: Codes, data: st.DataObject) -> None:
    trie = Trie.build(codes)
    leaves = np.array(data.draw(st.lists(st.integers(0, trie.leaves - 1))), np.int64)
    chosen = trie.paths(trie.first_leaf + leaves)
    assert chosen.dtype == np.int32
    assert chosen.tolist() == trie.paths()[leaves].tolist()


@settings(max_examples=200)
@given(catalogues(), st.data())
def test_refuses_a_token_that_does_not_follow(codes: Codes, data: st.DataObject) -> None:
    trie, plain = Trie.build(codes), plain_trie(codes)
    prefix = data.draw(st.sampled_from([*plain.prefixes(), *whole_paths(plain, codes.shape[1])]))
    follows = plain.allowed(prefix)
    # Next to each token that follows, before the first and behind the last, and tokens of other prefixes.
    near = {token + step for token in follows for step in (-1, 1)} | {-2, -1, 0, 10**6} | set(codes.ravel().tolist())
    wrong = data.draw(st.sampled_from(sorted(near - set(follows))))
    states = np.concatenate([state_of(trie, prefix), trie.initial(1)])
    tokens = np.array([wrong, min(plain.allowed(()))], np.int32)
    for order in ([0], [0, 1], [1, 0]):
        with pytest.raises(ValueError, match="does not follow"):
            trie.advance(states[order], tokens[order])


@settings(max_examples=100)
@given(catalogues(), st.randoms(use_true_random=False))
def test_rows_of_their_own_are_kept_whatever_their_order(codes: Codes, random: Any) -> None:
    rows = random.sample(range(1000), len(codes))
    trie = Trie.build(codes, np.array(rows))
    items = plain_trie(codes, rows=rows).items
    assert [trie.items_of(leaf).tolist() for leaf in range(trie.leaves)] == [items[path] for path in sorted(items)]
    assert trie.rows.tolist() == sorted(rows)
    assert trie.codes_of(np.array(rows)).tolist() == codes.tolist()


@pytest.mark.parametrize(
    ("sizes", "items"),
    [((200,) * 8, 300), ((2**15, 3, 2**15 + 1), 500), ((2**31 - 1, 2**31 - 1), 200), ((2,) * 8, 2000)],
)
def test_identifiers_too_long_for_one_word_are_sorted_as_well(sizes: tuple[int, ...], items: int) -> None:
    random = np.random.default_rng(len(sizes))
    # Half of them share all but the last level with another.
    codes = random.integers(0, sizes, (items, len(sizes))).astype(np.int32)
    codes[items // 2 :, :-1] = codes[: items - items // 2, :-1]
    trie = Trie.build(codes, level_sizes=sizes)
    items_of_paths = plain_trie(codes).items
    assert list(map(tuple, trie.paths().tolist())) == sorted(items_of_paths)
    assert [trie.items_of(leaf).tolist() for leaf in range(trie.leaves)] == [
        items_of_paths[path] for path in sorted(items_of_paths)
    ]
    assert trie.level_sizes == sizes


def test_arrays_have_the_documented_types_and_nobody_writes_to_them() -> None:
    trie = Trie.build(np.array([[3, 1], [0, 2]], np.int64))
    assert (trie.children.dtype, trie.tokens.dtype) == (np.int32, np.int16)
    assert (trie.posting_offsets.dtype, trie.posting_items.dtype) == (np.int32, np.int32)
    assert trie.initial(2).tolist() == [[0], [0]]
    assert Trie.build(np.array([[40_000]], np.int32)).tokens.dtype == np.int32
    for name in ("children", "tokens", "posting_offsets", "posting_items"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(trie, name)[0] = 1


def test_asking_for_no_states_gives_nothing() -> None:
    trie = Trie.build(np.array([[3, 1], [0, 2]], np.int32))
    assert sets_of(trie.allowed(trie.initial(0))) == []
    assert trie.advance(trie.initial(0), np.empty(0, np.int32)).shape == (0, 1)
    assert trie.postings(trie.initial(0)).offsets.tolist() == [0]


def test_a_path_may_end_where_another_goes_on() -> None:
    trie = Trie.build(np.array([[5, END, END], [5, 7, END], [5, 7, 2], [6, 0, 0]], np.int32))
    assert trie.has_ends
    assert sets_of(trie.allowed(state_of(trie, (5,)))) == [[END, 7]]
    assert sets_of(trie.allowed(state_of(trie, (5, 7)))) == [[END, 2]]
    assert trie.paths(state_of(trie, (5, END))[:, 0]).tolist() == [[5, END, END]]
    assert trie.postings(state_of(trie, (5, 7, END))).rows.tolist() == [1]


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_refuses_an_empty_catalogue(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="empty"):
        Trie.build(np.zeros(shape, np.int32))


@pytest.mark.parametrize("shape", [(3,), (2, 2, 2)])
def test_refuses_codes_that_are_no_table(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="rows of codes"):
        Trie.build(np.zeros(shape, np.int32))


@pytest.mark.parametrize(
    ("codes", "sizes", "said"),
    [
        ([[0, 1], [2, -2]], None, "2 -2 of item 1"),
        ([[0, 1], [-1, -1]], None, "-1 -1 of item 1"),
        ([[0, -1, 3]], None, "0 -1 3 of item 0"),
        ([[0, 1], [3, 1]], (3, 2), "level 1 has the codes 0 to 2"),
        ([[0, 1]], (3, 2, 1), "3 codebooks"),
    ],
)
def test_refuses_an_identifier_that_does_not_fit(
    codes: list[list[int]], sizes: tuple[int, ...] | None, said: str
) -> None:
    with pytest.raises(UserError, match=said):
        Trie.build(np.array(codes, np.int32), level_sizes=sizes)


@pytest.mark.parametrize("rows", [[1], [0, 0], [-1, 2], [[0, 1]]])
def test_refuses_rows_that_name_no_items(rows: list[int]) -> None:
    with pytest.raises(UserError, match="row"):
        Trie.build(np.array([[0], [1]], np.int32), np.array(rows))

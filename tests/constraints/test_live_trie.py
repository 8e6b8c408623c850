"""A live trie against tries built anew after every change."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from catalogues import Codes, assert_same_walk, path_of, plain_trie, sets_of, state_of, whole_paths
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_trie import PlainTrie, Prefix

from shelfwalk.constraints.constraint import END
from shelfwalk.constraints.item_filter import ItemFilter
from shelfwalk.constraints.live_trie import LiveTrie, Snapshot
from shelfwalk.constraints.trie import Trie
from shelfwalk.errors import UserError

SIZES = (3, 4, 3)


def random_codes(random: np.random.Generator, items: int, several_lengths: bool) -> Codes:
    codes = random.integers(0, SIZES, (items, len(SIZES))).astype(np.int32)
    if several_lengths:
        codes[np.arange(len(SIZES)) >= random.integers(1, len(SIZES) + 1, items)[:, None]] = END
    return codes


def assert_same(snapshot: Snapshot, plain: PlainTrie, sizes: dict[Prefix, int]) -> None:
    """The same walk, items and cluster sizes."""
    assert_same_walk(snapshot, plain, len(SIZES))
    whole = whole_paths(plain, len(SIZES))
    ends = np.concatenate([snapshot.initial(0), *(state_of(snapshot, path) for path in whole)])
    postings = snapshot.postings(ends)
    paths = [path_of(path) for path in whole]
    assert [postings.of(place).tolist() for place in range(len(ends))] == [plain.items[path] for path in paths]
    assert snapshot.cluster_sizes(ends).tolist() == [sizes[path] for path in paths]


def plain_of(identifiers: dict[int, list[int]], allowed: list[int] | None = None) -> PlainTrie:
    codes = np.array(list(identifiers.values()), np.int32).reshape(-1, len(SIZES))
    return plain_trie(codes, allowed, list(identifiers))


@settings(max_examples=150)
@given(st.integers(0, 2**32), st.booleans())
def test_after_any_changes_it_is_as_if_built_anew(seed: int, several_lengths: bool) -> None:
    random = np.random.default_rng(seed)
    codes = random_codes(random, int(random.integers(1, 40)), several_lengths)
    live, identifiers = LiveTrie(Trie.build(codes, level_sizes=SIZES)), dict(enumerate(codes.tolist()))
    for _ in range(5):
        removed = random.permutation(list(identifiers))[: int(random.integers(0, len(identifiers) + 1))].astype(int)
        come = random.permutation(60)[: int(random.integers(0, 12))]
        of_come = random_codes(random, len(come), several_lengths)
        before, plain_before = live.snapshot(), plain_of(identifiers)
        sizes_before = {path: len(rows) for path, rows in plain_before.items.items()}
        live.change(remove=removed, add=come, codes=of_come)
        for row in removed.tolist():
            del identifiers[row]
        identifiers |= dict(zip(come.tolist(), of_come.tolist(), strict=True))
        # What was taken before the change does not know of it.
        assert_same(before, plain_before, sizes_before)
        plain = plain_of(identifiers)
        sizes = {path: len(rows) for path, rows in plain.items.items()}
        assert_same(live.snapshot(), plain, sizes)
        allowed = np.flatnonzero(random.random(60) < 0.4)
        narrowed = live.snapshot().narrowed(ItemFilter.of_rows(allowed, 60))
        assert_same(narrowed, plain_of(identifiers, allowed.tolist()), sizes)
        if identifiers and random.random() < 0.3:
            folded = live.fold()
            assert live.snapshot() is folded
            assert live.unfolded == 0
            assert_same(folded, plain, sizes)
            assert folded.level_sizes == SIZES


def test_everything_may_go_and_something_come_again() -> None:
    live = LiveTrie(Trie.build(np.array([[0, 0], [1, 1]], np.int32)))
    live.change(remove=[0, 1])
    empty = live.snapshot()
    assert sets_of(empty.allowed(empty.initial(2))) == [[], []]
    assert live.unfolded == 2
    with pytest.raises(UserError, match="empty"):
        live.fold()
    live.change(add=[1], codes=np.array([[0, 1]], np.int32))
    again = live.snapshot()
    assert sets_of(again.allowed(again.initial(1))) == [[0]]
    assert live.fold().rows.tolist() == [1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"remove": [7]}, "Row 7 is not in the index"),
        ({"remove": [-1]}, "Row -1 is not in the index"),
        ({"remove": [1], "add": [5, 5], "codes": [[0, 0], [0, 1]]}, "two identifiers"),
        ({"remove": [1], "add": [5], "codes": [[0, 9]]}, "level 2 has the codes 0 to 1"),
        ({"remove": [1], "add": [5], "codes": [[0]]}, "need as many identifiers of 2 levels"),
        ({"remove": [1], "add": [5]}, "need as many identifiers of 2 levels"),
    ],
)
def test_a_change_that_cannot_be_made_changes_nothing(change: dict[str, list[int]], said: str) -> None:
    live = LiveTrie(Trie.build(np.array([[0, 0], [1, 1]], np.int32)))
    before = live.snapshot()
    codes = np.array(change.pop("codes"), np.int32) if "codes" in change else None
    with pytest.raises(UserError, match=said):
        live.change(**change, codes=codes)
    assert live.snapshot() is before


def test_readers_see_all_of_a_change_or_nothing() -> None:
    # Every change moves all items to another first code: a snapshot in between would hold two of them, or a part.
    rows = np.arange(50)
    identifiers = [np.stack([np.full(50, code), rows % 7], axis=1).astype(np.int32) for code in range(4)]
    live = LiveTrie(Trie.build(identifiers[0], level_sizes=(4, 7)))
    faults: list[object] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            snapshot = live.snapshot()
            (first,) = sets_of(snapshot.allowed(snapshot.initial(1)))
            second = sets_of(snapshot.allowed(state_of(snapshot, first)))
            if len(first) != 1 or second != [list(range(7))]:
                faults.append((first, second))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for turn in range(1, 60):
        live.change(add=rows, codes=identifiers[turn % 4])
        if turn % 10 == 0:
            live.fold()
    done.set()
    for reader in readers:
        reader.join()
    assert faults == []

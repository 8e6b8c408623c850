"""Capped clusters: the published sizes with their edge, groups that stay, room for what comes later."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.errors import UserError
from shelfwalk.tokenizers.capped_clusters import CappedTokenizer
from shelfwalk.tokenizers.cluster_cap import FEWEST_SPARE, CapRule, GroupTokens, group_with_room
from shelfwalk.tokenizers.diagnosis import diagnose
from shelfwalk.tokenizers.residual_kmeans import ResidualKMeansTokenizer
from shelfwalk.tokenizers.saved_tokenizer import open_tokenizer

MakeCatalogue = Callable[..., tuple[pa.Table, npt.NDArray[np.float32]]]
Batch = list[tuple[str, tuple[int, int]]]


class GivenCodes:
    """A tokeniser whose codes are the vectors themselves, so that a test says which items share an identifier."""

    level_sizes = (4, 3)

    def fit(self, items: pa.Table, vectors: npt.NDArray[np.float32], **_: object) -> Self:
        return self

    def encode(self, items: pa.Table, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
        return vectors.astype(np.int32)

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True)


def table(batch: Batch) -> tuple[pa.Table, npt.NDArray[np.float32]]:
    vectors = np.array([codes for _, codes in batch], np.float32).reshape(len(batch), 2)
    return pa.table({"item_id": pa.array([name for name, _ in batch], pa.string())}), vectors


def named(count: int, codes: tuple[int, int] = (1, 2), first: int = 0) -> Batch:
    return [(f"item {number}", codes) for number in range(first, first + count)]


def sizes_of(identifiers: npt.NDArray[np.int32]) -> list[int]:
    return sorted(Counter(map(tuple, identifiers.tolist())).values())


@pytest.mark.parametrize(
    ("items", "groups", "largest"),
    [(1, 1, 1), (50, 1, 50), (51, 2, 26), (100, 2, 50), (101, 3, 34), (4_999, 100, 50), (5_000, 100, 50),
     (5_001, 100, 51), (5_101, 100, 52), (20_000, 100, 200)],
)  # fmt: skip
def test_the_published_groups(items: int, groups: int, largest: int) -> None:
    tokenizer = CappedTokenizer(GivenCodes()).fit(*table(named(items)))
    sizes = sizes_of(tokenizer.encode(*table(named(items))))
    assert (len(sizes), max(sizes)) == (groups, largest)
    assert max(sizes) - min(sizes) <= 1
    assert tokenizer.capped_share() == (0.0 if items <= 50 else 1.0)
    assert tokenizer.above_cap() == max(items - 5_000, 0)


@given(st.integers(1, 700), st.integers(1, 60), st.integers(1, 12))
def test_no_cluster_is_larger_than_it_must_be(items: int, largest: int, most_groups: int) -> None:
    rule = CapRule(largest, most_groups)
    groups = rule.groups_of(items)
    assert groups <= most_groups
    if items <= largest:
        assert groups == 0
    else:
        sizes = Counter(rule.dealt([str(number) for number in range(items)]).tolist())
        assert set(sizes) == set(range(1, groups + 1))
        assert max(sizes.values()) <= (largest if items <= largest * most_groups else -(-items // most_groups))


def test_only_the_last_code_of_a_split_cluster_changes() -> None:
    batch = named(60) + named(30, (1, 1), 60) + named(55, (3, 2), 90)
    tokenizer = CappedTokenizer(GivenCodes()).fit(*table(batch))
    identifiers = tokenizer.encode(*table(batch))
    assert identifiers[:, 0].tolist() == [codes[0] for _, codes in batch]
    assert tokenizer.tokens.code_of(identifiers[:, 1]).tolist() == [codes[1] for _, codes in batch]
    assert set(identifiers[60:90, 1].tolist()) == {1}
    # Groups of the same code and number are the same token under any first code.
    assert set(identifiers[:60, 1].tolist()) == set(identifiers[90:, 1].tolist()) == {3, 4}
    assert tokenizer.capped_share() == pytest.approx(115 / 145)
    assert tokenizer.level_sizes == (4, 3 + 2 + 16)


def test_groups_depend_on_seed_and_item_and_not_on_the_order() -> None:
    batch = named(120)

    def groups(seed: int, order: Batch) -> dict[str, int]:
        tokenizer = CappedTokenizer(GivenCodes(), CapRule(seed=seed)).fit(*table(order))
        return dict(zip([name for name, _ in order], tokenizer.encode(*table(order))[:, 1].tolist(), strict=True))

    assert groups(0, batch) == groups(0, batch[::-1])
    assert groups(0, batch) != groups(1, batch)


def test_an_old_item_never_changes_and_a_new_one_goes_where_there_is_room() -> None:
    old = named(101)
    tokenizer = CappedTokenizer(GivenCodes()).fit(*table(old))
    before = tokenizer.encode(*table(old))
    everything = old + named(49, first=101)
    after = tokenizer.encode(*table(everything))
    assert np.array_equal(after[:101], before)
    assert sizes_of(after) == [50, 50, 50]
    more = tokenizer.encode(*table(named(1, first=150)))
    assert tokenizer.tokens.group_of(more[:, 1]).tolist() == [4]
    assert np.array_equal(tokenizer.encode(*table(everything)), after)


def test_a_whole_cluster_keeps_its_items_and_gets_groups_beside_them() -> None:
    tokenizer = CappedTokenizer(GivenCodes()).fit(*table(named(40)))
    assert tokenizer.level_sizes == (4, 3 + 16)
    after = tokenizer.encode(*table(named(130)))
    assert after[:40, 1].tolist() == [2] * 40
    assert sizes_of(after) == [30, 50, 50]
    assert tokenizer.capped_share() == 1.0


def test_there_are_never_more_groups_than_allowed() -> None:
    tokenizer = CappedTokenizer(GivenCodes(), CapRule(largest=2, most_groups=3)).fit(*table(named(2)))
    with pytest.warns(UserWarning, match="3 items, 3 more than before, are above the cap of 2"):
        assert sizes_of(tokenizer.encode(*table(named(9)))) == [3, 3, 3]


def test_items_for_whose_group_no_token_is_left_are_told() -> None:
    tokenizer = CappedTokenizer(GivenCodes()).fit(*table(named(1)))
    room = 50 + FEWEST_SPARE * 50
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tokenizer.encode(*table(named(room)))
    assert tokenizer.above_cap() == 0
    with pytest.warns(UserWarning, match="40 items, 40 more than before, are above the cap of 50"):
        identifiers = tokenizer.encode(*table(named(room + 40)))
    assert sum(max(size - 50, 0) for size in sizes_of(identifiers)) == tokenizer.above_cap() == 40
    assert max(sizes_of(identifiers)) - min(sizes_of(identifiers)) <= 3, "they are spread over all groups"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tokenizer.encode(*table(named(room + 40)))
    with pytest.warns(UserWarning, match="41 items, 1 more than before"):
        tokenizer.encode(*table(named(1, first=room + 40)))


def test_a_group_that_all_items_left_is_filled_before_a_new_one_is_made() -> None:
    tokens = GroupTokens(3, [(2, 1), (2, 2)], room=5)
    assert group_with_room({2: 5}, CapRule(5), tokens, 2) == 1
    assert group_with_room({0: 5, 2: 5}, CapRule(5), tokens, 2) == 1


def test_without_a_token_left_the_smallest_group_grows() -> None:
    tokens = GroupTokens(3, [(2, 1)], room=4)
    assert group_with_room({1: 5}, CapRule(5), tokens, 2) == 1
    assert group_with_room({0: 5}, CapRule(5), tokens, 2) == 1, "the code has a token for this group"
    assert group_with_room({0: 5}, CapRule(5), tokens, 1) == 0
    assert group_with_room({}, CapRule(5), tokens, 1) == 0


def test_an_item_whose_codes_change_moves_and_leaves_room() -> None:
    old = named(100)
    tokenizer = CappedTokenizer(GivenCodes()).fit(*table(old))
    before = tokenizer.encode(*table(old))
    moved = tokenizer.encode(*table([("item 7", (0, 0))]))
    assert moved.tolist() == [[0, 0]]
    newcomer = tokenizer.encode(*table([("new", (1, 2))]))
    assert newcomer[0].tolist() == before[7].tolist()
    rest = [entry for entry in old if entry[0] != "item 7"]
    assert np.array_equal(tokenizer.encode(*table(rest)), np.delete(before, 7, axis=0))


@given(st.lists(st.lists(st.tuples(st.integers(0, 9), st.sampled_from([(0, 0), (1, 2)])), max_size=12), max_size=5))
def test_the_same_batches_give_the_same_identifiers_and_groups_hold(
    batches: list[list[tuple[int, tuple[int, int]]]],
) -> None:
    """Whatever comes in whatever order: the codes stay readable, and no more items share an identifier than may."""
    first, second = (CappedTokenizer(GivenCodes(), CapRule(largest=3)).fit(*table(named(4))) for _ in range(2))
    for numbers in batches:
        batch = [(f"item {number}", codes) for number, codes in dict(numbers).items()]
        given_now = first.encode(*table(batch))
        assert np.array_equal(second.encode(*table(batch)), given_now)
        assert first.tokens.code_of(given_now[:, 1]).tolist() == [codes[1] for _, codes in batch]
    assert max(sizes_of(first.registry.codes)) <= 3


def test_round_trip_with_a_real_tokeniser(
    tmp_path: Path, catalogue: MakeCatalogue, folder_content: Callable[..., dict[str, bytes]]
) -> None:
    items, vectors = catalogue(300, 8)
    tokenizer = CappedTokenizer(ResidualKMeansTokenizer((4, 2)), CapRule(20)).fit(items.slice(0, 250), vectors[:250])
    tokenizer.save(tmp_path / "first")
    opened = open_tokenizer(tmp_path / "first")
    assert isinstance(opened, CappedTokenizer)
    assert (opened.rule, opened.level_sizes) == (tokenizer.rule, tokenizer.level_sizes)
    opened.save(tmp_path / "second")
    assert folder_content(tmp_path / "first") == folder_content(tmp_path / "second")
    codes = opened.encode(items, vectors)
    assert np.array_equal(codes, tokenizer.encode(items, vectors))
    assert diagnose(codes, opened.level_sizes).largest_cluster <= 20


def test_before_fitting_and_twice_the_same_item() -> None:
    for what in (
        lambda made: made.encode(*table(named(1))),
        lambda made: made.level_sizes,
        lambda made: made.capped_share(),
    ):
        with pytest.raises(ValueError, match="not fitted"):
            what(CappedTokenizer(GivenCodes()))
    with pytest.raises(ValueError, match="twice"):
        CappedTokenizer(GivenCodes()).fit(*table([("a", (1, 2)), ("a", (1, 1))]))


@pytest.mark.parametrize("rule", [{"largest": 0}, {"most_groups": 0}])
def test_a_cap_that_holds_nothing(rule: dict[str, int]) -> None:
    with pytest.raises(UserError, match="hold nothing"):
        CapRule(**rule)

"""What each stage draws: several different targets of a query, items alone, and visits with what came before."""

from __future__ import annotations

import tempfile
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_training import Toy, make_toy

from shelfwalk.data.query_item_pairs import QueryItemPairs
from shelfwalk.generators.examples import Asked, Examples, ItemExamples, TargetExamples
from shelfwalk.generators.pair_files import stored_targets
from shelfwalk.generators.pairs import MixedPairs, QueryTargets, StoredPairs
from shelfwalk.generators.prompts import Prompts
from shelfwalk.generators.shopper_examples import ShopperExamples, StoredVisits, identifiers_of


@pytest.fixture(scope="module")
def toy() -> Toy:
    return make_toy()


def pairs_of(*pairs: tuple[int, int]) -> StoredPairs:
    return StoredPairs(np.array(pairs, np.int32).reshape(-1, 2).T)


def targets_of(queries: int, pairs: StoredPairs, leaf_of_item: npt.NDArray[np.int32]) -> QueryTargets:
    with tempfile.TemporaryDirectory() as folder:
        return stored_targets([pairs], queries, leaf_of_item, Path(folder))


@given(
    pairs=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 11)), min_size=1, max_size=40),
    count=st.integers(1, 5),
    seed=st.integers(0, 10**6),
)
def test_targets_are_different_identifiers_of_the_query_while_it_has_them(
    pairs: list[tuple[int, int]], count: int, seed: int
) -> None:
    leaf_of_item = np.arange(12, dtype=np.int32) // 2
    targets = targets_of(5, pairs_of(*pairs), leaf_of_item)
    queries = np.array(sorted({query for query, _ in pairs}) * 2, np.int32)
    drawn = targets.draw(queries, count, np.random.default_rng(seed))
    assert drawn.shape == (len(queries), count)
    for query, items in zip(queries.tolist(), drawn.tolist(), strict=True):
        assert {(query, item) for item in items} <= set(pairs)
        there = {int(leaf_of_item[item]) for asked, item in pairs if asked == query}
        found = Counter(leaf_of_item[items].tolist())
        assert len(found) == min(count, len(there))
        # All as often, or once more.
        assert max(found.values()) - min(found.values()) <= 1


def test_every_sample_of_targets_is_equally_likely() -> None:
    targets = targets_of(2, pairs_of((0, 3), *((1, item) for item in range(5))), np.arange(6, dtype=np.int32))
    drawn = targets.draw(np.ones(20_000, np.int32), 2, np.random.default_rng(0))
    seen = Counter(tuple(sorted(row)) for row in drawn.tolist())
    assert len(seen) == 10
    # Ten samples, each 2,000 times but for chance: five standard deviations of 42.
    assert all(abs(times - 2_000) < 215 for times in seen.values())


def test_identifiers_chosen_often_are_no_likelier_targets() -> None:
    """Of different ones the publication samples at random: a click more on one changes nothing."""
    pairs = pairs_of(*[(0, 0)] * 50, (0, 1))
    drawn = targets_of(1, pairs, np.arange(2, dtype=np.int32)).draw(
        np.zeros(2_000, np.int32), 1, np.random.default_rng(1)
    )
    assert 0.45 < drawn.mean() < 0.55


@given(logged=st.integers(0, 12), pseudo=st.integers(1, 12), share=st.sampled_from([None, 0.0, 0.3, 0.5, 0.75, 1.0]))
def test_mixed_pairs_are_both_sources_repeated(logged: int, pseudo: int, share: float | None) -> None:
    """The same as making them all and taking the first so many, over and over."""
    rows = np.arange(logged + pseudo, dtype=np.int32)
    sources = [StoredPairs(np.stack((part, part + 100))) for part in (rows[:logged], rows[logged:])]
    mixed = MixedPairs.of(*sources, share)
    found = mixed.take(np.arange(len(mixed))).rows
    slow = [
        np.stack([source.rows[:, place % len(source)] for place in range(size)], axis=1)
        for source, size in zip(mixed.sources, mixed.sizes, strict=True)
        if size
    ]
    np.testing.assert_array_equal(found, np.concatenate(slow, axis=1))
    present = {bool(query < logged) for query in found[0].tolist()}
    wanted = {True: share != 0, False: share != 1}
    assert present == ({there for there in (True, False) if wanted[there] and (logged or not there)} or {False})
    order = np.random.default_rng(0).permutation(len(mixed))
    np.testing.assert_array_equal(mixed.take(order).rows, found[:, order])


def target_examples(toy: Toy, item_share: float = 0.0, count: int = 3) -> TargetExamples:
    plain = toy.examples()
    # Every query asks for three neighbouring clusters, so that there is something to sample.
    query_rows = np.repeat(toy.train.query_rows, 3)
    item_rows = (np.repeat(toy.train.item_rows, 3) + np.tile([0, 4, 8], len(toy.train))) % len(toy.codes)
    pairs = StoredPairs(np.stack((query_rows, item_rows)).astype(np.int32))
    leaves = np.arange(len(toy.codes), dtype=np.int32) // 4
    targets = targets_of(len(toy.query_vectors), pairs, leaves)
    return TargetExamples(plain.queries, plain.items, toy.codes, toy.held_out, pairs, item_share, targets, count)


@pytest.mark.parametrize(("batch", "item_share", "items"), [(30, 0.0, 0), (32, 0.125, 4), (7, 0.5, 4), (1, 0.9, 0)])
def test_a_batch_of_queries_holds_each_with_its_targets(toy: Toy, batch: int, item_share: float, items: int) -> None:
    examples = target_examples(toy, item_share)
    drawn = examples.draw(batch, np.random.default_rng(4))
    assert len(drawn.prompts) == len(drawn.codes) == batch
    asking = drawn.prompts.texts[: batch - items]
    assert all(text.startswith("query") for text in asking)
    assert all(text.startswith("item") for text in drawn.prompts.texts[batch - items :])
    held_out = {toy.train.queries[row] for row in toy.held_out.query_rows}
    assert not held_out & set(asking)
    runs = [asking[start : start + 3] for start in range(0, len(asking), 3)]
    for start, run in enumerate(runs):
        assert len(set(run)) == 1
        codes = drawn.codes[3 * start : 3 * start + len(run)]
        assert len({tuple(code) for code in codes.tolist()}) == len(run)
    np.testing.assert_array_equal(
        drawn.prompts.vectors[: len(asking)],
        toy.query_vectors[[toy.train.queries.index(text) for text in asking]],
    )


def test_another_draw_of_a_query_gives_other_targets(toy: Toy) -> None:
    examples = target_examples(toy, count=1)
    seen: dict[str, set[tuple[int, ...]]] = {}
    for step in range(40):
        drawn = examples.draw(64, np.random.default_rng((0, step)))
        for text, code in zip(drawn.prompts.texts, drawn.codes.tolist(), strict=True):
            seen.setdefault(text, set()).add(tuple(code))
    assert np.mean([len(codes) for codes in seen.values()]) > 2.5


def test_items_alone_are_all_items_and_what_is_held_out_are_queries(toy: Toy) -> None:
    plain = toy.examples()
    examples = ItemExamples(plain.queries, plain.items, toy.codes, toy.held_out)
    drawn = examples.draw(2_000, np.random.default_rng(0))
    assert set(drawn.prompts.texts) == set(plain.items.texts or ())
    for text, vector, code in zip(drawn.prompts.texts, drawn.prompts.vectors, drawn.codes, strict=True):
        row = int(text.removeprefix("item "))
        assert (vector == toy.item_vectors[row]).all() and (code == toy.codes[row]).all()
    held = examples.held_out_examples(np.arange(examples.held_out))
    assert held.prompts.texts == tuple(toy.train.queries[row] for row in toy.held_out.query_rows)
    assert ItemExamples(plain.queries, plain.items, toy.codes[:0], toy.held_out).is_empty()


def test_texts_that_nobody_reads_are_not_there(toy: Toy) -> None:
    asked = Asked(None, toy.query_vectors).prompts(np.array([3, 1]))
    assert asked.texts == ("", "")
    np.testing.assert_array_equal(asked.vectors, toy.query_vectors[[3, 1]])


LENGTH = 3


def visits_of_toy(toy: Toy) -> StoredVisits:
    random = np.random.default_rng(5)
    count = 50
    histories = random.integers(0, len(toy.codes), (count, LENGTH)).astype(np.int32)
    for row, known in enumerate(random.integers(0, LENGTH + 1, count)):
        histories[row, known:] = -1
    targets = np.stack((np.arange(count), random.integers(0, len(toy.codes), count))).astype(np.int32)
    query_rows = random.integers(0, len(toy.query_vectors), count).astype(np.int32)
    return StoredVisits(query_rows, histories, targets[:, :40], targets[:, 40:])


def shopper_examples(
    toy: Toy, unknown_share: float = 0.0, item_share: float = 0.25, query_share: float = 0.0
) -> ShopperExamples:
    plain, visits = toy.examples(), visits_of_toy(toy)
    shares = item_share, unknown_share
    return ShopperExamples(plain.queries, plain.items, toy.codes, visits, *shares, plain, query_share)


def as_rows(examples: Examples) -> list[tuple[str, tuple[int, ...], bytes]]:
    prompts = examples.prompts
    return [
        (text, tuple(code), history.tobytes())
        for text, code, history in zip(prompts.texts, examples.codes.tolist(), prompts.histories, strict=True)
    ]


def slow_visits(toy: Toy, targets: npt.NDArray[np.int32]) -> set[tuple[str, tuple[int, ...], bytes]]:
    visits = visits_of_toy(toy)
    found = set()
    for visit, item in targets.T.tolist():
        history = [toy.codes[row].tolist() if row >= 0 else [-1, -1] for row in visits.histories[visit]]
        text = toy.train.queries[visits.query_rows[visit]]
        found.add((text, tuple(toy.codes[item].tolist()), np.array(history, np.int32).tobytes()))
    return found


def test_a_batch_of_visits_holds_their_histories_and_items_alone_have_none(toy: Toy) -> None:
    examples, visits = shopper_examples(toy), visits_of_toy(toy)
    drawn = as_rows(examples.draw(400, np.random.default_rng(6)))
    assert set(drawn[:300]) == slow_visits(toy, visits.train)
    nothing = np.full((LENGTH, 2), -1, np.int32).tobytes()
    assert {history for _, _, history in drawn[300:]} == {nothing}
    assert all(text.startswith("item") for text, _, _ in drawn[300:])
    held = as_rows(examples.held_out_examples(np.arange(examples.held_out)))
    assert set(held) == slow_visits(toy, visits.held_out)


def test_pairs_of_anybody_are_a_share_of_what_is_no_item(toy: Toy) -> None:
    drawn = as_rows(shopper_examples(toy, query_share=0.4).draw(2_000, np.random.default_rng(8)))
    visits, pairs, items = drawn[:900], drawn[900:1_500], drawn[1_500:]
    assert set(visits) <= slow_visits(toy, visits_of_toy(toy).train)
    nothing = np.full((LENGTH, 2), -1, np.int32).tobytes()
    there = zip(toy.train.query_rows.tolist(), toy.train.item_rows.tolist(), strict=True)
    known = {(toy.train.queries[query], tuple(toy.codes[item].tolist()), nothing) for query, item in there}
    assert set(pairs) <= known
    assert len(set(pairs)) > 30
    assert all(text.startswith("item") and history == nothing for text, _, history in items)
    everything = shopper_examples(toy, item_share=0.9, query_share=0.9).draw(2, np.random.default_rng(0))
    assert set(as_rows(everything)[:1]) <= slow_visits(toy, visits_of_toy(toy).train)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_some_visits_are_told_as_if_nothing_were_known(toy: Toy, share: float) -> None:
    drawn = shopper_examples(toy, share, item_share=0.0).draw(4_000, np.random.default_rng(7))
    known = (drawn.prompts.histories >= 0).any(axis=(1, 2)).mean()
    visits = visits_of_toy(toy)
    there = (visits.histories[visits.train[0], 0] >= 0).mean()
    assert known == pytest.approx((1 - share) * there, abs=0.04)
    assert len(shopper_examples(toy, share, item_share=0.0).draw(7, np.random.default_rng(0)).prompts) == 7


def test_no_visits_are_nothing_to_learn_from(toy: Toy) -> None:
    visits = visits_of_toy(toy)
    none = StoredVisits(visits.query_rows, visits.histories, visits.train[:, :0], visits.held_out)
    plain = toy.examples()
    assert ShopperExamples(plain.queries, plain.items, toy.codes, none, 0.0, 0.2, plain, 0.5).is_empty()
    assert not shopper_examples(toy).is_empty()


@given(st.lists(st.integers(-1, 5), max_size=6))
def test_identifiers_of_histories(rows: list[int]) -> None:
    codes = np.arange(12, dtype=np.int32).reshape(6, 2)
    found = identifiers_of(codes, np.array([rows], np.int64).reshape(1, -1))
    assert found[0].tolist() == [[2 * row, 2 * row + 1] if row >= 0 else [-1, -1] for row in rows]


@given(lengths=st.lists(st.integers(0, 3), min_size=1, max_size=4), sizes=st.lists(st.integers(1, 3), min_size=4))
def test_joined_prompts_are_each_as_it_was(lengths: list[int], sizes: list[int]) -> None:
    random = np.random.default_rng(0)
    parts = [
        Prompts.of(
            [f"{number}"] * size,
            random.normal(size=(size, 2)).astype(np.float32),
            random.integers(0, 9, (size, length, 2)).astype(np.int32) if length else None,
        )
        for number, (length, size) in enumerate(zip(lengths, sizes, strict=False))
    ]
    joined = Prompts.join(parts)
    ends = np.cumsum([0, *map(len, parts)]).tolist()
    for part, (begin, end) in zip(parts, pairwise(ends), strict=True):
        here = joined.take(range(begin, end))
        assert here.texts == part.texts
        np.testing.assert_array_equal(here.vectors, part.vectors)
        length = part.histories.shape[1]
        assert here.histories[:, :length].tolist() == part.histories.tolist()
        assert (here.histories[:, length:] == -1).all()


def test_pairs_with_texts_and_stored_ones_are_drawn_alike(toy: Toy) -> None:
    stored = StoredPairs(np.stack((toy.train.query_rows, toy.train.item_rows)))
    assert isinstance(toy.train, QueryItemPairs)
    one, other = (toy.examples(train=pairs).draw(50, np.random.default_rng(1)) for pairs in (toy.train, stored))
    assert as_rows(one) == as_rows(other)

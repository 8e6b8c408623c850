"""The uniqueness token against a slow registry of dictionaries: unique, stable on append, moving only what changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.data.query_item_pairs import QueryItemPairs
from shelfwalk.errors import UserError
from shelfwalk.tokenizers.learning_pairs import LearningPairs
from shelfwalk.tokenizers.residual_kmeans import ResidualKMeansTokenizer
from shelfwalk.tokenizers.saved_tokenizer import open_tokenizer
from shelfwalk.tokenizers.uniqueness import UniqueTokenizer

Catalogue = tuple[pa.Table, npt.NDArray[np.float32]]
MakeCatalogue = Callable[..., Catalogue]


class GivenCodes:
    """A tokeniser whose codes are the vectors themselves, so that a test says which items share an identifier."""

    level_sizes = (4, 3)

    def fit(self, items: pa.Table, vectors: npt.NDArray[np.float32], **_: object) -> Self:
        return self

    def encode(self, items: pa.Table, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
        return vectors.astype(np.int32)

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True)


def batch(pairs: list[tuple[str, tuple[int, int]]]) -> Catalogue:
    vectors = np.array([codes for _, codes in pairs], np.float32).reshape(len(pairs), 2)
    return pa.table({"item_id": pa.array([name for name, _ in pairs], pa.string())}), vectors


class SlowRegistry:
    """The rule in plain Python."""

    def __init__(self) -> None:
        self.identifiers: dict[str, tuple[int, ...]] = {}

    def encode(self, pairs: list[tuple[str, tuple[int, int]]]) -> list[tuple[int, ...]]:
        given_before = list(self.identifiers.values())
        coming: list[tuple[int, int]] = []
        for name, prefix in pairs:
            if self.identifiers.get(name, (None,))[:-1] == prefix:
                continue
            first = max((number for *path, number in given_before if tuple(path) == prefix), default=-1) + 1
            self.identifiers[name] = (*prefix, first + coming.count(prefix))
            coming.append(prefix)
        return [self.identifiers[name] for name, _ in pairs]


PREFIXES = st.tuples(st.integers(-1, 3), st.integers(-1, 2))
BATCHES = st.lists(
    st.dictionaries(st.sampled_from([f"item {number}" for number in range(12)]), PREFIXES, max_size=10).map(
        lambda batch: list(batch.items())
    ),
    min_size=1,
    max_size=5,
)


@given(BATCHES)
def test_any_sequence_of_batches_is_numbered_as_the_slow_registry_does(
    batches: list[list[tuple[str, tuple[int, int]]]],
) -> None:
    tokenizer, slow = UniqueTokenizer(GivenCodes(), size=64), SlowRegistry()
    first = [("first", (0, 0))]
    tokenizer.fit(*batch(first))
    slow.encode(first)
    for pairs in batches:
        assert [tuple(row) for row in tokenizer.encode(*batch(pairs)).tolist()] == slow.encode(pairs)
        known = dict(zip(tokenizer.registry.item_ids.to_pylist(), tokenizer.registry.codes.tolist(), strict=True))
        assert {name: tuple(codes) for name, codes in known.items()} == slow.identifiers
        assert len(set(slow.identifiers.values())) == len(slow.identifiers)


def test_items_of_a_shared_identifier_are_numbered_in_order() -> None:
    items, vectors = batch([("a", (1, 1)), ("b", (0, 2)), ("c", (1, 1)), ("d", (1, 1))])
    tokenizer = UniqueTokenizer(GivenCodes()).fit(items, vectors)
    assert tokenizer.encode(items, vectors).tolist() == [[1, 1, 0], [0, 2, 0], [1, 1, 1], [1, 1, 2]]


def test_an_item_moves_when_its_codes_change_and_nobody_else_does() -> None:
    tokenizer = UniqueTokenizer(GivenCodes()).fit(*batch([("a", (1, 1)), ("b", (1, 1)), ("c", (2, 0))]))
    assert tokenizer.encode(*batch([("a", (2, 0))])).tolist() == [[2, 0, 1]]
    assert tokenizer.encode(*batch([("c", (2, 0)), ("b", (1, 1))])).tolist() == [[2, 0, 0], [1, 1, 1]]
    # The number that a left is not given away while b holds a higher one.
    assert tokenizer.encode(*batch([("new", (1, 1))])).tolist() == [[1, 1, 2]]


def test_every_item_of_a_real_tokeniser_is_unique_and_stays_so(catalogue: MakeCatalogue) -> None:
    items, vectors = catalogue(600, 8)
    tokenizer = UniqueTokenizer(ResidualKMeansTokenizer((4, 4))).fit(items.slice(0, 400), vectors[:400])
    old = tokenizer.encode(items.slice(0, 400), vectors[:400])
    order = np.random.default_rng(0).permutation(600)
    everything = tokenizer.encode(items.take(order), vectors[order])
    assert len(np.unique(everything, axis=0)) == 600
    back = np.empty_like(everything)
    back[order] = everything
    assert np.array_equal(back[:400], old)
    assert np.array_equal(everything[:, :-1], tokenizer.inner.encode(items.take(order), vectors[order]))
    assert (everything < np.array(tokenizer.level_sizes)).all()


@pytest.mark.parametrize(("sharing", "size"), [(1, 16), (8, 16), (9, 32), (16, 32), (17, 64)])
def test_the_default_size_leaves_room_for_as_many_again(sharing: int, size: int) -> None:
    items, vectors = batch([(f"item {number}", (1, 1)) for number in range(sharing)] + [("other", (0, 0))])
    tokenizer = UniqueTokenizer(GivenCodes())
    with pytest.raises(ValueError, match="not fitted"):
        _ = tokenizer.level_sizes
    assert tokenizer.fit(items, vectors).level_sizes == (4, 3, size)
    few = batch([("other", (0, 0))])
    assert tokenizer.fit(*few).level_sizes == (4, 3, 16), "a default size is that of the last fit"
    assert tokenizer.registry.item_ids.to_pylist() == ["other"]


def test_a_full_level_refuses_and_registers_nothing() -> None:
    tokenizer = UniqueTokenizer(GivenCodes(), size=2).fit(*batch([("a", (1, 2)), ("b", (1, 2))]))
    with pytest.raises(UserError, match=r"3 items need .* under the identifier 1-2, .* has only 2: give it more"):
        tokenizer.encode(*batch([("free", (0, 0)), ("c", (1, 2))]))
    assert tokenizer.registry.item_ids.to_pylist() == ["a", "b"]
    assert tokenizer.encode(*batch([("b", (1, 2)), ("a", (1, 2))])).tolist() == [[1, 2, 1], [1, 2, 0]]


def test_a_full_level_refuses_at_fitting_and_is_then_not_fitted() -> None:
    tokenizer = UniqueTokenizer(GivenCodes(), size=1).fit(*batch([("a", (1, 2))]))
    with pytest.raises(UserError, match="2 items need"):
        tokenizer.fit(*batch([("a", (1, 2)), ("b", (1, 2))]))
    with pytest.raises(ValueError, match="not fitted"):
        tokenizer.encode(*batch([("a", (1, 2))]))


def test_an_item_that_comes_twice() -> None:
    with pytest.raises(ValueError, match="twice"):
        UniqueTokenizer(GivenCodes()).fit(*batch([("a", (1, 2)), ("a", (1, 1))]))


def test_a_level_of_no_codes() -> None:
    with pytest.raises(UserError, match="cannot have 0 codes"):
        UniqueTokenizer(GivenCodes(), size=0)


def test_pairs_progress_and_checkpoints_reach_the_inner_tokeniser(tmp_path: Path) -> None:
    received = {}

    class Inner(GivenCodes):
        def fit(self, items: pa.Table, vectors: npt.NDArray[np.float32], **arguments: object) -> Self:
            received.update(arguments)
            return self

    pairs = LearningPairs(QueryItemPairs.of([("red", 0)]), np.ones((1, 2), np.float32))
    UniqueTokenizer(Inner()).fit(*batch([("a", (1, 2))]), pairs, progress=print, checkpoints=tmp_path)
    assert received == {"pairs": pairs, "progress": print, "checkpoints": tmp_path}


def test_round_trip_keeps_the_registry(
    tmp_path: Path, catalogue: MakeCatalogue, folder_content: Callable[..., dict[str, bytes]]
) -> None:
    items, vectors = catalogue(60, 8)
    tokenizer = UniqueTokenizer(ResidualKMeansTokenizer((3, 2))).fit(items.slice(0, 50), vectors[:50])
    tokenizer.save(tmp_path / "first")
    opened = open_tokenizer(tmp_path / "first")
    opened.save(tmp_path / "second")
    assert folder_content(tmp_path / "first") == folder_content(tmp_path / "second")
    assert opened.level_sizes == tokenizer.level_sizes
    # Backwards, so that only the registry can tell which number an old item has.
    backwards = items.take(np.arange(60)[::-1])
    assert np.array_equal(opened.encode(backwards, vectors[::-1]), tokenizer.encode(backwards, vectors[::-1]))
    assert np.array_equal(opened.encode(items, vectors), tokenizer.encode(items, vectors))

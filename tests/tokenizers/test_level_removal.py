"""Removed levels: which codes go, how paths stay unambiguous, what the sweep tells, and the tokeniser around it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.errors import UserError
from shelfwalk.tokenizers.diagnosis import diagnose
from shelfwalk.tokenizers.level_removal import Removal, ShortenedLevels, sweep_removals
from shelfwalk.tokenizers.residual_kmeans import ResidualKMeansTokenizer
from shelfwalk.tokenizers.saved_tokenizer import open_tokenizer
from shelfwalk.tokenizers.shortened import ShortenedTokenizer

MakeCatalogue = Callable[..., tuple[pa.Table, npt.NDArray[np.float32]]]
SIZES = (3, 4, 5)
CODES = np.array([[0, 1, 4], [1, 1, 0], [2, 1, 2], [0, 2, 3], [1, 2, 4], [2, 0, 0]], np.int32)


@pytest.mark.parametrize(
    ("removal", "head"),
    [
        (Removal(2, most_used=0), []),
        (Removal(2, most_used=1), [1]),
        (Removal(2, most_used=2), [1, 2]),
        (Removal(2, most_used=9), [0, 1, 2]),
        (Removal(2, share=0.0), []),
        (Removal(2, share=0.4), [1]),
        (Removal(2, share=0.5), [1]),
        (Removal(2, share=0.51), [1, 2]),
        (Removal(2, share=1.0), [0, 1, 2]),
        (Removal(2), [0, 1, 2, 3]),
        (Removal(1, most_used=2), [0, 1]),
    ],
)
def test_the_head_codes(removal: Removal, head: list[int]) -> None:
    assert list(ShortenedLevels.of(CODES, SIZES, removal).head) == head


def test_shortened_identifiers_move_up_with_codes_of_their_own() -> None:
    levels = ShortenedLevels.of(CODES, SIZES, Removal(2, most_used=1))
    assert levels.level_sizes == (3, 4 + 5, 5)
    assert levels.shorten(CODES).tolist() == [[0, 8, -1], [1, 4, -1], [2, 6, -1], [0, 2, 3], [1, 2, 4], [2, 0, 0]]


def test_a_level_removed_for_all() -> None:
    levels = ShortenedLevels.of(CODES, SIZES, Removal(2))
    assert levels.level_sizes == (3, 5)
    assert np.array_equal(levels.shorten(CODES), CODES[:, [0, 2]])


paths = st.lists(st.tuples(*(st.integers(0, size - 1) for size in (3, 4, 2, 5))), min_size=1, max_size=30)
removals = st.one_of(
    st.builds(Removal, st.integers(1, 4), most_used=st.integers(0, 4)),
    st.builds(Removal, st.integers(1, 4), share=st.floats(0, 1)),
)


@given(paths, removals)
def test_a_path_still_says_which_level_each_code_is_of(rows: list[tuple[int, ...]], removal: Removal) -> None:
    codes, sizes = np.array(rows, np.int32), (3, 4, 2, 5)
    levels = ShortenedLevels.of(codes, sizes, removal)
    shortened = levels.shorten(codes)
    expected = codes.copy()
    expected[levels.has_head(codes), removal.level - 1] = -1
    assert np.array_equal(levels.levels_of(shortened), expected)
    assert (shortened < np.array(levels.level_sizes)).all()
    # Nothing follows an end, and what one identifier ends with another cannot go on from, but at the last level.
    assert not ((shortened[:, :-1] < 0) & (shortened[:, 1:] >= 0)).any()
    if removal.level < 4:
        whole = {tuple(row[:3]) for row in shortened.tolist() if row[3] >= 0}
        assert not whole & {tuple(row[:3]) for row in shortened.tolist() if row[3] < 0}


@given(paths)
def test_removing_more_collides_no_less(rows: list[tuple[int, ...]]) -> None:
    codes, sizes = np.array(rows, np.int32), (3, 4, 2, 5)
    points = sweep_removals(codes, sizes, [Removal(2, most_used=count) for count in range(5)] + [Removal(2)])
    for less, more in pairwise(points):
        assert less.shortened_share <= more.shortened_share
        assert less.collision_rate <= more.collision_rate + 1e-12
    assert points[0].collision_rate == diagnose(codes, sizes).collision_rate
    assert points[-2].collision_rate == points[-1].collision_rate
    assert (points[0].shortened_share, points[-1].shortened_share) == (0, 1)


def test_the_sweep_tells_the_share_of_shortened_identifiers_for_every_threshold() -> None:
    """By K and by p, with collisions against a slow count."""
    asked = [Removal(2, most_used=1), Removal(2, most_used=2), Removal(2, share=0.9), Removal(2)]
    points = sweep_removals(CODES, SIZES, asked)
    assert [point.removal for point in points] == asked
    assert [point.head_codes for point in points] == [1, 2, 3, 4]
    assert [point.shortened_share for point in points] == pytest.approx([3 / 6, 5 / 6, 1, 1])
    clusters = Counter((row[0], row[2]) for row in CODES.tolist())
    assert points[-1].identifiers == len(clusters)
    assert points[-1].collision_rate == pytest.approx(1 - len(clusters) / 6)
    assert points[-1].largest_cluster == max(clusters.values())
    assert points[-1].mean_cluster == pytest.approx(6 / len(clusters))


@pytest.mark.parametrize(
    "removal", [Removal(2), Removal(2, most_used=2), Removal(2, share=0.4), Removal(3, most_used=1)]
)
def test_a_shortened_tokeniser_keeps_its_word(
    removal: Removal, tmp_path: Path, catalogue: MakeCatalogue, folder_content: Callable[..., dict[str, bytes]]
) -> None:
    items, vectors = catalogue(300, 8)
    tokenizer = ShortenedTokenizer(ResidualKMeansTokenizer((6, 4, 4)), removal).fit(items.slice(0, 200), vectors[:200])
    codes = tokenizer.encode(items, vectors)
    inner = ResidualKMeansTokenizer((6, 4, 4)).fit(items.slice(0, 200), vectors[:200]).encode(items, vectors)
    assert np.array_equal(codes, tokenizer.levels.shorten(inner))
    assert np.array_equal(tokenizer.encode(items.slice(0, 200), vectors[:200]), codes[:200])
    assert diagnose(codes, tokenizer.level_sizes).items == 300
    tokenizer.save(tmp_path / "first")
    opened = open_tokenizer(tmp_path / "first")
    assert isinstance(opened, ShortenedTokenizer)
    assert (opened.levels, opened.level_sizes) == (tokenizer.levels, tokenizer.level_sizes)
    assert np.array_equal(opened.encode(items, vectors), codes)
    opened.save(tmp_path / "second")
    assert folder_content(tmp_path / "first") == folder_content(tmp_path / "second")


def test_a_level_that_there_is_not(catalogue: MakeCatalogue) -> None:
    def never(what: str, done: int, total: int) -> None:
        raise AssertionError("something long was started")

    for sizes, level in (((4, 4), 3), ((4,), 1)):
        with pytest.raises(UserError, match=f"{len(sizes)} levels cannot lose level {level}"):
            ShortenedTokenizer(ResidualKMeansTokenizer(sizes), Removal(level)).fit(*catalogue(20, 4), progress=never)


@pytest.mark.parametrize(
    "wrong", [{"most_used": 1, "share": 0.5}, {"level": 0}, {"most_used": -1}, {"share": 1.5}, {"share": float("nan")}]
)
def test_a_removal_that_means_nothing(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError):
        Removal(**wrong)  # type: ignore[arg-type]


def test_before_fitting() -> None:
    tokenizer = ShortenedTokenizer(ResidualKMeansTokenizer((4, 4)))
    with pytest.raises(ValueError, match="not fitted"):
        tokenizer.encode(pa.table({"item_id": ["a"]}), np.ones((1, 4), np.float32))
    with pytest.raises(ValueError, match="not fitted"):
        assert tokenizer.level_sizes

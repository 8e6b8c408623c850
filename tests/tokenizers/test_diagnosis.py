"""The diagnosis against its formulas written out slowly, and what it refuses."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from shelfwalk.errors import UserError
from shelfwalk.tokenizers.diagnosis import diagnose, refuse_dead_levels

Codes = npt.NDArray[np.int32]
SIZES = (5, 3)
CODES = arrays.arrays(np.int32, st.tuples(st.integers(1, 20), st.just(2)), elements=st.integers(-1, 2))


@given(CODES)
def test_every_figure_follows_its_formula(codes: Codes) -> None:
    diagnosis = diagnose(codes, SIZES)
    for level, size in enumerate(SIZES):
        x = [sum(row[level] == code for row in codes.tolist()) for code in range(size)]
        total = sum(x) or 1
        entropy = -sum(n / total * math.log(n / total) for n in x if n)
        use = diagnosis.levels[level]
        assert use.counts.tolist() == x
        assert (use.size, use.used, use.used_share) == (size, sum(n > 0 for n in x), sum(n > 0 for n in x) / size)
        assert use.entropy == pytest.approx(entropy)
        assert use.perplexity == pytest.approx(math.exp(entropy))
        assert use.gini == pytest.approx(sum(abs(a - b) for a in x for b in x) / (2 * size * total))
    clusters = Counter(map(tuple, codes.tolist()))
    assert diagnosis.items == len(codes)
    assert diagnosis.identifiers == len(clusters)
    assert diagnosis.sharing_items == sum(size for size in clusters.values() if size > 1)
    assert diagnosis.largest_cluster == max(clusters.values())
    assert diagnosis.mean_cluster == pytest.approx(sum(clusters.values()) / len(clusters))
    assert diagnosis.distinct_share == pytest.approx(len(clusters) / len(codes))
    assert diagnosis.collision_rate == pytest.approx(1 - len(clusters) / len(codes))


def test_even_and_collapsed_use() -> None:
    even = np.repeat(np.arange(8, dtype=np.int32), 5)
    codes = np.column_stack([even, np.zeros_like(even)])
    first, second = diagnose(codes, (8, 8)).levels
    assert (first.gini, first.perplexity) == (0, pytest.approx(8))
    assert (second.gini, second.perplexity, second.entropy) == (pytest.approx(7 / 8), 1, 0)


@pytest.mark.parametrize(
    ("codes", "sizes"), [([[0, 3]], (4, 3)), ([[-2, 0]], (4, 3)), ([[0, 0]], (4,)), (np.empty((0, 2)), (4, 3))]
)
def test_codes_that_cannot_be(codes: object, sizes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"codes must be|beyond the level sizes"):
        diagnose(np.array(codes, np.int32), sizes)


def test_json_holds_every_figure_but_the_counts() -> None:
    diagnosis = diagnose(np.array([[0, 1], [0, 1], [1, 1]], np.int32), (2, 4))
    content = json.loads(json.dumps(diagnosis.to_json(), allow_nan=False))
    assert content["levels"][1] == {
        "size": 4, "used": 1, "used_share": 0.25, "entropy": 0.0, "perplexity": 1.0, "gini": 0.75
    }  # fmt: skip
    del content["levels"]
    assert content == {
        "items": 3,
        "identifiers": 2,
        "distinct_share": pytest.approx(2 / 3),
        "collision_rate": pytest.approx(1 / 3),
        "sharing_items": 2,
        "largest_cluster": 2,
        "mean_cluster": 1.5,
    }


def vectors_and_codes(dead: int | None) -> tuple[npt.NDArray[np.float32], Codes]:
    """1,000 different vectors with codes drawn evenly from 8, 8 and 8; on a dead level, 99 in 100 have code 5."""
    random = np.random.default_rng(0)
    codes = random.integers(8, size=(1_000, 3)).astype(np.int32)
    if dead is not None:
        codes[:, dead] = np.where(np.arange(1_000) % 100, 5, codes[:, dead])
    return random.normal(size=(1_000, 4)).astype(np.float32), codes


def refuse(codes: Codes, vectors: npt.NDArray[np.float32], exempt: tuple[int, ...] = ()) -> None:
    refuse_dead_levels(diagnose(codes, (8, 8, 8)), codes, vectors, exempt=exempt)


@pytest.mark.parametrize("dead", [0, 1, 2])
def test_a_dead_level_is_refused_and_an_exempt_one_is_not(dead: int) -> None:
    vectors, codes = vectors_and_codes(dead)
    with pytest.raises(UserError, match=rf"Level {dead + 1} .* dead.* 99\.\d% of 1,000 .*\d of its 8 codes") as refusal:
        refuse(codes, vectors)
    assert str(refusal.value).endswith(".")
    refuse(codes, vectors, exempt=(dead,))


def test_a_live_level_is_not_refused() -> None:
    vectors, codes = vectors_and_codes(None)
    refuse(codes, vectors)
    codes[:, 1] = np.arange(1_000) % 100 < 3  # 97 in 100 have one code: bad, but not dead.
    refuse(codes, vectors)


def test_equal_vectors_may_share_their_codes() -> None:
    vectors, codes = vectors_and_codes(1)
    refuse(codes, np.repeat(vectors[:1], 1_000, axis=0))
    refuse(codes, vectors[np.arange(1_000) % 31])
    with pytest.raises(UserError, match="dead"):
        refuse(codes, vectors[np.arange(1_000) % 32])


def test_most_items_equal_and_the_others_told_apart() -> None:
    """100,000 items of one vector weigh no more than one item."""
    vectors, codes = vectors_and_codes(None)
    same = np.repeat(vectors[:1], 30_000, axis=0)
    refuse(np.concatenate([codes, np.repeat(codes[:1], 30_000, axis=0)]), np.concatenate([vectors, same]))


def test_a_tiny_catalogue_may_leave_later_levels_nothing_to_tell_apart() -> None:
    codes = np.array([[0, 0, 0], [1, 0, 0]], np.int32)
    refuse(codes, np.eye(2, 4, dtype=np.float32))


def test_a_level_that_most_identifiers_lack_is_judged_by_those_that_have_it() -> None:
    vectors, codes = vectors_and_codes(None)
    codes[:900, 2] = -1
    refuse(codes, vectors)
    codes[:, 2] = -1
    refuse(codes, vectors)
    codes[900:, 2] = 4
    with pytest.raises(UserError, match="Level 3"):
        refuse(codes, vectors)


def test_the_share_in_capped_clusters_is_told_where_clusters_are_capped() -> None:
    plain = diagnose(np.zeros((4, 1), np.int32), (2,))
    assert "capped_share" not in plain.to_json()
    capped = replace(plain, capped_share=0.25)
    assert capped.to_json()["capped_share"] == 0.25
    assert "above_cap" not in capped.to_json()
    assert replace(capped, above_cap=3).to_json()["above_cap"] == 3


def test_the_share_of_shortened_identifiers() -> None:
    codes = np.array([[0, 1], [1, -1], [0, -1], [1, 0]], np.int32)
    assert diagnose(codes, (2, 2)).to_json()["shortened_share"] == 0.5
    assert "shortened_share" not in diagnose(codes[:1], (2, 2)).to_json()

"""The match feature of DSIRM: four values by the depth of agreement, from the top, against a slow one."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from shelfwalk.ranking.prefix_match import Aggregation, match_depths, prefix_match, values_of_depths

CERTAIN = np.zeros((1, 1), np.float32)


def value(query: list[int], item: list[int]) -> float:
    codes = np.array([[query]], np.int32)
    return float(prefix_match(codes, CERTAIN, np.array([item], np.int32))[0])


def slow_value(query: list[int], item: list[int]) -> float:
    """The published words, one level after the other; for other lengths every missing level halves it."""
    depth = 0
    for mine, theirs in zip(query, item, strict=True):
        if mine != theirs or query[0] < 0:
            break
        depth += 1
    if len(query) == 3:
        return {0: 0.0, 1: 0.25, 2: 0.5, 3: 1.0}[depth]
    return 0.5 ** (len(query) - depth) if depth else 0.0


def slow_aggregate(values: list[float], log_probabilities: list[float], how: str) -> float:
    there = [number for number, score in enumerate(log_probabilities) if score > -np.inf]
    if not there:
        return 0.0
    if how == "first":
        return values[0] if 0 in there else 0.0
    if how == "max":
        return max(values[number] for number in there)
    weights = [1.0 if how == "mean" else float(np.exp(log_probabilities[number])) for number in there]
    return sum(weight * values[number] for weight, number in zip(weights, there, strict=True)) / sum(weights)


def test_the_four_values_that_were_published() -> None:
    assert values_of_depths(3).tolist() == [0.0, 0.25, 0.5, 1.0]
    assert value([4, 7, 2], [4, 7, 2]) == 1.0
    assert value([4, 7, 2], [4, 7, 3]) == 0.5
    assert value([4, 7, 2], [4, 6, 2]) == 0.25
    assert value([4, 7, 2], [5, 7, 2]) == 0.0, "where level 1 differs, nothing below it counts"


def test_other_numbers_of_levels_halve_for_every_missing_one() -> None:
    assert values_of_depths(1).tolist() == [0.0, 1.0]
    assert values_of_depths(4).tolist() == [0.0, 0.125, 0.25, 0.5, 1.0]
    with pytest.raises(ValueError, match="at least 1 level"):
        values_of_depths(0)


def test_absent_levels() -> None:
    assert value([4, 7, -1], [4, 7, -1]) == 1.0, "equal identifiers of two levels"
    assert value([4, 7, -1], [4, 7, 2]) == 0.5
    assert value([-1, -1, -1], [-1, -1, -1]) == 0.0, "that is no identifier"


@st.composite
def matches(draw: st.DrawFn) -> tuple[Any, Any, Any]:
    queries, candidates, items, levels = (draw(st.integers(1, most)) for most in (3, 4, 5, 4))
    codes = st.integers(-1, 2)
    query_codes = draw(hnp.arrays(np.int32, (queries, candidates, levels), elements=codes))
    item_codes = draw(hnp.arrays(np.int32, (items, levels), elements=codes))
    chances = st.sampled_from([-np.inf, -9.0, -1.0, -0.25, 0.0])
    scores = draw(hnp.arrays(np.float32, (queries, candidates), elements=chances))
    return query_codes, -np.sort(-scores, axis=1), item_codes


@given(matches(), st.sampled_from(get_args(Aggregation)))
def test_it_is_the_slow_one(found: tuple[Any, Any, Any], how: Aggregation) -> None:
    query_codes, scores, item_codes = found
    values = prefix_match(query_codes[:, None], scores[:, None], item_codes[None], how)
    assert values.dtype == np.float32
    for query, of_query in enumerate(values):
        for item, ours in enumerate(of_query):
            each = [slow_value(codes, item_codes[item].tolist()) for codes in query_codes[query].tolist()]
            assert ours == pytest.approx(slow_aggregate(each, scores[query].tolist(), how), abs=1e-6)


@given(matches())
def test_the_depth_is_symmetric_and_only_the_four_values_come_of_one_candidate(found: tuple[Any, Any, Any]) -> None:
    query_codes, _, item_codes = found
    one = query_codes[:, :1]
    depths = match_depths(one[:, None], item_codes[None])[..., 0]
    swapped = match_depths(item_codes[:, None, None], query_codes[None, :, 0])[..., 0].T
    assert (depths == swapped).all()
    values = prefix_match(one[:, None], np.zeros((1, 1, 1), np.float32), item_codes[None], "max")
    assert set(np.unique(values)) <= set(values_of_depths(item_codes.shape[1]).tolist())


def test_without_a_candidate_nothing_matches() -> None:
    items = np.array([[1, 2, 3]], np.int32)
    for how in get_args(Aggregation):
        assert prefix_match(np.empty((1, 0, 3), np.int32), np.empty((1, 0), np.float32), items, how).tolist() == [0.0]
        alone = prefix_match(items[None], np.full((1, 1), -np.inf, np.float32), items, how)
        assert alone.tolist() == [0.0]


def test_identifiers_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="of 3 and of 4 levels"):
        match_depths(np.zeros((1, 3), np.int32), np.zeros(4, np.int32))

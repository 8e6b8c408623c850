"""The naive Bayes of attribute names against counting by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.data.category_pattern import SMOOTHING, TEMPER, AttributePattern, PatternModel

NAMES = st.lists(st.sampled_from("abcdef"), max_size=4, unique=True)


def by_hand(known: list[tuple[list[str], int]], classes: int, vocabulary: list[str], names: list[str]) -> list[float]:
    """Tempered multinomial naive Bayes, one sum at a time."""
    scores = []
    for wanted in range(classes):
        inside = [row for row, label in known if label == wanted]
        counts = {name: sum(name in row for row in inside) + SMOOTHING for name in vocabulary}
        prior = (len(inside) + SMOOTHING) / (len(known) + classes * SMOOTHING)
        likelihood = sum(math.log(counts[name] / sum(counts.values())) for name in names)
        scores.append(TEMPER * (math.log(prior) + likelihood))
    powers = [math.exp(score - max(scores)) for score in scores]
    return [power / sum(powers) for power in powers]


@given(st.lists(st.tuples(NAMES, st.integers(-1, 2)), min_size=1, max_size=12))
def test_posteriors_are_those_counted_by_hand(items: list[tuple[list[str], int]]) -> None:
    pattern = AttributePattern.of([names for names, _ in items])
    model = PatternModel.fit(pattern, np.array([label for _, label in items]), 3)
    vocabulary = sorted({name for names, _ in items for name in names})
    known = [(names, label) for names, label in items if label >= 0]
    for number, (names, _) in enumerate(items):
        if names:
            wanted = by_hand(known, 3, vocabulary, names)
            assert model.posterior(pattern.of_item(number)) == pytest.approx(wanted, rel=1e-4)


def test_a_pattern_keeps_each_items_names_apart() -> None:
    pattern = AttributePattern.of([["a", "b"], [], ["b"]])
    assert pattern.distinct_names == 2
    assert pattern.sizes.tolist() == [2, 0, 1]
    assert [pattern.of_item(item).tolist() for item in range(3)] == [[0, 1], [], [1]]
    assert AttributePattern.of([]).sizes.tolist() == []


def test_known_share_counts_what_some_item_of_the_category_carries() -> None:
    pattern = AttributePattern.of([["a", "b"], ["b", "c"], ["a", "c", "d", "e"]])
    model = PatternModel.fit(pattern, np.array([0, 1, -1]), 2)
    names = pattern.of_item(2)
    assert model.known_share(names, 0) == 0.25
    assert model.known_share(names, 1) == 0.25
    assert model.known_share(pattern.of_item(0), 0) == 1.0

"""Parts of the query set: sizes, ties, and means over the members only."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfwalk.evaluation.metrics import PerQuery
from shelfwalk.evaluation.strata import popularity_labels, strata

PLACES = {"head": 0, "middle": 1, "tail": 2}


def test_thirds_by_frequency() -> None:
    labels = popularity_labels(np.array([5.0, 90.0, 1.0, 7.0, 50.0, 2.0]))
    assert labels.tolist() == ["middle", "head", "tail", "middle", "head", "tail"]


@settings(deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1))
def test_more_frequent_is_never_in_a_later_part_and_equal_ones_share_theirs(frequencies: list[int]) -> None:
    places = [PLACES[label] for label in popularity_labels(np.array(frequencies, dtype=np.float64)).tolist()]
    for one, place in zip(frequencies, places, strict=True):
        for other, other_place in zip(frequencies, places, strict=True):
            if one == other:
                assert place == other_place
            if one > other:
                assert place <= other_place
    assert 0 in places


def test_means_are_over_the_members_of_each_part() -> None:
    texts = {"a": "usb", "b": "usb hub", "c": " ink ", "d": ""}
    scored = {"x": PerQuery("x", tuple("abcd"), {"RR": np.array([1.0, 0.5, 0.2, 0.0])}, 0)}
    parts = {part.name: part for part in strata(scored, tuple("abcd"), texts, {"a": 9, "b": 5, "c": 5})}
    assert {name: part.queries for name, part in parts.items()} == {
        "head": 3, "tail": 1, "one word": 3, "several words": 1,
    }  # fmt: skip
    assert parts["one word"].figures["x"]["RR"] == pytest.approx(0.4)
    assert parts["several words"].figures["x"]["RR"] == 0.5
    assert parts["tail"].figures["x"]["RR"] == 0.0, "a query that nobody asked is in the tail"


def test_without_frequencies_only_the_lengths_are_parted() -> None:
    scored = {"x": PerQuery("x", ("a",), {"RR": np.array([1.0])}, 0)}
    assert [part.name for part in strata(scored, ("a",), {"a": "usb hub"}, None)] == ["several words"]

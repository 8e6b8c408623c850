"""Plural folding touches plural endings and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.data.plurals import singular

PAIRS = [
    ("cables", "cable"),
    ("batteries", "battery"),
    ("boxes", "box"),
    ("switches", "switch"),
    ("brushes", "brush"),
    ("glasses", "glass"),
    ("cases", "case"),
    ("headphones", "headphone"),
    ("tvs", "tvs"),
    ("ups", "ups"),
    ("gas", "gas"),
    ("wireless", "wireless"),
    ("bus", "bus"),
    ("virus", "virus"),
    ("extended", "extended"),
    ("charger", "charger"),
    ("", ""),
]


@pytest.mark.parametrize(("word", "wanted"), PAIRS)
def test_known_words(word: str, wanted: str) -> None:
    assert singular(word) == wanted


@given(st.text())
def test_only_a_plural_ending_is_ever_taken_off(word: str) -> None:
    folded = singular(word)
    if not word.endswith("s"):
        assert folded == word
    elif word.endswith("ies") and folded.endswith("y"):
        assert folded[:-1] == word[:-3]
    else:
        assert word.startswith(folded)
        assert len(word) - len(folded) <= 2

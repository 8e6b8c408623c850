"""Slips of the finger: always exactly one, in a long word, never at its first letter."""

from __future__ import annotations

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.market.misspellings import misspelt

LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS = st.lists(st.text(alphabet=LETTERS, min_size=1, max_size=9), min_size=1, max_size=5)


def edits(word: str) -> set[str]:
    """Everything one slip away: a letter left out, put in, replaced, or swapped with the next."""
    splits = [(word[:at], word[at:]) for at in range(len(word) + 1)]
    return {
        *(front + back[1:] for front, back in splits if back),
        *(front + back[1] + back[0] + back[2:] for front, back in splits if len(back) > 1),
        *(front + letter + back[1:] for front, back in splits if back for letter in LETTERS),
        *(front + letter + back for front, back in splits for letter in LETTERS),
    } - {word}


@given(WORDS, st.integers(0, 10_000))
def test_one_long_word_gets_one_slip(words: list[str], seed: int) -> None:
    found = misspelt([" ".join(words)], np.random.default_rng(seed))[0].split(" ")
    assert len(found) == len(words)
    changed = [(ours, theirs) for ours, theirs in zip(words, found, strict=True) if ours != theirs]
    if all(len(word) < 5 for word in words):
        assert changed == []
        return
    ((before, after),) = changed
    assert len(before) >= 5
    assert after[0] == before[0]
    assert after in edits(before)


@given(st.lists(st.text(max_size=30), max_size=8), st.integers(0, 100))
def test_any_text_goes_through_and_the_seed_decides(texts: list[str], seed: int) -> None:
    found = misspelt(texts, np.random.default_rng(seed))
    assert found == misspelt(texts, np.random.default_rng(seed))
    assert len(found) == len(texts)
    for before, after in zip(texts, found, strict=True):
        assert after == before or re.search(r"[^\W\d_]{5}", before)


def test_capitals_stay_and_all_kinds_of_slips_occur() -> None:
    found = set(misspelt(["KETTLE"] * 400, np.random.default_rng(1)))
    assert all(word == word.upper() for word in found)
    assert {"KTTLE", "KEETTLE", "KTETLE"} <= found
    assert any(len(word) == 6 and word not in {"KTETLE", "KETLTE"} for word in found)

"""Word hashing: what a text's pieces are, in every process the same, and rows taken as they stand."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.encoders.word_hashing import hash_texts

BUCKETS = 1 << 20
texts = st.lists(st.text(alphabet="ab c#é-", max_size=12), max_size=6)


def pieces(text: str, buckets: int = BUCKETS) -> set[int]:
    return set(hash_texts([text], buckets).pieces.tolist())


def test_a_misspelt_word_shares_most_letter_trigrams() -> None:
    right, wrong, other = pieces("headphones"), pieces("headphnoes"), pieces("kettle")
    assert len(right & wrong) >= 6 > len(right & other)
    # #headphones# itself and its ten trigrams.
    assert len(right) == 11


def test_case_and_punctuation_do_not_count_and_word_order_does_not() -> None:
    assert pieces("USB-C Hub!") == pieces("hub c usb")
    assert pieces("ab") != pieces("a b")


def test_other_processes_find_the_same_pieces() -> None:
    """Python's own hash of a text would differ."""
    code = "from shelfwalk.encoders.word_hashing import hash_texts; print(*hash_texts(['Crème brûlée'], 5000).pieces)"
    printed = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    assert printed == {" ".join(map(str, hash_texts(["Crème brûlée"], 5000).pieces)) + "\n"}


@given(texts, st.integers(1, 50), st.data())
def test_rows_taken_are_the_texts_hashed_alone(given_texts: list[str], buckets: int, data: st.DataObject) -> None:
    hashed = hash_texts(given_texts, buckets)
    assert len(hashed) == len(given_texts)
    assert all(0 <= piece < buckets for piece in hashed.pieces.tolist())
    rows = data.draw(st.lists(st.integers(0, len(given_texts) - 1), max_size=8) if given_texts else st.just([]))
    taken = hashed.take(np.array(rows, np.int64))
    expected = hash_texts([given_texts[row] for row in rows], buckets)
    np.testing.assert_array_equal(taken.pieces, expected.pieces)
    np.testing.assert_array_equal(taken.offsets, expected.offsets)

"""Ends as codes: there and back, and only where something ends."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.tokenizers.end_codes import with_end_codes, without_end_codes


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-1, 3), st.integers(-1, 1)), min_size=1, max_size=20))
def test_there_and_back(rows: list[tuple[int, int, int]]) -> None:
    codes, sizes = np.array(rows, np.int32), (3, 4, 2)
    whole, grown = with_end_codes(codes, sizes)
    assert (whole >= 0).all()
    assert (whole < np.array(grown)).all()
    assert np.array_equal(without_end_codes(whole, sizes), codes)
    assert grown == tuple(size + (-1 in column) for size, column in zip(sizes, zip(*rows, strict=True), strict=True))
    assert len({tuple(row) for row in whole.tolist()}) == len(set(rows))

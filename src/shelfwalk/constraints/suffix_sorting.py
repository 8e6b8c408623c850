"""Sorting the suffixes of a text; the library works on bytes and orders symbols as their big-endian bytes.

In: symbols. Out: where each suffix begins, in the order of the suffixes.
"""

from __future__ import annotations

import numpy as np

from shelfwalk.constraints.span_corpus import Ints, Symbols


def suffix_array(symbols: Symbols) -> Ints:
    """Sort the suffixes of `symbols` [length], at least one; a suffix that begins another stands before it."""
    from pydivsufsort import divsufsort

    suffixes: Ints = divsufsort(symbols).astype(np.int32, copy=False)
    return suffixes

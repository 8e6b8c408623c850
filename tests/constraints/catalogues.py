"""Random catalogues of identifiers, and the answers of a trie of dictionaries to hold others against."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from plain_trie import PlainTrie, Prefix

from shelfwalk.constraints.constraint import END, Constraint, TokenSets

Codes = npt.NDArray[np.int32]


@st.composite
def catalogues(draw: st.DrawFn, largest: int = 60, several_lengths: bool | None = None) -> Codes:
    """Codes of 1 to `largest` items with 1 to 5 levels of unequal sizes; few codes a level, so that many collide."""
    sizes = draw(st.lists(st.integers(1, 7), min_size=1, max_size=5))
    items = draw(st.integers(1, largest))
    drawn = draw(arrays(np.int32, (items, len(sizes)), elements=st.integers(0, 5040)))
    # Far apart, so that a token is never by chance a node number.
    codes = (drawn % np.array(sizes, np.int32)) * draw(st.sampled_from([1, 1000, 10_000]))
    if draw(st.booleans()) if several_lengths is None else several_lengths:
        lengths = draw(arrays(np.int64, items, elements=st.integers(1, len(sizes))))
        codes[np.arange(len(sizes)) >= lengths[:, None]] = END
    return codes.astype(np.int32)


def path_of(codes: Sequence[int]) -> Prefix:
    """An identifier without what fills it up."""
    return tuple(code for code in codes if code != END)


def plain_trie(codes: Codes, allowed: Iterable[int] | None = None, rows: Sequence[int] | None = None) -> PlainTrie:
    numbers = range(len(codes)) if rows is None else rows
    return PlainTrie(dict(zip(numbers, map(path_of, codes.tolist()), strict=True)), codes.shape[1], allowed)


def state_of(constraint: Constraint, path: Sequence[int]) -> npt.NDArray[np.int64]:
    """The state [1, integers] behind a path, walked token by token."""
    state = constraint.initial(1)
    for token in path:
        state = constraint.advance(state, np.array([token], np.int32))
    return state


def sets_of(sets: TokenSets) -> list[list[int]]:
    assert (sets.offsets[0], sets.offsets[-1]) == (0, len(sets.tokens))
    assert (sets.offsets.dtype, sets.tokens.dtype) == (np.int64, np.int32)
    return [part.tolist() for part in np.split(sets.tokens, sets.offsets[1:-1])] if len(sets.offsets) > 1 else []


def assert_same_walk(constraint: Constraint, plain: PlainTrie, levels: int) -> None:
    """Every prefix allows the same in both, and exactly the whole paths are complete."""
    prefixes = plain.prefixes()
    states = np.concatenate([state_of(constraint, prefix) for prefix in prefixes])
    assert sets_of(constraint.allowed(states)) == [plain.allowed(prefix) for prefix in prefixes]
    assert not constraint.complete(states).any()
    whole = whole_paths(plain, levels)
    ends = np.concatenate([constraint.initial(0), *(state_of(constraint, path) for path in whole)])
    assert constraint.complete(ends).all()
    assert sets_of(constraint.allowed(ends)) == [[] for _ in whole]


def whole_paths(plain: PlainTrie, levels: int) -> list[Prefix]:
    """All complete paths in order, with the `END` that a short one takes."""
    return [path if len(path) == levels else (*path, END) for path in sorted(plain.items)]

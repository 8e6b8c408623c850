"""A batch of constraints against each constraint asked by itself."""

from __future__ import annotations

import numpy as np
import pytest
from catalogues import sets_of

from shelfwalk.constraints.constraint import Constraint, TokenRanges
from shelfwalk.constraints.constraint_batch import ConstraintBatch
from shelfwalk.constraints.item_filter import ItemFilter
from shelfwalk.constraints.live_trie import LiveTrie
from shelfwalk.constraints.trie import Trie


@pytest.fixture(scope="module")
def constraints() -> list[Constraint]:
    """A trie, the same narrowed, and one with two integers a state; the first serves two requests."""
    random = np.random.default_rng(3)
    codes = random.integers(0, 5, (60, 2)).astype(np.int32)
    trie, live = Trie.build(codes), LiveTrie(Trie.build(codes))
    live.change(remove=[3], add=[70, 71], codes=np.array([[0, 4], [4, 0]], np.int32))
    return [trie, trie.narrowed(ItemFilter(random.random(60) < 0.1)), trie, live.snapshot()]


def lists_of(sets: TokenRanges) -> list[list[int]]:
    return [sets.tokens[begin:end].tolist() for begin, end in zip(sets.begins, sets.ends, strict=True)]


def test_every_request_is_asked_of_its_own(constraints: list[Constraint]) -> None:
    batch = ConstraintBatch(constraints, len(constraints))
    assert batch.width == 2
    states = batch.initial()
    assert states.tolist() == [[0, -1], [0, -1], [0, -1], [0, 0]]
    requests = np.repeat(np.arange(4), 3)
    for level in range(3):
        sets = batch.allowed(requests, np.repeat(states, 3, axis=0)) if level == 0 else batch.allowed(requests, states)
        rows = states if level else np.repeat(states, 3, axis=0)
        alone = [constraints[request] for request in requests]
        widths = [one.initial(1).shape[1] for one in alone]
        parts = [rows[place : place + 1, : widths[place]] for place in range(len(rows))]
        assert lists_of(sets) == [sets_of(one.allowed(part))[0] for one, part in zip(alone, parts, strict=True)]
        whole = [bool(one.complete(part)[0]) for one, part in zip(alone, parts, strict=True)]
        assert batch.complete(requests, rows).tolist() == whole == [level == 2] * len(rows)
        if level < 2:
            tokens = np.array([choices[place % len(choices)] for place, choices in enumerate(lists_of(sets))], np.int32)
            states = batch.advance(requests, rows, tokens)
            for place, (one, part) in enumerate(zip(alone, parts, strict=True)):
                moved = one.advance(part, tokens[place : place + 1])[0].tolist()
                assert states[place].tolist() == moved + [-1] * (2 - len(moved))


def test_one_constraint_serves_all(constraints: list[Constraint]) -> None:
    batch = ConstraintBatch(constraints[0], 3)
    assert batch.initial().tolist() == [[0], [0], [0]]
    assert lists_of(batch.allowed(np.arange(3), batch.initial())) == [[0, 1, 2, 3, 4]] * 3


@pytest.mark.parametrize("requests", [0, 3, 5])
def test_refuses_another_number_than_that_of_the_requests(constraints: list[Constraint], requests: int) -> None:
    with pytest.raises(ValueError, match="need one constraint or"):
        ConstraintBatch(constraints, requests)


def test_no_requests_have_no_states(constraints: list[Constraint]) -> None:
    assert ConstraintBatch(constraints[0], 0).initial().shape[0] == 0
    assert ConstraintBatch([], 0).initial().shape[0] == 0

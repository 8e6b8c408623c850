"""Exclusive recall and overlap against set arithmetic."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.evaluation.judgements import GradedQueries
from shelfwalk.evaluation.overlap import FoundBy, overlap
from shelfwalk.evaluation.rankings import Rankings

ITEMS = [f"i{number}" for number in range(12)]


def channel(name: str, answers: list[list[str]]) -> Rankings:
    query_ids = tuple(f"q{number}" for number in range(len(answers)))
    return Rankings(name, query_ids, answers, [[0.0] * len(answer) for answer in answers])


@given(
    st.lists(st.lists(st.lists(st.sampled_from(ITEMS), unique=True), min_size=2, max_size=2), min_size=1, max_size=4),
    st.lists(st.sets(st.sampled_from(ITEMS), min_size=1), min_size=2, max_size=2),
    st.integers(1, 12),
)
def test_equals_set_arithmetic(answers: list[list[list[str]]], relevant: list[set[str]], cutoff: int) -> None:
    channels = [channel(f"c{number}", rows) for number, rows in enumerate(answers)]
    graded = GradedQueries({f"q{n}": dict.fromkeys(items, 1) for n, items in enumerate(relevant)}, 1)
    found = overlap(channels, graded, ["q0", "q1"], cutoff)
    groups: Counter[frozenset[str]] = Counter()
    for query, wanted in enumerate(relevant):
        tops = {ranked.channel: set(ranked.item_ids[query][:cutoff]) for ranked in channels}
        for name, top in tops.items():
            others = set().union(*(other for rival, other in tops.items() if rival != name))
            assert found.exclusive[name][query] == pytest.approx(len((wanted & top) - others) / len(wanted))
        groups.update(frozenset(name for name, top in tops.items() if item in top) for item in wanted)
    assert {frozenset(group.channels): group.pairs for group in found.found_by} == dict(groups)
    assert [group.pairs for group in found.found_by] == sorted(groups.values(), reverse=True)


def test_ties_are_listed_in_a_fixed_order() -> None:
    channels = [channel("b", [["i1"]]), channel("a", [["i2"]])]
    graded = GradedQueries({"q0": dict.fromkeys(("i1", "i2", "i3"), 1)}, 1)
    found = overlap(channels, graded, ["q0"])
    assert found.found_by == (FoundBy((), 1), FoundBy(("a",), 1), FoundBy(("b",), 1))

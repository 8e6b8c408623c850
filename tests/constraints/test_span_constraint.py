"""Walking the spans of an index reaches every span up to the longest once, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_spans import VOCABULARY, PlainSpans, Span, document_lists

from shelfwalk.constraints.fm_index import FMIndex
from shelfwalk.constraints.span_constraint import END, SpanConstraint
from shelfwalk.constraints.suffix_array_index import SuffixArrayIndex
from shelfwalk.constraints.token_sequences import TokenSequences

KINDS = pytest.mark.parametrize("kind", [FMIndex, SuffixArrayIndex])
Kind = type[FMIndex] | type[SuffixArrayIndex]


def constraint_of(kind: Kind, documents: list[Span], longest: int) -> SpanConstraint:
    return SpanConstraint(kind.build(TokenSequences.of(documents), VOCABULARY), longest)


def walk(constraint: SpanConstraint) -> list[tuple[Span, int]]:
    """All complete spans with their counts, each as often as a search would find it."""
    found: list[tuple[Span, int]] = []
    paths: list[Span] = [()]
    states = constraint.initial(1)
    while paths:
        complete = constraint.complete(states)
        counts = constraint.index.count(constraint.occurring(states[complete]))
        spans = [path for path, whole in zip(paths, complete, strict=True) if whole]
        found += zip([tuple(t for t in span if t != END) for span in spans], counts.tolist(), strict=True)
        sets = constraint.allowed(states)
        lengths = np.diff(sets.offsets)
        assert np.all(lengths[complete] == 0)
        owners = np.repeat(np.arange(len(paths)), lengths)
        states = constraint.advance(states[owners], sets.tokens)
        paths = [(*paths[owner], token) for owner, token in zip(owners, sets.tokens.tolist(), strict=True)]
    return found


@KINDS
@settings(max_examples=60)
@given(documents=document_lists(), longest=st.integers(1, 4))
def test_the_paths_are_the_spans_that_occur_each_once(kind: Kind, documents: list[Span], longest: int) -> None:
    plain = PlainSpans(documents)
    expected = [(span, len(plain.places(span))) for span in plain.spans(longest)]
    assert sorted(walk(constraint_of(kind, documents, longest))) == expected


@KINDS
def test_the_end_is_offered_first_and_never_for_nothing(kind: Kind) -> None:
    constraint = constraint_of(kind, [(4, 5, 6), (4, 5), (4, 5, 4)], 3)
    root = constraint.initial(1)
    assert constraint.allowed(root).tokens.tolist() == [4, 5, 6]
    two = constraint.advance(constraint.advance(root, np.array([4], np.int32)), np.array([5], np.int32))
    assert constraint.allowed(two).tokens.tolist() == [END, 4, 6]
    # At the end of every document that holds it, a span can only end.
    last = constraint.advance(root, np.array([6], np.int32))
    assert constraint.allowed(last).tokens.tolist() == [END]


@KINDS
@pytest.mark.parametrize("steps", [[END], [5], [7], [4, 4], [4, END, END], [4, END, 5], [4, 5, 6], [4, 5, END], [-3]])
def test_a_step_that_is_not_allowed_is_refused(kind: Kind, steps: list[int]) -> None:
    constraint = constraint_of(kind, [(4, 5, 6), (4, 6)], 2)
    *before, last = steps if steps != [5] else [4, 6, 6]
    state = constraint.initial(1)
    for token in before:
        state = constraint.advance(state, np.array([token], np.int32))
    with pytest.raises(ValueError, match="does not follow"):
        constraint.advance(state, np.array([last], np.int32))


@KINDS
def test_one_bad_token_among_good_ones_is_refused(kind: Kind) -> None:
    constraint = constraint_of(kind, [(4, 5, 6)], 3)
    with pytest.raises(ValueError, match="does not follow"):
        constraint.advance(constraint.initial(3), np.array([4, 5, 9], np.int32))

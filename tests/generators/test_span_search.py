"""The one beam search over the spans of an index, against scoring all of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_search import TableGenerator, exhaustive_search, found, paths_of

from shelfwalk.constraints.fm_index import FMIndex
from shelfwalk.constraints.span_constraint import SpanConstraint
from shelfwalk.constraints.suffix_array_index import SuffixArrayIndex
from shelfwalk.constraints.token_sequences import TokenSequences
from shelfwalk.generators.beam_search import beam_search

VOCABULARY, LONGEST = 6, 3

documents_of = st.lists(st.lists(st.integers(0, VOCABULARY - 1), max_size=7).map(tuple), min_size=1, max_size=6)


@pytest.mark.parametrize("kind", [FMIndex, SuffixArrayIndex])
@settings(max_examples=150)
@given(documents=documents_of, seed=st.integers(0, 999), queries=st.integers(1, 3))
def test_wide_enough_it_ranks_all_spans(
    kind: type[FMIndex] | type[SuffixArrayIndex], documents: list[tuple[int, ...]], seed: int, queries: int
) -> None:
    index = kind.build(TokenSequences.of(documents), VOCABULARY)
    spans = {
        document[begin:end]
        for document in documents
        for begin in range(len(document))
        for end in range(begin + 1, min(begin + LONGEST, len(document)) + 1)
    }
    generator = TableGenerator((VOCABULARY,) * LONGEST, seed, ends=True)
    constraint = SpanConstraint(index, LONGEST)
    beams = beam_search(generator, constraint, np.arange(queries, dtype=np.float32)[:, None], len(spans) + 1)
    padded = [[*span, *[-1] * (LONGEST - len(span))] for span in sorted(spans)]
    for query in range(queries):
        assert found(beams, query) == exhaustive_search(generator, paths_of(padded), query, len(spans), 0.0)
        states = constraint.occurring(beams.states[query, : beams.found(query)])
        assert np.all(index.count(states) > 0)

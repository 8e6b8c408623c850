"""Compiled span evidence against the same in plain Python, and the score's own promises."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_span_evidence import Span, plain_span_evidence

from shelfwalk.constraints.fm_index import FMIndex
from shelfwalk.constraints.span_index import SpanIndex
from shelfwalk.constraints.suffix_array_index import SuffixArrayIndex
from shelfwalk.constraints.token_sequences import TokenSequences
from shelfwalk.ranking.span_evidence import EvidenceSettings, SpanEvidence, span_evidence, span_weights

VOCABULARY = 9
KINDS = pytest.mark.parametrize("kind", [FMIndex, SuffixArrayIndex])
Kind = type[FMIndex] | type[SuffixArrayIndex]

token_lists = st.lists(st.integers(0, 6), max_size=14).map(tuple)
span_lists = st.lists(st.lists(st.integers(-1, VOCABULARY), min_size=1, max_size=4).map(tuple), max_size=14)
evidence_settings = st.builds(
    EvidenceSettings,
    alpha=st.sampled_from([0.5, 1.0, 2.0]),
    beta=st.sampled_from([0.0, 0.8, 1.0]),
    smoothing=st.sampled_from([0.0, 5.0]),
    opening_count=st.sampled_from([1, 4, 1500]),
    documents=st.sampled_from([1, 3, 500]),
)


def index_of(kind: Kind, documents: list[Span]) -> SpanIndex:
    return kind.build(TokenSequences.of(documents), VOCABULARY)


def as_rows(evidence: SpanEvidence, spans: list[Span]) -> dict[int, tuple[float, list[tuple[Span, int]], list[float]]]:
    rows = {}
    for number, (begin, end) in enumerate(pairwise(evidence.offsets.tolist())):
        taken = [spans[span] for span in evidence.spans[begin:end]]
        places = evidence.positions[begin:end].tolist()
        rows[int(evidence.documents[number])] = (
            float(evidence.scores[number]),
            list(zip(taken, places, strict=True)),
            evidence.contributions[begin:end].tolist(),
        )
    return rows


@KINDS
@settings(max_examples=300)
@given(documents=st.lists(token_lists, max_size=12), spans=span_lists, chosen=evidence_settings, data=st.data())
def test_compiled_and_plain_evidence_agree(
    kind: Kind, documents: list[Span], spans: list[Span], chosen: EvidenceSettings, data: st.DataObject
) -> None:
    levels = st.sampled_from([0.0, -1e-9, -0.1, -0.7, -2.0, -5.0, -math.inf])
    log_probabilities = data.draw(st.lists(levels, min_size=len(spans), max_size=len(spans)))
    evidence = span_evidence(index_of(kind, documents), TokenSequences.of(spans), np.array(log_probabilities), chosen)
    plain = plain_span_evidence(documents, spans, log_probabilities, chosen)
    found = as_rows(evidence, spans)
    assert found.keys() == {row.document for row in plain}
    for row in plain:
        score, taken, contributions = found[row.document]
        assert taken == [(span, place) for span, place, _ in row.spans]
        assert contributions == pytest.approx([contribution for _, _, contribution in row.spans])
        assert score == pytest.approx(row.score) == pytest.approx(sum(contributions))
    # Sums that are equal but for rounding may swap.
    assert evidence.scores == pytest.approx([row.score for row in plain])
    assert np.all(np.diff(evidence.scores) <= 0)


def test_the_weight_is_the_formula_of_the_paper() -> None:
    weights = span_weights(np.log([0.5, 0.5, 0.001]), np.array([10, 45, 95]), 100, 0.0)
    assert weights[0] == pytest.approx(math.log(0.5 * 0.9 / (0.1 * 0.5)))
    assert weights[1] == pytest.approx(math.log(0.55 / 0.45))
    # Less probable for the query than by itself.
    assert weights[2] == 0.0


@KINDS
def test_a_worked_example(kind: Kind) -> None:
    # The span (1, 2) is taken first; (2, 3) overlaps it in the first document, where (3,) alone is left.
    documents = [(1, 2, 3), (2, 3, 3), (4, 4, 4)]
    spans = [(2, 3), (3,), (1, 2)]
    chosen = EvidenceSettings(smoothing=0.0)
    evidence = span_evidence(
        index_of(kind, documents), TokenSequences.of(spans), np.log(np.array([0.6, 0.5, 0.7])), chosen
    )
    bigram, once = 2 / 9, 1 / 9
    first = math.log(0.7 * (1 - once) / (once * 0.3)) ** 2
    second = math.log(0.6 * (1 - bigram) / (bigram * 0.4)) ** 2
    single = math.log(0.5 * (1 - 3 / 9) / (3 / 9 * 0.5)) ** 2
    assert evidence.documents.tolist() == [0, 1]
    assert evidence.spans.tolist() == [2, 1, 0, 1]
    assert evidence.positions.tolist() == [0, 2, 0, 2]
    # In the second document the token 3 has been covered: a fifth is left of it.
    assert evidence.contributions == pytest.approx([first, single, second, 0.2 * single])


@KINDS
@settings(max_examples=50)
@given(documents=st.lists(token_lists, max_size=10), spans=span_lists, random=st.randoms(use_true_random=False))
def test_the_order_of_the_spans_changes_nothing(
    kind: Kind, documents: list[Span], spans: list[Span], random: object
) -> None:
    log_probabilities = [-0.1 * (hash(span) % 7 + 1) for span in spans]
    shuffled = list(range(len(spans)))
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    index = index_of(kind, documents)
    one = span_evidence(index, TokenSequences.of(spans), np.array(log_probabilities))
    other = span_evidence(
        index,
        TokenSequences.of([spans[i] for i in shuffled]),
        np.array([log_probabilities[i] for i in shuffled]),
    )
    np.testing.assert_array_equal(one.documents, other.documents)
    np.testing.assert_array_equal(one.scores, other.scores)
    assert [spans[i] for i in one.spans] == [spans[shuffled[i]] for i in other.spans]


@KINDS
def test_a_document_that_only_frequent_spans_name_is_not_opened(kind: Kind) -> None:
    index = index_of(kind, [(1, 2), (1, 3), (1, 4)])
    spans = TokenSequences.of([(1,), (2,)])
    log_probabilities = np.log([0.9, 0.9])
    few = span_evidence(index, spans, log_probabilities, EvidenceSettings(smoothing=0.0, opening_count=2))
    assert few.documents.tolist() == [0] and few.spans.tolist() == [1, 0]
    none = span_evidence(index, spans, log_probabilities, EvidenceSettings(smoothing=0.0, opening_count=0))
    assert len(none.documents) == 0 and none.offsets.tolist() == [0]


@KINDS
@pytest.mark.parametrize(
    ("spans", "log_probabilities", "message"),
    [
        ([(1,), ()], [-1.0, -1.0], "at least one token"),
        ([(1,)], [-1.0, -1.0], "log-probability"),
        ([(1,)], [0.1], "at most 0"),
        ([(1,)], [math.nan], "at most 0"),
    ],
)
def test_spans_that_break_the_contract_are_refused(
    kind: Kind, spans: list[Span], log_probabilities: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        span_evidence(index_of(kind, [(1, 2)]), TokenSequences.of(spans), np.array(log_probabilities))

"""Both span indexes against brute force on random documents, and against each other on larger ones."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_spans import VOCABULARY, PlainSpans, Span, document_lists

from shelfwalk.constraints import span_corpus
from shelfwalk.constraints.fm_index import TOGETHER, FMIndex
from shelfwalk.constraints.saved_span_index import open_span_index
from shelfwalk.constraints.span_index import HIGH, LENGTH, LOW, SpanIndex
from shelfwalk.constraints.suffix_array_index import BOUNDARIES, SuffixArrayIndex
from shelfwalk.constraints.token_sequences import TokenSequences

KINDS = pytest.mark.parametrize("kind", [FMIndex, SuffixArrayIndex])
Kind = type[FMIndex] | type[SuffixArrayIndex]


def sequences(*spans: Span) -> TokenSequences:
    return TokenSequences.of(spans)


def built(kind: Kind, documents: list[Span]) -> SpanIndex:
    return kind.build(sequences(*documents), VOCABULARY)


def next_of(index: SpanIndex, spans: list[Span]) -> list[dict[int, int]]:
    found = index.next_tokens(index.find(sequences(*spans)))
    assert (found.tokens.dtype, found.counts.dtype, found.offsets.dtype) == (np.int32, np.int64, np.int64)
    pairs = list(zip(found.tokens.tolist(), found.counts.tolist(), strict=True))
    return [dict(pairs[begin:end]) for begin, end in zip(found.offsets, found.offsets[1:], strict=False)]


def places_of(index: SpanIndex, spans: list[Span]) -> list[list[tuple[int, int]]]:
    found = index.locate(index.find(sequences(*spans)))
    pairs = list(zip(found.documents.tolist(), found.positions.tolist(), strict=True))
    return [pairs[begin:end] for begin, end in zip(found.offsets, found.offsets[1:], strict=False)]


@KINDS
@settings(max_examples=150)
@given(documents=document_lists())
def test_counts_next_tokens_places_and_documents_are_those_of_brute_force(kind: Kind, documents: list[Span]) -> None:
    plain, index = PlainSpans(documents), built(kind, documents)
    # Longer than what the suffix array has boundaries for.
    spans = plain.spans(BOUNDARIES + 2)
    states = index.find(sequences(*spans))
    assert index.count(states).tolist() == [len(plain.places(span)) for span in spans]
    for span, found in zip([(), *spans], next_of(index, [(), *spans]), strict=True):
        # Dictionaries keep their order: the tokens are ascending.
        assert list(found.items()) == list(plain.next_tokens(span).items())
    assert places_of(index, spans) == [plain.places(span) for span in spans]
    sets = index.documents_of(states)
    for span, begin, end in zip(spans, sets.offsets, sets.offsets[1:], strict=False):
        assert sorted(sets.documents[begin:end].tolist()) == sorted({document for document, _ in plain.places(span)})


@KINDS
@settings(max_examples=100)
@given(documents=document_lists(), data=st.data())
def test_spans_that_do_not_occur_have_no_rows_and_nothing_follows_them(
    kind: Kind, documents: list[Span], data: st.DataObject
) -> None:
    plain, index = PlainSpans(documents), built(kind, documents)
    known = sorted({token for document in documents for token in document})
    token = st.sampled_from([*known, 5, 123_456, -1, -7, VOCABULARY, 2**31 - 1])
    spans = [tuple(span) for span in data.draw(st.lists(st.lists(token, min_size=1, max_size=5), max_size=8))]
    states = index.find(sequences(*spans))
    assert index.count(states).tolist() == [len(plain.places(span)) for span in spans]
    assert next_of(index, spans) == [plain.next_tokens(span) for span in spans]
    assert places_of(index, spans) == [plain.places(span) for span in spans]


@KINDS
@settings(max_examples=60)
@given(documents=document_lists(), data=st.data())
def test_a_document_reads_back_as_it_was(kind: Kind, documents: list[Span], data: st.DataObject) -> None:
    index = built(kind, documents)
    assert (index.documents, index.tokens) == (len(documents), sum(map(len, documents)))
    numbers = data.draw(st.lists(st.sampled_from(range(len(documents))))) if documents else []
    found = index.document_tokens(np.array(numbers, np.int64))
    assert [tuple(found[i].tolist()) for i in range(len(numbers))] == [documents[number] for number in numbers]


@KINDS
@settings(max_examples=30)
@given(documents=document_lists())
def test_a_saved_index_answers_as_before(kind: Kind, documents: list[Span]) -> None:
    index = built(kind, documents)
    spans = [(), *PlainSpans(documents).spans(3)]
    with TemporaryDirectory() as folder:
        index.save(Path(folder))
        opened = open_span_index(Path(folder))
        assert type(opened) is kind and opened.vocabulary == VOCABULARY and opened.bytes == index.bytes
        assert next_of(opened, spans) == next_of(index, spans)
        assert places_of(opened, spans[1:]) == places_of(index, spans[1:])


def random_documents(vocabulary: int, seed: int) -> TokenSequences:
    """Skewed tokens as words are; some documents are empty, some are longer than many samples."""
    generator = np.random.default_rng(seed)
    lengths = generator.choice([0, 1, 3, 12, 200], 3_000)
    tokens = (vocabulary * generator.random(int(lengths.sum())) ** 3).astype(np.int32)
    return TokenSequences(np.concatenate(([0], np.cumsum(lengths))), tokens)


@pytest.mark.parametrize("vocabulary", [1, 2, 3, 255, 8_192, 65_535, 65_536, 250_000])
def test_both_indexes_agree_at_every_width_of_symbols(vocabulary: int) -> None:
    documents = random_documents(vocabulary, vocabulary)
    # All tokens occur, so that the alphabet is as large as the vocabulary.
    everything = TokenSequences(
        np.append(documents.offsets, documents.offsets[-1] + vocabulary),
        np.concatenate((documents.tokens, np.arange(vocabulary, dtype=np.int32))),
    )
    one, other = FMIndex.build(everything, vocabulary), SuffixArrayIndex.build(everything, vocabulary)
    generator = np.random.default_rng(1)
    begins = generator.integers(0, len(documents.tokens) - 7, 300)
    spans = TokenSequences.of([documents.tokens[at : at + length] for at in begins for length in (1, 2, 3, 7)])
    states = one.find(spans), other.find(spans)
    np.testing.assert_array_equal(one.count(states[0]), other.count(states[1]))
    root = one.next_tokens(one.initial(1)), other.next_tokens(other.initial(1))
    np.testing.assert_array_equal(root[0].tokens, np.arange(vocabulary))
    for mine, theirs in (root, (one.next_tokens(states[0]), other.next_tokens(states[1]))):
        np.testing.assert_array_equal(mine.offsets, theirs.offsets)
        np.testing.assert_array_equal(mine.tokens, theirs.tokens)
        np.testing.assert_array_equal(mine.counts, theirs.counts)
    rare = one.count(states[0]) < 1_000
    found = one.locate(states[0][rare]), other.locate(states[1][rare])
    np.testing.assert_array_equal(found[0].documents, found[1].documents)
    np.testing.assert_array_equal(found[0].positions, found[1].positions)


@KINDS
def test_states_do_not_depend_on_what_else_is_in_the_batch(kind: Kind) -> None:
    documents = random_documents(50, 3)
    index = kind.build(documents, 50)
    spans = [documents.tokens[at : at + 3] for at in range(0, 300, 3)]
    together = index.find(TokenSequences.of(spans))
    alone = np.concatenate([index.find(TokenSequences.of([span])) for span in spans])
    np.testing.assert_array_equal(together, alone)
    assert together[:, LENGTH].tolist() == [3] * 100
    following = index.next_tokens(together)
    for number, state in enumerate(together):
        own = index.next_tokens(state[None])
        part = slice(following.offsets[number], following.offsets[number + 1])
        np.testing.assert_array_equal(own.tokens, following.tokens[part])
        np.testing.assert_array_equal(own.counts, following.counts[part])


@KINDS
def test_a_span_with_more_places_than_are_found_at_a_time(kind: Kind) -> None:
    index = built(kind, [(1,) * 5_000, (2, 1) * 4_500])
    ones = [(0, place) for place in range(5_000)] + [(1, place) for place in range(1, 9_000, 2)]
    pairs = [(1, place) for place in range(0, 9_000, 2)]
    assert len(ones) > 2 * TOGETHER and len(pairs) > TOGETHER
    assert places_of(index, [(1,), (2, 1)]) == [ones, pairs]


@KINDS
def test_a_span_never_reaches_over_the_edge_of_a_document(kind: Kind) -> None:
    index = built(kind, [(1, 2), (), (), (3, 1), (2, 3)])
    spans = [(1, 2), (2, 3), (3, 1), (1, 2, 3), (3, 1, 2), (2, 3, 1)]
    assert index.count(index.find(sequences(*spans))).tolist() == [1, 1, 1, 0, 0, 0]
    assert places_of(index, [(2, 3)]) == [[(4, 0)]]


@KINDS
@pytest.mark.parametrize("documents", [[], [()], [(), (), ()]])
def test_documents_without_a_token_make_an_index_without_spans(kind: Kind, documents: list[Span]) -> None:
    index = built(kind, documents)
    assert index.tokens == 0 and index.documents == len(documents)
    assert index.next_tokens(index.initial(2)).offsets.tolist() == [0, 0, 0]
    assert index.count(index.find(sequences((), (0,)))).tolist() == [0, 0]


@KINDS
def test_dead_beams_have_no_next_token(kind: Kind) -> None:
    index = built(kind, [(1, 2, 1)])
    dead = np.full((2, 3), -1, np.int64)
    assert index.next_tokens(dead).offsets.tolist() == [0, 0, 0]
    extended = index.extend(dead, np.array([1, 2], np.int32))
    assert np.all(extended[:, LOW] >= extended[:, HIGH])


@KINDS
def test_states_may_be_a_view_of_other_arrays(kind: Kind) -> None:
    index = built(kind, [(1, 2, 1), (2, 2)])
    spans = [(1,), (2,), (2, 1)]
    wide = np.full((6, 4), -1, np.int64)
    wide[::2, :3] = index.find(sequences(*spans))
    view = wide[::2, :3]
    assert index.next_tokens(view).tokens.tolist() == [2, 1, 2]
    assert index.count(index.extend(view, np.array([2, 2, 2])[::-1])).tolist() == [1, 1, 0]
    assert index.locate(view).documents.tolist() == [0, 0, 0, 1, 1, 0]


@KINDS
def test_an_empty_batch_has_empty_answers(kind: Kind) -> None:
    index = built(kind, [(1, 2, 1)])
    none = index.initial(0)
    assert index.next_tokens(none).offsets.tolist() == [0]
    assert index.extend(none, np.empty(0, np.int32)).shape == (0, 3)
    assert index.locate(none).offsets.tolist() == [0]
    assert index.documents_of(none).offsets.tolist() == [0]
    assert len(index.document_tokens(np.empty(0, np.int64))) == 0


@KINDS
def test_what_cannot_be_answered_is_refused(kind: Kind) -> None:
    index = built(kind, [(1, 2, 1)])
    with pytest.raises(ValueError, match="empty span"):
        index.locate(index.initial(1))
    with pytest.raises(ValueError, match="empty span"):
        index.documents_of(index.initial(1))
    for outside in (-1, 1):
        with pytest.raises(IndexError, match=f"none has the number {outside}"):
            index.document_tokens(np.array([0, outside]))


@KINDS
@pytest.mark.parametrize(
    ("documents", "vocabulary", "message"),
    [
        (sequences((1,), (0, 8)), 8, "token 8 of sequence 1 lies outside the vocabulary of 8"),
        (sequences((), (), (1, -2)), 8, "token -2 of sequence 2"),
        (sequences((1,)), 0, "vocabulary must have 1 to"),
        (sequences((1,)), 2**20 + 1, "vocabulary must have 1 to"),
        (TokenSequences(np.array([0, 2, 1, 3]), np.arange(3, dtype=np.int32)), 8, "must not fall"),
        (TokenSequences(np.array([0, 2]), np.arange(3, dtype=np.int32)), 8, "from 0 to the number of tokens"),
        (TokenSequences(np.array([1, 3]), np.arange(3, dtype=np.int32)), 8, "from 0 to the number of tokens"),
        (TokenSequences(np.array([], np.int64), np.empty(0, np.int32)), 8, "from 0 to the number of tokens"),
    ],
)
def test_documents_that_break_the_contract_are_refused(
    kind: Kind, documents: TokenSequences, vocabulary: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        kind.build(documents, vocabulary)


def test_a_text_beyond_int32_is_refused_before_it_is_laid_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(span_corpus, "MOST_SYMBOLS", 4)
    FMIndex.build(sequences((1, 1)), 2)
    with pytest.raises(ValueError, match="at most 4 symbols, not 5"):
        FMIndex.build(sequences((1, 1, 1)), 2)


def test_the_fm_index_is_smaller_than_its_text() -> None:
    documents = random_documents(8_000, 5)
    symbols = len(documents.tokens) + len(documents)
    assert FMIndex.build(documents, 8_000).bytes < 3 * symbols < SuffixArrayIndex.build(documents, 8_000).bytes
    assert SuffixArrayIndex.build(documents, 8_000).bytes < 12 * symbols

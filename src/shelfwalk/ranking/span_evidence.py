"""Span evidence: from generated spans to ranked documents, and which spans speak for each.

In: a span index, spans with their log-probabilities given the query. Out: documents, best first, each with the spans
that brought it.

After Bevilacqua et al., "Autoregressive search engines" (SEAL, arXiv 2204.10628), its intersective score. With F(n) the
occurrences of span n and N the tokens of all documents,

    P(n)   = (F(n) + smoothing) / (N + smoothing)                                           as in the released code
    w(n,q) = max(0, log [ P(n|q) (1 − P(n)) / ( P(n) (1 − P(n|q)) ) ])
    W(d,q) = Σ over n in K(d) of  w(n,q)^alpha · (1 − beta + beta · |set(n) \\ C| / |set(n)|)

K(d) holds the spans of d that overlap none of a greater w, taken greedily; C the tokens of those taken before n. Spans
with w = 0 say nothing and are left out. Documents that no span of at most `opening_count` occurrences opens are not
looked at, and of the others only the `documents` of the greatest sum of w^alpha over their opening spans.

What the paper leaves open is fixed so that a result never depends on the order of the input: of equal w the span that
is smaller as a sequence of tokens goes first, a span is taken at its leftmost free place and once a document, a span
given twice counts with its greater probability, and of equal scores the earlier document goes first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfwalk.constraints.compiled import Integer, compiled, inlined
from shelfwalk.constraints.ranges import offsets_of, ranges
from shelfwalk.constraints.span_index import SpanIndex
from shelfwalk.constraints.token_sequences import TokenSequences

Floats = npt.NDArray[np.float64]
Ints64 = npt.NDArray[np.int64]
Ints32 = npt.NDArray[np.int32]

CERTAIN = -1e-6
"""Log-probabilities above are read as this: nothing is quite certain, and the odds of a sure thing are infinite."""


@dataclass(frozen=True)
class EvidenceSettings:
    """The defaults are those of the paper (alpha, beta) and its released code."""

    alpha: float = 2.0
    beta: float = 0.8
    smoothing: float = 5.0
    opening_count: int = 1500
    documents: int = 500


@dataclass(frozen=True)
class SpanEvidence:
    """Documents, best first, and the spans behind each, in the order in which they were taken.

    `documents` int64 and `scores` float64 [documents]; the spans of document i are the slice from `offsets[i]` to
    `offsets[i + 1]` of `spans` int64 (which of the given spans), `positions` int64 (where in the document) and
    `contributions` float64, which add up to the score.
    """

    documents: Ints64
    scores: Floats
    offsets: Ints64
    spans: Ints64
    positions: Ints64
    contributions: Floats


@dataclass(frozen=True)
class _WeighedSpans:
    """Distinct spans that occur and say something, in the order of their tokens."""

    numbers: Ints64
    """Which of the given spans: [spans]."""
    matrix: Ints32
    """Their tokens, filled up with −1: [spans, longest]."""
    order: Ints64
    """The spans by falling weight: [spans]."""
    weights: Floats
    """w^alpha: [spans]."""
    states: Ints64
    """[spans, 3]"""
    counts: Ints64
    """[spans]"""


def span_weights(log_probabilities: Floats, counts: Ints64, tokens: int, smoothing: float) -> Floats:
    """w(n, q) of spans that occur `counts` times among `tokens` tokens: float64 [spans]."""
    conditional = np.minimum(log_probabilities, CERTAIN)
    prior = (counts + smoothing) / (tokens + smoothing)
    # A span that is all there is has no odds.
    with np.errstate(divide="ignore"):
        log_odds = conditional - np.log(-np.expm1(conditional)) + np.log1p(-np.minimum(prior, 1.0)) - np.log(prior)
    weights: Floats = np.maximum(log_odds, 0.0)
    return weights


def span_evidence(
    index: SpanIndex,
    spans: TokenSequences,
    log_probabilities: npt.NDArray[np.floating],
    settings: EvidenceSettings | None = None,
) -> SpanEvidence:
    """Score documents by the spans found in them; an empty result where no span opens a document.

    Raises ValueError for a span without tokens, another number of log-probabilities than spans, and log-probabilities
    above 0 or not numbers.
    """
    settings = settings or EvidenceSettings()
    given = np.asarray(log_probabilities, np.float64)
    if given.shape != (len(spans),) or not np.all(given <= 0):
        raise ValueError("every span needs a log-probability of at most 0")
    if np.any(spans.lengths() == 0):
        raise ValueError("a span needs at least one token")
    weighed = _weigh(index, spans, given, settings)
    candidates = np.sort(_opened(index, weighed, settings))
    texts = index.document_tokens(candidates)
    evidence = _score(candidates, texts, weighed, index.vocabulary, settings.beta)
    return _best_first(evidence)


def _weigh(index: SpanIndex, spans: TokenSequences, given: Floats, settings: EvidenceSettings) -> _WeighedSpans:
    states = index.find(spans)
    counts = index.count(states)
    occurring = np.flatnonzero(counts)
    matrix = _filled_up(spans, occurring)
    # By tokens, and of the same tokens the most probable first.
    order = np.lexsort((-given[occurring], *matrix.T[::-1]))
    is_new = np.ones(len(order), bool)
    is_new[1:] = np.any(matrix[order[1:]] != matrix[order[:-1]], axis=1)
    numbers, matrix = occurring[order[is_new]], matrix[order[is_new]]
    weights = span_weights(given[numbers], counts[numbers], index.tokens, settings.smoothing)
    speaks = weights > 0
    numbers, weights = numbers[speaks], weights[speaks]
    by_weight = np.argsort(-weights, kind="stable")
    return _WeighedSpans(numbers, matrix[speaks], by_weight, weights**settings.alpha, states[numbers], counts[numbers])


def _filled_up(spans: TokenSequences, numbers: Ints64) -> Ints32:
    """The tokens of some spans as rows, filled up with −1: [numbers, longest]."""
    lengths = spans.lengths()[numbers]
    places = np.arange(int(lengths.max(initial=1)))
    sources = np.minimum(spans.offsets[numbers][:, None] + places, max(len(spans.tokens) - 1, 0))
    filled: Ints32 = np.where(places < lengths[:, None], spans.tokens[sources], np.int32(-1))
    return filled


def _opened(index: SpanIndex, weighed: _WeighedSpans, settings: EvidenceSettings) -> Ints64:
    """The documents that are worth a full score."""
    opening = weighed.order[weighed.counts[weighed.order] <= settings.opening_count]
    found = index.documents_of(weighed.states[opening])
    first_scores = np.zeros(index.documents)
    _add_weights(found.offsets, found.documents, weighed.weights[opening], first_scores)
    documents = np.flatnonzero(first_scores)
    if len(documents) <= settings.documents:
        return documents
    scores = first_scores[documents]
    edge = np.partition(scores, len(scores) - settings.documents)[len(scores) - settings.documents]
    above = documents[scores > edge]
    return np.concatenate((above, documents[scores == edge][: settings.documents - len(above)]))


def _score(
    documents: Ints64, texts: TokenSequences, weighed: _WeighedSpans, vocabulary: int, beta: float
) -> SpanEvidence:
    # A document has at most as many spans as tokens, as they do not overlap.
    room = len(texts.tokens)
    scores = np.zeros(len(documents))
    ends = np.zeros(len(documents) + 1, np.int64)
    spans, positions = np.empty(room, np.int64), np.empty(room, np.int64)
    contributions = np.empty(room)
    ranks = np.empty(len(weighed.order), np.int64)
    ranks[weighed.order] = np.arange(len(ranks))
    _take_greedily(
        texts.offsets,
        texts.tokens,
        weighed.matrix,
        weighed.order,
        ranks,
        weighed.weights,
        vocabulary,
        beta,
        scores,
        ends,
        spans,
        positions,
        contributions,
    )
    used = ends[-1]
    return SpanEvidence(
        documents, scores, ends, weighed.numbers[spans[:used]], positions[:used].copy(), contributions[:used].copy()
    )


def _best_first(evidence: SpanEvidence) -> SpanEvidence:
    order = np.argsort(-evidence.scores, kind="stable")
    lengths = np.diff(evidence.offsets)[order]
    offsets, rows = offsets_of(lengths), ranges(evidence.offsets[order], lengths)
    return SpanEvidence(
        evidence.documents[order],
        evidence.scores[order],
        offsets,
        evidence.spans[rows],
        evidence.positions[rows],
        evidence.contributions[rows],
    )


@compiled
def _add_weights(offsets: Ints64, documents: Ints32, weights: Floats, scores: Floats) -> None:
    for span in range(len(weights)):
        for index in range(offsets[span], offsets[span + 1]):
            scores[documents[index]] += weights[span]


@inlined
def _first_not_below(matrix: Ints32, low: Integer, high: Integer, place: Integer, token: Integer) -> Integer:
    """The first of the ordered spans [low, high), alike before `place`, whose token there is at least `token`."""
    while low < high:
        middle = (low + high) >> 1
        if matrix[middle, place] < token:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def _matches(text: Ints32, matrix: Ints32, ranks: Ints64, found: Ints64) -> Integer:
    """Write rank · tokens + place of every place of every span in a text to `found`; returns how many there are.

    `found` is room for tokens · longest.
    """
    count = 0
    for place in range(len(text)):
        low: Integer = 0
        high: Integer = len(matrix)
        for depth in range(min(matrix.shape[1], len(text) - place)):
            low = _first_not_below(matrix, low, high, depth, text[place + depth])
            high = _first_not_below(matrix, low, high, depth, text[place + depth] + 1)
            if low >= high:
                break
            # Spans are ordered, so that one that ends here stands before its extensions.
            if depth + 1 == matrix.shape[1] or matrix[low, depth + 1] < 0:
                found[count] = ranks[low] * len(text) + place
                count += 1
    return count


@inlined
def _cover(span: Ints32, document: Integer, covered_in: Ints32) -> float:
    """The share of a span's distinct tokens that no better span of the document has; they count as covered now."""
    distinct, fresh = 0, 0
    for place in range(len(span)):
        if span[place] < 0:
            break
        repeated = False
        for before in range(place):
            repeated = repeated or span[before] == span[place]
        if not repeated:
            distinct += 1
            if covered_in[span[place]] != document + 1:
                fresh += 1
                covered_in[span[place]] = document + 1
    return fresh / distinct


@inlined
def _is_free(taken: npt.NDArray[np.bool_], span: Ints32, place: Integer) -> bool:
    for depth in range(len(span)):
        if span[depth] < 0:
            return True
        if taken[place + depth]:
            return False
    return True


@compiled
def _take_greedily(
    offsets: Ints64,
    tokens: Ints32,
    matrix: Ints32,
    order: Ints64,
    ranks: Ints64,
    weights: Floats,
    vocabulary: Integer,
    beta: float,
    scores: Floats,
    ends: Ints64,
    spans: Ints64,
    positions: Ints64,
    contributions: Floats,
) -> None:
    covered_in = np.zeros(vocabulary, np.int32)
    longest_text = 0
    for document in range(len(scores)):
        longest_text = max(longest_text, offsets[document + 1] - offsets[document])
    found = np.empty(longest_text * matrix.shape[1], np.int64)
    at = 0
    for document in range(len(scores)):
        text = tokens[offsets[document] : offsets[document + 1]]
        taken = np.zeros(len(text), np.bool_)
        last = -1
        for match in np.sort(found[: _matches(text, matrix, ranks, found)]):
            rank, place = match // len(text), match % len(text)
            span = order[rank]
            if rank == last or not _is_free(taken, matrix[span], place):
                continue
            last = rank
            for depth in range(matrix.shape[1]):
                if matrix[span, depth] < 0:
                    break
                taken[place + depth] = True
            spans[at], positions[at] = span, place
            contributions[at] = weights[span] * (1.0 - beta + beta * _cover(matrix[span], document, covered_in))
            scores[document] += contributions[at]
            at += 1
        ends[document + 1] = at

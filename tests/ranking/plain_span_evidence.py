"""Span evidence in plain Python, word for word as `span_evidence` defines it: what the compiled code is held against.

In: the documents' tokens, spans with their log-probabilities. Out: documents with scores and the spans behind them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from shelfwalk.ranking.span_evidence import CERTAIN, EvidenceSettings

Span = tuple[int, ...]


@dataclass(frozen=True)
class PlainEvidence:
    """One document: its score, and the spans taken with their places and what they add."""

    document: int
    score: float
    spans: tuple[tuple[Span, int, float], ...]


def plain_span_evidence(
    documents: Sequence[Span],
    spans: Sequence[Span],
    log_probabilities: Sequence[float],
    settings: EvidenceSettings | None = None,
) -> list[PlainEvidence]:
    """Score `documents` by `spans`, best first."""
    settings = settings or EvidenceSettings()
    counts = {span: sum(len(places_of(span, document)) for document in documents) for span in spans}
    weights = _weights(spans, log_probabilities, counts, sum(map(len, documents)), settings.smoothing)
    best_first = sorted((span for span in weights if weights[span] > 0), key=lambda span: (-weights[span], span))
    opening = [span for span in best_first if counts[span] <= settings.opening_count]
    first_scores = {
        number: sum(weights[span] ** settings.alpha for span in opening if places_of(span, document))
        for number, document in enumerate(documents)
    }
    opened = sorted(
        (number for number in first_scores if first_scores[number] > 0), key=lambda n: (-first_scores[n], n)
    )
    scored = [
        _score(number, documents[number], best_first, weights, settings) for number in opened[: settings.documents]
    ]
    return sorted(scored, key=lambda evidence: (-evidence.score, evidence.document))


def places_of(span: Span, document: Span) -> list[int]:
    """Where a span begins in a document."""
    return [place for place in range(len(document) - len(span) + 1) if document[place : place + len(span)] == span]


def _weights(
    spans: Sequence[Span], log_probabilities: Sequence[float], counts: dict[Span, int], tokens: int, smoothing: float
) -> dict[Span, float]:
    probable: dict[Span, float] = {}
    for span, log_probability in zip(spans, log_probabilities, strict=True):
        if counts[span]:
            probable[span] = max(probable.get(span, -math.inf), log_probability)
    weights = {}
    for span, log_probability in probable.items():
        conditional = math.exp(min(log_probability, CERTAIN))
        prior = (counts[span] + smoothing) / (tokens + smoothing)
        odds = conditional * (1 - prior) / (prior * (1 - conditional))
        weights[span] = max(0.0, math.log(odds)) if odds > 0 else 0.0
    return weights


def _score(
    number: int, document: Span, best_first: Sequence[Span], weights: dict[Span, float], settings: EvidenceSettings
) -> PlainEvidence:
    taken: set[int] = set()
    covered: set[int] = set()
    chosen = []
    for span in best_first:
        for place in places_of(span, document):
            positions = set(range(place, place + len(span)))
            if taken & positions:
                continue
            taken |= positions
            cover = 1 - settings.beta + settings.beta * len(set(span) - covered) / len(set(span))
            covered |= set(span)
            chosen.append((span, place, weights[span] ** settings.alpha * cover))
            break
    return PlainEvidence(number, sum(contribution for _, _, contribution in chosen), tuple(chosen))

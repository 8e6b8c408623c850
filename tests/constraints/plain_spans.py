"""Spans by brute force, and documents to try them on: what the span indexes are held against."""

from __future__ import annotations

from collections import Counter

from hypothesis import strategies as st

Span = tuple[int, ...]


class PlainSpans:
    """Every question is answered by looking at every place of every document."""

    def __init__(self, documents: list[Span]) -> None:
        self.documents = documents

    def places(self, span: Span) -> list[tuple[int, int]]:
        return [
            (number, place)
            for number, document in enumerate(self.documents)
            for place in range(len(document) - len(span) + 1)
            if document[place : place + len(span)] == span
        ]

    def next_tokens(self, span: Span) -> dict[int, int]:
        ends = [(number, place + len(span)) for number, place in self.places(span)]
        following = [self.documents[number][end] for number, end in ends if end < len(self.documents[number])]
        return dict(sorted(Counter(following).items()))

    def spans(self, longest: int) -> list[Span]:
        """All distinct spans of 1 to `longest` tokens."""
        return sorted(
            {
                document[begin:end]
                for document in self.documents
                for begin in range(len(document))
                for end in range(begin + 1, min(begin + longest, len(document)) + 1)
            }
        )


VOCABULARY = 250_000


@st.composite
def document_lists(draw: st.DrawFn) -> list[Span]:
    """0 to 12 documents of 0 to 40 tokens; few tokens, so that spans repeat, and the largest one may be among them."""
    tokens = draw(st.sampled_from([(7,), (0, VOCABULARY - 1), (0, 1, 2), (3, 70_000, 200_000), range(0, 900, 9)]))
    lengths = st.sampled_from([0, 1, 2, 5, 15, 16, 17, 40])
    document = lengths.flatmap(lambda length: st.lists(st.sampled_from(tokens), min_size=length, max_size=length))
    return [tuple(drawn) for drawn in draw(st.lists(document, max_size=12))]

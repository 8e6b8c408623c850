"""Keeping evaluation queries out of training.

In: training queries (of judged or logged pairs) and evaluation queries. Out: every training query that is one of the
evaluation queries or a variant of one.

Two queries are variants if, after folding (NFKC, lower case, punctuation and spaces, plurals word by word),

* they have the same words in the same order, where a word of five letters or more, of letters only, may differ by one
  edit (a letter added, left out, replaced, or two neighbours swapped: Damerau 1964, restricted), before or after its
  plural is folded; or
* they are the same once their spaces are dropped ("head set", "headset").

The check errs on the side of refusing: "usb cable" and "usb table" count as variants. Candidates come from deletion
neighbourhoods (Bocek, Hunt & Stiller, "Fast similarity search in large dictionaries", 2007), so the cost grows with the
number of queries and not with the number of pairs.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from shelfwalk.data.plurals import singular
from shelfwalk.errors import UserError

SHORTEST_MISSPELT_WORD = 5
_NAMED_CASES = 3
_NOT_A_WORD = re.compile(r"[\W_]+")


def _words(text: str) -> tuple[str, ...]:
    """Words of a query in NFKC and lower case; a query of punctuation only is one word."""
    plain = unicodedata.normalize("NFKC", text).lower()
    joined = plain.replace("'", "").replace("’", "")
    return tuple(word for word in _NOT_A_WORD.split(joined) if word) or tuple(plain.split())


def normalise_query(text: str) -> str:
    """A query without the differences that do not count: case, width, punctuation, spaces, plurals."""
    return " ".join(singular(word) for word in _words(text))


def is_one_edit(first: str, second: str) -> bool:
    """Whether two words are equal or one edit apart: a letter added, left out, replaced, or two neighbours swapped."""
    if abs(len(first) - len(second)) > 1:
        return False
    start = 0
    while start < min(len(first), len(second)) and first[start] == second[start]:
        start += 1
    left, right = first[start:], second[start:]
    swapped = len(left) > 1 and len(right) > 1 and left[0] == right[1] and left[1] == right[0] and left[2:] == right[2:]
    return left == right or left[1:] == right[1:] or left[1:] == right or left == right[1:] or swapped


def are_word_variants(first: str, second: str) -> bool:
    """Whether two words in lower case differ by no more than a plural and, if long enough, one edit."""
    if singular(first) == singular(second):
        return True
    if not (first.isalpha() and second.isalpha()) or max(len(first), len(second)) < SHORTEST_MISSPELT_WORD:
        return False
    return is_one_edit(first, second) or is_one_edit(singular(first), singular(second))


def _deletion_neighbourhood(word: str) -> set[str]:
    """The word, its singular, and what is left of each after dropping any one letter; empty if it is not all letters.

    Words that may be misspellings of one another share one of these.
    """
    forms = {word, singular(word)} if word.isalpha() else set()
    return forms | {form[:place] + form[place + 1 :] for form in forms for place in range(len(form))}


def _joined(words: tuple[str, ...]) -> set[str]:
    return {"".join(words), "".join(map(singular, words))}


class _VariantIndex:
    """Finds the evaluation queries that a query is a variant of."""

    def __init__(self, queries: Sequence[str]) -> None:
        self._places: defaultdict[tuple[int, int, str], set[int]] = defaultdict(set)
        self._joined: defaultdict[str, set[int]] = defaultdict(set)
        self._neighbours: defaultdict[str, set[str]] = defaultdict(set)
        self._singulars: defaultdict[str, set[str]] = defaultdict(set)
        self._known_variants: dict[str, list[str]] = {}
        for number, query in enumerate(queries):
            words = _words(query)
            for place, word in enumerate(words):
                self._places[len(words), place, word].add(number)
            for text in _joined(words) if words else ():
                self._joined[text].add(number)
        for word in {word for _, _, word in self._places}:
            self._singulars[singular(word)].add(word)
            for key in _deletion_neighbourhood(word):
                self._neighbours[key].add(word)

    def find(self, query: str) -> set[int]:
        """Numbers of the queries that this one is a variant of."""
        words = _words(query)
        if not words:
            return set()
        found = {number for text in _joined(words) for number in self._joined.get(text, ())}
        return found | set.intersection(*(self._with_variant(len(words), *entry) for entry in enumerate(words)))

    def _with_variant(self, length: int, place: int, word: str) -> set[int]:
        return {number for other in self._variants(word) for number in self._places.get((length, place, other), ())}

    def _variants(self, word: str) -> list[str]:
        if word not in self._known_variants:
            keys = _deletion_neighbourhood(word)
            candidates = self._singulars.get(singular(word), set()).union(*(self._neighbours.get(k, ()) for k in keys))
            self._known_variants[word] = [other for other in candidates if are_word_variants(word, other)]
        return self._known_variants[word]


def leaking_queries(training: Sequence[str], evaluation: Sequence[str]) -> list[tuple[int, int]]:
    """All pairs (training index, evaluation index) of which the first is the second or a variant of it, sorted."""
    index = _VariantIndex(evaluation)
    found: dict[str, list[int]] = {}
    pairs = []
    for number, query in enumerate(training):
        if query not in found:
            found[query] = sorted(index.find(query))
        pairs += [(number, other) for other in found[query]]
    return pairs


def check_no_leak(training_queries: Sequence[str], evaluation_queries: Sequence[str]) -> None:
    """Refuse judged or logged training queries that give away an evaluation query.

    Raises UserError with their number and the first few.
    """
    pairs = leaking_queries(training_queries, evaluation_queries)
    if not pairs:
        return
    count = len({number for number, _ in pairs})
    named = list(dict.fromkeys((training_queries[i], evaluation_queries[j]) for i, j in pairs))[:_NAMED_CASES]
    cases = ", ".join(f"{first!r} (evaluation has {second!r})" for first, second in named)
    raise UserError(
        f"{count} of {len(training_queries)} training queries are evaluation queries or spelling or plural variants of"
        f" them: {cases}{', …' if count > len(named) else ''}; take them out of the training pairs."
    )


@dataclass(frozen=True)
class Coincidence:
    """How far pseudo-queries made from catalogue text coincide with evaluation queries.

    `pseudo_queries` are the indices of the pseudo-queries that do, `evaluation_queries` those of the evaluation queries
    that are met, both sorted; `total` is the number of pseudo-queries.
    """

    pseudo_queries: tuple[int, ...]
    evaluation_queries: tuple[int, ...]
    total: int

    def __str__(self) -> str:
        return (
            f"{len(self.pseudo_queries)} of {self.total} pseudo-queries coincide with one of"
            f" {len(self.evaluation_queries)} evaluation queries"
        )


def coinciding(pseudo_queries: Sequence[str], evaluation_queries: Sequence[str]) -> Coincidence:
    """Find the pseudo-queries that are an evaluation query or a variant of one; they may be, but must be counted."""
    pairs = leaking_queries(pseudo_queries, evaluation_queries)
    return Coincidence(
        tuple(sorted({first for first, _ in pairs})),
        tuple(sorted({second for _, second in pairs})),
        len(pseudo_queries),
    )

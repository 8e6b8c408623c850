"""Deriving a category for every item of a catalogue that brings none.

In: an items table (title, brand, description, attributes) and, where known, the maker's model name of each item. Out:
a category path per item, root to leaf ("lamp" > "projector lamp"), and what it rests on. A catalogue that brings
categories keeps its own: only adapters of catalogues without any call this. docs/categories.md gives the measured
coverage and purity.

Own method, no paper. In order of evidence, the first that speaks decides:

1. attribute: a "product type" whose value is words; a value is read as the title phrase that most of its items carry,
   so that "Desktop Board" and "motherboard" become one category. Then a "type" whose value is, or ends in, a phrase of
   the catalogue that the titles of its items do not contradict ("Jigsaw puzzle", but not "Original").
2. title: the lower-case type phrase behind the model name; it overrules an attribute read as something else. Otherwise
   the last known phrase in the naming part of the title.
3. description: the last known phrase in its naming part.
4. pattern: the category that the attribute names point to (category_pattern.py), if sure and familiar enough.

Where text names only a head noun ("cable"), the pattern may choose the category under it ("networking cable").
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shelfwalk.data.category_pattern import AttributePattern, PatternModel
from shelfwalk.data.category_phrases import (
    FEWEST_ITEMS,
    PhraseLexicon,
    abbreviation,
    head_noun,
    phrase_key,
    title_tail,
    type_phrase,
)

SURE_ENOUGH = 0.6
SURE_ENOUGH_TO_NARROW = 0.95
FAMILIAR_ENOUGH = 0.7
_FEWEST_EXAMPLES = 2
SOURCES = ("attribute", "title", "description", "pattern", "none")

_PRODUCT_TYPE, _TYPE = "product type", "type"
_WORDS = re.compile(r"[^\W\d_][^\W\d_]*(?:[\s\-/&'+]+[^\W\d_]+)*")


@dataclass(frozen=True)
class CategoryDerivation:
    """Category path of each item, () where nothing speaks, and the source of each: one of `SOURCES`."""

    categories: tuple[tuple[str, ...], ...]
    sources: tuple[str, ...]


@dataclass(frozen=True)
class ItemEvidence:
    """What is read off each item before anything is decided; every tuple has one entry per item.

    `named` is the title before its tail, `phrase` the type phrase of the tail or "".
    """

    brands: tuple[str, ...]
    named: tuple[str, ...]
    tails: tuple[str, ...]
    phrases: tuple[str, ...]
    descriptions: tuple[str, ...]
    product_types: tuple[str, ...]
    types: tuple[str, ...]
    pattern: AttributePattern

    @classmethod
    def of(cls, items: pa.Table, names: Sequence[str] | None, use_product_types: bool = True) -> ItemEvidence:
        """Read the columns; `names` holds the model name of each item, "" where unknown.

        `use_product_types=False` reads as if no item had the attributes "product type" and "type".
        """
        brands = items["brand"].to_pylist()
        titles = items["title"].to_pylist()
        split = [title_tail(*row) for row in zip(titles, names or [""] * len(titles), brands, strict=True)]
        hidden = () if use_product_types else (_PRODUCT_TYPE, _TYPE)
        attributes = [
            {name: value for name, value in pairs if name not in hidden} for pairs in items["attributes"].to_pylist()
        ]
        return cls(
            brands=tuple(brands),
            named=tuple(named for named, _ in split),
            tails=tuple(tail for _, tail in split),
            phrases=tuple(type_phrase(tail) for _, tail in split),
            descriptions=tuple(items["description"].to_pylist()),
            product_types=tuple(_words_of(pairs.get(_PRODUCT_TYPE, "")) for pairs in attributes),
            types=tuple(_words_of(pairs.get(_TYPE, "")) for pairs in attributes),
            pattern=AttributePattern.of([list(pairs) for pairs in attributes]),
        )

    def lexicon(self) -> PhraseLexicon:
        """All phrases of tails and of product types."""
        pairs = [
            (phrase, brand)
            for column in (self.phrases, self.product_types)
            for phrase, brand in zip(column, self.brands, strict=True)
            if phrase
        ]
        short = {(abbreviation(tail), phrase) for tail, phrase in zip(self.tails, self.phrases, strict=True)}
        return PhraseLexicon.of(pairs, {pair for pair in short if pair[0]})


def _words_of(value: str) -> str:
    """An attribute value in lower case; "" unless it is made of words only (not "1" or "Hybrid (2-in-1)")."""
    return value.lower() if _WORDS.fullmatch(value) else ""


def derive_categories(
    items: pa.Table, names: Sequence[str] | None = None, *, use_product_types: bool = True
) -> CategoryDerivation:
    """Derive a category path for every item; deterministic.

    `items` needs the columns title, brand, description (str) and attributes (map str to str) without nulls; `names`,
    if given, the maker's model name per item. `use_product_types=False` leaves out the attributes "product type" and
    "type", so that they can be used to check the result.
    """
    evidence = ItemEvidence.of(items, names, use_product_types)
    lexicon = evidence.lexicon()
    phrases, sources = _from_text(evidence, lexicon)
    _from_pattern(evidence.pattern, lexicon, phrases, sources)
    return CategoryDerivation(_paths(phrases), tuple(sources))


def _from_text(evidence: ItemEvidence, lexicon: PhraseLexicon) -> tuple[list[str], list[str]]:
    """Phrase and source of each item by attributes, title and description; "" and "none" where none speaks."""
    count = len(evidence.phrases)
    meanings = _commonest_phrase(evidence.product_types, evidence.phrases)
    trusted = _trusted_types(evidence, lexicon)
    phrases, sources = [""] * count, ["none"] * count
    for item in range(count):
        own = lexicon.spelling(evidence.phrases[item]) if evidence.phrases[item] else ""
        value = evidence.product_types[item]
        meaning = lexicon.spelling(meanings.get(value, value)) if value else trusted.get(evidence.types[item], "")
        if meaning and own in ("", meaning):
            phrases[item], sources[item] = meaning, "attribute"
        elif found := own or lexicon.find(f"{evidence.named[item]} ; {evidence.tails[item]}"):
            phrases[item], sources[item] = found, "title"
        elif found := lexicon.find_in_first_clause(evidence.descriptions[item]):
            phrases[item], sources[item] = found, "description"
    return phrases, sources


def _commonest_phrase(values: Sequence[str], phrases: Sequence[str]) -> dict[str, str]:
    """For each value the title phrase that at least half of the items with both share, where there is one."""
    together: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for value, phrase in zip(values, phrases, strict=True):
        if value and phrase:
            together[value][phrase] += 1
    commonest = {value: min(counts.items(), key=lambda c: (-c[1], c[0])) for value, counts in together.items()}
    return {value: phrase for value, (phrase, n) in commonest.items() if 2 * n >= together[value].total()}


def _trusted_types(evidence: ItemEvidence, lexicon: PhraseLexicon) -> dict[str, str]:
    """For each value of "type" that names a product type: its phrase.

    It must end in a phrase of the catalogue, and where items have both, at least half of their title phrases must have
    the same head noun.
    """
    agreement: defaultdict[str, list[bool]] = defaultdict(list)
    meanings = {value: lexicon.longest_ending(value) for value in set(evidence.types) if value}
    for value, phrase in zip(evidence.types, evidence.phrases, strict=True):
        if phrase and meanings.get(value):
            agreement[value].append(phrase_key(head_noun(phrase)) == phrase_key(head_noun(meanings[value])))
    return {
        value: meaning
        for value, meaning in meanings.items()
        if meaning and 2 * sum(agreement[value]) >= len(agreement[value])
    }


def _from_pattern(pattern: AttributePattern, lexicon: PhraseLexicon, phrases: list[str], sources: list[str]) -> None:
    """Fill phrases that text left open, and narrow bare head nouns, in place."""
    guesser = _PatternGuesser.learn(pattern, lexicon, phrases)
    for item, phrase in enumerate(phrases):
        if phrase in lexicon.whole or " " in phrase or not pattern.sizes[item]:
            continue
        names = pattern.of_item(item)
        if phrase:
            phrases[item] = guesser.narrow(phrase, names)
        elif guess := guesser.guess(names):
            phrases[item], sources[item] = guess, "pattern"


def pattern_guesses(
    pattern: AttributePattern, lexicon: PhraseLexicon, phrases: Sequence[str], items: Sequence[int]
) -> list[str]:
    """Guess the phrase of some items, "" where not sure, from their attribute names and the phrases of all items.

    `phrases` holds "" for an item whose phrase is not to be learnt from; only whole phrases of the lexicon are.
    """
    guesser = _PatternGuesser.learn(pattern, lexicon, phrases)
    return [guesser.guess(pattern.of_item(item)) for item in items]


@dataclass(frozen=True)
class _PatternGuesser:
    """A fitted `PatternModel` with its classes by name and, for each class, the classes of the same head noun."""

    model: PatternModel
    classes: list[str]
    relatives: list[list[int]]

    @classmethod
    def learn(cls, pattern: AttributePattern, lexicon: PhraseLexicon, phrases: Sequence[str]) -> _PatternGuesser:
        counts = Counter(phrase for phrase in phrases if phrase in lexicon.whole)
        classes = sorted(phrase for phrase, count in counts.items() if count >= _FEWEST_EXAMPLES)
        numbers = {phrase: number for number, phrase in enumerate(classes)}
        labels = np.array([numbers.get(phrase, -1) for phrase in phrases], dtype=np.int64)
        by_head: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
        for number, phrase in enumerate(classes):
            by_head[phrase_key(head_noun(phrase))].append(number)
        relatives = [by_head[phrase_key(head_noun(phrase))] for phrase in classes]
        return cls(PatternModel.fit(pattern, labels, len(classes)), classes, relatives)

    def guess(self, names: NDArray[np.int32]) -> str:
        """The likeliest category if sure and familiar enough, else its head noun if all under it are, else ""."""
        if not self.classes:
            return ""
        posterior = self.model.posterior(names)
        best = int(posterior.argmax())
        if self.model.known_share(names, best) < FAMILIAR_ENOUGH:
            return ""
        if posterior[best] >= SURE_ENOUGH:
            return self.classes[best]
        return head_noun(self.classes[best]) if posterior[self.relatives[best]].sum() >= SURE_ENOUGH else ""

    def narrow(self, head: str, names: NDArray[np.int32]) -> str:
        """The likeliest category if it lies under the head noun and is very sure; else the head noun."""
        if not self.classes:
            return head
        posterior = self.model.posterior(names)
        best = int(posterior.argmax())
        fits = phrase_key(head_noun(self.classes[best])) == phrase_key(head)
        return self.classes[best] if fits and posterior[best] >= SURE_ENOUGH_TO_NARROW else head


def _paths(phrases: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Phrase to path: head noun, then the phrase unless it is rarer than `FEWEST_ITEMS` or the head noun itself."""
    counts = Counter(phrases)
    spellings: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for phrase, count in counts.items():
        if phrase:
            spellings[phrase_key(head_noun(phrase))][head_noun(phrase)] += count
    roots = {key: min(found.items(), key=lambda f: (-f[1], f[0]))[0] for key, found in spellings.items()}

    def path(phrase: str) -> tuple[str, ...]:
        if not phrase:
            return ()
        root = roots[phrase_key(head_noun(phrase))]
        alone = phrase_key(phrase) == phrase_key(root) or counts[phrase] < FEWEST_ITEMS
        return (root,) if alone else (root, phrase)

    known = {phrase: path(phrase) for phrase in counts}
    return tuple(known[phrase] for phrase in phrases)

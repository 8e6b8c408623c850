"""Texts put together from pieces of a common pool, for a whole chunk of items at once.

In: an assortment, once. Out: `TextPieces`, where the pieces of each kind, brand and value stand in the pool; then,
for rows of pieces, the joined texts as an Arrow array. No Python object an item is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shelfwalk.market.assortment import Assortment
from shelfwalk.market.category_tree import titled
from shelfwalk.market.item_features import NONE
from shelfwalk.market.vocabulary import TitleWords, vocabulary

SEPARATORS = ("", " ", ", ", " - ", " | ", " / ", ". ", " by ", ". Features: ", " and ", ".")


@dataclass(frozen=True, eq=False)
class PhraseRows:
    """Where the phrases of things stand in the pool: those of thing t from `first[t]`, `counts[t]` of them; int64."""

    first: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]

    def choose(
        self, things: npt.NDArray[np.int32], draws: npt.NDArray[np.float64], first_share: float
    ) -> npt.NDArray[np.int64]:
        """Choose a phrase of each thing: the first with a share, else any other; NONE stays NONE."""
        others = self.counts[things] - 1
        place = 1 + ((draws - first_share) / (1 - first_share) * others).astype(np.int64)
        place = np.where((draws < first_share) | (others == 0), 0, np.minimum(place, others))
        return np.where(things == NONE, NONE, self.first[things] + place)


@dataclass(frozen=True, eq=False)
class TextPieces:
    """The pool and its parts; a piece of a phrase plus `capital_step` is the same with capitals.

    `nouns` are the names of leaves, `ranges` those of the group and department that a leaf is in; `separators` maps one
    of `SEPARATORS` to its piece.
    """

    pool: pa.StringArray
    capital_step: int
    nouns: PhraseRows
    ranges: PhraseRows
    brands: PhraseRows
    values: PhraseRows
    adjectives: PhraseRows
    tails: PhraseRows
    sentences: PhraseRows
    separators: dict[str, int]


def gather_pieces(assortment: Assortment) -> TextPieces:
    """Put all phrases of an assortment, and what else titles hold, into a pool."""
    words = vocabulary().titles
    lexicon = assortment.lexicon
    texts: list[str] = []
    nodes = assortment.leaves.node.tolist()
    nouns = _added(texts, (_noun_phrases(lexicon.categories[node]) for node in nodes))
    ranges = _added(texts, (_range_phrases(assortment, node) for node in nodes))
    brands = _added(texts, ((*phrases, phrases[0].upper()) for phrases in lexicon.brands))
    values = _added(texts, lexicon.values)
    adjectives = _added(texts, ((word,) for word in words.adjectives))
    tails = _added(texts, ((word,) for word in words.tails))
    sentences = _added(texts, ((word,) for word in words.sentences))
    step = len(texts)
    texts += [_with_capitals(text, words) for text in texts]
    separators = {separator: len(texts) + number for number, separator in enumerate(SEPARATORS)}
    pool = pa.array([*texts, *SEPARATORS], pa.string())
    return TextPieces(pool, step, nouns, ranges, brands, values, adjectives, tails, sentences, separators)


def joined(
    pool: pa.StringArray, pieces: npt.NDArray[np.int64], separators: npt.NDArray[np.int64], empty: int
) -> pa.StringArray:
    """Join each row of pieces [texts, places], NONE left out, with the separator before each but the first; a string
    a row.

    `empty` is the piece of the empty text.
    """
    present = pieces != NONE
    separators = np.where(np.cumsum(present, axis=1) == 1, empty, separators)
    flat = np.stack([separators, pieces], axis=2)[present].ravel()
    offsets = np.concatenate(([0], np.cumsum(2 * present.sum(axis=1)))).astype(np.int32)
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets), pool.take(pa.array(flat))), "")


def _added(texts: list[str], things: Iterable[Sequence[str]]) -> PhraseRows:
    counts, start = [], len(texts)
    for phrases in things:
        counts.append(len(phrases))
        texts.extend(phrases)
    counted = np.array(counts, np.int64)
    return PhraseRows(start + np.cumsum(counted) - counted, counted)


def _noun_phrases(phrases: tuple[str, ...]) -> tuple[str, ...]:
    return (phrases[0].lower(), *phrases[1:])


def _range_phrases(assortment: Assortment, node: int) -> tuple[str, ...]:
    group = assortment.tree.parent[node]
    phrases = assortment.lexicon.categories
    return (*phrases[group], *phrases[assortment.tree.parent[group]])


def _with_capitals(text: str, words: TitleWords) -> str:
    # A measure keeps its writing: "ml" is no word.
    return text if text[:1].isdigit() else titled(text, words.acronyms)

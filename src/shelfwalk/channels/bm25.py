"""The lexical channel: BM25 through bm25s, with Snowball stemming.

In: the items' texts, once; then requests. Out: items that share a word with the query. On disk: npy and JSON files.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import bm25s
import numpy as np
import numpy.typing as npt
import Stemmer
from bm25s.stopwords import STOPWORDS_EN
from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from shelfwalk.channels.channel import Evidence, Hits, Request, best_positions
from shelfwalk.settings import Settings

# It logs each call as if to debug it.
logging.getLogger("bm25s").setLevel(logging.WARNING)

_WORD = re.compile(r"\w+")


class Bm25Settings(Settings):
    """How the lexical index reads and weighs text."""

    language: str = "english"
    """A Snowball stemmer's name; stop words are left out for English only."""
    k1: float = Field(default=1.5, ge=0)
    b: float = Field(default=0.75, ge=0, le=1)

    @field_validator("language")
    @classmethod
    def _is_known(cls, language: str) -> str:
        # The stemmer takes short names too ("en"), which would leave the stop words in.
        if language not in Stemmer.algorithms():
            known = ", ".join(Stemmer.algorithms())
            raise PydanticCustomError("language", f'There is no stemmer for "{language}": take one of {known}')
        return language


class Analyser:
    """Text to index terms: words in lower case, without stop words, stemmed."""

    def __init__(self, language: str) -> None:
        self._stemmer = Stemmer.Stemmer(language)
        self._stop_words = frozenset(STOPWORDS_EN) if language == "english" else frozenset[str]()

    def words(self, text: str) -> list[str]:
        """The words of a text that are indexed, in order, repeated where the text repeats them."""
        return [word for word in _WORD.findall(text.lower()) if word not in self._stop_words]

    def terms(self, words: Sequence[str]) -> list[str]:
        """The index term of every word."""
        stemmed: list[str] = self._stemmer.stemWords(words)
        return stemmed


class Bm25Channel:
    """BM25 over the items' texts."""

    name = "bm25"

    def __init__(self, index: bm25s.BM25, settings: Bm25Settings) -> None:
        self._index = index
        self._settings = settings

    @classmethod
    def build(cls, texts: Sequence[str], settings: Bm25Settings) -> Bm25Channel:
        """Index one text an item."""
        analyser = Analyser(settings.language)
        vocabulary: dict[str, int] = {}
        ids = [
            [vocabulary.setdefault(term, len(vocabulary)) for term in analyser.terms(analyser.words(text))]
            for text in texts
        ]
        if not vocabulary:
            # A catalogue without a single word still makes an index: of one term that no query holds.
            vocabulary, ids = {"": 0}, [[0] for _ in texts]
        index = bm25s.BM25(k1=settings.k1, b=settings.b)
        index.index((ids, vocabulary), create_empty_token=False, show_progress=False)
        return cls(index, settings)

    def save(self, folder: Path) -> None:
        """Write the index into `folder`."""
        self._index.save(folder, show_progress=False)
        (folder / "settings.json").write_text(self._settings.model_dump_json(indent=1) + "\n", encoding="utf-8")

    @classmethod
    def open(cls, folder: Path) -> Bm25Channel:
        """Memory-map a saved index."""
        settings = Bm25Settings(**json.loads((folder / "settings.json").read_text(encoding="utf-8")))
        return cls(bm25s.BM25.load(folder, mmap=True), settings)

    def search(self, request: Request, k: int) -> Hits:
        """Items with at least one word of the query, by BM25."""
        words = self._known_words(request.query)
        scores = self._scores([term for _, term in words])
        rows = np.flatnonzero(scores > 0)
        if request.item_filter is not None:
            rows = rows[request.item_filter.passes(rows)]
        if len(rows) > k:
            edge = np.partition(scores[rows], len(rows) - k)[len(rows) - k]
            rows = rows[scores[rows] >= edge]
        rows = rows[best_positions(rows, scores[rows], k)]

        def evidence(position: int) -> Evidence:
            row = rows[position]
            held = [word for word, term in dict.fromkeys(words) if self._index.get_scores([term])[row] > 0]
            return Evidence(self.name, position + 1, float(scores[row]), f"words: {', '.join(held)}")

        return Hits(rows, scores[rows], evidence)

    def item_scores(self, query: str) -> npt.NDArray[np.float32]:
        """The BM25 score of every item: float32 [items], 0 where it has no word of the query."""
        return self._scores([term for _, term in self._known_words(query)])

    def word_shares(self, query: str, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """The share of the query's words that the text of each catalogue row holds: float32 [rows], from 0 to 1.

        Words are stemmed and weighed by their inverse document frequency; words that no item holds do not count.
        """
        shares = np.zeros(len(rows), np.float32)
        starts, indexed_rows = self._postings
        rows = rows.astype(indexed_rows.dtype)
        items, total = int(self._index.scores["num_docs"]), 0.0
        for term in dict.fromkeys(term for _, term in self._known_words(query)):
            number = self._index.vocab_dict[term]
            holders = indexed_rows[starts[number] : starts[number + 1]]
            rarity = float(np.log1p((items - len(holders) + 0.5) / (len(holders) + 0.5)))
            # They ascend, so that a search in them tells what `np.isin` would sort everything for.
            places = np.searchsorted(holders, rows)
            shares += rarity * (holders[np.minimum(places, len(holders) - 1)] == rows)
            total += rarity
        return shares / np.float32(total) if total else shares

    @cached_property
    def _postings(self) -> tuple[npt.NDArray[np.integer], npt.NDArray[np.integer]]:
        """Where each term's rows start, and the rows; as plain arrays, as slices of memory-mapped ones are slow."""
        return np.asarray(self._index.scores["indptr"]), np.asarray(self._index.scores["indices"])

    def _scores(self, terms: list[str]) -> npt.NDArray[np.float32]:
        if not terms:
            return np.zeros(int(self._index.scores["num_docs"]), np.float32)
        scores: npt.NDArray[np.float32] = self._index.get_scores(terms)
        return scores

    @cached_property
    def _analyser(self) -> Analyser:
        return Analyser(self._settings.language)

    def _known_words(self, query: str) -> list[tuple[str, str]]:
        """The words of a query that some item has, each with its index term."""
        words = self._analyser.words(query)
        known = self._index.vocab_dict
        return [(word, term) for word, term in zip(words, self._analyser.terms(words), strict=True) if term in known]

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

from shelfwalk.channels.channel import Evidence, Hits, Request, best_positions
from shelfwalk.errors import UserError
from shelfwalk.settings import Settings

# It logs each call as if to debug it.
logging.getLogger("bm25s").setLevel(logging.WARNING)

_WORD = re.compile(r"\w+")


class Bm25Settings(Settings):
    """How the lexical index reads and weighs text."""

    language: str = "english"
    """A Snowball stemmer's name; stop words are left out for English only."""
    k1: float = 1.5
    b: float = 0.75


class Analyser:
    """Text to index terms: words in lower case, without stop words, stemmed."""

    def __init__(self, language: str) -> None:
        try:
            self._stemmer = Stemmer.Stemmer(language)
        except KeyError:
            known = ", ".join(Stemmer.algorithms())
            raise UserError(f'The BM25 language "{language}" is not known: take one of {known}.') from None
        self._stop_words = frozenset(STOPWORDS_EN) if language == "english" else frozenset[str]()

    def terms(self, text: str) -> list[str]:
        """The index terms of a text, in order, repeated where the text repeats them."""
        words = [word for word in _WORD.findall(text.lower()) if word not in self._stop_words]
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
        ids = [[vocabulary.setdefault(term, len(vocabulary)) for term in analyser.terms(text)] for text in texts]
        # A catalogue without a single word still makes an index: of one term that no query holds.
        vocabulary = vocabulary or {"": 0}
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
        terms = self._known_terms(request.query)
        scores = self._index.get_scores(terms) if terms else np.zeros(0, np.float32)
        rows = np.flatnonzero(scores > 0)
        if len(rows) > k:
            edge = np.partition(scores[rows], len(rows) - k)[len(rows) - k]
            rows = rows[scores[rows] >= edge]
        rows = rows[best_positions(rows, scores[rows], k)]

        def evidence(position: int) -> Evidence:
            row = rows[position]
            held = [term for term in dict.fromkeys(terms) if self._index.get_scores([term])[row] > 0]
            return Evidence(self.name, position + 1, float(scores[row]), f"words: {', '.join(held)}")

        return Hits(rows, scores[rows], evidence)

    def word_shares(self, query: str, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """The share of the query's words that the text of each catalogue row holds: float32 [rows], from 0 to 1.

        Words are stemmed and weighed by their inverse document frequency; words that no item holds do not count.
        """
        shares = np.zeros(len(rows), np.float32)
        postings = self._index.scores
        items, total = int(postings["num_docs"]), 0.0
        for term in dict.fromkeys(self._known_terms(query)):
            number = self._index.vocab_dict[term]
            holders = postings["indices"][postings["indptr"][number] : postings["indptr"][number + 1]]
            rarity = float(np.log1p((items - len(holders) + 0.5) / (len(holders) + 0.5)))
            shares += rarity * np.isin(rows, holders)
            total += rarity
        return shares / np.float32(total) if total else shares

    @cached_property
    def _analyser(self) -> Analyser:
        return Analyser(self._settings.language)

    def _known_terms(self, query: str) -> list[str]:
        return [term for term in self._analyser.terms(query) if term in self._index.vocab_dict]

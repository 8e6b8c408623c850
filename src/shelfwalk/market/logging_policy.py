"""The shop's own ranker, whose pages the log is made of: BM25 and popularity, lexical, and never a system under test.

In: the items table (titles, brands, categories, attribute values, popularity, availability) and the texts of queries.
Out: for each text the best items in the policy's order, and from these the page of each visit.

    score = BM25(query, item) / best BM25 of the query + popularity_weight · share of the items that are less popular

BM25 is tantivy's (k1 1.2, b 0.75) over stemmed words, of the items that hold all words of the query; where these are
fewer than half the candidates, of those that hold any. Ties go to the more popular item, then to the earlier row. A
word that no item holds is replaced by those within one edit, as shops do. Only items on sale are indexed, and a page
leaves out what has not appeared yet.

Exploration: with the chance `exploration` the order of the first page is drawn evenly from all orders, so the chance of
an item to be shown at a place (its *propensity*) is known exactly:

    propensity(item of rank r, place k) = (1 − exploration) · [r = k] + exploration / items on the page
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shelfwalk.errors import UserError
from shelfwalk.market.item_features import NONE
from shelfwalk.market.settings import PolicySettings

if TYPE_CHECKING:
    import tantivy

_FIELD = "text"
_WORDS = "stemmed"
_HEAP = 2_000_000_000
"""Bytes the index may take while it is written; a larger one falls into segments."""
_BATCH = 2_000


@dataclass(frozen=True, eq=False)
class Shown:
    """The pages of some visits.

    `pages` int64 [visits, places]: item rows in the order shown, -1 after the last. `propensity` float32 [visits,
    places]: the chance of that item at that place, 0 where there is none. `explored` bool [visits]: the order was drawn
    by chance.
    """

    pages: npt.NDArray[np.int64]
    propensity: npt.NDArray[np.float32]
    explored: npt.NDArray[np.bool_]


class LoggingPolicy:
    """Ranks items for query texts."""

    def __init__(
        self,
        index: tantivy.Index,
        rows: npt.NDArray[np.int64],
        popularity: npt.NDArray[np.float64],
        settings: PolicySettings,
    ) -> None:
        self._analyser = _analyser()
        self._searcher = index.searcher()
        self._schema = index.schema
        self._rows = rows
        self._popularity = popularity
        self._settings = settings

    @classmethod
    def build(
        cls,
        items: pa.Table,
        settings: PolicySettings,
        progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
    ) -> LoggingPolicy:
        """Index an ITEMS table; its columns title, brand, category, attributes, popularity and available are read.

        Raises UserError where the index would not fit into `_HEAP` bytes.
        """
        popularity = items["popularity"].to_numpy()
        on_sale = np.flatnonzero(items["available"].to_numpy())
        # The index answers ties by the order of its documents.
        rows = on_sale[np.argsort(-popularity[on_sale], kind="stable")]
        texts = _texts(items).take(pa.array(rows))
        return cls(_index(texts, progress), rows, _shares_below(popularity), settings)

    def rank(
        self,
        texts: Sequence[str],
        progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
    ) -> npt.NDArray[np.int32]:
        """Return the rows of the best items of each text, int32 [texts, candidates], padded with -1."""
        found = np.full((len(texts), self._settings.candidates), NONE, np.int32)
        for row, text in enumerate(texts):
            rows = self._rank(text)
            found[row, : len(rows)] = rows
            if (row + 1) % _BATCH == 0 or row + 1 == len(texts):
                progress("Ranking for the log", row + 1, len(texts))
        return found

    def _rank(self, text: str) -> npt.NDArray[np.int64]:
        # In one order, so that the same words in another order have the same scores to the last bit.
        words = sorted(set(self._analyser.analyze(text)))
        hits = self._hits(words)
        if not hits:
            return np.empty(0, np.int64)
        rows = self._rows[[address.doc for _, address in hits]]
        scores = np.array([score for score, _ in hits])
        worth = scores / scores.max() + self._settings.popularity_weight * self._popularity[rows]
        ordered: npt.NDArray[np.int64] = rows[np.lexsort((rows, -worth))]
        return ordered

    def _hits(self, words: Sequence[str]) -> list[Any]:
        """Scores with addresses of documents, the best first."""
        from tantivy import Occur, Query

        parts = [self._word_query(word) for word in words]
        most = self._settings.candidates
        found: list[Any] = []
        for occur in (Occur.Must, Occur.Should) if parts else ():
            if len(found) < most / 2:
                query = Query.boolean_query([(occur, part) for part in parts])
                found = self._searcher.search(query, most, count=False).hits
        return found

    def _word_query(self, word: str) -> tantivy.Query:
        from tantivy import Query

        if self._searcher.doc_freq(_FIELD, word):
            return Query.term_query(self._schema, _FIELD, word, index_option="freq")
        return Query.fuzzy_term_query(self._schema, _FIELD, word, distance=1, transposition_cost_one=True)


def first_pages(
    ranked: npt.NDArray[np.int32], at: npt.NDArray[np.int64], appears: npt.NDArray[np.int64], places: int
) -> npt.NDArray[np.int64]:
    """Return the first page of each visit, int64 [visits, places], padded with -1.

    `ranked` int32 [visits, candidates]: what the policy found; what appears only after the visit is left out. `at`
    int64 [visits] and `appears` int64 [items]: microseconds since 1970.
    """
    there = (ranked != NONE) & (appears[ranked] <= at[:, None])
    places_of = np.cumsum(there, axis=1) - 1
    visits, candidates = np.nonzero(there & (places_of < places))
    pages = np.full((len(ranked), places), NONE, np.int64)
    pages[visits, places_of[visits, candidates]] = ranked[visits, candidates]
    return pages


def explore(pages: npt.NDArray[np.int64], share: float, random: np.random.Generator) -> Shown:
    """Show a `share` of the pages in an order drawn by chance; propensities are those of the module's head."""
    explored = random.random(len(pages)) < share
    filled = pages != NONE
    sizes = np.maximum(filled.sum(axis=1, keepdims=True), 1)
    # Sorted by chance; what is empty stays behind.
    order = np.argsort(np.where(filled, random.random(pages.shape), np.inf), axis=1, kind="stable")
    order = np.where(explored[:, None], order, np.arange(pages.shape[1]))
    in_place = order == np.arange(pages.shape[1])
    propensity = np.where(filled, (1 - share) * in_place + share / sizes, 0)
    return Shown(np.take_along_axis(pages, order, axis=1), propensity.astype(np.float32), explored)


def _index(texts: pa.Array, progress: Callable[[str, int, int], None]) -> tantivy.Index:
    """An index in memory of one segment, its documents in the order of the texts."""
    from tantivy import Document, Index, SchemaBuilder

    schema = SchemaBuilder().add_text_field(_FIELD, tokenizer_name=_WORDS, index_option="freq").build()
    index = Index(schema)
    index.register_tokenizer(_WORDS, _analyser())
    writer = index.writer(_HEAP, 1)
    for number, text in enumerate(_each(texts), start=1):
        writer.add_document(Document(text=text))
        if number % 50_000 == 0:
            progress("Indexing for the log", number, len(texts))
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    if index.searcher().num_segments > 1:
        # The order of ties would depend on the order of the segments.
        raise UserError(
            f"A log cannot be simulated over {len(texts):,} items on sale at once: take a smaller catalogue, or make "
            "the market without sessions (--sessions 0)."
        )
    progress("Indexing for the log", len(texts), len(texts))
    return index


def _analyser() -> tantivy.TextAnalyzer:
    from tantivy import Filter, TextAnalyzerBuilder, Tokenizer

    builder = TextAnalyzerBuilder(Tokenizer.simple()).filter(Filter.remove_long(40)).filter(Filter.lowercase())
    return builder.filter(Filter.stemmer("english")).build()


def _each(texts: pa.Array) -> Iterator[str]:
    """The texts as Python strings, a bounded number at a time."""
    for first in range(0, len(texts), 50_000):
        yield from texts.slice(first, 50_000).to_pylist()


def _texts(items: pa.Table) -> pa.Array:
    """Title, brand, category and attribute values of every item, as large_string."""
    parts: list[Any] = [items["title"], items["brand"], pc.binary_join(items["category"], " "), _values(items)]
    space = pa.scalar(" ", pa.large_string())
    return pc.binary_join_element_wise(*(part.cast(pa.large_string()) for part in parts), space).combine_chunks()


def _values(items: pa.Table) -> pa.ChunkedArray:
    """The attribute values of every item, joined."""
    joined = []
    for attributes in items["attributes"].chunks:
        # A slice keeps the whole child and offsets that do not start at 0.
        first, last = attributes.offsets[0].as_py(), attributes.offsets[-1].as_py()
        offsets = pc.subtract(attributes.offsets, first)
        lists = pa.ListArray.from_arrays(offsets, attributes.items.slice(first, last - first))
        joined.append(pc.binary_join(lists, " "))
    return pa.chunked_array(joined, pa.string())


def _shares_below(popularity: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Each item's share of the items that are less popular: whatever popularity counts, a number from 0 to 1."""
    return np.searchsorted(np.sort(popularity), popularity, side="left") / max(len(popularity), 1)

"""The lexical channel against BM25 written out over word counts, and at its edges."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shelfwalk.channels.bm25 import Bm25Channel, Bm25Settings
from shelfwalk.channels.channel import Hits, Request
from shelfwalk.constraints.item_filter import ItemFilter
from shelfwalk.errors import UserError
from shelfwalk.recipes.recipe import parse_recipe

# No two of them have the same stem, and none is a stop word.
WORDS = ["hub", "cable", "mouse", "desk", "lamp", "printer", "ink", "usb"]
TEXTS = st.lists(st.lists(st.sampled_from(WORDS[:-1]), max_size=6).map(" ".join), min_size=1, max_size=12)
QUERIES = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join)


def build(*texts: str, **chosen: str | float) -> Bm25Channel:
    return Bm25Channel.build(texts, Bm25Settings(**chosen))


def search(channel: Bm25Channel, query: str, k: int = 10) -> Hits:
    return channel.search(Request(query, np.zeros(1, np.float32)), k)


def slow_rarity(word: str, documents: list[list[str]]) -> float:
    holders = sum(word in document for document in documents)
    return math.log(1 + (len(documents) - holders + 0.5) / (holders + 0.5))


def slow_score(query: str, row: int, documents: list[list[str]], k1: float, b: float) -> float:
    """BM25 as Lucene has it, which is what the library takes by default."""
    document = documents[row]
    mean_length = sum(map(len, documents)) / len(documents)
    score = 0.0
    for word in query.split():
        count = document.count(word)
        if count:
            length = k1 * (1 - b + b * len(document) / mean_length)
            score += slow_rarity(word, documents) * count / (count + length)
    return score


@given(texts=TEXTS, query=QUERIES, k=st.integers(1, 15), k1=st.sampled_from([0.0, 0.9, 1.5]), b=st.floats(0, 1))
def test_hits_are_the_best_items_by_the_formula(texts: list[str], query: str, k: int, k1: float, b: float) -> None:
    documents = [text.split() for text in texts]
    expected = [slow_score(query, row, documents, k1, b) for row in range(len(texts))]
    hits = search(build(*texts, k1=k1, b=b), query, k)
    rows, scores = hits.rows.tolist(), hits.scores.tolist()
    assert scores == pytest.approx([expected[row] for row in rows], rel=1e-5)
    assert scores == pytest.approx(sorted((score for score in expected if score > 0), reverse=True)[:k], rel=1e-5)
    assert rows == sorted(rows, key=lambda row: (-scores[rows.index(row)], row))


@pytest.mark.parametrize("k", [1, 2, 10])
def test_a_filter_takes_items_away_and_changes_no_score(k: int) -> None:
    channel = build("usb hub", "usb usb", "lamp", "usb cable", "usb hub lamp")
    everything = search(channel, "usb hub")
    allowed = np.array([False, True, True, False, True])
    hits = channel.search(Request("usb hub", np.zeros(1, np.float32), ItemFilter(allowed)), k)
    kept = allowed[everything.rows]
    assert hits.rows.tolist() == everything.rows[kept][:k].tolist() == [4, 1][:k]
    assert hits.scores.tolist() == everything.scores[kept][:k].tolist()


def test_more_items_asked_for_than_match_gives_those_that_match() -> None:
    hits = search(build("usb hub", "desk lamp", "usb cable"), "usb", k=1_000)
    assert sorted(hits.rows.tolist()) == [0, 2]
    assert len(hits) == 2


@pytest.mark.parametrize("k", [1, 3, 7, 20])
def test_of_equal_scores_the_smaller_rows_come_first(k: int) -> None:
    channel = build(*["desk lamp"] * 5, "desk lamp lamp", *["desk lamp"] * 5)
    assert search(channel, "lamp", k).rows.tolist() == [5, 0, 1, 2, 3, 4, 6, 7, 8, 9, 10][:k]


@pytest.mark.parametrize(
    "query",
    ["", "   ", "?!-", "the and of", "zeppelin", "手机壳", "кабель", "\N{GRINNING FACE}", "a" * 10_000, "\ud800"],
)
def test_a_query_without_a_known_word_finds_nothing(query: str) -> None:
    hits = search(build("the usb hub", "and a lamp"), query)
    assert len(hits) == 0
    assert hits.rows.dtype == np.int64
    assert hits.scores.dtype == np.float32


def test_a_catalogue_without_a_word_finds_nothing(tmp_path: Path) -> None:
    channel = build("", "!!!", "the")
    channel.save(tmp_path / "bm25")
    for opened in (channel, Bm25Channel.open(tmp_path / "bm25")):
        assert len(search(opened, "usb hub the")) == 0
        assert opened.word_shares("usb hub", np.array([2, 0])).tolist() == [0, 0]


def test_words_in_another_script_are_found() -> None:
    assert search(build("кабель usb", "шнур", "手机壳 黑色"), "КАБЕЛЬ").rows.tolist() == [0]
    assert search(build("кабель usb", "шнур", "手机壳 黑色"), "黑色").rows.tolist() == [2]


@given(texts=TEXTS, queries=st.lists(QUERIES, min_size=1, max_size=4))
def test_an_opened_index_answers_as_the_one_that_was_saved(
    texts: list[str], queries: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("saved") / "bm25"
    channel = build(*texts, k1=1.1, b=0.3)
    channel.save(folder)
    opened = Bm25Channel.open(folder)
    for query in queries:
        saved, again = search(channel, query), search(opened, query)
        assert again.rows.tolist() == saved.rows.tolist()
        assert again.scores.tolist() == saved.scores.tolist()
        assert [again.evidence(place) for place in range(len(again))] == [
            saved.evidence(place) for place in range(len(saved))
        ]
    assert {file.suffix for file in folder.iterdir()} == {".npy", ".json"}


def test_an_opened_index_reads_queries_in_its_own_language(tmp_path: Path) -> None:
    build("Kabel für Drucker", "the lamp", language="german").save(tmp_path / "bm25")
    opened = Bm25Channel.open(tmp_path / "bm25")
    assert search(opened, "Kabeln").rows.tolist() == [0]
    # Stop words are known for English only.
    assert search(opened, "the").rows.tolist() == [1]


@pytest.mark.parametrize("language", ["klingon", "en", "English", ""])
def test_an_unknown_language_is_refused_with_those_that_are_known(language: str) -> None:
    text = f'name = "x"\ntokenizer = {{kind = "residual_kmeans"}}\nbm25 = {{language = "{language}"}}\n'
    with pytest.raises(UserError, match=rf'bm25.language: there is no stemmer for "{language}".*english.*german'):
        parse_recipe(text, "x.toml")


@pytest.mark.parametrize(
    "chosen", [{"k1": -0.1}, {"k1": math.nan}, {"b": -0.1}, {"b": 1.1}, {"b": math.nan}, {"k2": 1}]
)
def test_settings_that_make_no_bm25_are_refused(chosen: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(chosen))):
        Bm25Settings(**chosen)


def test_evidence_names_the_words_of_the_query_that_the_item_has() -> None:
    channel = build("battery for a laptop", "battery charger, chargers", "desk lamp")
    hits = search(channel, "Chargers and batteries for my zeppelin")
    assert hits.rows.tolist() == [1, 0]
    first, second = hits.evidence(0), hits.evidence(1)
    assert (first.reason, second.reason) == ("words: chargers, batteries", "words: batteries")
    assert (first.channel, first.rank, first.score) == ("bm25", 1, hits.scores[0])
    assert (second.rank, second.identifier, second.probability) == (2, None, None)


@given(texts=TEXTS, query=QUERIES)
def test_word_shares_weigh_the_words_of_the_query_by_their_rarity(texts: list[str], query: str) -> None:
    documents = [text.split() for text in texts]
    known = {word for word in query.split() if any(word in document for document in documents)}
    weight = {word: slow_rarity(word, documents) for word in known}
    expected = [
        sum(weight[word] for word in known if word in document) / sum(weight.values()) if known else 0.0
        for document in documents
    ]
    rows = np.arange(len(texts))[::-1]
    shares = build(*texts).word_shares(query, rows)
    assert shares.dtype == np.float32
    assert shares.tolist() == pytest.approx(expected[::-1], abs=1e-6)

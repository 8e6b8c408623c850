"""The logging policy: BM25 against the textbook formula, popularity, what may be shown when, and known propensities."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfwalk.data.tables import ITEMS
from shelfwalk.errors import UserError
from shelfwalk.market.item_features import NONE
from shelfwalk.market.logging_policy import LoggingPolicy, explore, first_pages
from shelfwalk.market.settings import PolicySettings
from small_shop import product

# Words that the stemmer leaves alone, none within one edit of another.
WORDS = ("lamp", "desk", "oak", "grinder", "mug", "velvet", "hub", "sofa")


def items_of(rows: Sequence[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=ITEMS)


def ranked(rows: Sequence[dict[str, Any]], query: str, **changes: Any) -> list[str]:
    items = items_of(rows)
    found = LoggingPolicy.build(items, PolicySettings(**changes)).rank([query])[0]
    return [items["item_id"][int(row)].as_py() for row in found if row != NONE]


def bm25(texts: Sequence[Sequence[str]], query: set[str]) -> list[float]:
    """BM25 as in the book, k1 1.2 and b 0.75."""
    mean = sum(map(len, texts)) / len(texts)
    scores = []
    for text in texts:
        score, counts = 0.0, Counter(text)
        for word in query & set(text):
            holders = sum(word in other for other in texts)
            rarity = math.log(1 + (len(texts) - holders + 0.5) / (holders + 0.5))
            score += rarity * counts[word] * 2.2 / (counts[word] + 1.2 * (0.25 + 0.75 * len(text) / mean))
        scores.append(score)
    return scores


texts_strategy = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=12), min_size=2, max_size=25)


@settings(max_examples=60)
@given(texts_strategy, st.sets(st.sampled_from(WORDS), min_size=1, max_size=3), st.data())
def test_scores_are_those_of_the_book_with_popularity(
    texts: list[list[str]], query: set[str], data: st.DataObject
) -> None:
    popularity = data.draw(st.lists(st.integers(0, 3), min_size=len(texts), max_size=len(texts)))
    known = {word for word in query if any(word in text for text in texts)}
    scores = bm25(texts, known)
    best = max(scores)
    less_popular = [sum(other < own for other in popularity) / len(texts) for own in popularity]
    rows = [
        product(str(number), " ".join(text), popularity=float(sold))
        for number, (text, sold) in enumerate(zip(texts, popularity, strict=True))
    ]
    found = ranked(rows, " ".join(sorted(known)), candidates=1000, popularity_weight=0.5)
    assert sorted(found) == sorted(str(row) for row, score in enumerate(scores) if score > 0)
    worth = [scores[int(row)] / best + 0.5 * less_popular[int(row)] for row in found]
    assert all(first >= second - 1e-5 for first, second in pairwise(worth))


def test_a_word_is_found_in_any_field_and_any_inflection() -> None:
    rows = [
        product("title", "Reading lamps"),
        product("brand", "thing", brand="Lamp"),
        product("category", "thing", category=["Home", "Lamp"]),
        product("value", "thing", attributes=[("kind", "LAMP"), ("colour", "red")]),
        product("none", "thing", attributes=[("lamp", "yes")]),
    ]
    assert sorted(ranked(rows, "lamp")) == ["brand", "category", "title", "value"]


def test_attribute_values_stay_with_their_items_in_slices_and_chunks() -> None:
    rows = [product(str(n), "thing", attributes=[("a", f"value{n}")] * (n % 3)) for n in range(12)]
    parts = [items_of(rows).slice(0, 5), items_of(rows).slice(5)]
    policy = LoggingPolicy.build(pa.concat_tables(parts), PolicySettings())
    found = policy.rank([f"value{n}x" if n % 3 == 0 else f"value{n}" for n in range(12)])
    assert [row[row != NONE].tolist()[:1] for row in found] == [[n] if n % 3 else [] for n in range(12)]


def test_equal_items_go_by_popularity_and_then_by_row() -> None:
    rows = [product(str(n), "oak desk", popularity=sold) for n, sold in enumerate([1.0, 5.0, 0.0, 5.0, 1.0])]
    assert ranked(rows, "desk") == ["1", "3", "0", "4", "2"]
    # With fewer candidates than hits the more popular ones are kept.
    assert ranked(rows, "desk", candidates=3, popularity_weight=0.0) == ["0", "1", "3"]


def test_what_is_not_on_sale_is_never_shown() -> None:
    rows = [product(str(n), "oak desk", available=n % 2 == 0) for n in range(6)]
    assert sorted(ranked(rows, "desk")) == ["0", "2", "4"]


def test_items_with_all_words_leave_no_place_for_others() -> None:
    rows = [product(f"both{n}", "velvet sofa") for n in range(5)] + [product("one", "sofa sofa sofa")]
    assert "one" not in ranked(rows, "velvet sofa", candidates=10)
    assert "one" in ranked(rows, "velvet sofa", candidates=11)


def test_a_slip_finds_what_was_meant_and_nonsense_nothing() -> None:
    rows = [product("g", "coffee grinder"), product("m", "coffee mug")]
    assert ranked(rows, "grindr") == ["g"]
    assert ranked(rows, "coffe grinder")[0] == "g"
    assert ranked(rows, "zzzzzz") == []
    assert ranked(rows, "?!") == []


@pytest.mark.parametrize("query", ['"mug', "mug AND (", "title:mug", "+mug -", "mug*", "MUG/"])
def test_a_query_has_no_syntax(query: str) -> None:
    assert "m" in ranked([product("m", "coffee mug")], query)


def test_the_same_items_and_words_give_the_same_ranking() -> None:
    random = np.random.default_rng(3)
    rows = [product(str(n), " ".join(random.choice(WORDS, 4)), popularity=float(n % 7)) for n in range(500)]
    queries = [" ".join(random.choice(WORDS, 3, replace=False)) for _ in range(40)]
    turned = [" ".join(reversed(query.split())) for query in queries]
    first, second = (LoggingPolicy.build(items_of(rows), PolicySettings()).rank(asked) for asked in (queries, turned))
    assert np.array_equal(first, second)
    assert first.dtype == np.int32
    assert (first != NONE).all()


def test_ranking_reports_its_progress() -> None:
    told: list[tuple[str, int, int]] = []
    policy = LoggingPolicy.build(items_of([product("m", "mug")]), PolicySettings(), lambda *part: told.append(part))
    policy.rank(["mug"] * 3, lambda *part: told.append(part))
    assert [(done, total) for _, done, total in told] == [(1, 1), (3, 3)]
    assert len({re.sub(r"\W.*", "", stage) for stage, _, _ in told}) == 2


@given(st.data())
def test_a_first_page_is_the_best_of_what_is_there(data: st.DataObject) -> None:
    items = data.draw(st.integers(1, 8))
    appears = np.array(data.draw(st.lists(st.integers(0, 5), min_size=items, max_size=items)), np.int64)
    at = np.array(data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=4)), np.int64)
    orders = [data.draw(st.permutations(range(items))) for _ in at]
    cut = data.draw(st.integers(0, items))
    rows = np.array([[*order[:cut], *[NONE] * (items - cut)] for order in orders], np.int32)
    places = data.draw(st.integers(1, items))
    pages = first_pages(rows, at, appears, places)
    for order, moment, page in zip(orders, at, pages, strict=True):
        expected = [row for row in order[:cut] if appears[row] <= moment][:places]
        assert page.tolist() == expected + [NONE] * (places - len(expected))


@given(st.integers(0, 6), st.floats(0, 1), st.integers(0, 100))
def test_exploring_shows_the_same_items(filled: int, share: float, seed: int) -> None:
    pages = np.tile(np.array([*range(10, 10 + filled), *[NONE] * (6 - filled)], np.int64), (50, 1))
    shown = explore(pages, share, np.random.default_rng(seed))
    assert np.array_equal(np.sort(shown.pages, axis=1), np.sort(pages, axis=1))
    assert (shown.pages[:, filled:] == NONE).all()
    assert np.array_equal(shown.pages[~shown.explored], pages[~shown.explored])
    assert (shown.propensity[:, filled:] == 0).all()


def test_propensities_are_the_frequencies_of_what_is_shown() -> None:
    pages = np.tile(np.arange(5), (60_000, 1))
    shown = explore(pages, 0.4, np.random.default_rng(1))
    for place in range(5):
        for item in range(5):
            there = shown.pages[:, place] == item
            propensity = 0.6 * (item == place) + 0.4 / 5
            assert np.allclose(shown.propensity[there, place], propensity)
            assert abs(there.mean() - propensity) < 5 * math.sqrt(propensity / len(pages))
    assert shown.explored.mean() == pytest.approx(0.4, abs=0.02)


def test_without_exploration_all_is_certain() -> None:
    shown = explore(np.array([[3, 1, NONE]]), 0.0, np.random.default_rng(0))
    assert shown.propensity.tolist() == [[1.0, 1.0, 0.0]]
    assert not shown.explored.any()


def test_too_many_items_for_one_index_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    # The smallest that tantivy takes; words of their own fill it fast.
    monkeypatch.setattr("shelfwalk.market.logging_policy._HEAP", 15_000_000)
    rows = [product(str(n), " ".join(f"w{n}x{word}" for word in range(40))) for n in range(8_000)]
    with pytest.raises(UserError, match=r"over 8,000 items on sale at once: take a smaller catalogue"):
        LoggingPolicy.build(items_of(rows), PolicySettings())

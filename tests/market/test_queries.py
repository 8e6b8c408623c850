"""Queries say a part of the need and nothing else, in words that shoppers have for it."""

from __future__ import annotations

import numpy as np
import pytest
from made_catalogues import DAY, shop, wish

from shelfwalk.market import queries as queries_module
from shelfwalk.market.catalogue import Catalogue
from shelfwalk.market.item_features import NONE
from shelfwalk.market.needs import Visits, draw_visits
from shelfwalk.market.queries import CHEAP, DEAR, choose_intents, express
from shelfwalk.market.shoppers import draw_shoppers
from shelfwalk.market.wishes import Wishes


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return shop()


@pytest.fixture(scope="module")
def visits(catalogue: Catalogue) -> Visits:
    return draw_visits(catalogue, draw_shoppers(catalogue, 100, 1), 6000, 3, 0, 30 * DAY)


def without_slips(catalogue: Catalogue, needs: Wishes, monkeypatch: pytest.MonkeyPatch) -> tuple[Wishes, list[str]]:
    monkeypatch.setattr(queries_module, "_SLIPS", 0.0)
    return express(needs, catalogue, np.random.default_rng(5))


def things_said(catalogue: Catalogue, intents: Wishes, row: int) -> list[tuple[str, ...]]:
    """The phrases that each part of an intent may be said by."""
    lexicon = catalogue.lexicon
    said = [lexicon.categories[intents.category[row]]] if intents.category[row] != NONE else []
    said += [lexicon.brands[intents.brand[row]]] if intents.brand[row] != NONE else []
    said += [lexicon.values[value] for value in intents.values[row].tolist() if value != NONE]
    said += [DEAR] if intents.price_low[row] > 0 else []
    said += [CHEAP] if intents.price_high[row] < 1 else []
    return said


def test_the_intent_is_a_part_of_the_need(catalogue: Catalogue, visits: Visits) -> None:
    needs, intents = visits.needs, visits.intents
    said = intents.category != NONE
    same = intents.category == needs.category
    above = intents.category == catalogue.tree.parent[needs.category]
    assert (same | above)[said].all()
    assert ((intents.brand == needs.brand) | (intents.brand == NONE)).all()
    for row in range(len(visits)):
        assert {*intents.values[row].tolist()} <= {*needs.values[row].tolist(), NONE}
    assert (intents.price_low <= needs.price_low).all() and (intents.price_high >= needs.price_high).all()


def test_something_is_always_said_and_padding_comes_last(catalogue: Catalogue, visits: Visits) -> None:
    intents = visits.intents
    assert ((intents.category != NONE) | (intents.brand != NONE) | (intents.values[:, 0] != NONE)).all()
    empty = intents.values == NONE
    assert (empty[:, 1:] >= empty[:, :-1]).all()
    priced = (intents.price_low > 0) | (intents.price_high < 1)
    assert priced.any() and (intents.category[priced] != NONE).all()


def test_the_words_express_the_intent_and_nothing_else(
    catalogue: Catalogue, visits: Visits, monkeypatch: pytest.MonkeyPatch
) -> None:
    intents, texts = without_slips(catalogue, visits.needs, monkeypatch)
    for row, text in enumerate(texts):
        words = set(text.split())
        covered: set[str] = set()
        for phrases in things_said(catalogue, intents, row):
            spoken = [set(phrase.split()) for phrase in phrases if set(phrase.split()) <= words]
            assert spoken, (text, phrases)
            covered |= set().union(*spoken)
        assert covered == words


def test_queries_of_every_kind_are_asked(catalogue: Catalogue, visits: Visits) -> None:
    intents = visits.intents
    category, brand, value = intents.category != NONE, intents.brand != NONE, intents.values[:, 0] != NONE
    assert (category & ~brand & ~value).mean() > 0.2
    assert 0.005 < (brand & ~category & ~value).mean() < 0.15
    assert 0.005 < (value & ~category & ~brand).mean() < 0.15
    inner = np.isin(intents.category, catalogue.tree.parent)
    assert 0.05 < inner.mean() < 0.3
    needed = (visits.needs.values != NONE).sum(axis=1)
    assert ((intents.values != NONE).sum(axis=1) < needed).mean() > 0.2


def test_shoppers_have_other_words_than_the_catalogue(
    catalogue: Catalogue, visits: Visits, monkeypatch: pytest.MonkeyPatch
) -> None:
    intents, texts = without_slips(catalogue, visits.needs, monkeypatch)
    named = np.flatnonzero(intents.category != NONE)
    counts = np.zeros(3)
    for row in named.tolist():
        words = texts[row].split()
        phrases = catalogue.lexicon.categories[intents.category[row]]
        counts[[set(phrase.split()) <= set(words) for phrase in phrases].index(True)] += 1
    np.testing.assert_allclose(counts / counts.sum(), [0.4, 0.4, 0.2], atol=0.04)


def test_a_thing_with_one_name_is_called_by_it(catalogue: Catalogue) -> None:
    plain = type(catalogue.lexicon)(
        tuple((phrases[0].upper(),) for phrases in catalogue.lexicon.categories),
        catalogue.lexicon.brands,
        catalogue.lexicon.values,
        catalogue.lexicon.value_attributes,
    )
    named = type(catalogue)(catalogue.tree, plain, catalogue.features)
    for seed in range(20):
        intents, [text] = express(wish(9), named, np.random.default_rng(seed))
        assert intents.category[0] in (9, 2)
        assert len(text) >= len("category9") - 1 and text == text.lower()


def test_a_draw_close_to_one_stays_with_its_thing() -> None:
    class Highest(np.random.Generator):
        def random(self, size: int) -> np.ndarray:  # type: ignore[override]
            return np.full(size, np.nextafter(1.0, 0.0))

    things = 100_000
    phrases = queries_module._phrases([(f"catalogue{thing}", f"slang{thing}") for thing in range(things)])
    asked = np.array([0, 1, 65_535, things - 2, things - 1, NONE], np.int32)
    said = phrases.choose(asked, Highest(np.random.PCG64(0)))
    assert said.tolist() == [*(f"slang{thing}" for thing in asked[:-1].tolist()), ""]


def test_some_shoppers_put_words_in_any_order(
    catalogue: Catalogue, visits: Visits, monkeypatch: pytest.MonkeyPatch
) -> None:
    intents, texts = without_slips(catalogue, visits.needs, monkeypatch)
    both = np.flatnonzero((intents.brand != NONE) & (intents.category != NONE)).tolist()
    brand_later = [texts[row].find("brand") > texts[row].find("category") for row in both]
    assert 0.05 < np.mean(brand_later) < 0.15


def test_no_word_is_said_twice(catalogue: Catalogue) -> None:
    lexicon = type(catalogue.lexicon)(
        tuple(("running shoes",) for _ in catalogue.lexicon.categories),
        catalogue.lexicon.brands,
        tuple(("running",) for _ in catalogue.lexicon.values),
        catalogue.lexicon.value_attributes,
    )
    named = type(catalogue)(catalogue.tree, lexicon, catalogue.features)
    texts = {express(wish(9, values=[1, 2]), named, np.random.default_rng(seed))[1][0] for seed in range(60)}
    assert {"running shoes", "running"} <= texts
    assert not any(text.split().count("running") > 1 for text in texts)


def test_a_few_queries_are_misspelt(catalogue: Catalogue, visits: Visits, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {
        word
        for names in (catalogue.lexicon.categories, catalogue.lexicon.brands, catalogue.lexicon.values, (CHEAP, DEAR))
        for phrases in names
        for phrase in phrases
        for word in phrase.split()
    }
    strange = [not {*text.split()} <= known for text in visits.queries]
    assert 0.02 < np.mean(strange) < 0.08
    _, texts = without_slips(catalogue, visits.needs, monkeypatch)
    assert all({*text.split()} <= known for text in texts)


def test_intents_depend_on_the_generator_alone(catalogue: Catalogue, visits: Visits) -> None:
    first, again = (choose_intents(visits.needs, catalogue.tree, np.random.default_rng(1)) for _ in range(2))
    for name in Wishes.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))


@pytest.mark.parametrize(("low", "high", "words"), [(0.0, 0.35, CHEAP), (0.65, 1.0, DEAR), (0.3, 0.7, ())])
def test_only_the_ends_of_the_price_scale_have_words(
    catalogue: Catalogue, low: float, high: float, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries_module, "_SLIPS", 0.0)
    said = set()
    for seed in range(60):
        _, [text] = express(wish(9, low=low, high=high), catalogue, np.random.default_rng(seed))
        said |= {phrase for phrase in (*CHEAP, *DEAR) if set(phrase.split()) <= set(text.split())}
    assert said <= set(words)
    assert bool(said) == bool(words)

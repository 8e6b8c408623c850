"""The words of generated catalogues: the lists, what shoppers call things, titles and their disorder."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from generated_catalogues import Generated, generated
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.market import item_titles
from shelfwalk.market.assortment import draw_assortment
from shelfwalk.market.category_tree import titled
from shelfwalk.market.invented_words import invent_words
from shelfwalk.market.item_features import NONE
from shelfwalk.market.text_pieces import PhraseRows, joined
from shelfwalk.market.vocabulary import phrases_of, vocabulary


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Generated:
    return generated(tmp_path_factory.mktemp("catalogue"), 6_000)


def test_the_lists_fit_together() -> None:
    words = vocabulary()
    used = set()
    for department in words.departments:
        for group in department.groups:
            for leaf in group.leaves:
                attributes = words.attributes_of(group, leaf)
                names = [attribute.name for attribute in attributes]
                assert names, leaf.names
                assert len(set(names)) == len(names), leaf.names
                used |= {*group.has, *leaf.has}
                for attribute in attributes:
                    firsts = [phrases[0] for phrases in attribute.phrases]
                    assert len(set(firsts)) == len(firsts) >= 2, (leaf.names, attribute.name)
                    assert all(phrase for phrases in attribute.phrases for phrase in phrases)
    assert used == words.attributes.keys()


def test_no_phrase_stands_for_two_categories() -> None:
    phrases: Counter[str] = Counter()
    for department in vocabulary().departments:
        phrases.update(phrase.lower() for phrase in phrases_of(department.name))
        for group in department.groups:
            phrases.update(phrase.lower() for phrase in phrases_of(group.name))
            for leaf in group.leaves:
                assert len(phrases_of(leaf.names)) >= 2
                phrases.update(phrases_of(leaf.names))
    assert [phrase for phrase, count in phrases.items() if count > 1] == []


def test_sizes_become_measures_in_several_writings() -> None:
    words = vocabulary()
    group = next(group for department in words.departments for group in department.groups if "Appliances" in group.name)
    leaf = group.leaves[0].model_copy(update={"sizes": {"Capacity": "0.8 1 l", "Covers": "6 9 place settings"}})
    capacity, covers = words.attributes_of(group, leaf)[-2:]
    assert capacity.phrases[0] == ("0.8 l", "0.8l", "0.8 litre", "0.8 liter")
    assert capacity.values[1].startswith("1 l|")
    assert covers.phrases[1] == ("9 place settings", "9 settings", "9 covers")
    assert capacity.ordered


@pytest.mark.parametrize("items", [100, 20_000, 10_000_000])
def test_every_leaf_and_brand_has_more_names_and_none_is_another_s(items: int) -> None:
    assortment = draw_assortment(items, 5)
    lexicon, leaves = assortment.lexicon, assortment.leaves
    named = [lexicon.categories[node] for node in leaves.node.tolist()]
    assert all(len(phrases) >= 3 for phrases in named)
    assert all(len(phrases) >= 2 for phrases in lexicon.brands)
    for things in (lexicon.categories, lexicon.brands):
        phrases = [phrase.lower() for phrases in things for phrase in phrases]
        assert len(set(phrases)) == len(phrases)
    assert len(set(zip(lexicon.value_attributes, (phrases[0] for phrases in lexicon.values), strict=True))) == len(
        lexicon.values
    )


def test_what_shoppers_say_stands_in_some_titles(shop: Generated) -> None:
    """A word that no title has gets no clicks from a shop that ranks by words."""
    features, lexicon = shop.catalogue.features, shop.catalogue.lexicon
    titles = [f" {title.lower()} ".replace(",", " ") for title in shop.items["title"].to_pylist()]
    others = found = firsts = 0
    for node in shop.assortment.leaves.node.tolist():
        own = [titles[row] for row in np.flatnonzero(features.category == node)]
        if len(own) < 20:
            continue
        first, *rest = (phrase.lower() for phrase in lexicon.categories[node])
        others += len(rest)
        found += sum(any(f" {phrase} " in title for title in own) for phrase in rest)
        firsts += any(f" {first} " in title for title in own)
        # And the first one is in most, but far from all.
        share = sum(f" {first} " in title for title in own) / len(own)
        assert 0.25 < share < 0.95
    assert others > 100
    assert found / others > 0.8


def test_what_shoppers_call_a_group_stands_in_titles_of_its_items(shop: Generated) -> None:
    tree, features = shop.catalogue.tree, shop.catalogue.features
    titles = np.array([f" {title.lower()} ".replace(",", " ") for title in shop.items["title"].to_pylist()])
    group = tree.parent[features.category]
    found = [
        any(f" {phrase.lower()} " in title for title in titles[group == node])
        for node in np.unique(group).tolist()
        for phrase in shop.catalogue.lexicon.categories[node][1:]
    ]
    assert np.mean(found) > 0.8


def test_brands_stand_in_titles_in_several_forms(shop: Generated) -> None:
    brand, titles = shop.catalogue.features.brand, shop.items["title"].to_pylist()
    forms: Counter[str] = Counter()
    for number, title in zip(brand.tolist(), titles, strict=True):
        if number != NONE:
            name, *nicknames = shop.catalogue.lexicon.brands[number]
            forms["name"] += name in title
            forms["nickname"] += name not in title and any(word.lower() in title.lower() for word in nicknames)
    branded = (brand != NONE).sum()
    assert 0.6 < forms["name"] / branded < 0.9
    assert 0.03 < forms["nickname"] / branded < 0.3


def test_titles_differ_in_order_case_length_and_separators(shop: Generated) -> None:
    titles = shop.items["title"].to_pylist()
    assert all(title == title.strip() and "  " not in title and title for title in titles)
    assert len(set(titles)) > 0.98 * len(titles)
    assert 0.03 < np.mean([title == title.lower() for title in titles]) < 0.5
    assert 0.01 < np.mean([title == title.upper() for title in titles]) < 0.06
    lengths = [len(title.split()) for title in titles]
    assert 5 < np.mean(lengths) < 14
    assert np.std(lengths) > 2
    assert 0.1 < np.mean(["," in title for title in titles]) < 0.6
    firsts = [
        title.lower().startswith(shop.catalogue.lexicon.brands[number][0].lower())
        for title, number in zip(titles, shop.catalogue.features.brand.tolist(), strict=True)
        if number != NONE
    ]
    assert 0.2 < np.mean(firsts) < 0.7


def test_some_titles_are_misspelt_and_nothing_else_changes(
    shop: Generated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(item_titles, "MISSPELT_SHARE", 0.0)
    clean = generated(tmp_path, 6_000)
    ours, theirs = shop.items["title"].to_pylist(), clean.items["title"].to_pylist()
    changed = [(one, other) for one, other in zip(ours, theirs, strict=True) if one != other]
    assert 0.03 < len(changed) / len(ours) < 0.05
    assert all(abs(len(one) - len(other)) <= 1 for one, other in changed)
    # One word of each is another one.
    for one, other in changed[:100]:
        assert sum(a != b for a, b in zip(one.split(" "), other.split(" "), strict=True)) == 1
    facts = ["item_id", "category", "price", "popularity", "available"]
    assert shop.items.select(facts).equals(clean.items.select(facts))


def test_descriptions_are_sentences_or_missing(shop: Generated) -> None:
    descriptions = shop.items["description"].to_pylist()
    assert 0.1 < np.mean([text == "" for text in descriptions]) < 0.3
    assert all(text.endswith(".") and text[0].isupper() for text in descriptions if text)


def test_model_numbers_are_many_and_kept_apart_by_brand(shop: Generated) -> None:
    models = [dict(attributes).get("Model") for attributes in shop.items["attributes"].to_pylist()]
    known = [model for model in models if model]
    assert 0.4 < len(known) / len(models) < 0.7
    assert len(set(known)) > 0.9 * len(known)
    titles = shop.items["title"].to_pylist()
    named = [model in title for model, title in zip(models, titles, strict=True) if model]
    assert 0.6 < np.mean(named) < 0.95


@given(st.data())
def test_joining_pieces_is_joining_words_one_by_one(data: st.DataObject) -> None:
    places = data.draw(st.integers(1, 5))
    row = st.lists(st.integers(-1, 3), min_size=places, max_size=places)
    pieces = np.array(data.draw(st.lists(row, min_size=1, max_size=6)), np.int64)
    separators = np.array(
        [data.draw(st.lists(st.integers(5, 6), min_size=places, max_size=places)) for _ in pieces], np.int64
    )
    texts = ["red", "usb hub", "7", "größe", "", " ", ", "]
    expected = []
    for words, gaps in zip(pieces.tolist(), separators.tolist(), strict=True):
        text = ""
        said = [(word, gap) for word, gap in zip(words, gaps, strict=True) if word != NONE]
        for number, (word, gap) in enumerate(said):
            text += (texts[gap] if number else "") + texts[word]
        expected.append(text)
    assert joined(pa.array(texts), pieces, separators, 4).to_pylist() == expected


def test_phrases_are_chosen_by_their_share_and_none_stays_none() -> None:
    rows = PhraseRows(np.array([100, 200]), np.array([1, 4]))
    draws = np.linspace(0, 1, 1_000, endpoint=False)
    assert (rows.choose(np.zeros(1_000, np.int32), draws, 0.6) == 100).all()
    counts = Counter(rows.choose(np.ones(1_000, np.int32), draws, 0.6).tolist())
    assert counts[200] == 600
    assert all(abs(counts[row] - 400 / 3) < 2 for row in (201, 202, 203))
    assert (rows.choose(np.full(5, NONE, np.int32), draws[:5], 0.6) == NONE).all()


def test_invented_words_are_different_and_run_out() -> None:
    parts = (("a", "b"), ("", "x"), ("c", "xc"))
    # "a" + "x" + "c" and "a" + "" + "xc" are one word.
    words = invent_words(parts, 6, np.random.default_rng(0))
    assert sorted(words) == ["ac", "axc", "axxc", "bc", "bxc", "bxxc"]
    with pytest.raises(ValueError, match="6 words can be put together, 7 are needed"):
        invent_words(parts, 7, np.random.default_rng(0))
    assert "axc" not in invent_words(parts, 5, np.random.default_rng(0), frozenset({"axc"}))


def test_capitals() -> None:
    assert titled("usb stick", ["usb"]) == "USB Stick"
    assert titled("t-shirt") == "T-shirt"

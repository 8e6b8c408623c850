"""How shoppers say what a real catalogue writes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.market.spoken_variants import brand_phrases, category_phrases, value_phrases

TEXTS = st.text(alphabet="ab -&/,()1 ", min_size=1, max_size=14).filter(str.strip)


def test_parts_and_singulars_of_categories() -> None:
    assert category_phrases("Sofas & Couches") == (
        "Sofas & Couches", "sofas & couch", "sofa", "couch", "Sofas", "Couches"
    )  # fmt: skip
    assert category_phrases("usb hub") == ("usb hub",)
    assert "gray cables" in category_phrases("Grey cables")


def test_writings_of_values() -> None:
    assert value_phrases("500 GB") == ("500 GB", "500GB")
    assert value_phrases("RJ-45") == ("RJ-45", "RJ 45")
    assert value_phrases("Lithium-Ion (Li-Ion)")[:3] == ("Lithium-Ion (Li-Ion)", "Lithium-Ion", "Li-Ion")
    assert value_phrases("grey") == ("grey", "gray")
    assert value_phrases("red") == ("red",)


def test_a_nickname_that_two_brands_could_have_is_nobodys() -> None:
    found = brand_phrases([("Tripp Lite", "TRIPP LITE"), ("Tripp Deluxe",), ("Western Digital",), ("WD",)])
    assert found[0] == ("Tripp Lite", "tripplite", "tl")
    assert found[1] == ("Tripp Deluxe", "trippdeluxe", "td")
    assert found[2] == ("Western Digital", "westerndigital", "western")
    assert found[3] == ("WD",)


@given(TEXTS)
def test_the_first_phrase_is_the_catalogue_s_and_no_other_repeats_it(text: str) -> None:
    for phrases in (category_phrases(text), value_phrases(text), brand_phrases([(text,)])[0]):
        assert phrases[0] == text
        assert all(phrase.strip() for phrase in phrases)
        lowered = [phrase.lower() for phrase in phrases]
        assert len(set(lowered)) == len(lowered)

"""Reading the type phrase off a title, and finding known phrases in text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.data.category_phrases import (
    PhraseLexicon,
    abbreviation,
    head_noun,
    phrase_key,
    title_tail,
    type_phrase,
)


@pytest.mark.parametrize(
    ("title", "name", "brand", "wanted"),
    [
        ("Acme LX400 projector lamp 400 W", "LX400", "Acme", ("LX400", "projector lamp 400 W")),
        ("Acme Glow LX400 projector lamp", "lx400", "Acme", ("Glow LX400", "projector lamp")),
        ("Acme LX400", "LX400", "Acme", ("LX400", "")),
        ("Other LX400 lamp", "LX400", "Acme", ("Other LX400", "lamp")),
        ("Acme desk lamp", "LX400", "Acme", ("desk lamp", "")),
        ("Acme desk lamp", "", "Acme", ("desk lamp", "")),
        ("", "", "", ("", "")),
    ],
)
def test_title_tail(title: str, name: str, brand: str, wanted: tuple[str, str]) -> None:
    assert title_tail(title, name, brand) == wanted


@pytest.mark.parametrize(
    ("tail", "wanted"),
    [
        ("projector lamp 400 W", "projector lamp"),
        ("rack cabinet Black", "rack cabinet"),
        ("USB cable 2 m", "usb cable"),
        ("power distribution unit (PDU) Black", "power distribution unit"),
        ("component (YPbPr) video cable 2 m", "component video cable"),
        ("toy & game set", "toy & game set"),
        ("mouse USB Type-A", "mouse"),
        ("printer/scanner spare part", "printer/scanner spare part"),
        ("Original Black 1 pc(s)", ""),
        ("USB", ""),
        ("USB 3.0 hub", ""),
        ("4 ports hub", ""),
        ("not categorized", ""),
        ("", ""),
    ],
)
def test_type_phrase(tail: str, wanted: str) -> None:
    assert type_phrase(tail) == wanted


@pytest.mark.parametrize(
    ("tail", "wanted"),
    [("power distribution unit (PDU) Black", "pdu"), ("cable (long)", ""), ("cable", ""), ("(PDU)", ""), ("", "")],
)
def test_abbreviation(tail: str, wanted: str) -> None:
    assert abbreviation(tail) == wanted


def test_head_noun_and_key() -> None:
    assert head_noun("power adapter/inverter") == "adapter"
    assert head_noun("lamp") == "lamp"
    assert phrase_key("Display Privacy Filters") == phrase_key("display privacy filter")
    assert phrase_key("extended warranty") != phrase_key("extender warranty")


def lexicon() -> PhraseLexicon:
    pairs = [
        *[("projector lamp", f"brand{number}") for number in range(3)],
        *[("desk lamps", f"brand{number}") for number in range(2)],
        ("desk lamp", "brand0"),
        *[("print head", f"brand{number}") for number in range(2)],
        *[("uninterruptible power supply", f"brand{number}") for number in range(2)],
        *[("lone thing", "brand0")] * 4,
        *[("house speciality", "brand0")] * 5,
        *[("keyboard", f"brand{number}") for number in range(2)],
    ]
    return PhraseLexicon.of(pairs, [("ups", "uninterruptible power supply"), ("lt", "lone thing")])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Replacement projector lamp for the office keyboard", "projector lamp"),
        ("Replacement lamp, 200 W", "lamp"),
        ("Bright DESK LAMP with keyboard", "desk lamps"),
        ("keyboard and desk lamps", "desk lamps"),
        ("Cyan printhead", "print head"),
        ("Sine wave UPS, tower", "uninterruptible power supply"),
        ("get the most out of up to 12 ppm", ""),
        ("X200 keyboard", "keyboard"),
        ("Lamp 3000 keyboard", "lamp"),
        ("form factor keyboard", "keyboard"),
        ("for a keyboard", "keyboard"),
        ("Box for keyboard", ""),
        ("lone thing", ""),
        ("speciality", ""),
        ("a house speciality", "house speciality"),
        ("", ""),
    ],
)
def test_find_takes_the_last_phrase_of_the_first_part_that_has_one(text: str, wanted: str) -> None:
    assert lexicon().find(text) == wanted


def test_only_the_first_clause_of_a_description_counts() -> None:
    assert lexicon().find_in_first_clause("bright thing, with keyboard") == ""
    assert lexicon().find_in_first_clause("desk lamp; keyboard") == "desk lamps"


def test_admission_and_spelling() -> None:
    known = lexicon()
    assert known.spelling("Desk Lamp") == "desk lamps"
    assert known.spelling("Never Seen") == "never seen"
    assert known.longest_ending("antique desk lamp") == "desk lamps"
    assert known.longest_ending("antique") == ""
    assert "lamp" not in known.whole
    assert {"desk lamps", "house speciality", "keyboard"} <= known.whole


def test_an_empty_lexicon_finds_nothing() -> None:
    assert PhraseLexicon.of([], []).find("desk lamp") == ""


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    known = lexicon()
    assert known.find(text) in {*known.phrases.values(), ""}
    assert known.find_in_first_clause(text) in {*known.phrases.values(), ""}
    assert type_phrase(text) == type_phrase(text).lower()
    assert abbreviation(text) == abbreviation(text).lower()


@given(st.text(), st.text(), st.text())
def test_the_two_parts_of_a_title_are_parts_of_it(title: str, name: str, brand: str) -> None:
    named, tail = title_tail(title, name, brand)
    assert named in title
    assert tail in title

"""Evaluation queries and their variants are found in training, against a slow obvious search as the oracle."""

from __future__ import annotations

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shelfwalk.data.leaks import (
    SHORTEST_MISSPELT_WORD,
    are_word_variants,
    check_no_leak,
    coinciding,
    is_one_edit,
    leaking_queries,
    normalise_query,
)
from shelfwalk.data.plurals import singular
from shelfwalk.errors import UserError

SHORT_WORDS = st.text("abs", max_size=7)
QUERIES = st.lists(SHORT_WORDS, min_size=1, max_size=3).map(" ".join)


def edit_distance(first: str, second: str) -> int:
    """Restricted Damerau-Levenshtein distance by the textbook recursion."""
    table = [[max(i, j) if 0 in (i, j) else 0 for j in range(len(second) + 1)] for i in range(len(first) + 1)]
    for i in range(1, len(first) + 1):
        for j in range(1, len(second) + 1):
            cost = first[i - 1] != second[j - 1]
            table[i][j] = min(table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + cost)
            if i > 1 and j > 1 and first[i - 1] == second[j - 2] and first[i - 2] == second[j - 1]:
                table[i][j] = min(table[i][j], table[i - 2][j - 2] + 1)
    return table[-1][-1]


def words_vary(first: str, second: str) -> bool:
    if singular(first) == singular(second):
        return True
    long_enough = max(len(first), len(second)) >= SHORTEST_MISSPELT_WORD and first.isalpha() and second.isalpha()
    near = edit_distance(first, second) <= 1 or edit_distance(singular(first), singular(second)) <= 1
    return long_enough and near


def queries_vary(first: str, second: str) -> bool:
    """The definition, for queries of lower-case words and spaces."""
    one, two = first.split(), second.split()
    if not one or not two:
        return False
    forms = [{"".join(words), "".join(map(singular, words))} for words in (one, two)]
    return bool(forms[0] & forms[1]) or (len(one) == len(two) and all(map(words_vary, one, two)))


@given(SHORT_WORDS, SHORT_WORDS)
@settings(max_examples=500)
def test_one_edit_is_a_distance_of_at_most_one(first: str, second: str) -> None:
    assert is_one_edit(first, second) == (edit_distance(first, second) <= 1)


@given(SHORT_WORDS, st.integers(0, 6), st.sampled_from(["add", "drop", "replace", "swap"]))
def test_every_single_edit_is_one_edit(word: str, place: int, kind: str) -> None:
    place = min(place, len(word))
    edited = {
        "add": word[:place] + "z" + word[place:],
        "drop": word[:place] + word[place + 1 :],
        "replace": word[:place] + "z" + word[place + 1 :],
        "swap": word[:place] + word[place + 1 : place + 2] + word[place : place + 1] + word[place + 2 :],
    }[kind]
    assert is_one_edit(word, edited)
    assert is_one_edit(edited, word)


@given(st.lists(QUERIES, max_size=12), st.lists(QUERIES, max_size=12))
@settings(max_examples=300)
def test_the_index_finds_what_comparing_all_pairs_finds(training: list[str], evaluation: list[str]) -> None:
    wanted = [(i, j) for i, one in enumerate(training) for j, two in enumerate(evaluation) if queries_vary(one, two)]
    assert leaking_queries(training, evaluation) == wanted


@given(QUERIES, QUERIES)
def test_variants_go_both_ways(first: str, second: str) -> None:
    assert leaking_queries([first], [second]) == leaking_queries([second], [first])


@given(st.text().filter(str.strip))
@example("'")
def test_every_query_leaks_itself_in_any_case(query: str) -> None:
    assert leaking_queries([query], [query]) == [(0, 0)]
    assert leaking_queries([f"  {query}  "], [query]) == [(0, 0)]


@pytest.mark.parametrize(
    ("training", "evaluation"),
    [
        ("Laptops", "laptop"),
        ("batteries", "battery"),
        ("head set", "headset"),
        ("head sets", "headset"),
        ("USB-C hub", "usb c hub"),
        ("usb_c  hub!", "usb c hub"),
        ("ｕｓｂ hub", "usb hub"),
        ("labtop", "laptop"),
        ("latpop", "laptop"),
        ("keybord wireless", "keyboard wireless"),
        ("wireles keybord", "wireless keyboard"),
        ("charging cable", "chargin cable"),
        ("men's shaver", "mens shavers"),
        ("наушник", "наушники"),
    ],
)
def test_variants_are_found(training: str, evaluation: str) -> None:
    assert leaking_queries([training], [evaluation]) == [(0, 0)]


@pytest.mark.parametrize(
    ("training", "evaluation"),
    [
        ("laptop bag", "laptop"),
        ("hub usb", "usb hub"),
        ("lmph400", "lmph401"),
        ("tn 2110", "tn 2120"),
        ("case", "case fan"),
        ("cup", "cap"),
        ("extended warranty", "extender warranty plan"),
        ("", "laptop"),
        ("", ""),
    ],
)
def test_other_queries_are_left_alone(training: str, evaluation: str) -> None:
    assert leaking_queries([training], [evaluation]) == []


def test_a_digit_bars_misspelling_but_not_plurals() -> None:
    assert not are_word_variants("model123", "model124")
    assert are_word_variants("mp3players", "mp3player")


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("  USB-C   Hubs ", "usb c hub"),
        ("Ｌａｐｔｏｐ", "laptop"),
        ("men's", "men"),
        ("c++", "c"),
        ("???", "???"),
        ("", ""),
        ("充電器", "充電器"),
    ],
)
def test_normal_form(query: str, wanted: str) -> None:
    assert normalise_query(query) == wanted


@given(st.text())
def test_normalising_keeps_no_case_no_outer_space_and_no_double_space(query: str) -> None:
    folded = normalise_query(query)
    assert folded == folded.strip()
    assert "  " not in folded
    assert normalise_query(query.upper().lower()) == normalise_query(query.upper())


def test_a_leak_is_refused_with_its_first_cases_and_count() -> None:
    training = ["desk", "laptops", "labtop", "laptop", "monitors", "chair"]
    with pytest.raises(UserError) as refused:
        check_no_leak(training, ["laptop", "monitor"])
    message = str(refused.value)
    assert message.startswith("4 of 6 training queries")
    assert "'laptops' (evaluation has 'laptop')" in message
    assert "…" in message
    check_no_leak(["desk", "chair"], ["laptop", "monitor"])
    check_no_leak([], ["laptop"])
    check_no_leak(["laptop"], [])


def test_a_query_that_meets_two_evaluation_queries_counts_once() -> None:
    with pytest.raises(UserError, match=r"^1 of 1 training queries"):
        check_no_leak(["laptop"], ["laptops", "labtop"])


def test_coinciding_pseudo_queries_are_counted_and_named() -> None:
    report = coinciding(["laptop", "red lamp", "laptops", "lamp"], ["chair", "laptop", "lamps"])
    assert report.pseudo_queries == (0, 2, 3)
    assert report.evaluation_queries == (1, 2)
    assert report.total == 4
    assert str(report) == "3 of 4 pseudo-queries coincide with one of 2 evaluation queries"


def test_many_queries_are_searched_without_comparing_all_pairs() -> None:
    letters = random.Random(0)
    words = ["".join(letters.choices("abcdefghijklmnop", k=9)) for _ in range(20_000)]
    training = [f"{first} {second}" for first, second in zip(words[:10_000], words[10_000:], strict=True)]
    evaluation = [training[number][:-1] for number in range(0, 10_000, 100)]
    found = leaking_queries(training, evaluation)
    assert {(100 * number, number) for number in range(100)} <= set(found)

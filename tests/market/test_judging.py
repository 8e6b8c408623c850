"""True judgements against the slow and obvious mean of grades."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from made_catalogues import DAY, shop

from shelfwalk.market.catalogue import Catalogue
from shelfwalk.market.grades import grades
from shelfwalk.market.judging import COLD_SHARE, INTENTS, Judgements, is_cold, judge
from shelfwalk.market.needs import Visits, draw_visits
from shelfwalk.market.shoppers import draw_shoppers


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return shop(items=200)


@pytest.fixture(scope="module")
def visits(catalogue: Catalogue) -> Visits:
    """Visits of which many share a text, and not all of these an intent."""
    drawn = draw_visits(catalogue, draw_shoppers(catalogue, 20, 1), 400, 2, 0, 30 * DAY)
    texts = [
        "everything" if number % 5 == 0 else query if number % 5 < 3 else f"text {number % 50}"
        for number, query in enumerate(drawn.queries)
    ]
    return Visits(drawn.shopper, drawn.at, drawn.needs, drawn.intents, texts, drawn.targets)


def mean_grades(text: str, visits: Visits, catalogue: Catalogue) -> dict[int, int]:
    """Grade for every visit with the text, keep the most frequent intents, average, round half up."""
    rows = [row for row, other in enumerate(visits.queries) if other == text]
    wishes = visits.intents
    keys = [
        (
            int(wishes.category[row]),
            int(wishes.brand[row]),
            tuple(sorted(wishes.values[row].tolist())),
            float(wishes.price_low[row]),
            float(wishes.price_high[row]),
        )
        for row in rows
    ]
    kept = [key for key, _ in Counter(keys).most_common(INTENTS)]
    graded = [grades(wishes, row, catalogue) for row, key in zip(rows, keys, strict=True) if key in kept]
    mean = np.mean(np.array(graded, np.float64), axis=0)
    rounded = np.floor(mean + 0.5).astype(int)
    return {int(item): int(rounded[item]) for item in np.flatnonzero(rounded)}


def test_a_grade_is_the_mean_over_the_intents(catalogue: Catalogue, visits: Visits) -> None:
    texts = list(dict.fromkeys(visits.queries))
    judged = judge(texts, visits, catalogue, 10_000)
    for number, text in enumerate(texts):
        own = judged.query == number
        assert dict(zip(judged.item[own].tolist(), judged.grade[own].tolist(), strict=True)) == mean_grades(
            text, visits, catalogue
        )
    assert set(judged.grade.tolist()) == {1, 2, 3}


def test_some_text_has_more_intents_than_count(visits: Visits) -> None:
    """Else the test above would show nothing about means."""
    rows = [row for row, text in enumerate(visits.queries) if text == "everything"]
    wishes = visits.intents
    assert (
        len({(int(wishes.category[row]), int(wishes.brand[row]), *wishes.values[row].tolist()) for row in rows})
        > INTENTS
    )


def test_the_best_and_most_popular_are_kept(catalogue: Catalogue, visits: Visits) -> None:
    texts = list(dict.fromkeys(visits.queries))[:40]
    whole, cut = judge(texts, visits, catalogue, 10_000), judge(texts, visits, catalogue, 5)
    popularity = catalogue.features.popularity
    for number in range(len(texts)):
        everything = [(-g, -popularity[i], i) for q, i, g in rows_of(whole) if q == number]
        kept = [(-g, -popularity[i], i) for q, i, g in rows_of(cut) if q == number]
        assert kept == sorted(everything)[:5]
        assert all(first < second for first, second in pairwise(everything))


def test_what_nobody_asks_has_no_judgement(catalogue: Catalogue, visits: Visits) -> None:
    judged = judge([], visits, catalogue, 10)
    assert (len(judged.query), len(judged.item), len(judged.grade)) == (0, 0, 0)


def test_a_query_is_cold_where_enough_of_its_items_are_new() -> None:
    share = round(1 / COLD_SHARE)
    later = np.zeros(100, bool)
    later[50:] = True
    query = [0] * share + [1] * (share + 1) + [2, 2] + [3]
    item = [50, *range(share - 1), 50, *range(share), 1, 50, 1]
    grade = [2] * share + [3] * (share + 1) + [2, 1] + [2]
    judged = Judgements(np.array(query), np.array(item), np.array(grade, np.int32))
    assert is_cold(judged, 5, later).tolist() == [True, False, False, False, False]


def rows_of(judged: Judgements) -> list[tuple[int, int, int]]:
    return list(zip(judged.query.tolist(), judged.item.tolist(), judged.grade.tolist(), strict=True))

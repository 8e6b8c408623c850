"""The split by time, and the queries drawn from after it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_catalogues import wish

from shelfwalk.market.needs import Visits
from shelfwalk.market.splits import BANDS, draw_queries, visits_before

SPLIT = 1_000


def visits_of(before: list[str], after: list[str]) -> Visits:
    """Visits with these texts, at moments before and from the split on."""
    count = len(before) + len(after)
    at = np.array([*np.linspace(0, SPLIT - 1, len(before)), *np.linspace(SPLIT, 2 * SPLIT, len(after))]).astype(
        np.int64
    )
    wishes = wish().take(np.zeros(count, np.int64))
    return Visits(np.zeros(count, np.int32), at, wishes, wishes, [*before, *after], np.zeros(count, np.int64))


texts = st.lists(st.sampled_from([f"query {n}" for n in range(12)]), max_size=60)


@given(texts, texts, st.integers(1, 20), st.integers(0, 5))
def test_queries_are_of_later_visits_and_know_their_past(
    before: list[str], after: list[str], count: int, seed: int
) -> None:
    drawn = draw_queries(visits_of(before, after), SPLIT, count, seed)
    assert len(drawn) == len(drawn.texts) == min(count, len(set(after)))
    assert list(drawn.texts) == [text for text in dict.fromkeys(after) if text in set(drawn.texts)]
    assert drawn.frequency.tolist() == [before.count(text) for text in drawn.texts]
    assert drawn.seen.tolist() == [text in before for text in drawn.texts]
    assert drawn.texts == draw_queries(visits_of(before, after), SPLIT, count, seed).texts


@given(texts, texts)
def test_bands_are_thirds_of_the_earlier_visits(before: list[str], after: list[str]) -> None:
    asked = Counter(before)
    drawn = draw_queries(visits_of(before, after), SPLIT, 1_000, 0)
    for text, band in zip(drawn.texts, drawn.bands, strict=True):
        oftener = sum(count for count in asked.values() if count > asked[text])
        third = min(int(3 * oftener / max(len(before), 1)), 2)
        assert band == ("tail" if asked[text] <= 1 else BANDS[third])


def test_rare_queries_are_not_crowded_out() -> None:
    before = ["head"] * 100 + [f"middle {n % 10}" for n in range(100)] + [f"tail {n}" for n in range(100)]
    drawn = draw_queries(visits_of(before, before), SPLIT, 9, 1)
    counted = Counter(drawn.bands)
    assert (counted["head"], counted.total()) == (1, 9)
    # What the only head query leaves goes to whoever is next.
    assert min(counted["middle"], counted["tail"]) >= 3


def test_a_frequent_query_is_drawn_more_often() -> None:
    after = ["often"] * 20 + [f"once {n}" for n in range(20)]
    draws = [draw_queries(visits_of([], after), SPLIT, 1, seed).texts[0] for seed in range(200)]
    assert draws.count("often") / 200 == pytest.approx(0.5, abs=0.18)


def test_a_visit_at_the_split_is_after_it() -> None:
    assert visits_before(visits_of(["a", "b"], ["c"]), SPLIT) == 2
    assert visits_before(visits_of([], ["c"]), SPLIT) == 0
    assert visits_before(visits_of(["a"], []), SPLIT) == 1
    assert len(draw_queries(visits_of(["a"], []), SPLIT, 5, 0)) == 0

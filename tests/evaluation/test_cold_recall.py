"""Recall of cold items against set arithmetic, and where an evaluation has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.evaluation.cold_recall import COLD_RECALL, cold_recall
from shelfwalk.evaluation.evaluate import Evaluation, evaluate
from shelfwalk.evaluation.judgements import GradedQueries, grade_queries
from shelfwalk.evaluation.rankings import Rankings
from shelfwalk.evaluation.table import grids

if TYPE_CHECKING:
    from conftest import MadeUpShop

ITEMS = [f"i{number}" for number in range(12)]


@given(
    st.lists(st.lists(st.sampled_from(ITEMS), unique=True), min_size=3, max_size=3),
    st.lists(st.dictionaries(st.sampled_from(ITEMS), st.integers(1, 3), min_size=1), min_size=3, max_size=3),
    st.sets(st.sampled_from([*ITEMS, "of another shop"])),
    st.integers(1, 12),
    st.permutations(["q0", "q1", "q2"]),
)
def test_equals_set_arithmetic(
    answers: list[list[str]], grades: list[dict[str, int]], cold: set[str], cutoff: int, order: list[str]
) -> None:
    rankings = Rankings("x", ("q0", "q1", "q2"), answers, [[0.0] * len(answer) for answer in answers])
    graded = GradedQueries({f"q{number}": judged for number, judged in enumerate(grades)}, 2)
    found = dict(zip(order, cold_recall(rankings, graded, order, cold, cutoff), strict=True))
    for number, (answer, judged) in enumerate(zip(answers, grades, strict=True)):
        wanted = [item for item, grade in judged.items() if grade >= 2 and item in cold]
        hits = [item for item in wanted if item in answer[:cutoff]]
        value = found[f"q{number}"]
        assert np.isnan(value) if not wanted else value == pytest.approx(len(hits) / len(wanted))


def evaluated(shop: MadeUpShop, cold: set[str] | None) -> Evaluation:
    return evaluate(shop.channels, shop.judgements, shop.queries, shop.beams, cold_items=cold, resamples=50, seed=1)


def test_where_every_item_is_cold_it_is_recall_and_changes_nothing_else(
    shop: MadeUpShop, evaluation: Evaluation
) -> None:
    found = evaluated(shop, {f"i{number}" for number in range(1500)})
    for channel, scored in found.per_query.items():
        assert scored.values[COLD_RECALL] == pytest.approx(scored.values["R@100"])
        before = evaluation.per_query[channel].values
        assert set(scored.values) - {COLD_RECALL} == set(before)
        assert all(np.array_equal(scored.values[name], values) for name, values in before.items())


def test_it_is_the_mean_over_the_queries_that_have_one(shop: MadeUpShop) -> None:
    graded = grade_queries(shop.judgements)
    cold = {min(graded.relevant("q0")), min(graded.relevant("q1"))}
    found = evaluated(shop, cold)
    values = found.per_query["bm25"].values[COLD_RECALL]
    told = [name for name, value in zip(found.query_ids, values, strict=True) if np.isfinite(value)]
    assert told == [name for name in found.query_ids if graded.relevant(name) & cold]
    assert 2 <= len(told) < len(found.query_ids)
    assert found.figures["bm25"][COLD_RECALL] == pytest.approx(np.nanmean(values))
    table = grids(found)[0]
    assert COLD_RECALL in table.header
    assert f"{COLD_RECALL}: recall of the relevant items that came after the log" in table.note


@pytest.mark.parametrize("cold", [None, set(), {"of another shop"}])
def test_without_a_cold_item_that_is_relevant_there_is_none(shop: MadeUpShop, cold: set[str] | None) -> None:
    found = evaluated(shop, cold)
    assert not any(COLD_RECALL in scored.values for scored in found.per_query.values())
    assert COLD_RECALL not in grids(found)[0].note

"""Measures: equal to ir-measures to the last digit, and to a slow obvious implementation; which queries count."""

from __future__ import annotations

import math

import ir_measures
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.errors import UserError
from shelfwalk.evaluation.metrics import DEFAULT_MEASURES, score
from shelfwalk.evaluation.rankings import Rankings

Grades = dict[str, dict[str, int]]
ITEMS = [f"i{number}" for number in range(30)]
MEASURES = ("R@1", "R@3", "R@10", "nDCG@3", "nDCG@10", "RR", "P@3", "AP")
MEASURES += tuple(f"Judged-{name}" for name in MEASURES)


@st.composite
def judged_runs(draw: st.DrawFn) -> tuple[Rankings, Grades]:
    query_ids = tuple(f"q{number}" for number in range(draw(st.integers(1, 4))))
    pool = st.dictionaries(st.sampled_from(ITEMS), st.integers(0, 3), max_size=10)
    grades = {query_id: draw(pool) for query_id in query_ids}
    grades[query_ids[0]][ITEMS[0]] = 2
    items = [draw(st.lists(st.sampled_from(ITEMS), unique=True, max_size=25)) for _ in query_ids]
    return Rankings("x", query_ids, items, [[0.0] * len(answer) for answer in items]), grades


def table(grades: Grades) -> pa.Table:
    rows = [(query_id, item, grade) for query_id, judged in grades.items() for item, grade in judged.items()]
    columns = list(zip(*rows, strict=True)) if rows else [(), (), ()]
    types = (pa.string(), pa.string(), pa.int64())
    names = ("query_id", "item_id", "grade")
    return pa.table({n: pa.array(c, t) for n, c, t in zip(names, columns, types, strict=True)})


def obvious(measure: str, ranking: list[str], judged: dict[str, int], relevant_grade: int) -> float:
    """The measure by its definition in words, nothing shared with the code under test."""
    if measure.startswith("Judged-"):
        return obvious(measure[7:], [item for item in ranking if item in judged], judged, relevant_grade)
    kind, _, cutoff = measure.partition("@")
    relevant = {item for item, grade in judged.items() if grade >= relevant_grade}
    top = ranking[: int(cutoff)] if cutoff else ranking
    hits = [item in relevant for item in top]
    if kind == "R":
        return sum(hits) / len(relevant)
    if kind == "P":
        return sum(hits) / int(cutoff)
    if kind == "RR":
        return max((1 / place for place, hit in enumerate(hits, 1) if hit), default=0.0)
    if kind == "AP":
        return sum(sum(hits[:place]) / place for place, hit in enumerate(hits, 1) if hit) / len(relevant)
    gains = [judged.get(item, 0) for item in top]
    ideal = sorted(judged.values(), reverse=True)[: int(cutoff)]
    return discounted(gains) / discounted(ideal)


def discounted(gains: list[int]) -> float:
    return sum(gain / math.log2(place + 1) for place, gain in enumerate(gains, 1))


@given(judged_runs())
def test_measures_equal_the_obvious_definition(case: tuple[Rankings, Grades]) -> None:
    rankings, grades = case
    relevant_grade = 2 if max(grade for judged in grades.values() for grade in judged.values()) > 1 else 1
    scored = score(rankings, table(grades), MEASURES)
    expected_queries = [q for q in rankings.query_ids if any(g >= relevant_grade for g in grades[q].values())]
    assert list(scored.query_ids) == expected_queries
    assert scored.left_out == len(rankings.query_ids) - len(expected_queries)
    answers = dict(zip(rankings.query_ids, rankings.item_ids, strict=True))
    for measure in MEASURES:
        wanted = [obvious(measure, answers[q], grades[q], relevant_grade) for q in expected_queries]
        np.testing.assert_allclose(scored.values[measure], wanted, rtol=1e-12, err_msg=measure)


@given(judged_runs())
def test_measures_equal_ir_measures_to_the_last_digit(case: tuple[Rankings, Grades]) -> None:
    rankings, grades = case
    scored = score(rankings, table(grades), ("R@10", "nDCG@10", "RR", "Judged-R@10", "Judged-RR"), relevant_grade=2)
    theirs = {
        "R@10": ir_measures.R(rel=2) @ 10,
        "nDCG@10": ir_measures.nDCG @ 10,
        "RR": ir_measures.RR(rel=2),
        "Judged-R@10": ir_measures.R(rel=2, judged_only=True) @ 10,
        "Judged-RR": ir_measures.RR(rel=2, judged_only=True),
    }
    run = {
        q: {item: -float(r) for r, item in enumerate(items)}
        for q, items in zip(rankings.query_ids, rankings.item_ids, strict=True)
    }
    run = {query_id: answer for query_id, answer in run.items() if answer}
    for name, measure in theirs.items():
        found = {metric.query_id: metric.value for metric in ir_measures.iter_calc([measure], grades, run)}
        assert scored.values[name].tolist() == [found[query_id] for query_id in scored.query_ids]


@given(judged_runs())
def test_unjudged_is_the_share_of_ungraded_items_among_those_shown(case: tuple[Rankings, Grades]) -> None:
    rankings, grades = case
    scored = score(rankings, table(grades), ["Unjudged@10"], relevant_grade=2)
    answers = dict(zip(rankings.query_ids, rankings.item_ids, strict=True))
    for query_id, share in zip(scored.query_ids, scored.values["Unjudged@10"], strict=True):
        top = answers[query_id][:10]
        unjudged = sum(item not in grades[query_id] for item in top)
        assert share == pytest.approx(unjudged / len(top) if top else 0.0)


def test_empty_answers_score_nothing() -> None:
    scored = score(Rankings("x", ("q",), [[]], [[]]), table({"q": {"a": 3}}))
    assert set(scored.values) == set(DEFAULT_MEASURES)
    assert all(values.tolist() == [0.0] for values in scored.values.values())


def test_equal_scores_keep_the_order_given() -> None:
    for order in (["a", "b", "c"], ["c", "b", "a"]):
        scored = score(Rankings("x", ("q",), [order], [[1.0] * 3]), table({"q": {"b": 1}}), ["RR"])
        assert scored.values["RR"].tolist() == [0.5]


@pytest.mark.parametrize(("highest", "level"), [(1, 1), (2, 2), (4, 2)])
def test_relevant_from_two_on_where_grades_go_above_one(highest: int, level: int) -> None:
    grades = {"q": {ITEMS[grade]: grade for grade in range(highest + 1)}}
    scored = score(Rankings("x", ("q",), [[ITEMS[level - 1], ITEMS[level]]], [[2.0, 1.0]]), table(grades), ["RR"])
    assert scored.values["RR"].tolist() == [0.5]


def test_relevant_grade_can_be_chosen() -> None:
    rankings = Rankings("x", ("q",), [["one", "three"]], [[2.0, 1.0]])
    judgements = table({"q": {"one": 1, "three": 3}})
    assert score(rankings, judgements, ["RR"], relevant_grade=1).values["RR"].tolist() == [1.0]
    assert score(rankings, judgements, ["RR"], relevant_grade=3).values["RR"].tolist() == [0.5]


@pytest.mark.parametrize("name", ["R", "Recall 10", "Nonsense@10", "Judged-Unjudged@10", "R@ten", "Judged-RR@10", ""])
def test_measure_that_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="measure"):
        score(Rankings("x", ("q",), [["a"]], [[1.0]]), table({"q": {"a": 1}}), [name])


def bad_table(**columns: list[object]) -> pa.Table:
    return pa.table({"query_id": ["q", "q"], "item_id": ["a", "b"], "grade": [1, 0]} | columns)


@pytest.mark.parametrize(
    ("judgements", "complaint"),
    [
        (bad_table(grade=[0, 0]), "No judged item is relevant: the highest grade is 0"),
        (bad_table(item_id=["a", "a"]), "row 2: item 'a' is graded twice for query 'q'"),
        (bad_table(grade=[1, -1]), "row 2: .*grade -1"),
        (bad_table(grade=[1, None]), "row 2: .*grade None"),
        (bad_table(item_id=[None, "b"]), "row 1: .*item_id None"),
        (bad_table(grade=[1.0, 0.5]), "type double; integers"),
        (bad_table(query_id=["q", "q7"]), r"not in the rankings of channel 'x' \(1 of them, the first 'q7'\)"),
        (
            bad_table().rename_columns(["query_id", "item_id", "rating"]),
            "no column 'grade', only query_id, item_id, rating",
        ),
        (bad_table().slice(0, 0), "The judgements are empty"),
    ],
)
def test_bad_judgements_are_refused_in_one_sentence(judgements: pa.Table, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint) as refused:
        score(Rankings("x", ("q",), [["a"]], [[1.0]]), judgements)
    assert "\n" not in str(refused.value)
    assert str(refused.value).endswith(".")


@pytest.mark.parametrize("level", [0, 5])
def test_relevant_grade_that_leaves_nothing_is_refused(level: int) -> None:
    with pytest.raises(UserError, match="relevant"):
        score(Rankings("x", ("q",), [["a"]], [[1.0]]), bad_table(), relevant_grade=level)

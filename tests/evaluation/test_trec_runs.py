"""Run files: what is written is read back, and any TREC tool sees the same order."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import ir_measures
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.errors import UserError
from shelfwalk.evaluation.rankings import Rankings, read_trec_run, write_trec_run

# Any text that Parquet can hold: no lone surrogates.
IDENTIFIERS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
SCORES = st.floats(min_value=-1e30, max_value=1e30)


@st.composite
def made_up_rankings(draw: st.DrawFn) -> Rankings:
    queries = draw(st.lists(IDENTIFIERS, unique=True, max_size=4))
    items = [draw(st.lists(IDENTIFIERS, unique=True, max_size=6)) for _ in queries]
    scores = [draw(st.lists(SCORES, min_size=len(answer), max_size=len(answer))) for answer in items]
    return Rankings(draw(IDENTIFIERS), tuple(queries), items, scores)


def run_file(folder: Path, text: str) -> Path:
    path = folder / "made-up.run"
    path.write_text(text, encoding="utf-8")
    return path


@given(made_up_rankings())
def test_a_run_is_read_back_in_the_same_order(tmp_path_factory: pytest.TempPathFactory, rankings: Rankings) -> None:
    path = tmp_path_factory.mktemp("runs") / "x.run"
    write_trec_run(rankings, path)
    again = read_trec_run(path, rankings.query_ids)
    assert again.query_ids == rankings.query_ids
    assert again.item_ids == rankings.item_ids
    if any(rankings.item_ids):
        assert again.channel == rankings.channel
    write_trec_run(again, path)
    assert read_trec_run(path, rankings.query_ids) == again, "scores that fall already are kept as they are"


@given(made_up_rankings())
def test_another_reader_sees_six_columns_and_strictly_falling_scores(
    tmp_path_factory: pytest.TempPathFactory, rankings: Rankings
) -> None:
    path = tmp_path_factory.mktemp("runs") / "x.run"
    write_trec_run(rankings, path)
    for line in path.read_bytes().decode("utf-8").split("\n")[:-1]:
        assert len(line.split(" ")) == 6
    scored: dict[str, list[float]] = {}
    for document in ir_measures.read_trec_run(str(path)):
        scored.setdefault(document.query_id, []).append(document.score)
    assert all(a > b for scores in scored.values() for a, b in itertools.pairwise(scores))
    assert sorted(map(len, scored.values())) == sorted(len(items) for items in rankings.item_ids if items)


def test_equal_scores_do_not_let_trec_eval_reorder_by_item_id(tmp_path: Path) -> None:
    # trec_eval breaks ties by falling item id and holds 32-bit floats, where these three scores are one.
    rankings = Rankings("x", ("q",), [["a", "c", "b"]], [[1.0, 1.0 - 1e-12, 1.0 - 2e-12]])
    path = tmp_path / "x.run"
    write_trec_run(rankings, path)
    run = list(ir_measures.read_trec_run(str(path)))
    for place, item_id in enumerate(["a", "c", "b"], start=1):
        found = list(ir_measures.iter_calc([ir_measures.RR], {"q": {item_id: 1}}, iter(run)))
        assert found[0].value == 1 / place


def test_score_that_no_float_holds_is_refused_and_nothing_written(tmp_path: Path) -> None:
    for score in (math.nan, math.inf, 1e300):
        with pytest.raises(ValueError, match="not finite"):
            write_trec_run(Rankings("x", ("q",), [["a"]], [[score]]), tmp_path / "x.run")
    assert list(tmp_path.iterdir()) == []


def test_foreign_run_is_sorted_as_trec_tools_sort(tmp_path: Path) -> None:
    path = run_file(tmp_path, "q Q0 low 1 0.5 theirs\nq Q0 a 2 3 theirs\n\nq Q0 b 3 3 theirs\n")
    assert read_trec_run(path) == Rankings("theirs", ("q",), [["b", "a", "low"]], [[3.0, 3.0, 0.5]])


def test_queries_without_a_line_get_an_empty_answer(tmp_path: Path) -> None:
    path = run_file(tmp_path, "q2 Q0 a 1 1 x\n")
    assert read_trec_run(path, ["q1", "q2"]).item_ids == [[], ["a"]]
    assert read_trec_run(run_file(tmp_path, ""), ["q1"]) == Rankings("made-up", ("q1",), [[]], [[]])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("q Q0 a 1 1 x\nq Q0 b 2\n", r"line 2: 4 columns"),
        ("q Q0 a 1 high x\n", r"line 1: the score 'high'"),
        ("q Q0 a 1 nan x\n", r"line 1: the score 'nan'"),
        ("q Q0 a 1 2 x\nq Q0 a 2 1 x\n", r"line 2: item 'a' comes twice"),
        ("q Q0 a 1 2 x\nq Q0 b 2 1 y\n", r"line 2: a second run 'y'"),
        ("q9 Q0 a 1 2 x\n", r"line 1: query 'q9' is not one"),
    ],
)
def test_malformed_run_is_refused_with_file_and_line(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(UserError, match=rf"made-up\.run, {complaint}"):
        read_trec_run(run_file(tmp_path, text), ["q"])


def test_unreadable_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Cannot read the run file"):
        read_trec_run(tmp_path / "absent.run")
    (tmp_path / "broken.run").write_bytes(b"q Q0 \xff 1 1 x\n")
    with pytest.raises(UserError, match="no UTF-8 text"):
        read_trec_run(tmp_path / "broken.run")


@pytest.mark.parametrize(
    ("query_ids", "items", "scores", "complaint"),
    [
        (("q",), [], [], "differ in length"),
        (("q", "q"), [[], []], [[], []], "a query comes twice"),
        (("q",), [["a"]], [[]], "1 items but 0 scores"),
        (("q",), [["a", "a"]], [[2.0, 1.0]], "an item comes twice"),
    ],
)
def test_rankings_that_cannot_be_are_refused(
    query_ids: tuple[str, ...], items: list[list[str]], scores: list[list[float]], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        Rankings("x", query_ids, items, scores)

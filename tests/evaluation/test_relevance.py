"""Areas under the ROC curve, the label rate by depth, and what is kept and told of a comparison."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from shelfwalk.errors import UserError
from shelfwalk.evaluation.document_tables import with_tables
from shelfwalk.evaluation.relevance import DepthRate, RelevanceScores, area_under_curve, least_step
from shelfwalk.evaluation.relevance_results import ScoredShelf, append_record, compared, read_records, relevance_grid


def scores(skill: float, seed: int = 0, queries: int = 40, items: int = 20) -> RelevanceScores:
    """Made-up pairs: a model of more skill gives relevant ones more, and identifiers agree more often on them."""
    pairs = np.random.default_rng(3)
    relevant = pairs.random(queries * items) < 0.3
    random = np.random.default_rng(seed)
    probabilities = (skill * relevant + random.random(len(relevant))).astype(np.float32)
    depths = np.minimum(random.integers(0, 3, len(relevant)) + relevant, 3)
    names = tuple(f"q{number}" for number in range(queries))
    rows = np.repeat(np.arange(queries), items)
    return RelevanceScores(names, names, rows, np.arange(len(rows)) % 50, relevant, probabilities, depths, 3)


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=40))
def test_the_area_is_that_of_scikit_learn(pairs: list[tuple[int, bool]]) -> None:
    found, relevant = np.array([score for score, _ in pairs], np.float32), np.array([label for _, label in pairs])
    if relevant.all() or not relevant.any():
        assert np.isnan(area_under_curve(found, relevant))
    else:
        assert area_under_curve(found, relevant) == pytest.approx(roc_auc_score(relevant, found), abs=1e-12)


def test_the_area_of_a_resample_is_that_of_its_pairs_written_out() -> None:
    found = scores(0.5, queries=6)
    areas = found.areas(resamples=3, seed=9)
    random = np.random.default_rng(9)
    assert areas[0] == pytest.approx(roc_auc_score(found.relevant, found.probabilities))
    for area in areas[1:]:
        rows = np.concatenate([np.flatnonzero(found.query_rows == query) for query in random.integers(0, 6, 6)])
        assert area == pytest.approx(roc_auc_score(found.relevant[rows], found.probabilities[rows]))


def test_a_universe_of_more_queries_changes_the_draws_only() -> None:
    found = scores(0.5)
    same = found.areas(found.query_ids, resamples=20)
    more = found.areas([*found.query_ids, "another"], resamples=20)
    assert (same == found.areas(resamples=20)).all()
    assert same[0] == more[0]
    assert (same[1:] != more[1:]).any()


def test_one_minus_the_area_of_each_query() -> None:
    found = scores(0.5, queries=5)
    for number, (query, wrong) in enumerate(found.wrong_order().items()):
        rows = found.query_rows == number
        assert query == f"q{number}"
        assert wrong == pytest.approx(1 - roc_auc_score(found.relevant[rows], found.probabilities[rows]))


def test_the_label_rate_by_depth() -> None:
    found = replace(
        scores(1.0, queries=1, items=5),
        relevant=np.array([True, False, False, True, True]),
        depths=np.array([3, 0, 0, 1, 0]),
    )
    rates = found.label_rates()
    assert [(rate.depth, rate.pairs) for rate in rates] == [(0, 3), (1, 1), (2, 0), (3, 1)]
    assert rates[0].relevant_share == pytest.approx(1 / 3)
    assert np.isnan(rates[2].relevant_share)
    assert least_step(rates) == pytest.approx(1.0), "from 1 to 3: a depth that no pair has says nothing"
    assert least_step((DepthRate(0, 4, 0.5), DepthRate(1, 4, 0.25), DepthRate(2, 4, 0.75))) == 0.5
    assert least_step((DepthRate(0, 4, 0.0), DepthRate(1, 4, 0.25))) is None
    assert least_step(()) is None
    assert replace(found, depths=None).label_rates() == ()


def shelves(**skills: float) -> list[ScoredShelf]:
    return [
        ScoredShelf(name.replace("_", "-"), "0" * 16, seed, scores(skill, seed))
        for name, skill in skills.items()
        for seed in range(2)
    ]


def test_a_comparison_is_paired_and_averaged_over_seeds() -> None:
    first, second = compared(shelves(dsirm_no_feature=0.2, dsirm=0.4), "d" * 16, resamples=200)
    assert (first.recipe, first.difference, first.against) == ("dsirm-no-feature", None, "")
    expected = np.mean([scores(0.4, seed).area(1).mean for seed in range(2)])
    assert second.auc[0] == pytest.approx(expected)
    assert second.auc[1] < second.auc[0] < second.auc[2]
    assert second.difference is not None
    assert second.difference[0] == pytest.approx(second.auc[0] - first.auc[0])
    assert 0 < second.difference[1] < second.difference[0] < second.difference[2]
    assert sum(pairs or 0 for pairs, _ in second.depths) == 2 * 800
    assert second.seeds == [0, 1]


def test_the_depth_alone_is_compared_where_there_are_identifiers() -> None:
    plain, *tiger = shelves(dsirm_no_feature=0.2)[0], *shelves(dsirm_tiger=0.3)
    bare = replace(plain, scores=replace(plain.scores, depths=None))
    better = [
        replace(one, recipe="dsirm", scores=replace(one.scores, depths=one.scores.depths + one.scores.relevant))
        for one in tiger
        if one.scores.depths is not None
    ]
    none, reference, ours = compared([bare, *tiger, *better], "d" * 16, resamples=200)
    assert (none.alone, none.alone_difference) == (None, None)
    assert (reference.alone_against, reference.alone_difference) == ("", None)
    expected = [roc_auc_score(one.scores.relevant, one.scores.depths) for one in tiger]
    assert reference.alone is not None
    assert reference.alone[0] == pytest.approx(np.mean(expected))
    assert ours.alone is not None
    assert ours.alone_difference is not None
    assert ours.alone_against == "dsirm-tiger"
    assert ours.alone_difference[0] == pytest.approx(ours.alone[0] - reference.alone[0])
    assert 0 < ours.alone_difference[1] < ours.alone_difference[0] < ours.alone_difference[2]


def test_what_does_not_pair_is_refused() -> None:
    with pytest.raises(UserError, match="same recipe and seed"):
        compared([*shelves(dsirm=0.1), *shelves(dsirm=0.1)], "d", resamples=5)
    strange = shelves(dsirm=0.1)
    other = ScoredShelf("tiger", "", 0, replace(strange[0].scores, item_rows=strange[0].scores.item_rows + 1))
    with pytest.raises(UserError, match="tiger and dsirm of seed 0 were asked about different pairs"):
        compared([*strange, other], "d", resamples=5)


def test_records_are_kept_read_and_shown_in_the_docs(tmp_path: Path) -> None:
    path = tmp_path / "relevance" / "demo.jsonl"
    for skill in (0.1, 0.5):
        for record in compared(shelves(dsirm_no_feature=0.2, dsirm=skill), "d" * 16, resamples=50):
            append_record(path, record)
    assert len(path.read_text().splitlines()) == 4
    records = read_records(path)
    assert [record.recipe for record in records] == ["dsirm-no-feature", "dsirm"]
    assert records[1].auc[0] == pytest.approx(np.mean([scores(0.5, seed).area(1).mean for seed in range(2)]))
    grid = relevance_grid(records)
    assert grid.header[3:7:3] == ("difference to dsirm-no-feature", "relevant at depth 0")
    document = "<!-- table: relevance demo -->\n<!-- end -->\n"
    written = with_tables(document, tmp_path, "docs/x.md")
    assert f"| dsirm | 2 | {records[1].auc[0]:.4f} [" in written
    assert "800 pairs of 40 queries" in written


def test_files_that_are_no_records(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Cannot read the results file"):
        read_records(tmp_path / "none.jsonl")
    (tmp_path / "other.jsonl").write_text('{"recipe": "dsirm"}\n')
    with pytest.raises(UserError, match="no comparison of relevance models"):
        read_records(tmp_path / "other.jsonl")

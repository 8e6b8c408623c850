"""One evaluation put together: what is in it, that its parts agree, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from shelfwalk.errors import UserError
from shelfwalk.evaluation.evaluate import CURVE_CUTOFFS, Evaluation, evaluate
from shelfwalk.evaluation.metrics import score
from shelfwalk.evaluation.rankings import Rankings
from shelfwalk.evaluation.significance import mean_interval, paired_difference

if TYPE_CHECKING:
    from conftest import MadeUpShop

SOURCES = ("bm25", "dense", "generative")


def test_figures_are_the_means_of_what_score_says(shop: MadeUpShop, evaluation: Evaluation) -> None:
    for rankings in shop.channels:
        means = score(rankings, shop.judgements).means()
        assert {name: evaluation.figures[rankings.channel][name] for name in means} == pytest.approx(means)


def test_only_queries_with_a_relevant_item_count(evaluation: Evaluation) -> None:
    assert (len(evaluation.query_ids), evaluation.left_out) == (60, 6)
    assert evaluation.relevant_grade == 2
    assert evaluation.relevant_counts.min() >= 1
    for scored in evaluation.per_query.values():
        assert scored.query_ids == evaluation.query_ids
        assert all(values.shape == (60,) for values in scored.values.values())


def test_own_measures_stand_where_they_belong(evaluation: Evaluation) -> None:
    for channel, measured in evaluation.figures.items():
        assert ("ExclusiveR@100" in measured) == (channel in SOURCES)
        assert ("HitRate@beam10" in measured) == ("HitRate@items100" in measured) == (channel == "generative")
        assert "pvr@10" not in measured, "nothing is known of what was shown"
    generative = evaluation.figures["generative"]
    assert generative["HitRate@beam1"] <= generative["HitRate@beam10"] <= generative["HitRate@beam100"]
    assert generative["Items@beam1"] < generative["Items@beam100"]


def test_exclusive_recall_is_at_most_recall_and_shares_never_exceed_all(evaluation: Evaluation) -> None:
    values = {channel: evaluation.per_query[channel].values for channel in SOURCES}
    for measured in values.values():
        assert np.all(measured["ExclusiveR@100"] <= measured["R@100"] + 1e-12)
    assert np.all(sum(measured["ExclusiveR@100"] for measured in values.values()) <= 1 + 1e-12)
    assert sum(group.pairs for group in evaluation.overlap.found_by) == evaluation.relevant_counts.sum()


def test_curves_rise_and_agree_with_the_recall_figures(evaluation: Evaluation) -> None:
    for channel, curve in evaluation.curves.items():
        assert np.all(np.diff(curve) >= 0)
        assert curve[CURVE_CUTOFFS.index(300)] == pytest.approx(evaluation.figures[channel]["R@300"])
    assert (CURVE_CUTOFFS[0], CURVE_CUTOFFS[-1]) == (1, 300)


def test_intervals_and_comparisons_are_those_of_the_values_per_query(evaluation: Evaluation) -> None:
    for channel, measured in evaluation.intervals.items():
        for measure, interval in measured.items():
            expected = mean_interval(evaluation.per_query[channel].values[measure], seed=1, resamples=500)
            assert [interval.low, interval.high] == pytest.approx([expected.low, expected.high])
    compared = {(c.first, c.second, c.measure): c.outcome for c in evaluation.comparisons}
    assert len(compared) == 10
    for (first, second, measure), outcome in compared.items():
        values = [evaluation.per_query[channel].values[measure] for channel in (first, second)]
        assert outcome == paired_difference(*values, seed=1, resamples=500)


def test_json_holds_plain_numbers_under_the_agreed_names(evaluation: Evaluation) -> None:
    plain = json.loads(json.dumps(evaluation.to_json(), allow_nan=False))
    assert list(plain["figures"]) == ["bm25", "dense", "generative", "bm25+dense", "fused"]
    assert plain["figures"] == evaluation.figures
    assert {"R@10", "R@100", "R@300", "nDCG@10", "RR", "Judged-R@100", "Unjudged@10"} <= set(plain["figures"]["fused"])
    assert (plain["queries"], plain["left_out"]) == (60, 6)
    for channel, measured in plain["intervals"].items():
        for measure, (low, high) in measured.items():
            assert low <= plain["figures"][channel][measure] <= high
    first = plain["comparisons"][0]
    assert (first["first"], first["second"], first["measure"]) == ("fused", "bm25+dense", "R@100")
    assert first["interval"][0] <= first["difference"] <= first["interval"][1]
    assert first["wins"] + first["losses"] + first["ties"] == 60
    assert [part["name"] for part in plain["strata"]] == ["head", "middle", "tail", "one word", "several words"]


def test_same_seed_same_evaluation(shop: MadeUpShop, evaluation: Evaluation) -> None:
    assert shop.evaluate().to_json() == evaluation.to_json()


def test_missing_channels_are_simply_not_compared(shop: MadeUpShop) -> None:
    found = evaluate(shop.channels[:1], shop.judgements, shop.queries.select(["query_id", "query"]), resamples=50)
    assert found.comparisons == ()
    assert "HitRate@beam1" not in found.figures["bm25"]
    assert {part.name for part in found.strata} == {"one word", "several words"}


def test_a_channel_without_answers_scores_nothing(shop: MadeUpShop) -> None:
    ids = shop.channels[0].query_ids
    silent = Rankings("generative", ids, [[] for _ in ids], [[] for _ in ids])
    found = evaluate([shop.channels[0], silent], shop.judgements, shop.queries, resamples=50)
    assert set(found.figures["generative"].values()) == {0.0}
    assert found.figures["bm25"]["ExclusiveR@100"] == pytest.approx(found.figures["bm25"]["R@100"])


def test_judgements_of_an_unknown_query_are_refused(shop: MadeUpShop) -> None:
    stray = pa.concat_tables([shop.judgements, pa.table({"query_id": ["q999"], "item_id": ["i1"], "grade": [2]})])
    with pytest.raises(UserError, match=r"not in the queries \(1 of them, the first 'q999'\)"):
        evaluate(shop.channels, stray, shop.queries)


def test_queries_that_no_judgement_names_are_refused(shop: MadeUpShop) -> None:
    others = pa.table({"query_id": ["x1"], "query": ["usb"]})
    with pytest.raises(UserError, match="not in the queries"):
        evaluate(shop.channels, shop.judgements, others)
    judged_elsewhere = shop.judgements.filter(pc.equal(shop.judgements["grade"], 0))
    with pytest.raises(UserError, match="No judged item is relevant"):
        evaluate(shop.channels, judged_elsewhere, shop.queries)


def test_rankings_of_a_query_that_does_not_exist_are_refused(shop: MadeUpShop) -> None:
    with pytest.raises(UserError, match="'q65', which is not among the queries"):
        evaluate(shop.channels, shop.judgements.slice(0, 20), shop.queries.slice(0, 65))


def test_channels_that_do_not_fit_together_are_refused(shop: MadeUpShop) -> None:
    bm25, dense, *_ = shop.channels
    fewer = Rankings("dense", dense.query_ids[:-1], dense.item_ids[:-1], dense.scores[:-1])
    for channels, beams, complaint in [
        ([], None, "at least one channel"),
        ([bm25, bm25], None, "same name"),
        ([bm25, fewer], None, "different queries"),
        ([bm25, dense], replace(shop.beams, channel="codes"), "'codes', which has no rankings"),
    ]:
        with pytest.raises(ValueError, match=complaint):
            evaluate(channels, shop.judgements, shop.queries, beams)

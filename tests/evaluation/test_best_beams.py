"""Hit rates with the most efficient items only, against sorting them all; and the smallest beam that reaches a rate."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_results import DATA, made_result, write_made_results

from shelfwalk.evaluation.beams import BeamHits, beam_values
from shelfwalk.evaluation.best_beams import Rates, beam_share, best_rate_ratio, smallest_beam_reaching
from shelfwalk.evaluation.claims import Claims
from shelfwalk.evaluation.claims_text import ours
from shelfwalk.evaluation.efficiency_budget import ClusterItems, efficiency_values, grid_measure
from shelfwalk.evaluation.evidence import read_evidence
from shelfwalk.evaluation.judgements import GradedQueries
from shelfwalk.evaluation.results import Result
from shelfwalk.evaluation.verdicts import ClaimVerdict, judge
from shelfwalk.recipes.recipe import load_recipe

GRID = (1, 2, 3, 4, 6)


@st.composite
def beams(draw: st.DrawFn) -> tuple[BeamHits, GradedQueries, dict[str, float]]:
    """A beam over up to six clusters of up to four items, and the efficiency of every item."""
    sizes = draw(st.lists(st.integers(1, 4), min_size=6, max_size=6))
    names = [f"i{number}" for number in range(sum(sizes))]
    rows = np.array(draw(st.permutations(range(len(names)))), np.int64)
    offsets = np.concatenate(([0], np.cumsum(sizes)))
    efficiency = np.array(draw(st.lists(st.integers(0, 3), min_size=len(names), max_size=len(names))), np.float32)
    order = draw(st.permutations(range(6)))[: draw(st.integers(0, 6))]
    top = np.array([[*order, *[-1] * (6 - len(order))]])
    cluster_of = {names[row]: cluster for cluster in range(6) for row in rows[offsets[cluster] : offsets[cluster + 1]]}
    items = ClusterItems.by_efficiency(offsets, rows, names, efficiency)
    relevant = draw(st.sets(st.sampled_from([*names, "elsewhere"]), min_size=1))
    hits = BeamHits(("q",), top, cluster_of, np.array(sizes), items=items)
    return hits, GradedQueries({"q": dict.fromkeys(relevant, 1)}, 1), dict(zip(names, efficiency.tolist(), strict=True))


@given(beams(), st.integers(1, 25))
def test_equals_sorting_all_items_of_the_clusters(
    case: tuple[BeamHits, GradedQueries, dict[str, float]], budget: int
) -> None:
    hits, graded, efficiency = case
    assert hits.items is not None
    found = efficiency_values(("q",), hits.clusters, hits.items, graded, ["q"], budget, GRID)
    for beam in GRID:
        top = set(hits.clusters[0, :beam].tolist())
        inside = [name for name, cluster in hits.cluster_of_item.items() if cluster in top]
        kept = sorted(inside, key=lambda name: (-efficiency[name], int(name[1:])))[:budget]
        relevant = graded.relevant("q")
        assert found[grid_measure(beam, budget)][0] == pytest.approx(len(relevant & set(kept)) / len(relevant))


@given(beams())
def test_a_budget_of_everything_is_the_plain_hit_rate(case: tuple[BeamHits, GradedQueries, dict[str, float]]) -> None:
    hits, graded, _ = case
    assert hits.items is not None
    found = efficiency_values(("q",), hits.clusters, hits.items, graded, ["q"], 100, GRID)
    plain = beam_values(hits, graded, ["q"], GRID)
    assert [found[grid_measure(beam, 100)][0] for beam in GRID] == [plain[f"HitRate@beam{b}"][0] for b in GRID]


def test_beams_wider_than_the_search_was_are_left_out() -> None:
    items = ClusterItems.by_efficiency(np.array([0, 1]), np.array([0]), ["a"], np.array([1.0]))
    graded = GradedQueries({"q": {"a": 1}}, 1)
    found = efficiency_values(("q",), np.array([[0, -1]]), items, graded, ["q"])
    assert list(found) == [grid_measure(1), grid_measure(2)]


def test_a_wider_beam_may_lose_what_is_relevant() -> None:
    """What the publication reports: beyond a point larger beams push good items out of the 1,000."""
    items = ClusterItems.by_efficiency(np.array([0, 1, 2]), np.array([0, 1]), ["a", "b"], np.array([1.0, 2.0]))
    graded = GradedQueries({"q": {"a": 1}}, 1)
    found = efficiency_values(("q",), np.array([[0, 1]]), items, graded, ["q"], 1, (1, 2))
    assert [values[0] for values in found.values()] == [1.0, 0.0]


def test_the_smallest_beam_lies_between_those_of_the_grid() -> None:
    rates = np.array([0.1, 0.3, 0.5, 0.4])
    assert smallest_beam_reaching((1, 10, 20, 40), rates, 0.05) == 1
    assert smallest_beam_reaching((1, 10, 20, 40), rates, 0.3) == 10
    assert smallest_beam_reaching((1, 10, 20, 40), rates, 0.45) == pytest.approx(17.5)
    assert smallest_beam_reaching((1, 10, 20, 40), rates, 0.51) == np.inf


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_a_system_reaches_itself_at_its_own_best_beam(rates: list[float]) -> None:
    share, beam, of_control = beam_share((1, 5, 20, 65), np.array(rates), np.array(rates))
    assert share == pytest.approx(1.0)
    assert beam == pytest.approx(of_control)


def test_the_control_is_taken_at_its_best_beam_and_not_at_its_widest() -> None:
    control = np.array([0.1, 0.4, 0.3])
    assert beam_share((10, 65, 100), np.array([0.2, 0.5, 0.6]), control) == pytest.approx((0.718, 46.667, 65), abs=1e-3)


def test_the_best_hit_rates_are_each_at_a_beam_of_their_own() -> None:
    """As published: 0.4422 at beam 30 over 0.4275 at beam 65, and what wider beams lose counts for neither."""
    treatment, control = np.array([0.4422, 0.43, 0.4]), np.array([0.3, 0.4275, 0.41])
    assert best_rate_ratio((30, 65, 100), treatment, control) == pytest.approx((1.034, 30, 65), abs=1e-3)
    assert best_rate_ratio((30, 65, 100), treatment, control * 0)[0] == np.inf


def verdict(
    tmp_path: Path, rates: Mapping[str, Sequence[float | Rates]], seeds: int = 3, **changes: Any
) -> ClaimVerdict:
    """The verdict on rqkmeans against tiger whose hit rates at beams 1, 2 and 5 are these, one or one a query of 40."""
    results = [
        made_result(
            {"generative": {grid_measure(b): np.full(40, r) for b, r in zip((1, 2, 5), of_recipe, strict=True)}},
            recipe=recipe, recipe_hash=load_recipe(recipe).hash, seed=seed,
        )
        for recipe, of_recipe in rates.items()
        for seed in range(seeds)
    ]  # fmt: skip
    return judged(tmp_path, results, **changes)


def judged(tmp_path: Path, results: Sequence[Result], **changes: Any) -> ClaimVerdict:
    """The verdict on rqkmeans against tiger by these results."""
    write_made_results(tmp_path / "r.jsonl", results)
    claim = {"id": "a", "claim": "A is cheaper", "source": "Somewhere", "published": 0.46, "kind": "smallest beam",
             "data": "d", "treatment": "rqkmeans/generative", "control": "tiger/generative", "below": 0.75}  # fmt: skip
    asked = Claims.model_validate({"data": {"d": {"title": "Something", "hash": DATA}}, "claims": (claim | changes,)})
    return judge(asked, read_evidence(tmp_path), {"d": DATA}, resamples=100)[0]


def test_a_claim_of_a_smaller_beam_is_judged(tmp_path: Path) -> None:
    found = verdict(tmp_path, {"rqkmeans": [0.2, 0.6, 0.7], "tiger": [0.1, 0.3, 0.5]})
    # 0.5 is reached three quarters of the way from beam 1 to beam 2, and tiger's beam is 5.
    assert [found.ours, found.low, found.high] == pytest.approx([0.35] * 3)
    assert (found.verdict, found.seeds) == ("holds", 3)
    assert "beam 2 of 5" in found.why


def test_a_beam_that_some_resamples_never_find_has_no_end(tmp_path: Path) -> None:
    """Half of the queries reach it at once and half hardly ever, so that the mean is just enough."""
    ends = np.repeat([0.0, 1.0], 20)
    values = {
        "rqkmeans": (ends * 0.2, ends * 0.9, ends),
        "tiger": (np.full(40, 0.1), np.full(40, 0.2), np.full(40, 0.5)),
    }
    found = verdict(tmp_path, values)
    assert found.ours == pytest.approx(1.0)
    assert found.low is not None and found.low < 0.75
    assert (found.high, found.verdict) == (np.inf, "cannot tell")
    assert ours(found) == f"1.000 [{found.low:.3f}, never], 3 seeds"
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["high"] is None


def test_a_claim_of_a_better_best_hit_rate_is_judged(tmp_path: Path) -> None:
    rates = {"rqkmeans": [0.2, 0.6, 0.5], "tiger": [0.1, 0.3, 0.5]}
    found = verdict(tmp_path, rates, kind="best hit rate", above=1.0, below=None)
    assert [found.ours, found.low, found.high] == pytest.approx([1.2] * 3)
    assert (found.verdict, found.seeds) == ("holds", 3)
    assert "beam 2 of 5" in found.why
    nothing = verdict(tmp_path / "none", {**rates, "tiger": [0.0] * 3}, kind="best hit rate", above=1.0, below=None)
    assert nothing.why == "no beam up to 5 reaches the best hit rate of tiger/generative, or that is 0"


def test_a_seed_that_never_finds_the_beam_is_no_agreement(tmp_path: Path) -> None:
    """On average it is reached at once; the third training stays below at every beam."""
    rates = {
        "rqkmeans": [[0.6, 0.8, 0.9], [0.6, 0.8, 0.9], [0.3, 0.35, 0.4]],
        "tiger": [[0.1, 0.3, 0.5]] * 3,
    }
    results = [
        made_result(
            {"generative": {grid_measure(b): np.full(40, r) for b, r in zip((1, 2, 5), of_seed, strict=True)}},
            recipe=recipe, recipe_hash=load_recipe(recipe).hash, seed=seed,
        )
        for recipe, of_recipe in rates.items()
        for seed, of_seed in enumerate(of_recipe)
    ]  # fmt: skip
    found = judged(tmp_path, results)
    assert found.high is not None and found.high < 0.75
    assert found.verdict == "cannot tell"
    assert "seeds are from 0.200 to never" in found.why


@settings(max_examples=15)
@given(st.sets(st.integers(0, 3), min_size=1), st.sets(st.integers(0, 3), min_size=1))
def test_both_systems_are_taken_at_the_seeds_that_both_have(
    tmp_path_factory: pytest.TempPathFactory, treatment: set[int], control: set[int]
) -> None:
    rates = np.random.default_rng(2).uniform(0.1, 0.9, (2, 4, 3))
    results = [
        made_result(
            {"generative": {grid_measure(b): np.full(40, r) for b, r in zip((1, 2, 5), of_seed, strict=True)}},
            recipe=recipe, recipe_hash=load_recipe(recipe).hash, seed=seed,
        )
        for (recipe, seeds), of_recipe in zip((("rqkmeans", treatment), ("tiger", control)), rates, strict=True)
        for seed, of_seed in enumerate(of_recipe) if seed in seeds
    ]  # fmt: skip
    found = judged(tmp_path_factory.mktemp("r"), results, kind="best hit rate", above=1.0, below=None)
    shared = sorted(treatment & control)
    if not shared:
        assert found.why == "rqkmeans and tiger have no seed in common"
        return
    best = [
        max(sum(rates[place, seed, beam] for seed in shared) / len(shared) for beam in range(3)) for place in (0, 1)
    ]
    assert found.ours == pytest.approx(best[0] / best[1])
    assert found.seeds == len(shared)


def test_a_hit_rate_that_is_never_reached_cannot_be_told(tmp_path: Path) -> None:
    found = verdict(tmp_path, {"rqkmeans": [0.1, 0.2, 0.3], "tiger": [0.1, 0.3, 0.5]})
    assert (found.verdict, found.why) == (
        "cannot tell", "no beam up to 5 reaches the best hit rate of tiger/generative, or that is 0"
    )  # fmt: skip


def test_results_of_before_the_grid_are_told(tmp_path: Path) -> None:
    plain = {"generative": {"R@10": np.full(9, 0.5)}}
    results = [made_result(plain, recipe=recipe) for recipe in ("rqkmeans", "tiger")]
    write_made_results(tmp_path / "r.jsonl", results)
    found = verdict(tmp_path, {}, seeds=0)
    assert found.verdict == "cannot tell"
    assert grid_measure(1) in found.why

"""Verdicts on claims: the ratio and its interval against a slow bootstrap, and each reason why it cannot be told."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_results import DATA, made_result, write_made_results
from rich.console import Console

from shelfwalk.evaluation.claims import Claims
from shelfwalk.evaluation.claims_text import claims_grid, print_claims, summary
from shelfwalk.evaluation.evidence import MissingRun, missing_runs, read_evidence
from shelfwalk.evaluation.results import Result
from shelfwalk.evaluation.verdicts import ClaimVerdict, judge
from shelfwalk.recipes.recipe import load_recipe

RNG = np.random.default_rng(8)
CONTROL = RNG.uniform(0.2, 0.6, 50)
HASH = {name: load_recipe(name).hash for name in ("rqkmeans", "tiger")}


def claims(*entries: dict[str, Any], **changes: Any) -> Claims:
    base = {"claim": "A beats B", "source": "Somewhere", "published": 1.2, "id": "a"}
    ratio = {
        "kind": "ratio",
        "data": "d",
        "metric": "R@10",
        "treatment": ("rqkmeans/generative",),
        "control": ("tiger/generative",),
        "above": 1.0,
    }
    found = [base | ({} if "kind" in entry else ratio) | entry for entry in entries or ({},)]
    found[0] |= changes
    return Claims.model_validate({"data": {"d": {"title": "Something", "hash": DATA}}, "claims": tuple(found)})


def result(recipe: str, seed: int, values: Any, **settings: Any) -> Result:
    kept = {"R@10": values} if not isinstance(values, dict) else values
    return made_result(
        {"generative": kept}, recipe=recipe, seed=seed, **({"recipe_hash": HASH.get(recipe, "")} | settings)
    )


def both(gain: float = 0.1, seeds: int = 3, noise: float = 0.0) -> list[Result]:
    rng = np.random.default_rng(3)
    treatment = [result("rqkmeans", seed, CONTROL + gain + rng.normal(0, noise, 50)) for seed in range(seeds)]
    return treatment + [result("tiger", seed, CONTROL) for seed in range(seeds)]


def verdict(tmp_path: Path, results: list[Result], asked: Claims, **settings: Any) -> ClaimVerdict:
    write_made_results(tmp_path / "r.jsonl", results)
    return judge(asked, read_evidence(tmp_path), {"d": DATA}, **({"resamples": 400} | settings))[0]


def test_the_ratio_of_means_and_its_bootstrap(tmp_path: Path) -> None:
    results = both(noise=0.2)
    found = verdict(tmp_path, results, claims(), resamples=4000)
    treatment = np.mean([kept.values.values["generative"]["R@10"] for kept in results[:3]], axis=0)
    assert found.ours == pytest.approx(treatment.mean() / CONTROL.mean())
    rng = np.random.default_rng(17)
    drawn = [rng.integers(0, 50, 50) for _ in range(4000)]
    ratios = [treatment[rows].mean() / CONTROL[rows].mean() for rows in drawn]
    ends = np.quantile(ratios, [0.025, 0.975])
    assert [found.low, found.high] == pytest.approx(ends, abs=0.07 * (ends[1] - ends[0]))
    assert (found.seeds, found.verdict) == (3, "holds")


def test_pairing_makes_a_steady_ratio_certain(tmp_path: Path) -> None:
    """Twice the control on every query: whatever queries are drawn, the ratio is two."""
    results = [result("rqkmeans", seed, 2 * CONTROL) for seed in range(3)] + both()[3:]
    found = verdict(tmp_path, results, claims())
    assert [found.low, found.ours, found.high] == pytest.approx([2.0, 2.0, 2.0])


@settings(max_examples=15)
@given(
    st.sampled_from([None, 0.8, 0.999, 1.0, 1.001, 1.2]),
    st.sampled_from([None, 0.9, 1.0, 1.001, 1.3]),
    st.floats(-0.1, 0.1),
)
def test_verdicts_follow_from_where_the_interval_lies(
    tmp_path_factory: pytest.TempPathFactory, above: float | None, below: float | None, gain: float
) -> None:
    if (above is None and below is None) or (above is not None and below is not None and above >= below):
        return
    results = both(gain, noise=0.05)
    found = verdict(tmp_path_factory.mktemp("r"), results, claims(above=above, below=below), resamples=100)
    floor, ceiling = above if above is not None else -9.0, below if below is not None else 9.0
    assert found.low is not None and found.high is not None
    if found.verdict == "holds":
        assert floor < found.low <= found.high < ceiling
    elif found.verdict == "does not hold":
        assert found.high <= floor or found.low >= ceiling
    else:
        assert found.low <= floor < found.high or found.low < ceiling <= found.high


@settings(max_examples=25)
@given(
    st.lists(st.integers(-4, 14).map(lambda steps: steps / 125), min_size=3, max_size=5),
    st.sampled_from([(None, 1.151), (0.951, None), (1.091, 1.211), (1.011, None)]),
)
def test_a_verdict_is_that_of_every_seed(
    tmp_path_factory: pytest.TempPathFactory, gains: list[float], band: tuple[float | None, float | None]
) -> None:
    """The control is steady and the gain the same on every query, so that the interval is a point: seeds decide."""
    control = np.full(50, 0.4)
    results = [result("rqkmeans", seed, control + gain) for seed, gain in enumerate(gains)]
    results += [result("tiger", seed, control) for seed in range(len(gains))]
    above, below = band
    asked = claims(above=above, below=below)
    found = verdict(tmp_path_factory.mktemp("r"), results, asked, resamples=20)
    of_seeds = [(0.4 + gain) / 0.4 for gain in gains]
    inside = {(above or -9.0) < ratio < (below or 9.0) for ratio in (*of_seeds, np.mean(of_seeds))}
    if len(inside) == 2:
        assert found.verdict == "cannot tell"
        assert found.why.endswith(f", but seeds are from {min(of_seeds):.3f} to {max(of_seeds):.3f}")
    else:
        assert found.verdict == ("holds" if inside == {True} else "does not hold")


def test_one_seed_on_the_other_side_is_enough_not_to_tell(tmp_path: Path) -> None:
    """Each query alone is certain, as twice the control is twice it; only the trainings differ."""
    results = [result("rqkmeans", seed, CONTROL * factor) for seed, factor in enumerate((1.3, 1.2, 0.95))]
    found = verdict(tmp_path, results + both()[3:], claims())
    assert found.low is not None and found.low > 1.1
    assert found.verdict == "cannot tell"
    assert found.why == "the interval is inside the band, above 1, but seeds are from 0.950 to 1.300"


def test_seeds_are_paired_by_those_that_both_recipes_have(tmp_path: Path) -> None:
    """Seed by seed the treatment is ahead, though its worst seed is behind the control's best."""
    levels = (1.0, 1.5, 2.0, 0.1)
    results = [result("rqkmeans", seed, CONTROL * level * 1.1) for seed, level in enumerate(levels)]
    results += [result("tiger", seed, CONTROL * level) for seed, level in reversed(list(enumerate(levels[:3])))]
    found = verdict(tmp_path, results, claims(above=0.5))
    assert (found.verdict, found.seeds) == ("holds", 3)
    assert (
        verdict(tmp_path / "more", results, claims(above=0.5, seeds=4)).why == "3 of the 4 seeds that a verdict needs"
    )


SEEDS = st.sets(st.integers(0, 4), min_size=1)


def trainings(of_recipes: dict[str, set[int]], metrics: tuple[str, ...] = ("R@10",)) -> list[Result]:
    """Results of recipes with some seeds each, each at a level of its own; the last seeds first."""
    rng = np.random.default_rng(4)
    return [
        result(
            recipe,
            seed,
            {metric: CONTROL * rng.uniform(0.2, 2) + rng.normal(0, 0.01, 50) for metric in metrics},
            recipe_hash=load_recipe(recipe).hash,
        )
        for recipe, seeds in of_recipes.items()
        for seed in sorted(seeds, reverse=True)
    ]


def mean_over(results: list[Result], recipe: str, seeds: set[int], metric: str = "R@10") -> float:
    """The mean over some seeds of the means over queries."""
    means = [
        float(one.values.values["generative"][metric].mean())
        for one in results
        if one.record.recipe == recipe and one.record.seed in seeds
    ]
    return sum(means) / len(means)


@settings(max_examples=25)
@given(SEEDS, SEEDS)
def test_no_arm_is_of_seeds_that_another_lacks(
    tmp_path_factory: pytest.TempPathFactory, first: set[int], second: set[int]
) -> None:
    results = trainings({"rqkmeans": first, "tiger": second})
    found = verdict(tmp_path_factory.mktemp("r"), results, claims(), resamples=50)
    shared = first & second
    if not shared:
        assert (found.verdict, found.why) == ("cannot tell", "rqkmeans and tiger have no seed in common")
        return
    assert found.ours == pytest.approx(mean_over(results, "rqkmeans", shared) / mean_over(results, "tiger", shared))
    assert found.low is not None and found.high is not None
    assert found.low <= found.ours <= found.high, "the interval is of the same trainings"
    assert found.seeds == len(shared)


@settings(max_examples=15)
@given(SEEDS, SEEDS, SEEDS)
def test_three_recipes_share_their_seeds(
    tmp_path_factory: pytest.TempPathFactory, first: set[int], second: set[int], third: set[int]
) -> None:
    """In a lost share, and in a ratio of two ratios that have but one recipe in common."""
    shared = first & second & third
    results = trainings({"rqkmeans": first, "tiger": second, "cqsid-query": third}, ("R@10", "1-AUC"))
    arm = {"whole": "rqkmeans/generative", "treatment": "tiger/generative", "control": "cqsid-query/generative"}
    asked = claims(
        {"id": "lost", "kind": "lost share", "data": "d", "metric": "1-AUC", **arm, "above": 0.0},
        {"id": "of-both", "kind": "ratio of ratios", "ratios": ("one", "other"), "above": 1.0},
        {"id": "one", "treatment": ("rqkmeans/generative",)},
        {"id": "other", "treatment": ("cqsid-query/generative",)},
    )
    folder = tmp_path_factory.mktemp("r")
    write_made_results(folder / "r.jsonl", results)
    lost, of_both, *_ = judge(asked, read_evidence(folder), {"d": DATA}, resamples=20)
    if not shared:
        assert lost.why == "rqkmeans and tiger and cqsid-query have no seed in common"
        assert of_both.ours is None
        return
    whole, treatment, control = (mean_over(results, arm[name].split("/")[0], shared, "1-AUC") for name in arm)
    if "too near to 0" not in lost.why:
        assert lost.ours == pytest.approx((whole - treatment) / (whole - control))
        assert lost.seeds == len(shared)
    one, other = (mean_over(results, recipe, shared) for recipe in ("rqkmeans", "cqsid-query"))
    assert of_both.ours == pytest.approx(one / other), "tiger is the control of both"
    assert of_both.seeds == len(shared)


def test_arms_are_added_before_they_are_divided(tmp_path: Path) -> None:
    """Both together against the sum of the parts: (A + B) / (C + D)."""
    arms = ("rqkmeans/a", "rqkmeans/b"), ("tiger/c", "tiger/d")
    values = {"a": CONTROL * 3, "b": CONTROL, "c": CONTROL, "d": CONTROL}
    results = [
        made_result(
            {name: {"R@10": found} for name, found in values.items()},
            recipe=recipe,
            recipe_hash=HASH[recipe],
            seed=seed,
        )
        for recipe in HASH
        for seed in range(3)
    ]
    found = verdict(tmp_path, results, claims(treatment=arms[0], control=arms[1]))
    assert found.ours == pytest.approx(2.0)


def test_a_ratio_of_ratios_is_paired(tmp_path: Path) -> None:
    beams = {"HitRate@beam1": CONTROL, "HitRate@beam100": CONTROL + 0.3}
    better = {"HitRate@beam1": CONTROL * 1.3, "HitRate@beam100": (CONTROL + 0.3) * 1.2}
    results = [result("rqkmeans", seed, better) for seed in range(3)] + [
        result("tiger", seed, beams) for seed in range(3)
    ]
    asked = claims(
        {"id": "shrinks", "kind": "ratio of ratios", "ratios": ("one", "hundred"), "above": 1.0},
        {"id": "one", "metric": "HitRate@beam1"},
        {"id": "hundred", "metric": "HitRate@beam100"},
    )
    found = verdict(tmp_path, results, asked)
    assert [found.low, found.ours, found.high] == pytest.approx([1.3 / 1.2] * 3)
    assert (found.verdict, found.seeds) == ("holds", 3)


def test_seeds_of_a_ratio_of_ratios_must_agree(tmp_path: Path) -> None:
    asked = claims(
        {"id": "shrinks", "kind": "ratio of ratios", "ratios": ("one", "hundred"), "above": 1.0},
        {"id": "one", "metric": "HitRate@beam1"},
        {"id": "hundred", "metric": "HitRate@beam100"},
    )
    results = []
    for seed, (one, hundred) in enumerate([(1.5, 1.2), (1.5, 1.2), (1.1, 1.2)]):
        results.append(result("rqkmeans", seed, {"HitRate@beam1": CONTROL * one, "HitRate@beam100": CONTROL * hundred}))
        results.append(result("tiger", seed, {"HitRate@beam1": CONTROL, "HitRate@beam100": CONTROL}))
    found = verdict(tmp_path, results, asked)
    assert found.low is not None and found.low > 1.1
    assert (found.verdict, found.seeds) == ("cannot tell", 3)
    assert "seeds are from 0.917 to 1.250" in found.why


def lost_share(tmp_path: Path, whole: float, without: list[float], none: float = 1.0) -> ClaimVerdict:
    """The verdict on tiger, which lacks a part of rqkmeans, against cqsid-query, which has none; all but constant."""
    factors = {"rqkmeans": [whole] * 3, "tiger": without, "cqsid-query": [none] * 3}
    results = [
        result(recipe, seed, {"1-AUC": CONTROL * factor}, recipe_hash=load_recipe(recipe).hash)
        for recipe, of_seeds in factors.items()
        for seed, factor in enumerate(of_seeds)
    ]
    asked = claims(
        {"kind": "lost share", "data": "d", "metric": "1-AUC", "whole": "rqkmeans/generative",
         "treatment": "tiger/generative", "control": "cqsid-query/generative", "above": 0.0, "below": 0.1}
    )  # fmt: skip
    return verdict(tmp_path, results, asked)


def test_a_lost_share_is_that_of_the_whole_gain(tmp_path: Path) -> None:
    """Of a gain from 1 to 0.8 of the control, what stops at 0.81 lacks a twentieth, and what stops at 0.9 a half."""
    little = lost_share(tmp_path / "little", 0.8, [0.81] * 3)
    assert [little.low, little.ours, little.high] == pytest.approx([0.05] * 3)
    assert (little.verdict, little.seeds) == ("holds", 3)
    half = lost_share(tmp_path / "half", 0.8, [0.9] * 3)
    assert (half.ours, half.verdict) == (pytest.approx(0.5), "does not hold")
    torn = lost_share(tmp_path / "torn", 0.8, [0.79, 0.81, 0.82])
    assert (torn.ours, torn.verdict) == (pytest.approx(1 / 30), "cannot tell")
    assert "seeds are from -0.050 to 0.100" in torn.why


def test_a_gain_that_may_be_none_has_no_shares(tmp_path: Path) -> None:
    found = lost_share(tmp_path, 1.0, [1.01] * 3)
    assert found.why == "the whole gain's 1-AUC is too near to 0 to divide by"


def test_a_part_of_the_queries(tmp_path: Path) -> None:
    labels = {"band": ["head"] * 10 + ["tail"] * 40}
    gain = np.where(np.arange(50) < 10, 0.3, 0.0)
    results = [result("rqkmeans", seed, CONTROL + gain, labels=labels) for seed in range(3)]
    results += [result("tiger", seed, CONTROL, labels=labels) for seed in range(3)]
    head = verdict(tmp_path, results, claims(stratum="head"))
    assert head.ours == pytest.approx((CONTROL[:10] + 0.3).mean() / CONTROL[:10].mean())
    evidence = read_evidence(tmp_path)
    (tail,) = judge(claims(stratum="tail"), evidence, {"d": DATA}, resamples=50)
    assert (tail.ours, tail.verdict) == (1.0, "does not hold")
    (cold,) = judge(claims(stratum="cold start"), evidence, {"d": DATA}, resamples=50)
    assert (cold.verdict, cold.why) == ("cannot tell", "no query of these results is known to be cold start")


def test_a_figure_of_the_identifiers_over_its_seeds(tmp_path: Path) -> None:
    results = [
        result("rqkmeans", seed, CONTROL, identifiers={"levels": [{"gini": 0.4}, {"gini": 0.5 + seed / 10}]})
        for seed in range(3)
    ]
    entry = {"kind": "figure", "data": "d", "recipe": "rqkmeans", "figure": "levels.2.gini"}
    found = verdict(tmp_path, results, claims({**entry, "over": "levels.1.gini", "above": 1.0}))
    assert [found.low, found.ours, found.high] == pytest.approx([0.5 / 0.4, 0.6 / 0.4, 0.7 / 0.4])
    assert found.verdict == "holds"
    evidence = read_evidence(tmp_path)
    (plain,) = judge(claims({**entry, "below": 0.6}), evidence, {"d": DATA})
    assert (plain.verdict, plain.low, plain.high) == ("cannot tell", 0.5, 0.7)
    (absent,) = judge(claims({**entry, "figure": "levels.3.gini", "below": 1.0}), evidence, {"d": DATA})
    assert absent.why == "the results have no figure levels.3.gini of the identifiers"


def test_figures_of_two_recipes_are_divided_seed_by_seed(tmp_path: Path) -> None:
    results = [
        result(recipe, seed, CONTROL, identifiers={"collision_rate": (1 + seed) * factor})
        for recipe, factor in (("rqkmeans", 0.2), ("tiger", 0.1))
        for seed in range(3)
    ]
    entry = {"kind": "figure", "data": "d", "recipe": "rqkmeans", "over_recipe": "tiger", "figure": "collision_rate"}
    found = verdict(tmp_path, results, claims({**entry, "above": 1.0}))
    assert [found.low, found.ours, found.high] == pytest.approx([2.0, 2.0, 2.0])


def test_a_figure_counts_for_the_seeds_that_have_it(tmp_path: Path) -> None:
    """Results of before a figure was measured lack it; the newest line of a seed counts, in whatever file it is."""
    write_made_results(tmp_path / "a.jsonl", [result("tiger", seed, CONTROL) for seed in range(3)])
    later = result("tiger", 0, CONTROL, identifiers={"new": {"share": 0.01}}, time="2031-01-01T00:00:00+00:00")
    write_made_results(tmp_path / "b.jsonl", [later])
    asked = claims({"kind": "figure", "data": "d", "recipe": "tiger", "figure": "new.share", "below": 0.02})
    (found,) = judge(asked, read_evidence(tmp_path), {"d": DATA})
    assert (found.ours, found.seeds, found.verdict) == (0.01, 1, "cannot tell")
    assert found.why.startswith("1 of the 3 seeds that a verdict needs")


@pytest.mark.parametrize(
    ("results", "changes", "why"),
    [
        (both(seeds=2), {}, "2 of the 3 seeds that a verdict needs"),
        (both()[:4], {}, "1 of the 3 seeds"),
        (both()[:3], {}, "no result of tiger on d (dddddddddddddddd) is at hand: run with --data d=FOLDER"),
        (both(), {"metric": "R@7"}, "the results of rqkmeans/generative have no R@7"),
        (both(), {"treatment": ("rqkmeans/fused",)}, "the results of rqkmeans/fused have no R@10"),
        (both()[:3] + [result("tiger", s, CONTROL * 0) for s in range(3)], {}, "the control's R@10 is too near to 0"),
        (both()[:3] + [result("tiger", s, CONTROL[:9]) for s in range(3)], {}, "count different queries"),
    ],
)  # fmt: skip
def test_why_it_cannot_be_told(tmp_path: Path, results: list[Result], changes: dict[str, Any], why: str) -> None:
    found = verdict(tmp_path, results, claims(**changes))
    assert found.verdict == "cannot tell"
    assert why in found.why
    assert not found.why.endswith(".")


def test_values_that_are_lost_are_a_reason(tmp_path: Path) -> None:
    write_made_results(tmp_path / "r.jsonl", both())
    for file in (tmp_path / "values").iterdir():
        file.unlink()
    (found,) = judge(claims(), read_evidence(tmp_path), {"d": DATA})
    assert found.verdict == "cannot tell"
    assert "Cannot read the values per query" in found.why


def test_results_of_other_data_never_count(tmp_path: Path) -> None:
    write_made_results(tmp_path / "r.jsonl", both())
    (other,) = judge(claims(), read_evidence(tmp_path), {"d": "e" * 16})
    assert "no result of rqkmeans on d (eeee" in other.why
    (unknown,) = judge(claims(), read_evidence(tmp_path), {})
    assert unknown.why == "the data d is not at hand: name it with --data d=FOLDER"


def test_an_earlier_version_of_a_recipe_counts_only_where_there_is_none_of_the_present_one(tmp_path: Path) -> None:
    old = [result("rqkmeans", seed, CONTROL * 3, recipe_hash="0" * 16) for seed in range(3)]
    tiger = both()[3:]
    found = verdict(tmp_path / "old", old + tiger, claims())
    assert found.ours == pytest.approx(3.0)
    assert "rqkmeans as an earlier version of its recipe" in found.why
    found = verdict(tmp_path / "new", old + both(), claims())
    assert found.ours == pytest.approx((CONTROL + 0.1).mean() / CONTROL.mean())
    assert "earlier" not in found.why


def test_recipes_that_do_not_exist_are_not_built_whatever_the_kind(tmp_path: Path) -> None:
    asked = claims(
        {"treatment": ("unheard-of/generative",)},
        {"id": "b", "kind": "ratio of ratios", "ratios": ("a", "a"), "above": 1.0},
        {"id": "c", "kind": "figure", "data": "d", "recipe": "unheard-of", "figure": "x", "above": 0.0},
        {"id": "e", "kind": "test", "recipes": ("unheard-of", "untold-of"), "checked_by": ("tests/x.py::test_y",)},
        {"id": "f", "kind": "test", "recipes": ("tiger",), "checked_by": ("tests/x.py::test_y",)},
        {"id": "g", "kind": "test", "recipes": ("tiger",)},
    )
    found = judge(asked, read_evidence(tmp_path), {"d": DATA})
    assert [kept.verdict for kept in found] == ["not built"] * 4 + ["holds", "cannot tell"]
    assert found[0].why == "no recipe is called unheard-of yet"
    assert found[3].why == "no recipe is called unheard-of or untold-of yet"
    assert found[4].why == "a test asserts it: tests/x.py::test_y"


def test_json_has_the_agreed_keys_and_plain_values(tmp_path: Path) -> None:
    found = verdict(tmp_path, both(), claims())
    plain = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert list(plain) == ["claim", "source", "published", "ours", "low", "high", "seeds", "verdict", "why"]
    assert (plain["published"], plain["seeds"], plain["verdict"]) == (1.2, 3, "holds")


def test_missing_runs_are_those_that_no_present_result_is_of(tmp_path: Path) -> None:
    old = [result("rqkmeans", seed, CONTROL, recipe_hash="0" * 16) for seed in range(3)]
    write_made_results(tmp_path / "r.jsonl", [*old, result("tiger", 1, CONTROL)])
    asked = claims({}, {"id": "b", "treatment": ("unheard-of/generative",), "seeds": 9}, {"id": "c", "seeds": 2})
    evidence = read_evidence(tmp_path)
    assert missing_runs(asked, evidence, {"d": DATA}) == (
        MissingRun("d", "rqkmeans", 0),
        MissingRun("d", "rqkmeans", 1),
        MissingRun("d", "rqkmeans", 2),
        MissingRun("d", "tiger", 0),
        MissingRun("d", "tiger", 2),
    )
    assert missing_runs(asked, evidence, {}) == ()
    assert missing_runs(claims(), read_evidence(tmp_path), {"d": "e" * 16})[0] == MissingRun("d", "rqkmeans", 0)


def test_files_of_another_kind_are_left_out_and_named(tmp_path: Path) -> None:
    write_made_results(tmp_path / "r.jsonl", both())
    (tmp_path / "experiments.jsonl").write_text('{"time": "x"}\n', encoding="utf-8")
    evidence = read_evidence(tmp_path)
    assert len(evidence.records) == 6
    (notice,) = evidence.notices
    assert "experiments.jsonl is left out" in notice


def test_words_and_table_tell_every_claim(tmp_path: Path) -> None:
    asked = claims({}, {"id": "b", "treatment": ("unheard-of/generative",)})
    write_made_results(tmp_path / "r.jsonl", both())
    found = judge(asked, read_evidence(tmp_path), {"d": DATA}, resamples=50)
    console = Console(file=io.StringIO(), width=400)
    print_claims(found, console)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "holds: A beats B" in text
    assert "not built: A beats B" in text
    assert f"ours {found[0].ours:.3f} [{found[0].low:.3f}, {found[0].high:.3f}], 3 seeds" in text
    assert summary(found) == "2 claims: 1 holds, 0 do not, 0 cannot be told, 1 is not built yet."
    assert [row[3] for row in claims_grid(found).rows] == ["holds", "not built"]
    assert [row[3] for row in claims_grid(found, built_only=True).rows] == ["holds"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"over": "none"}, "none is 0, by which nothing can be divided"),
        ({"figure": "name"}, "name of the identifiers is no number"),
        ({"over_recipe": "tiger"}, "rqkmeans and tiger have no seed in common"),
    ],
)
def test_why_a_figure_cannot_be_told(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    identifiers = {"share": 0.5, "none": 0, "name": "x"}
    results = [result("rqkmeans", seed, CONTROL, identifiers=identifiers) for seed in range(3)]
    results += [result("tiger", seed, CONTROL, identifiers=identifiers) for seed in (7, 8, 9)]
    entry = {"kind": "figure", "data": "d", "recipe": "rqkmeans", "figure": "share", "above": 0.1}
    found = verdict(tmp_path, results, claims({**entry, **changes}))
    assert (found.verdict, found.why) == ("cannot tell", why)


def test_ratios_over_different_queries_are_not_divided(tmp_path: Path) -> None:
    """As many of them, so that only the queries themselves tell."""
    labels = {"band": ["head"] * 25 + ["tail"] * 25}
    results = [result(recipe, seed, CONTROL, labels=labels) for recipe in HASH for seed in range(3)]
    asked = claims(
        {"id": "x", "kind": "ratio of ratios", "ratios": ("tail", "head"), "above": 1.0},
        {"id": "tail", "stratum": "tail"},
        {"id": "head", "stratum": "head"},
    )
    found = verdict(tmp_path, results, asked)
    assert (found.verdict, found.why) == ("cannot tell", "the two ratios are not over the same queries")


def test_ratios_over_different_data_are_not_divided(tmp_path: Path) -> None:
    """Their queries have the same names, and are others."""
    other = "e" * 16
    results = [
        result(recipe, seed, CONTROL, data_hash=data) for data in (DATA, other) for recipe in HASH for seed in range(3)
    ]
    write_made_results(tmp_path / "r.jsonl", results)
    asked = claims({}, {"id": "b"}, {"id": "x", "kind": "ratio of ratios", "ratios": ("a", "b"), "above": 1.0})
    plain = asked.model_dump()
    plain["data"]["e"] = {"title": "Something else", "hash": other}
    plain["claims"][1]["data"] = "e"
    found = judge(Claims.model_validate(plain), read_evidence(tmp_path), {"d": DATA, "e": other}, resamples=20)
    assert [one.ours for one in found[:2]] == [1.0, 1.0]
    assert (found[2].verdict, found[2].why) == ("cannot tell", "the two ratios are not over the same data")


def test_a_measure_that_no_query_has_in_every_arm(tmp_path: Path) -> None:
    half = np.where(np.arange(50) < 25, CONTROL, np.nan)
    other = np.where(np.arange(50) < 25, np.nan, CONTROL)
    results = [result("rqkmeans", seed, half) for seed in range(3)] + [
        result("tiger", seed, other) for seed in range(3)
    ]
    found = verdict(tmp_path, results, claims())
    assert found.why == "no query has a R@10 in every arm"

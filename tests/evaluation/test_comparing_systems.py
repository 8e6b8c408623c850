"""Systems out of results files: what is put together, what is refused, and verdicts that the tests bear."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_results import made_result, write_made_results

from shelfwalk.errors import UserError
from shelfwalk.evaluation.compare import SystemComparison, compare_systems
from shelfwalk.evaluation.comparison_table import comparison_grids
from shelfwalk.evaluation.significance import holm, mean_interval, randomisation_test
from shelfwalk.evaluation.systems import Run, Systems, read_systems, systems_of

RNG = np.random.default_rng(5)
BASE = RNG.uniform(0.2, 0.8, 80)
BANDS = ["head"] * 30 + ["tail"] * 50


def systems(*results: object, **settings: object) -> Systems:
    return systems_of([Run(result.record, result.values, Path("r.jsonl")) for result in results])  # type: ignore[attr-defined]


def three_seeds(gain: float, noise: float = 0.05, recipe: str = "a") -> list[object]:
    """A system that is `gain` above its fusion baseline, in three seeds."""
    rng = np.random.default_rng(1)
    return [
        made_result(
            {"bm25+dense": {"R@100": BASE}, "fused": {"R@100": BASE + gain + rng.normal(0, noise, 80)}},
            recipe=recipe,
            seed=seed,
            labels={"band": BANDS},
        )
        for seed in (2, 0, 1)
    ]


def only_score(comparison: SystemComparison, system: str, measure: str = "R@100", part: int = 0) -> object:
    return comparison.parts[part].scores[system][measure]


def test_seeds_are_averaged_for_each_query_before_the_test() -> None:
    results = three_seeds(0.01)
    found = only_score(compare_systems(systems(*results), measures=["R@100"], resamples=400), "fused")
    mean = np.mean([result.values.values["fused"]["R@100"] for result in results], axis=0)
    expected = mean_interval(mean - BASE, resamples=400)
    difference = found.difference
    assert [difference.interval.low, difference.interval.mean, difference.interval.high] == pytest.approx(
        [expected.low, expected.mean, expected.high]
    )
    assert difference.p_value == randomisation_test(mean - BASE, permutations=400)[0], "400 for two systems"
    by_seed = [float(result.values.values["fused"]["R@100"].mean()) for result in results]
    assert found.seed_means == pytest.approx((by_seed[1], by_seed[2], by_seed[0])), "in the order of the seeds"
    assert difference.seeds == pytest.approx((min(by_seed) - BASE.mean(), max(by_seed) - BASE.mean()))
    assert difference.wins + difference.losses == 80


@settings(max_examples=25)
@given(st.integers(0, 1000), st.permutations(range(3)), st.integers(1, 3), st.booleans())
def test_systems_that_find_the_same_do_not_differ(start: int, order: list[int], copies: int, steady: bool) -> None:
    """The same trainings in another order, each so many times; steady ones agree on all queries but one."""
    rng = np.random.default_rng(start)
    trained = rng.integers(0, 8, (3, 60)) / rng.integers(8, 13, 60)
    if steady:
        trained[:, 1:] = trained[0, 1:]
    results = [
        made_result({"generative": {"R@100": trained[number], "RR": trained[number] * scale}}, recipe=recipe, seed=seed)
        for recipe, scale, numbers in (("a", 1.0, range(3)), ("b", 0.9, order * copies))
        for seed, number in enumerate(numbers)
    ]
    found = compare_systems(systems(*results), baseline="a/generative", measures=["R@100", "RR"], resamples=50)
    same, other = (only_score(found, "b/generative", measure).difference for measure in ("R@100", "RR"))
    assert (same.wins, same.losses, same.p_value, same.verdict) == (0, 0, 1.0, "no difference shown")
    assert (same.interval.low, same.interval.mean, same.interval.high) == (0.0, 0.0, 0.0)
    assert other.losses > 30, "a difference that is one stays"


@pytest.mark.parametrize(("gain", "verdict"), [(0.1, "better"), (-0.1, "worse"), (0.0, "no difference shown")])
def test_verdicts_follow_the_difference(gain: float, verdict: str) -> None:
    comparison = compare_systems(systems(*three_seeds(gain)), measures=["R@100"], resamples=400)
    assert only_score(comparison, "fused").difference.verdict == verdict
    assert only_score(comparison, "bm25+dense").difference is None
    assert comparison.baseline == "bm25+dense"


def test_every_test_of_the_table_is_corrected_for() -> None:
    rng = np.random.default_rng(0)
    values = {
        name: {measure: BASE + gain + rng.normal(0, 0.1, 80) for measure in ("R@100", "RR", "Unjudged@10")}
        for name, gain in (("x", 0.0), ("y", 0.025), ("z", 0.03))
    }
    found = systems(made_result(values, labels={"band": BANDS}))
    comparison = compare_systems(
        found, baseline="x", measures=["R@100", "RR", "Unjudged@10"], parts=["all", "head"], resamples=500
    )
    tested = [
        score.difference
        for part in comparison.parts
        for measured in part.scores.values()
        for measure, score in measured.items()
        if score.difference is not None and measure != "Unjudged@10"
    ]
    assert comparison.tests == len(tested) == 2 * 2 * 2
    assert [difference.corrected for difference in tested] == pytest.approx(
        holm(np.array([difference.p_value for difference in tested])).tolist()
    )
    assert any(d.p_value < 0.05 <= d.corrected for d in tested), "the correction takes some verdicts away"
    unjudged = only_score(comparison, "y", "Unjudged@10").difference
    assert unjudged.verdict is None, "more unjudged items are no merit"


def test_the_false_alarms_of_a_whole_table_stay_rare() -> None:
    """Of tables of twelve systems that differ by chance alone, about one in twenty says anything."""
    rng = np.random.default_rng(9)
    alarms = 0
    for _ in range(60):
        values = {f"s{number}": {"R@100": rng.normal(size=40)} for number in range(13)}
        comparison = compare_systems(systems(made_result(values)), baseline="s0", measures=["R@100"], resamples=400)
        verdicts = {measured["R@100"].difference.verdict for measured in list(comparison.parts[0].scores.values())[1:]}
        alarms += verdicts != {"no difference shown"}
    assert alarms <= 9, "beyond what one in twenty of sixty gives in 99.9 % of trials"


def test_parts_are_their_members_only() -> None:
    comparison = compare_systems(systems(*three_seeds(0.02)), measures=["R@100"], parts=["tail", "all"], resamples=50)
    assert [(part.name, part.queries) for part in comparison.parts] == [("tail", 50), ("all", 80)]
    assert only_score(comparison, "bm25+dense").mean.mean == pytest.approx(BASE[30:].mean())


def test_a_hit_rate_comes_with_its_price() -> None:
    values = {
        "generative": {"HitRate@beam10": [0.5, 0.7], "Items@beam10": [30, 50], "HitRate@items100": [0.2, 0.2]},
        "other": {"HitRate@beam10": [0.5, 0.7], "RR": [1, 1]},
    }
    found = compare_systems(
        systems(made_result(values)),
        baseline="generative",
        measures=["HitRate@beam10", "HitRate@items100"],
        resamples=9,
    )
    assert only_score(found, "generative", "HitRate@beam10").price == 40.0
    assert only_score(found, "generative", "HitRate@items100").price is None
    assert only_score(found, "other", "HitRate@beam10").price is None
    assert "HitRate@items100" not in found.parts[0].scores["other"]


def test_a_measure_without_a_value_for_some_queries_is_compared_on_the_others() -> None:
    values = {"x": {"pvr@10": [0.5, np.nan, 0.1]}, "y": {"pvr@10": [0.6, np.nan, 0.3]}}
    found = compare_systems(systems(made_result(values)), baseline="x", measures=["pvr@10"], resamples=50)
    assert only_score(found, "y", "pvr@10").difference.interval.mean == pytest.approx(0.15)


@settings(max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 6)), min_size=1, max_size=6))
def test_channels_that_recipes_share_are_one_system(recipes: list[tuple[int, int]]) -> None:
    """Recipes with equal dense vectors share the dense channel; BM25 is everyone's; each generates by itself.

    However many seeds each has: a mean of five equal values is not always that of three, in the last digit.
    """
    results = [
        made_result(
            {
                "bm25": {"R@100": BASE, "ExclusiveR@100": BASE * number},
                "dense": {"R@100": BASE / (1 + kind)},
                "generative": {"R@100": BASE * (number + 1) / 9},
            },
            recipe=f"r{number}",
            seed=seed,
        )
        for number, (kind, seeds) in enumerate(recipes)
        for seed in range(seeds)
    ]
    found = systems(*results)
    names = [system.name for system in found.systems]
    assert len(set(names)) == len(names)
    kinds = {kind for kind, _ in recipes}
    assert "bm25" in names
    assert len([name for name in names if name.endswith("dense")]) == len(kinds)
    assert len([name for name in names if name.endswith("generative")]) == len(recipes)
    members = [member for system in found.systems for member in system.members]
    assert sorted(members) == sorted(f"r{n}/{c}" for n in range(len(recipes)) for c in ("bm25", "dense", "generative"))
    bm25 = found.named("bm25")
    assert ("ExclusiveR@100" in bm25.values) == (len(recipes) == 1), "what only it found depends on the others"
    assert found.named("r0/dense") is found.named(next(s.name for s in found.systems if "r0/dense" in s.members))


@pytest.mark.parametrize("older", [0, 1])
def test_a_measure_that_older_results_lack_is_that_of_those_that_have_it(older: int) -> None:
    """BM25 stays one system, with the newer one's figure; of the generative channels one has it and one has not."""
    cold = np.where(np.arange(len(BASE)) < 9, BASE / 2, np.nan)
    results = [
        made_result(
            {
                channel: {"R@100": values} | ({} if number == older else {"ColdR@100": cold * (1 + number)})
                for channel, values in (("bm25", BASE), ("generative", BASE * (number + 1) / 9))
            },
            recipe=f"r{number}",
        )
        for number in range(2)
    ]
    found = systems(*results)
    assert [system.name for system in found.systems] == ["bm25", "r0/generative", "r1/generative"]
    compared = compare_systems(found, baseline="bm25", measures=["R@100", "ColdR@100"], resamples=50)
    (part,) = compared.parts
    assert {name for name, of in part.scores.items() if "ColdR@100" in of} == {"bm25", f"r{1 - older}/generative"}
    assert part.scores["bm25"]["ColdR@100"].mean.mean == pytest.approx(np.nanmean(cold) * (2 - older))
    rows = {row[0]: row for row in comparison_grids(compared, ["means"])[0].rows}
    assert rows[f"r{older}/generative"][2] == "–"
    with pytest.raises(UserError, match='has no "ColdR@100": take another baseline, one of bm25'):
        compare_systems(found, baseline=f"r{older}/generative", measures=["ColdR@100"])


@settings(max_examples=30)
@given(st.sets(st.integers(0, 5)), st.sampled_from(["dense", "bm25", "*"]))
def test_what_is_asked_for_is_of_the_recipes_that_are_asked_for(left_out: set[int], channel: str) -> None:
    """Five recipes of six share a dense channel; leaving some out leaves the others' members, and no name says more.

    The shared one needs no recipe in its name once the sixth is out; the sixth's stays its own.
    """
    results = [
        made_result({"bm25": {"RR": [1, 0]}, "dense": {"RR": [number // 5, 1]}}, recipe=f"r{number}")
        for number in range(6)
    ]
    found = systems(*results)
    assert [system.name for system in found.systems] == ["bm25", "r0 and 4 more/dense", "r5/dense"]
    assert [system.name for system in found.only(["*"]).systems] == [system.name for system in found.systems]
    patterns = [f"*/{channel}", *(f"!r{number}/*" for number in left_out)]
    channels = ["bm25", "dense"] if channel == "*" else [channel]
    members = {f"r{number}/{name}" for number in range(6) for name in channels if number not in left_out}
    if not members:
        with pytest.raises(UserError, match="No system in these results is like"):
            found.only(patterns)
        return
    kept = found.only(patterns)
    assert {member for system in kept.systems for member in system.members} == members
    assert {record.recipe for record in kept.records} == {member.partition("/")[0] for member in members}
    for system in kept.systems:
        by_channel = system.channel == "bm25" or 5 in left_out
        assert system.name == system.channel if by_channel else system.name.startswith(system.members[0][:2])
        assert system.values == found.named(system.members[0]).values


def test_two_versions_of_a_recipe_are_two_systems() -> None:
    one = made_result({"fused": {"RR": [1, 0]}}, recipe_hash="aaaa111122223333")
    other = made_result({"fused": {"RR": [0, 0]}}, recipe_hash="bbbb111122223333")
    assert [system.name for system in systems(one, other).systems] == ["rqkmeans@aaaa/fused", "rqkmeans@bbbb/fused"]


def test_of_one_recipe_and_seed_the_newest_line_counts(tmp_path: Path) -> None:
    old = made_result({"fused": {"RR": [0, 0]}}, time="2030-01-01T00:00:00+00:00")
    new = made_result({"fused": {"RR": [1, 1]}}, time="2030-01-02T00:00:00+00:00")
    path = write_made_results(tmp_path / "r.jsonl", [new, old])
    (system,) = read_systems([path]).systems
    assert system.values["RR"].tolist() == [[1.0, 1.0]]
    (record,) = read_systems([path, path]).records
    assert record.time == new.record.time


def test_several_files_are_read_together(tmp_path: Path) -> None:
    first = write_made_results(tmp_path / "a" / "r.jsonl", [made_result({"fused": {"RR": [1, 0]}}, seed=0)])
    second = write_made_results(tmp_path / "b" / "r.jsonl", [made_result({"fused": {"RR": [0, 0]}}, seed=1)])
    (system,) = read_systems([first, second]).systems
    assert (system.name, system.seeds, system.per_query("RR").tolist()) == ("fused", (0, 1), [0.5, 0.0])


def test_mixed_data_is_refused_and_one_of_it_can_be_chosen(tmp_path: Path) -> None:
    results = [made_result({"fused": {"RR": [1, 0]}}, data_hash=name * 16) for name in "ab"]
    path = write_made_results(tmp_path / "r.jsonl", results)
    with pytest.raises(UserError, match=r"on different data, aaaaaaaaaaaaaaaa .* and bbbbbbbbbbbbbbbb") as refused:
        read_systems([path])
    assert "\n" not in str(refused.value)
    assert read_systems([path], "b" * 16).records[0].data_hash == "b" * 16
    with pytest.raises(UserError, match="no results on data cccc"):
        read_systems([path], "c" * 16)


def test_query_sets_that_do_not_pair_are_refused(tmp_path: Path) -> None:
    results = [made_result({"fused": {"RR": [1, 0]}}), made_result({"fused": {"RR": [1, 0, 1]}}, recipe="tiger")]
    path = write_made_results(tmp_path / "r.jsonl", results)
    with pytest.raises(UserError, match=r"do not pair: .* counts 2 queries .* 3 others") as refused:
        read_systems([path])
    assert "\n" not in str(refused.value)


def test_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Cannot read the results file"):
        read_systems([tmp_path / "absent.jsonl"])
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    with pytest.raises(UserError, match="There are no results in"):
        read_systems([empty])
    path = write_made_results(tmp_path / "r.jsonl", [made_result({"fused": {"RR": [1, 0]}})])
    next((tmp_path / "values").iterdir()).unlink()
    with pytest.raises(UserError, match="Cannot read the values per query"):
        read_systems([path])


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ({"baseline": "nobody"}, 'no system "nobody" in these results: take one of bm25.dense, fused'),
        ({"measures": ["R@7"]}, 'no measure "R@7" in these results: take one of R@100, RR'),
        ({"measures": ["RR"]}, 'The baseline bm25.dense has no "RR": take another baseline, one of fused'),
        ({"parts": ["middle"]}, 'in the part "middle": take one of all, head, tail'),
        ({"parts": ["tale"]}, 'in the part "tale"'),
    ],
)
def test_what_is_not_there_is_refused_by_name(asked: dict[str, object], complaint: str) -> None:
    values = {"bm25+dense": {"R@100": BASE}, "fused": {"R@100": BASE, "RR": BASE}}
    found = systems(made_result(values, labels={"band": BANDS}))
    with pytest.raises(UserError, match=complaint):
        compare_systems(found, resamples=9, **({"measures": ["R@100"]} | asked))  # type: ignore[arg-type]


def test_a_table_of_many_tests_can_still_show_a_difference() -> None:
    values = {f"s{number}": {"R@100": BASE + 0.1 * (number > 0)} for number in range(25)}
    comparison = compare_systems(systems(made_result(values)), baseline="s0", measures=["R@100"], resamples=10)
    assert only_score(comparison, "s3").difference.verdict == "better"

"""The hourglass measured on codes, and its tables: figures against the codes, and documents that differ are told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from made_results import made_result, write_made_results

from shelfwalk.errors import UserError
from shelfwalk.evaluation.document_tables import differing, with_tables
from shelfwalk.evaluation.hourglass_codes import (
    KIND,
    CodesMeasurement,
    level_figures,
    measure_codes,
    mixture_with_outliers,
    principal_components,
    removals_for,
)
from shelfwalk.evaluation.hourglass_probes import HourglassProbes, Probe
from shelfwalk.evaluation.hourglass_tables import codes_tables, spread
from shelfwalk.evaluation.measurements import read_measurements
from shelfwalk.evaluation.results import append_result
from shelfwalk.evaluation.significance import Interval
from shelfwalk.tokenizers.diagnosis import diagnose
from shelfwalk.tokenizers.level_removal import ShortenedLevels
from shelfwalk.tokenizers.residual_kmeans import ResidualKMeansTokenizer

SIZES = (4, 16, 16)


def measurement(seed: int, **changes: object) -> CodesMeasurement:
    found, cures = measure_codes(mixture_with_outliers(seed, 600), SIZES, seed)
    made = CodesMeasurement(
        KIND, "2030-01-01T00:00:00+00:00", "made up", "d" * 16, "text", 600, list(SIZES), seed, found.waist, found.gap,
        level_figures(found), cures,
    )  # fmt: skip
    return replace(made, **changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results with the codes of two seeds."""
    results = tmp_path_factory.mktemp("results")
    for seed in range(2):
        append_result(results / "hourglass" / "codes.jsonl", measurement(seed))
    return results


def test_every_cure_is_measured_on_the_same_codes() -> None:
    vectors = mixture_with_outliers(0, 600)
    items = pa.table({"item_id": [str(row) for row in range(600)]})
    codes = ResidualKMeansTokenizer(SIZES, seed=0).fit(items, vectors).encode(items, vectors)
    found, cures = measure_codes(vectors, SIZES, 0)
    assert [level.use.gini for level in found.levels] == [level.gini for level in diagnose(codes, SIZES).levels]
    for cure, (name, removal) in zip(cures, removals_for(16).items(), strict=True):
        levels = ShortenedLevels.of(codes, SIZES, removal)
        shortened = diagnose(levels.shorten(codes), levels.level_sizes)
        assert (cure["name"], cure["collision_rate"]) == (name, shortened.collision_rate)
    plain, removed, *adaptive = cures
    assert (plain["shortened_share"], removed["shortened_share"]) == (0.0, 1.0)
    for cure in adaptive:
        assert plain["collision_rate"] <= cure["collision_rate"] <= removed["collision_rate"]
        assert 0 < cure["shortened_share"] < 1


def test_principal_components_keep_the_most_variance() -> None:
    random = np.random.default_rng(0)
    vectors = (random.normal(size=(400, 5)) * [1, 9, 1, 4, 1] + 3).astype(np.float32)
    found = principal_components(vectors, 2)
    assert (found.shape, found.dtype) == ((400, 2), np.float32)
    assert sorted(found.std(axis=0).round().tolist()) == [4, 9]
    assert np.abs(found.mean(axis=0)).max() < 1e-3


def test_the_tables_tell_the_means_and_the_range_over_seeds(folder: Path) -> None:
    text = codes_tables(folder)
    lines = read_measurements(folder / "hourglass" / "codes.jsonl", KIND)
    ginis = [line["levels"][1]["gini"] for line in lines]
    assert f"{np.mean(ginis):.3f} ({min(ginis):.3f}–{max(ginis):.3f})" in text
    deviations = [np.mean([line["levels"][level]["standard_deviation"] for line in lines]) for level in range(3)]
    assert f"| {', '.join(f'{deviation:.0f}' for deviation in deviations)} |" in text
    assert f"{sum(line['waist'] == 2 for line in lines)} of 2" in text
    collisions = np.mean([line["cures"][1]["collision_rate"] for line in lines])
    assert f"| made up | 4 × 16 × 16 | level removed | 100.0% | {collisions:.1%} |" in text


def test_a_document_whose_table_differs_is_told(folder: Path, tmp_path: Path) -> None:
    document = tmp_path / "doc.md"
    document.write_text("<!-- table: hourglass-codes -->\n<!-- end -->\n", encoding="utf-8")
    assert differing([document], folder) == [document]
    written = with_tables(document.read_text(encoding="utf-8"), folder, "doc.md")
    document.write_text(written, encoding="utf-8")
    assert differing([document], folder) == []
    document.write_text(written.replace("made up", "made of", 1), encoding="utf-8")
    assert differing([document], folder) == [document]


def test_a_table_of_nothing_measured_is_refused(tmp_path: Path) -> None:
    for name, word in (("hourglass-codes", "codes"), ("hourglass-cures", "trained")):
        with pytest.raises(UserError, match=f"run benchmarks/hourglass.py {word}"):
            with_tables(f"<!-- table: {name} -->\n<!-- end -->\n", tmp_path, "doc.md")


def probes(seed: int, recall: float) -> HourglassProbes:
    one = {beam: Interval(0.1 * beam ** 0.5 + seed / 100, 0.0, 1.0) for beam in (1, 10, 100)}  # fmt: skip
    chance = {1: 0.01, 10: 0.1, 100: 0.9}
    head = Probe("head", 7, one, chance, Interval(recall, 0.0, 1.0))
    return HourglassProbes(2, 5, 0.51, (head,), (Probe("nothing given", 9, one, chance, None),))


def test_the_cures_and_the_probes_of_trained_shelves(tmp_path: Path) -> None:
    figures = {
        "HitRate@beam10": [0.5, 0.7],
        "HitRate@items1000": [0.8, 0.8],
        "R@100": [0.5, 0.5],
        "nDCG@10": [0.1, 0.3],
    }
    made = [
        made_result(
            {"generative": figures},
            recipe=recipe,
            seed=seed,
            identifiers={"levels": [{}] * levels, "collision_rate": rate} | shortened,
        )
        for seed in range(2)
        for recipe, levels, rate, shortened in (
            ("plain-400", 3, 0.25, {}),
            ("share-400", 3, 0.5, {"shortened_share": 0.2}),
            ("removal-400", 2, 0.75, {}),
        )
    ]
    write_made_results(tmp_path / "hourglass" / "shop.jsonl", made)
    for seed, recall in enumerate((0.5, 0.7)):
        about = {"time": "", "data": "shop", "data_hash": "d", "recipe": "plain-400", "recipe_hash": "h", "seed": seed}
        append_result(tmp_path / "hourglass" / "probes.jsonl", probes(seed, recall).measurement(**about))
    text = with_tables("<!-- table: hourglass-cures -->\n<!-- end -->\n", tmp_path, "doc.md")
    assert "| shop | removal-400 | 2 | 0.0% | 75.0% |" in text
    assert "| shop | plain-400 | 3 | 0.0% | 25.0% | 0.600 | 0.800 | 0.500 | 0.200 | 2 |" in text
    assert "| shop | share-400 | 3 | 20.0% | 50.0% |" in text
    assert "| shop | plain-400 | head | 0.321 (0.316–0.326), by chance 0.100 | 0.600 (0.500–0.700) | 7 | 2 |" in text
    assert "| shop | plain-400 | nothing given | 0.321 (0.316–0.326), by chance 0.100 |  | 9 | 2 |" in text


def test_of_a_recipe_that_was_changed_only_the_newest_version_counts(tmp_path: Path) -> None:
    """The earlier version has a seed more, in the results and in the probes."""
    for version, seeds, value, recall in (("old", range(3), 0.1, 0.2), ("new", range(2), 0.5, 0.6)):
        time = f"203{int(version == 'new')}-01-01T00:00:00+00:00"
        figures = {name: [value] * 2 for name in ("HitRate@beam10", "HitRate@items1000", "R@100", "nDCG@10")}
        identifiers = {"levels": [{}] * 3, "collision_rate": value}
        about = {"recipe": "plain-400", "recipe_hash": version}
        write_made_results(
            tmp_path / "hourglass" / "shop.jsonl",
            [
                made_result({"generative": figures}, **about, seed=seed, identifiers=identifiers, time=time)
                for seed in seeds
            ],
        )
        for seed in seeds:
            measured = probes(seed, recall).measurement(time=time, data="shop", data_hash="d", seed=seed, **about)
            append_result(tmp_path / "hourglass" / "probes.jsonl", measured)
    text = with_tables("<!-- table: hourglass-cures -->\n<!-- end -->\n", tmp_path, "doc.md")
    assert "| shop | plain-400 | 3 | 0.0% | 50.0% | 0.500 | 0.500 | 0.500 | 0.500 | 2 |" in text
    assert "by chance 0.100 | 0.600 | 7 | 2 |" in text


def test_a_spread_of_equal_figures_is_one() -> None:
    assert spread([0.25, 0.25]) == "0.250"
    assert spread([0.1, 0.3]) == "0.200 (0.100–0.300)"


def test_measurements_are_read_by_kind_and_half_a_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    assert read_measurements(path, "a") == []
    path.write_text('{"kind": "a", "x": 1}\n{"kind": "b"}\n{"kind": "a", "x": 2}\n{"kind": "a", "x"', encoding="utf-8")
    assert [line["x"] for line in read_measurements(path, "a")] == [1, 2]


@pytest.mark.parametrize(("line", "complaint"), [('{"kin', "line 1 is no JSON"), ("[1]", "line 1 is no measurement"),
                                                 (json.dumps({"a": 1}), "line 1 is no measurement")])  # fmt: skip
def test_what_is_no_measurement_is_named(tmp_path: Path, line: str, complaint: str) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text(f'{line}\n{{"kind": "a"}}\n', encoding="utf-8")
    with pytest.raises(UserError, match=complaint):
        read_measurements(path, "a")

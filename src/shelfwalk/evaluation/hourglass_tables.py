"""The hourglass in tables: how evenly levels are used, what the cures do to identifiers and to retrieval, the probes.

In: the files of benchmarks/hourglass.py in a folder. Out: Markdown for the docs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from shelfwalk.errors import UserError
from shelfwalk.evaluation.evidence import of_one_version
from shelfwalk.evaluation.grids import Grid, markdown_parts
from shelfwalk.evaluation.hourglass_codes import KIND
from shelfwalk.evaluation.hourglass_probes import KIND as PROBES_KIND
from shelfwalk.evaluation.measurements import read_measurements
from shelfwalk.evaluation.results import ResultRecord, read_results
from shelfwalk.evaluation.systems import newest

FOLDER = "hourglass"
"""Below the results."""
CODES, PROBES = "codes.jsonl", "probes.jsonl"
_SPREAD = "Means over the seeds, in brackets the smallest and the largest."
_PROBED_BEAM = "10"
_CURED = "text"
_RETRIEVAL = ("HitRate@beam10", "HitRate@items1000", "R@100", "nDCG@10")
Lines = Sequence[Mapping[str, Any]]
_Line = TypeVar("_Line")


def codes_tables(results: Path) -> str:
    """How evenly each level is used, by data, vectors and shape; and the cures on identifiers of whole text vectors.

    Raises UserError where nothing is measured yet.
    """
    folder = results / FOLDER
    groups = _grouped(
        read_measurements(folder / CODES, KIND), lambda line: (line["data"], line["vectors"], *line["level_sizes"])
    )
    if not groups:
        raise UserError(f"There is no measurement in {folder / CODES}: run benchmarks/hourglass.py codes.")
    levels = Grid(
        "Use of the levels of residual k-means",
        (
            *("data", "vectors", "levels", "Gini 1", "Gini 2", "Gini 3", "entropy 1, 2, 3", "std 1, 2, 3"),
            *("paths in use", "waist at 2"),
        ),
        tuple(_level_row(group) for group in groups),
        f"Means over {_seeds(groups)} seeds, in brackets the smallest and the largest. Std: of the items a code; "
        "only levels of one size compare. Waist: the seeds whose second level is used less evenly than both others.",
    )
    cures = Grid(
        "What the cures do to identifiers (text vectors)",
        ("data", "levels", "cure", "shortened", "collisions", "mean cluster", "largest cluster"),
        tuple(
            _cure_row(group, place)
            for group in groups
            if group[0]["vectors"] == _CURED
            for place in range(len(group[0]["cures"]))
        ),
        "Means over the seeds. Collisions: 1 − different identifiers of all items.",
    )
    return "\n\n".join(markdown_parts([levels, cures]))


def retrieval_tables(results: Path) -> str:
    """What the cures do to retrieval, and what the probes find: a row for each data and recipe, means over seeds.

    Of each recipe one version counts (evidence.py). Raises UserError where nothing is measured yet.
    """
    folder = results / FOLDER
    files = [file for file in sorted(folder.glob("*.jsonl")) if file.name not in (CODES, PROBES)]
    if not files:
        raise UserError(f"There is no result in {folder}: run benchmarks/hourglass.py trained.")
    rows = []
    for file in files:
        records = [record for _, record in newest((file, record) for record in read_results(file).records)]
        by_recipe = _grouped(records, lambda record: record.recipe)
        rows += [(file.stem, *_retrieval_row(_records_shown(group))) for group in by_recipe]
    header = ("data", "recipe", "levels", "shorter identifiers", "collisions", *_RETRIEVAL, "seeds")
    cures = Grid("What the cures do to retrieval", header, tuple(rows), f"Generative channel. {_SPREAD}")
    probes = _grouped(read_measurements(folder / PROBES, PROBES_KIND), lambda line: (line["data"], line["recipe"]))
    found = Grid(
        "Probes: hit rate at beam 10 (by chance), and recall at 100",
        ("data", "recipe", "target", "hit rate", "recall", "queries", "seeds"),
        tuple(row for group in probes for row in _probe_rows(_probes_shown(group))),
        f"By chance: as many identifiers drawn at random among those that are left. {_SPREAD}",
    )
    return "\n\n".join(markdown_parts([cures, found] if probes else [cures]))


def spread(values: Iterable[float], form: str = ".3f") -> str:
    """The mean of some figures, and in brackets the smallest and the largest where they differ."""
    found = list(values)
    low, high = format(min(found), form), format(max(found), form)
    mean = format(float(np.mean(found)), form)
    return mean if low == high else f"{mean} ({low}–{high})"


def _grouped(lines: Iterable[_Line], key: Callable[[_Line], object]) -> list[list[_Line]]:
    """The lines by key, in the order in which the keys first come."""
    groups: dict[object, list[_Line]] = {}
    for line in lines:
        groups.setdefault(key(line), []).append(line)
    return list(groups.values())


def _records_shown(group: Sequence[ResultRecord]) -> list[ResultRecord]:
    return of_one_version(group[0].recipe, group, lambda record: (record.time, record.recipe_hash))


def _probes_shown(group: Lines) -> Lines:
    return of_one_version(group[0]["recipe"], group, lambda line: (line["time"], line["recipe_hash"]))


def _seeds(groups: Sequence[Lines]) -> str:
    counts = sorted({len(group) for group in groups})
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def _level_row(group: Lines) -> tuple[str, ...]:
    first = group[0]
    ginis = [spread(line["levels"][level]["gini"] for line in group) for level in range(3)]
    return (
        first["data"],
        first["vectors"],
        _shape(first),
        *ginis,
        _mean_of_each_level(group, "entropy", ".2f"),
        _mean_of_each_level(group, "standard_deviation", ".0f"),
        spread((line["levels"][2]["path_sparsity"] for line in group), ".2%"),
        f"{sum(line['waist'] == 2 for line in group)} of {len(group)}",
    )


def _mean_of_each_level(group: Lines, name: str, form: str) -> str:
    means = [float(np.mean([line["levels"][level][name] for line in group])) for level in range(3)]
    return ", ".join(format(mean, form) for mean in means)


def _cure_row(group: Lines, place: int) -> tuple[str, ...]:
    cures = [line["cures"][place] for line in group]
    return (
        group[0]["data"],
        _shape(group[0]),
        cures[0]["name"],
        *(f"{np.mean([cure[name] for cure in cures]):.1%}" for name in ("shortened_share", "collision_rate")),
        f"{np.mean([cure['mean_cluster'] for cure in cures]):.2f}",
        f"{np.mean([cure['largest_cluster'] for cure in cures]):,.0f}",
    )


def _shape(line: Mapping[str, Any]) -> str:
    return " × ".join(map(str, line["level_sizes"]))


def _retrieval_row(group: Sequence[ResultRecord]) -> tuple[str, ...]:
    identifiers = [record.identifiers for record in group]
    figures = [record.figures["generative"] for record in group]
    return (
        group[0].recipe,
        str(len(identifiers[0]["levels"])),
        spread((found.get("shortened_share", 0.0) for found in identifiers), ".1%"),
        spread((found["collision_rate"] for found in identifiers), ".1%"),
        *(spread(found[measure] for found in figures) for measure in _RETRIEVAL),
        str(len(group)),
    )


def _probe_rows(group: Lines) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for place in range(len(group[0]["probes"])):
        probes = [line["probes"][place] for line in group]
        rates = spread(probe["hit_rates"][_PROBED_BEAM]["mean"] for probe in probes)
        chance = float(np.mean([probe["chance"][_PROBED_BEAM] for probe in probes]))
        recalls = [probe["recall"]["mean"] for probe in probes if probe["recall"] is not None]
        rows.append(
            (
                group[0]["data"],
                group[0]["recipe"],
                probes[0]["name"],
                f"{rates}, by chance {chance:.3f}",
                spread(recalls) if recalls else "",
                spread((probe["queries"] for probe in probes), ".0f"),
                str(len(group)),
            )
        )
    return rows

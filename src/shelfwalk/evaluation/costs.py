"""What a recipe costs: seconds to build, bytes on disk, milliseconds a search.

In: built shelves and queries to search them for. Out: a `Costs` for each, as a line of a JSON lines file that is only
ever appended to; and a Markdown table of the newest line of each shelf.

Seconds are those of the steps as the build recorded them. Of several seeds the shortest counts, step by step: what
disturbs a machine only ever adds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shelfwalk.errors import UserError
from shelfwalk.evaluation.evidence import of_one_version
from shelfwalk.evaluation.grids import Grid, markdown_table
from shelfwalk.evaluation.measurements import read_measurements
from shelfwalk.evaluation.results import Machine, installed_versions, this_machine
from shelfwalk.evaluation.shelf_evaluation import Latency, measure_latency
from shelfwalk.shelf import layout
from shelfwalk.shelf.shelf import Shelf

KIND = "costs"
FOLDER = "costs"
"""Below the results, whose own files hold evaluations; a file for each data."""
BEAMS = (10, 50, 100)
_HEADER = (
    "recipe",
    "towers, s",
    "identifiers, s",
    "generator, s",
    "examples/s",
    "whole build, s",
    "generator, MB",
    "shelf, MB",
    *(f"ms at beam {beam}" for beam in BEAMS),
    "seeds",
)


@dataclass(frozen=True)
class Costs:
    """One shelf: `seconds` by step, bytes, and one latency a beam, or one without a beam for a shelf that has none.

    `latencies` are of the generative channel, text in to items out, and of the dense one where there is no other.
    """

    data: str
    data_hash: str
    recipe: str
    recipe_hash: str
    seed: int
    items: int
    seconds: Mapping[str, float]
    examples_per_second: Sequence[float]
    generator_bytes: int
    shelf_bytes: int
    latencies: Sequence[Latency]
    kind: str = KIND
    time: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    versions: Mapping[str, str] = field(default_factory=installed_versions)
    machine: Machine = field(default_factory=this_machine)


def measure_costs(shelf: Shelf, queries: Sequence[str], data: str, searches: int = 200) -> Costs:
    """Read what the build of `shelf` recorded, and time at least so many searches a beam."""
    facts = shelf.recorded
    if shelf.is_generative:
        latencies = [
            measure_latency(shelf.with_beam(beam), queries, searches, channel="generative", k=100) for beam in BEAMS
        ]
    else:
        latencies = [measure_latency(shelf, queries, searches, channel="dense", k=100)]
    return Costs(
        data,
        facts["data_hash"],
        shelf.recipe["name"],
        facts["recipe_hash"],
        facts["seed"],
        facts["items"],
        facts["seconds"],
        facts.get("examples_per_second", []),
        _bytes(shelf.folder / layout.GENERATOR),
        _bytes(shelf.folder),
        latencies,
    )


def costs_table(path: Path, data: str) -> str:
    """A row a recipe on `data`, of the newest line of each seed of one version; UserError where nothing is measured."""
    newest: dict[tuple[str, str, int], Costs] = {}
    for line in read_measurements(path, KIND):
        found = _costs(line, path)
        if found.data == data:
            newest[found.recipe, found.recipe_hash, found.seed] = found
    if not newest:
        raise UserError(f"{path} holds no costs on {data}: make them with benchmarks/costs.py.")
    by_recipe: dict[str, list[Costs]] = {}
    for costs in newest.values():
        by_recipe.setdefault(costs.recipe, []).append(costs)
    shown = {
        recipe: of_one_version(recipe, by_recipe[recipe], lambda costs: (costs.time, costs.recipe_hash))
        for recipe in sorted(by_recipe)
    }
    rows = tuple(_row(recipe, of_seeds) for recipe, of_seeds in shown.items())
    cores = sorted({costs.machine.cores for of_seeds in shown.values() for costs in of_seeds})
    note = (
        "Seconds of the steps that recipes differ in, and of all; of several seeds the least. Searches: one at a time, "
        "one thread, medians and in brackets p99, of the generative channel, text in to 100 items out; where there is "
        f"none, of the dense one. Machine: {' or '.join(map(str, cores))} cores."
    )
    return f"{markdown_table(Grid(KIND, _HEADER, rows, note))}\n\n{note}"


def _row(recipe: str, of_seeds: Sequence[Costs]) -> tuple[str, ...]:
    steps = sorted({step for costs in of_seeds for step in costs.seconds})
    least = {step: min(costs.seconds[step] for costs in of_seeds if step in costs.seconds) for step in steps}
    rates = [rate for costs in of_seeds for rate in costs.examples_per_second]
    first = of_seeds[0]
    return (
        recipe,
        *(f"{least[step]:.0f}" if step in least else "–" for step in ("towers", "identifiers", "generator")),
        f"{max(rates):,.0f}" if rates else "–",
        f"{sum(least.values()):.0f}",
        f"{first.generator_bytes / 1e6:.1f}" if first.generator_bytes else "–",
        f"{first.shelf_bytes / 1e6:.0f}",
        *_milliseconds(of_seeds),
        ", ".join(str(costs.seed) for costs in sorted(of_seeds, key=lambda costs: costs.seed)),
    )


def _milliseconds(of_seeds: Sequence[Costs]) -> list[str]:
    by_beam: dict[int | None, list[Latency]] = {}
    for costs in of_seeds:
        for latency in costs.latencies:
            by_beam.setdefault(latency.beam, []).append(latency)
    least = {beam: min(found, key=lambda latency: latency.median) for beam, found in by_beam.items()}
    if None in least:
        return [_latency(least[None]), "–", "–"]
    return [_latency(least[beam]) for beam in BEAMS]


def _latency(latency: Latency) -> str:
    return f"{latency.median:.1f} ({latency.p99:.1f})"


def _bytes(place: Path) -> int:
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file())


def _costs(line: Mapping[str, Any], path: Path) -> Costs:
    try:
        known = {one.name: line[one.name] for one in fields(Costs)}
        known["machine"] = Machine(**line["machine"])
        known["latencies"] = [Latency(**latency) for latency in line["latencies"]]
    except (KeyError, TypeError):
        raise UserError(f"{path} holds a line that is no costs: make it with benchmarks/costs.py.") from None
    return Costs(**known)

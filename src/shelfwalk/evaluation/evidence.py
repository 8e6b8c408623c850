"""The results at hand that claims are judged by, and which are missing.

In: a folder of results files. Out: `Evidence`, which finds the runs of a recipe on some data: those of the recipe as it
is now, or where there are none, those of its newest earlier version, which is then told.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from shelfwalk.errors import UserError
from shelfwalk.evaluation.claims import ClaimOnData, Claims
from shelfwalk.evaluation.query_values import QueryValues, read_query_values
from shelfwalk.evaluation.results import ResultRecord, read_results
from shelfwalk.evaluation.systems import newest
from shelfwalk.recipes.recipe import load_recipe, recipe_names

_Line = TypeVar("_Line")


@dataclass(frozen=True)
class Found:
    """The runs of one recipe on some data, one a seed; `earlier`: they are of an earlier version of the recipe."""

    runs: tuple[tuple[Path, ResultRecord], ...]
    earlier: bool

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the runs, ascending."""
        return tuple(sorted(record.seed for _, record in self.runs))

    def only(self, seeds: Collection[int]) -> Found:
        """The runs of these seeds."""
        return replace(self, runs=tuple((file, record) for file, record in self.runs if record.seed in seeds))


@dataclass(frozen=True, order=True)
class MissingRun:
    """One build and evaluation that a claim needs and that no result is of."""

    data: str
    recipe: str
    seed: int


@dataclass
class Evidence:
    """Newest results by data, recipe and seed; `notices` say which files were no results files, one sentence each."""

    records: Sequence[tuple[Path, ResultRecord]]
    notices: tuple[str, ...] = ()
    _values: dict[Path, QueryValues] = field(default_factory=dict)

    def of(self, data_hash: str, recipe: str) -> Found:
        """Return the runs of a recipe that exists on data of that hash."""
        wanted = (data_hash, recipe)
        runs = [(file, record) for file, record in self.records if (record.data_hash, record.recipe) == wanted]
        chosen = of_one_version(recipe, runs, lambda run: (run[1].time, run[1].recipe_hash))
        return Found(tuple(chosen), bool(chosen) and chosen[0][1].recipe_hash != load_recipe(recipe).hash)

    def values(self, file: Path, record: ResultRecord) -> QueryValues:
        """Return the values per query of a run; raises UserError where their file is missing or damaged."""
        place = file.parent / record.values
        if place not in self._values:
            self._values[place] = read_query_values(file.parent, record.values)
        return self._values[place]


def read_evidence(folder: Path | None) -> Evidence:
    """Read every `.jsonl` file in `folder` that holds results; a file that does not is left out with a sentence.

    Raises UserError if there is no such folder; None is no evidence at all.
    """
    if folder is None:
        return Evidence(())
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}: name the one that holds the results, or make it.")
    records: list[tuple[Path, ResultRecord]] = []
    notices: list[str] = []
    for file in sorted(folder.glob("*.jsonl")):
        try:
            read = read_results(file)
        except UserError as error:
            notices.append(f"{file} is left out. {error}")
            continue
        notices += read.left_out
        records += [(file, record) for record in read.records]
    return Evidence(tuple(newest(records)), tuple(notices))


def missing_runs(claims: Claims, evidence: Evidence, hashes: Mapping[str, str]) -> tuple[MissingRun, ...]:
    """Return the runs that the claims on the data in `hashes` (hash by name) still need, of recipes that exist."""
    known = recipe_names()
    wanted: set[MissingRun] = set()
    for claim in claims.claims:
        if not isinstance(claim, ClaimOnData) or claim.data not in hashes:
            continue
        if any(recipe not in known for recipe in claim.recipes):
            continue
        for recipe in claim.recipes:
            found = evidence.of(hashes[claim.data], recipe)
            present = () if found.earlier else found.seeds
            lacking = [seed for seed in range(claim.seeds) if seed not in present]
            wanted |= {MissingRun(claim.data, recipe, seed) for seed in lacking[: max(claim.seeds - len(present), 0)]}
    return tuple(sorted(wanted))


def of_one_version(recipe: str, lines: Iterable[_Line], version: Callable[[_Line], tuple[str, str]]) -> list[_Line]:
    """Of lines on the recipe of a name those of one version, in their order; `version` tells time and recipe hash.

    Those of the recipe as it is now; where there are none, or no recipe has that name, of the version measured last.
    """
    kept = list(lines)
    # From the last on: of lines of the same second the later one is newer.
    versions = [version(line) for line in reversed(kept)]
    chosen = load_recipe(recipe).hash if recipe in recipe_names() else ""
    if versions and all(recipe_hash != chosen for _, recipe_hash in versions):
        _, chosen = max(versions, key=lambda found: found[0])
    return [line for line in kept if version(line)[1] == chosen]

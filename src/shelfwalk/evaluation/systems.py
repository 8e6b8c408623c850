"""Which systems the results at hand are of, and whether they can be compared.

In: results files. Out: `Systems`: for every channel of every recipe the values per query of each seed, all on the same
data and the same queries. Results of mixed data and of query sets that do not pair are refused. Channels that several
recipes share (BM25 does not know how identifiers are made) are one system, not one a recipe, so that a table does not
test the same thing twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shelfwalk.errors import UserError
from shelfwalk.evaluation.query_values import QueryValues, read_query_values
from shelfwalk.evaluation.results import ResultRecord, read_results
from shelfwalk.evaluation.strata import Labels

_OF_ALL_CHANNELS = "ExclusiveR@"
"""Measures of a channel that depend on the other channels of its recipe."""
_NAMED_RECIPES = 3
"""Of a system that more recipes share only the first is named in tables."""


@dataclass(frozen=True)
class Run:
    """One line of a results file: what it says, its values per query, and the file."""

    record: ResultRecord
    values: QueryValues
    file: Path


@dataclass(frozen=True)
class System:
    """One channel of one recipe, or of several recipes that share it.

    `values[measure]` is float64 [seeds, queries], NaN where undefined; `members` are its names as RECIPE/CHANNEL.
    """

    name: str
    members: tuple[str, ...]
    seeds: tuple[int, ...]
    values: Mapping[str, NDArray[np.float64]]

    @property
    def channel(self) -> str:
        """The channel of all its members."""
        return self.members[0].partition("/")[2]

    def per_query(self, measure: str) -> NDArray[np.float64]:
        """The values of a measure averaged over the seeds: float64 [queries].

        Of seeds that agree they are the very values: a mean is rounded otherwise for three seeds than for five, and
        channels that recipes share are found by equality.
        """
        of_seeds = self.values[measure]
        agree = all(np.array_equal(of_seeds[0], other, equal_nan=True) for other in of_seeds[1:])
        return np.asarray(of_seeds[0] if agree else of_seeds.mean(axis=0))


@dataclass(frozen=True)
class Systems:
    """Systems that can be compared, in the order of the results; `labels[kind]` and values share the queries' order."""

    systems: tuple[System, ...]
    texts: tuple[str, ...]
    labels: Mapping[str, Labels]
    records: tuple[ResultRecord, ...]
    """One a recipe and seed, in the order of the results."""

    def only(self, patterns: Sequence[str]) -> Systems:
        """Those with a name or a member like one of the patterns, as `cqsid-*/generative`, and like none after a `!`.

        A system that recipes share is then of those of its members that are asked for, and named by its channel where
        these recipes have no other of it. UserError if none is left.
        """
        kept = [found for system in self.systems if (found := _asked_for(system, patterns)) is not None]
        if not kept:
            known = ", ".join(system.name for system in self.systems)
            raise UserError(f"No system in these results is like {', '.join(patterns)}: take some of {known}.")
        recipes = {member.partition("/")[0] for system in kept for member in system.members}
        shared = _shared_channels(self.systems, recipes)
        systems = tuple(replace(found, name=found.channel) if found.channel in shared else found for found in kept)
        names = _recipe_names(self.records)
        records = tuple(record for record in self.records if names[record.recipe_hash] in recipes)
        return replace(self, systems=systems, records=records)

    def named(self, name: str) -> System:
        """The system of that name, or of a member of that name; raises UserError if there is none."""
        for system in self.systems:
            if name == system.name or name in system.members:
                return system
        known = ", ".join(system.name for system in self.systems)
        raise UserError(f'There is no system "{name}" in these results: take one of {known}.')


def read_systems(files: Sequence[Path], data: str | None = None) -> Systems:
    """Read what results files hold, of one recipe and seed its newest line.

    `data`: the data hash to look at, needed only where the files hold results on several. Raises UserError for a file
    that cannot be read, results on different data, or query sets that do not pair.
    """
    records = [(file, record) for file in files for record in read_results(file).records]
    chosen = newest([(file, record) for file, record in records if data in (None, record.data_hash)])
    if not chosen:
        where = ", ".join(map(str, files))
        raise UserError(f"There are no results{f' on data {data}' if data else ''} in {where}: evaluate a shelf first.")
    refuse_mixed(chosen)
    return systems_of([Run(record, read_query_values(file.parent, record.values), file) for file, record in chosen])


def newest(records: Iterable[tuple[Path, ResultRecord]]) -> list[tuple[Path, ResultRecord]]:
    """Of each data, recipe and seed the newest record, in the order in which these first came."""
    found: dict[tuple[str, str, int], tuple[Path, ResultRecord]] = {}
    for file, record in records:
        key = (record.data_hash, record.recipe_hash, record.seed)
        if key not in found or record.time >= found[key][1].time:
            found[key] = (file, record)
    return list(found.values())


def refuse_mixed(records: Sequence[tuple[Path, ResultRecord]]) -> None:
    """Raise UserError where two records are on different data, or count different queries of the same data."""
    first_file, first = records[0]
    for file, record in records:
        if record.data_hash != first.data_hash:
            raise UserError(
                f"The results are on different data, {first.data_hash} ({first_file}) and {record.data_hash} ({file}): "
                f"compare results on one, for example with --data {first.data_hash}."
            )
        if record.queries_hash != first.queries_hash:
            raise UserError(
                f"The results do not pair: {first_file} counts {first.queries} queries (relevant from grade "
                f"{first.relevant_grade} on), {file} {record.queries} others (from grade {record.relevant_grade} on); "
                "evaluate both alike."
            )


def systems_of(runs: Sequence[Run]) -> Systems:
    """Group runs, which must pair, by recipe and channel, and put together the channels that recipes share."""
    names = _recipe_names([run.record for run in runs])
    by_recipe: dict[str, list[Run]] = {}
    for run in runs:
        by_recipe.setdefault(run.record.recipe_hash, []).append(run)
    found: list[System] = []
    for channel in dict.fromkeys(channel for run in runs for channel in run.values.values):
        alone = [
            _system(names[recipe_hash], channel, of_recipe)
            for recipe_hash, of_recipe in by_recipe.items()
            if all(channel in run.values.values for run in of_recipe)
        ]
        found += _shared(alone, channel)
    values = runs[0].values
    return Systems(tuple(found), values.texts, values.labels, tuple(run.record for run in runs))


def _recipe_names(records: Sequence[ResultRecord]) -> dict[str, str]:
    """A name for each recipe hash: the recipe's, with the hash where several recipes have the same name."""
    names = {record.recipe_hash: record.recipe for record in records}
    several = [name for name in names.values() if list(names.values()).count(name) > 1]
    return {found: f"{name}@{found[:4]}" if name in several else name for found, name in names.items()}


def _system(recipe: str, channel: str, runs: Sequence[Run]) -> System:
    ordered = sorted(runs, key=lambda run: run.record.seed)
    measured = [run.values.values[channel] for run in ordered]
    shared = [measure for measure in measured[0] if all(measure in values for values in measured)]
    values = {measure: np.stack([of_seed[measure] for of_seed in measured]) for measure in shared}
    name = f"{recipe}/{channel}"
    return System(name, (name,), tuple(run.record.seed for run in ordered), values)


def _shared(systems: Sequence[System], channel: str) -> list[System]:
    """Put the systems of one channel that measure the same together; what all recipes share is named by its channel."""
    groups: list[list[System]] = []
    for system in systems:
        group = next((group for group in groups if _same(group[0], system)), None)
        if group is None:
            groups.append([system])
        else:
            group.append(system)
    return [_joined(group, channel, whole=len(groups) == 1) for group in groups]


def _same(first: System, second: System) -> bool:
    """Whether all that both have measured is equal: older results may lack a measure."""
    measures = [name for name in first.values if name in second.values and not name.startswith(_OF_ALL_CHANNELS)]
    return bool(measures) and all(
        np.array_equal(first.per_query(measure), second.per_query(measure), equal_nan=True) for measure in measures
    )


def _joined(group: Sequence[System], channel: str, *, whole: bool) -> System:
    first = group[0]
    members = tuple(member for system in group for member in system.members)
    alone = len(group) == 1
    # What several have measured is equal, so that it does not matter whose it is.
    measured = dict(first.values)
    for system in group:
        measured |= {measure: found for measure, found in system.values.items() if measure not in measured}
    values = {name: found for name, found in measured.items() if alone or not name.startswith(_OF_ALL_CHANNELS)}
    return System(channel if whole else _shared_name(members), members, first.seeds, values)


def _shared_name(members: Sequence[str]) -> str:
    """`dssm,dpsr/dense` of members of one channel; of more than three the first and how many more there are."""
    recipes = [member.partition("/")[0] for member in members]
    told = ",".join(recipes) if len(recipes) <= _NAMED_RECIPES else f"{recipes[0]} and {len(recipes) - 1} more"
    return f"{told}/{members[0].partition('/')[2]}"


def _asked_for(system: System, patterns: Sequence[str]) -> System | None:
    """The system with those of its members that are like a pattern and like none after a `!`; None if none is left."""

    def like(name: str, wanted: Iterable[str]) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in wanted)

    without = [pattern.removeprefix("!") for pattern in patterns if pattern.startswith("!")]
    wanted = [pattern for pattern in patterns if not pattern.startswith("!")] or ["*"]
    of_all = like(system.name, wanted)
    members = tuple(name for name in system.members if (of_all or like(name, wanted)) and not like(name, without))
    if not members or like(system.name, without):
        return None
    return replace(system, name=_shared_name(members) if "/" in system.name else system.name, members=members)


def _shared_channels(systems: Iterable[System], recipes: Container[str]) -> set[str]:
    """The channels of which these recipes have a single system, and one that is not a single recipe's."""
    of_recipes = [system for system in systems if any(member.partition("/")[0] in recipes for member in system.members)]
    counted = Counter(system.channel for system in of_recipes)
    return {system.channel for system in of_recipes if counted[system.channel] == 1 and len(system.members) > 1}

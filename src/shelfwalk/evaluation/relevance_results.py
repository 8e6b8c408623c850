"""What is kept of a comparison of relevance models, and its table in the docs.

In: the scores of several shelves, one a recipe and seed. Out: a `RelevanceRecord` for each recipe, averaged over its
seeds, as a line of a JSON lines file that is only ever appended to; and a Markdown table of the newest line of each.

Areas are over the pairs of all queries together, their intervals over resamples of the queries that all recipes and
seeds share, so that differences are paired. Where the pairs of two recipes differ (other towers), nothing is paired and
that is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shelfwalk.errors import UserError
from shelfwalk.evaluation.grids import Grid, markdown_table
from shelfwalk.evaluation.relevance import RelevanceScores
from shelfwalk.evaluation.results import Machine, append_result, installed_versions, this_machine
from shelfwalk.evaluation.significance import RESAMPLES, TAILS

REFERENCE = "dsirm-no-feature"
"""What a difference is to, where it is among the recipes."""
ALONE_REFERENCE = "dsirm-tiger"
"""What a difference of depths alone is to."""


@dataclass(frozen=True)
class RelevanceRecord:
    """One recipe: `auc` and `difference` (to `against`, None without one) as [mean, low, high].

    `alone` is the area where nothing but the depth of agreement orders the pairs, `alone_difference` what it is ahead
    of that of `alone_against`; None without identifiers, or without that recipe.
    `depths` [[pairs, relevant share] by depth] over all seeds; `cache` and `milliseconds` are of the first seed.
    """

    data_hash: str
    recipe: str
    recipe_hash: str
    seeds: list[int]
    queries: int
    pairs: int
    relevant_share: float
    auc: list[float]
    against: str
    difference: list[float] | None
    depths: list[list[float | None]]
    alone: list[float] | None
    alone_against: str
    alone_difference: list[float] | None
    cache: Mapping[str, Any] = field(default_factory=dict)
    milliseconds: Mapping[str, float] = field(default_factory=dict)
    time: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    versions: Mapping[str, str] = field(default_factory=installed_versions)
    machine: Machine = field(default_factory=this_machine)


@dataclass(frozen=True)
class ScoredShelf:
    """One shelf's scores and what it is."""

    recipe: str
    recipe_hash: str
    seed: int
    scores: RelevanceScores


def compared(
    shelves: Sequence[ScoredShelf], data_hash: str, reference: str = REFERENCE, resamples: int = RESAMPLES
) -> list[RelevanceRecord]:
    """A record for each recipe, in the order in which they come; raises UserError for shelves that do not pair."""
    _refuse_unpaired(shelves)
    universe = sorted({query for shelf in shelves for query in shelf.scores.query_ids})
    by_recipe: dict[str, list[ScoredShelf]] = {}
    for shelf in shelves:
        by_recipe.setdefault(shelf.recipe, []).append(shelf)
    models = _Areas({_key(one): one.scores.areas(universe, resamples=resamples) for one in shelves})
    alone = _Areas(
        {
            _key(one): one.scores.areas(universe, by=one.scores.depths, resamples=resamples)
            for one in shelves
            if one.scores.depths is not None
        }
    )
    records = []
    for recipe, of_recipe in by_recipe.items():
        seeds = [shelf.seed for shelf in of_recipe]
        against = models.reference(reference, recipe, seeds)
        alone_against = alone.reference(ALONE_REFERENCE, recipe, seeds)
        first = of_recipe[0].scores
        records.append(
            RelevanceRecord(
                data_hash=data_hash,
                recipe=recipe,
                recipe_hash=of_recipe[0].recipe_hash,
                seeds=seeds,
                queries=len(first.query_ids),
                pairs=len(first.query_rows),
                relevant_share=float(first.relevant.mean()),
                auc=_interval(models.mean(recipe, seeds)),
                against=against,
                difference=models.difference(recipe, against, seeds),
                depths=_depths(of_recipe),
                alone=None if first.depths is None else _interval(alone.mean(recipe, seeds)),
                alone_against=alone_against,
                alone_difference=alone.difference(recipe, alone_against, seeds),
            )
        )
    return records


@dataclass(frozen=True)
class _Areas:
    """Areas by recipe and seed, each float64 [1 + resamples] of the same resamples."""

    found: Mapping[tuple[str, int], NDArray[np.float64]]

    def mean(self, recipe: str, seeds: Sequence[int]) -> NDArray[np.float64]:
        mean: NDArray[np.float64] = np.mean([self.found[recipe, seed] for seed in seeds], axis=0)
        return mean

    def reference(self, name: str, recipe: str, seeds: Sequence[int]) -> str:
        """`name` where it is another recipe and has all these seeds, nothing otherwise."""
        has_all = all((one, seed) in self.found for one in (name, recipe) for seed in seeds)
        return name if name != recipe and has_all else ""

    def difference(self, recipe: str, against: str, seeds: Sequence[int]) -> list[float] | None:
        return _interval(self.mean(recipe, seeds) - self.mean(against, seeds)) if against else None


def _key(shelf: ScoredShelf) -> tuple[str, int]:
    return shelf.recipe, shelf.seed


def _interval(areas: Any) -> list[float]:
    """The figure itself, and the ends of the interval of its resamples."""
    finite = areas[1:][np.isfinite(areas[1:])]
    return [float(areas[0]), *np.quantile(finite, TAILS).tolist()]


def _depths(shelves: Sequence[ScoredShelf]) -> list[list[float | None]]:
    """Pairs, and the relevant share of them, at each depth over all seeds; None for a share of no pair."""
    rates = [shelf.scores.label_rates() for shelf in shelves]
    found: list[list[float | None]] = []
    for of_depth in zip(*rates, strict=True):
        pairs = sum(rate.pairs for rate in of_depth)
        relevant = sum(rate.pairs * rate.relevant_share for rate in of_depth if rate.pairs)
        found.append([pairs, relevant / pairs if pairs else None])
    return found


def _refuse_unpaired(shelves: Sequence[ScoredShelf]) -> None:
    """Raise UserError where a recipe and seed come twice, or two shelves of a seed were asked about different pairs."""
    if len({(shelf.recipe, shelf.seed) for shelf in shelves}) < len(shelves):
        raise UserError("Two of the shelves are of the same recipe and seed: name each once.")
    first: dict[int, ScoredShelf] = {}
    for shelf in shelves:
        other = first.setdefault(shelf.seed, shelf)
        ours, theirs = shelf.scores, other.scores
        if ours.query_ids != theirs.query_ids or not np.array_equal(ours.item_rows, theirs.item_rows):
            raise UserError(
                f"{shelf.recipe} and {other.recipe} of seed {shelf.seed} were asked about different pairs: compare"
                " recipes with the same towers, bm25 and [pseudo_queries]."
            )


def append_record(path: Path, record: RelevanceRecord) -> None:
    """Append one line, whole and on the disk when this returns."""
    append_result(path, record)


def read_records(path: Path) -> list[RelevanceRecord]:
    """The newest record of each recipe, in the order in which they first came; raises UserError for another file."""
    found: dict[tuple[str, str], RelevanceRecord] = {}
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            plain = json.loads(line)
            known = {entry.name: plain[entry.name] for entry in fields(RelevanceRecord)}
            record = RelevanceRecord(**known | {"machine": Machine(**known["machine"])})
            found[record.data_hash, record.recipe] = record
    except OSError as error:
        raise UserError(f"Cannot read the results file {path}: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path} holds a line that is no comparison of relevance models: compare again.") from None
    return list(found.values())


def relevance_grid(records: Sequence[RelevanceRecord]) -> Grid:
    """The areas of all recipes, their difference to the reference, and the relevant share by depth."""
    levels = max((len(record.depths) for record in records), default=0)
    against = next((record.against for record in records if record.against), "")
    alone = next((record.alone_against for record in records if record.alone_against), "")
    header = (
        "recipe",
        "seeds",
        "AUC",
        f"difference to {against}" if against else "difference",
        "AUC of the depth alone",
        f"difference to {alone}" if alone else "difference",
    )
    rows = [
        (
            record.recipe,
            str(len(record.seeds)),
            _figure(record.auc),
            _figure(record.difference, signed=True),
            _figure(record.alone),
            _figure(record.alone_difference, signed=True),
            *(_share(record.depths[depth] if depth < len(record.depths) else None) for depth in range(levels)),
        )
        for record in records
    ]
    note = ""
    if records:
        one = records[0]
        note = (
            f"{one.pairs:,} pairs of {one.queries:,} queries (first seed), {one.relevant_share:.1%} of them relevant;"
            " 95 % bootstrap intervals over queries, paired, seeds averaged."
        )
    return Grid(
        "Relevance models", (*header, *(f"relevant at depth {depth}" for depth in range(levels))), tuple(rows), note
    )


def relevance_table(path: Path) -> str:
    """The Markdown table of a file of records."""
    grid = relevance_grid(read_records(path))
    return f"{markdown_table(grid)}\n\n{grid.note}"


def _figure(interval: Sequence[float] | None, *, signed: bool = False) -> str:
    if interval is None:
        return ""
    sign = "+" if signed else ""
    mean, low, high = (f"{value:{sign}.4f}".replace("-", "−") for value in interval)
    return f"{mean} [{low}, {high}]"


def _share(found: Sequence[float | None] | None) -> str:
    if found is None or found[1] is None:
        return ""
    return f"{found[1]:.1%} of {int(found[0] or 0):,}"

"""What was tried of a recipe's settings, and what each try found on held-out training queries: a budget in writing.

In: lines that benchmarks/tuning.py appends, one a try. Out: a Markdown table, a row a recipe and setting, so that a
reader sees that a baseline was given what our own recipes were. No evaluation query is ever read for a choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shelfwalk.errors import UserError
from shelfwalk.evaluation.grids import Grid, markdown_table
from shelfwalk.evaluation.measurements import read_measurements

KIND = "tuning"
_HEADER = ("recipe", "settings", "held-out recall at 100", "held-out loss", "best", "seconds")


@dataclass(frozen=True)
class Try:
    """One build with other values; `seconds` of the steps that are the recipe's own.

    `held_out_recall` is recall at 100: of held-out clicks for two towers, of the channel on held-out queries for a
    generator and for BM25. `held_out_loss` is a generator's, in nats an identifier.
    """

    data_hash: str
    recipe: str
    seed: int
    tried: Mapping[str, Any]
    held_out_recall: float
    seconds: float
    held_out_loss: float | None = None
    kind: str = KIND
    time: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def is_of(self, other: Try) -> bool:
        """Whether both have tried the same."""
        same = ("data_hash", "recipe", "seed", "tried")
        return all(getattr(self, name) == getattr(other, name) for name in same)


def read_tries(path: Path) -> list[Try]:
    """The tries of a file, in their order; raises UserError for a line that is none."""
    try:
        return [Try(**{one.name: line[one.name] for one in fields(Try)}) for line in read_measurements(path, KIND)]
    except KeyError:
        raise UserError(f"{path} holds a line that is no try: make it with benchmarks/tuning.py.") from None


def tuning_table(path: Path) -> str:
    """A row for each recipe and the settings that were tried together; raises UserError where nothing was tried."""
    groups: dict[tuple[str, tuple[str, ...]], list[Try]] = {}
    for one in read_tries(path):
        groups.setdefault((one.recipe, tuple(one.tried)), []).append(one)
    if not groups:
        raise UserError(f"{path} holds no tries: make them with benchmarks/tuning.py.")
    rows = tuple(_row(recipe, settings, groups[recipe, settings]) for recipe, settings in sorted(groups))
    seeds = sorted({one.seed for tries in groups.values() for one in tries})
    note = (
        f"Seed {', '.join(map(str, seeds))}. Recall of held-out clicks for two towers, of the channel on held-out "
        "queries for BM25 and for a generator: figures of the two kinds are not to be compared. Best is the least "
        "loss, in nats an identifier, of a generator and the highest recall of others, and of generators whose "
        "identifiers differ, so that their losses say nothing of one another. Seconds of all tries together."
    )
    return f"{markdown_table(Grid(KIND, _HEADER, rows, note))}\n\n{note}"


def _row(recipe: str, settings: Sequence[str], tries: Sequence[Try]) -> tuple[str, ...]:
    recalls = ", ".join(f"{_values(one)}: {one.held_out_recall:.4f}" for one in tries)
    comparable = not any(setting.startswith("tokenizer.") for setting in settings)
    losses = {_values(one): one.held_out_loss for one in tries if comparable and one.held_out_loss is not None}
    of_losses = ", ".join(f"{values}: {loss:.4f}" for values, loss in losses.items())
    highest = _values(max(tries, key=lambda one: one.held_out_recall))
    best = min(losses, key=lambda values: losses[values]) if losses else highest
    # Its index is the same in all recipes: one of them was built.
    name = "all (BM25)" if all(setting.startswith("bm25.") for setting in settings) else recipe
    return (name, ", ".join(settings), recalls, of_losses, best, f"{sum(one.seconds for one in tries):.0f}")


def _values(one: Try) -> str:
    return " and ".join(str(value) for value in one.tried.values())

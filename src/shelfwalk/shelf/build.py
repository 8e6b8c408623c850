"""One build under way: what it was asked for, and the running of its steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from shelfwalk.recipes.recipe import Recipe
from shelfwalk.settings import Settings
from shelfwalk.shelf.steps import AwaitedSteps, StepResult, Steps

Progress = Callable[[str, int, int], None]
"""Told of (what is being done, parts done, parts in all)."""


@dataclass
class Build:
    """One build: what it was asked for, and the seconds that its steps have taken so far."""

    items: pa.Table
    recipe: Recipe
    weights_folder: Path
    """Of the pretrained encoder."""
    seed: int
    threads: int
    progress: Progress
    steps: Steps | AwaitedSteps
    seconds: dict[str, float] = field(default_factory=dict)

    def step(
        self, name: str, function: Callable[[Path, Path], dict[str, Any]], *settings: Settings | None
    ) -> StepResult:
        """Run one step, or find it done; `settings` are the parts of the recipe that it reads itself.

        `function` gets the folder to fill and one for checkpoints. The step's seconds are kept with its facts.
        """
        started = time.perf_counter()
        asked = " ".join(part.model_dump_json(exclude_none=True) for part in settings if part is not None)

        def timed(folder: Path) -> dict[str, Any]:
            facts = function(folder, self.steps.partial(name, asked))
            return {**facts, "seconds": round(time.perf_counter() - started, 2)}

        result = self.steps.run(name, timed, asked)
        self.seconds[name] = result.facts["seconds"]
        return result

    def advancing(self, stage: str, total: int) -> Callable[[int], None]:
        """A function that is told how much more of a stage is done."""
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            self.progress(stage, done, total)

        return advance

"""Stages of training one after the other, each from the best weights of the last, each with checkpoints of its own.

In: a backbone, the stages, and the identifiers that it learns to generate. Out: the backbone with the best weights of
the last stage, and a report of each. An interrupted run goes on inside the stage it was in; finished ones are only
loaded. Checkpoints of other identifiers are refused: the same code would mean something else.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shelfwalk.errors import UserError
from shelfwalk.files import write_whole
from shelfwalk.generators.backbone import Backbone
from shelfwalk.generators.examples import ExampleSource
from shelfwalk.generators.settings import TrainingSettings
from shelfwalk.generators.training import Trainer, TrainingReport
from shelfwalk.processes import process_index

_IDENTIFIERS = "identifiers.json"
_SPEED = "speed.json"

Progress = Callable[["Stage", int, float, float], None]
"""Told of a stage, its finished steps, the loss of the last one, and examples a second so far."""


@dataclass(frozen=True)
class Stage:
    """One stage: its name, what it learns from, and how."""

    name: str
    examples: ExampleSource
    settings: TrainingSettings


@dataclass(frozen=True)
class StageReport:
    """What a stage did; `examples_per_second` is that of its last run, validation included."""

    name: str
    examples_per_second: float
    training: TrainingReport


@dataclass(frozen=True)
class IdentifierCard:
    """Which identifiers a backbone generates: the sizes of their levels, and a digest of those of all items."""

    level_sizes: tuple[int, ...]
    digest: str

    @classmethod
    def of(cls, codes: npt.NDArray[np.int32], level_sizes: Sequence[int]) -> IdentifierCard:
        """The card of identifiers int32 [items, levels]."""
        return cls(tuple(level_sizes), hashlib.sha256(np.ascontiguousarray(codes, "<i4").tobytes()).hexdigest())

    def refuse_others(self, folder: Path) -> None:
        """Raise UserError where the checkpoints in `folder` are of other identifiers; otherwise say whose they are."""
        file = folder / _IDENTIFIERS
        if not file.is_file():
            if process_index() == 0:
                folder.mkdir(parents=True, exist_ok=True)
                write_whole(file, json.dumps(asdict(self)))
            return
        told = json.loads(file.read_text(encoding="utf-8"))
        if (tuple(told["level_sizes"]), told["digest"]) != (self.level_sizes, self.digest):
            raise UserError(
                f"The checkpoints in {folder} are of another tokeniser's identifiers ({_sizes(told['level_sizes'])} "
                f"codes there, {_sizes(self.level_sizes)} here, given to items otherwise): remove that folder, or "
                "train with the tokeniser that they were made with."
            )


def run_stages(
    backbone: Backbone,
    stages: Sequence[Stage],
    identifiers: IdentifierCard,
    seed: int,
    folder: Path,
    progress: Progress,
) -> list[StageReport]:
    """Train `backbone` stage by stage, or go on where an earlier run in `folder` stopped.

    Raises UserError before any training where a stage has nothing to learn from, or the folder is of other identifiers.
    """
    identifiers.refuse_others(folder)
    # The first says so itself, before it has taken long.
    for stage in stages[1:]:
        if stage.examples.is_empty():
            raise UserError(
                f"The training stage {stage.name} has nothing to learn from: give items titles with words, or a search "
                "log that leads from queries to items."
            )
    return [
        _run(backbone, stage, _seed_of(seed, number), folder / f"{number + 1}-{stage.name}", progress)
        for number, stage in enumerate(stages)
    ]


def _run(backbone: Backbone, stage: Stage, seed: int, folder: Path, progress: Progress) -> StageReport:
    started, ran = time.perf_counter(), 0

    def told(step: int, loss: float) -> None:
        nonlocal ran
        ran += 1
        progress(stage, step, loss, ran * stage.settings.batch / (time.perf_counter() - started))

    report = Trainer(backbone, stage.examples, stage.settings, seed, folder).run(told)
    file = folder / _SPEED
    if ran and process_index() == 0:
        speed = ran * stage.settings.batch / (time.perf_counter() - started)
        write_whole(file, json.dumps(round(speed, 1)))
    return StageReport(stage.name, float(json.loads(file.read_text())) if file.is_file() else 0.0, report)


def _seed_of(seed: int, number: int) -> int:
    """Another for each stage, so that no two draw alike; the first stage's is the build's own."""
    return seed if number == 0 else int(np.random.SeedSequence((seed, number)).generate_state(1)[0])


def _sizes(level_sizes: Sequence[int]) -> str:
    return " × ".join(str(size) for size in level_sizes)

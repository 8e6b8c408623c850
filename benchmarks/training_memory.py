"""What memory each stage of a generator's training needs, from a short log and from one thirty times as long.

    python benchmarks/training_memory.py

writes made-up pairs, visits and vectors as the steps of a build leave them. For each published stage a process of its
own gathers the examples as a build does and trains on them for some steps, and the most memory that it had to itself at
any time is told; what it has mapped from files is not counted, as the kernel takes that back when it needs it. Writes
benchmarks/results/training_memory.json. No time is measured, so that others may use the machine.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from shelfwalk.constraints.trie import Trie
from shelfwalk.recipes.recipe import load_recipe
from shelfwalk.shelf import layout
from shelfwalk.shelf.build import Build
from shelfwalk.shelf.pair_step import PAIRS, QUERY_VECTORS
from shelfwalk.shelf.stage_examples import GeneratorInputs, StageExamples
from shelfwalk.shelf.steps import StepResult, Steps
from shelfwalk.shelf.vectors import Vectors
from shelfwalk.shelf.visit_step import HELD_OUT_TARGETS, HISTORIES, TRAIN_TARGETS, VISIT_QUERIES

RESULTS = Path(__file__).parent / "results" / "training_memory.json"
RECIPE = "cqsid-user"
PAIRS_OF_LOGS = (1_000_000, 30_000_000)
PAIRS_OF_A_QUERY = 100
ITEMS, DIMENSIONS, LEVEL_SIZES = 20_000, 384, (64, 64, 32)
HELD_OUT_EVERY = 50
BLOCK = 1_000_000
STAGES = ("items", "queries", "shoppers")
SECONDS_BETWEEN_LOOKS = 0.01


def write_steps(pairs: int, folder: Path) -> None:
    """What steps of a build would leave of a log that has led to so many pairs, in its order; one visit a pair."""
    random, queries = np.random.default_rng(0), pairs // PAIRS_OF_A_QUERY
    length = load_recipe(RECIPE).generator.history_length

    def rows(below: int, *shape: int) -> npt.NDArray[np.int32]:
        return random.integers(below, size=shape, dtype=np.int32)

    def vectors(count: int) -> npt.NDArray[np.float32]:
        return random.random((count, DIMENSIONS), np.float32)

    def targets(count: int) -> npt.NDArray[np.int32]:
        return np.stack((rows(pairs, count), rows(ITEMS, count)))

    write(folder / layout.VECTORS, ITEMS, vectors)
    write(folder / QUERY_VECTORS, queries, vectors)
    write(folder / PAIRS, pairs, lambda count: np.stack((rows(queries, count), rows(ITEMS, count))))
    write(folder / VISIT_QUERIES, pairs, lambda count: rows(queries, count))
    write(folder / HISTORIES, pairs, lambda count: rows(ITEMS, count, length))
    write(folder / TRAIN_TARGETS, pairs, targets)
    write(folder / HELD_OUT_TARGETS, pairs // HELD_OUT_EVERY, targets)
    write_queries(queries, folder)
    Trie.build(random.integers(LEVEL_SIZES, size=(ITEMS, 3), dtype=np.int32), level_sizes=LEVEL_SIZES).save(
        folder / layout.TRIE
    )


def write(file: Path, count: int, of_block: Callable[[int], npt.NDArray[Any]]) -> None:
    """An array that is `count` long along the axis along which `of_block` makes so many, a block at a time."""
    none = of_block(0)
    axis = none.shape.index(0)
    shape = tuple(size or count for size in none.shape)
    made = np.lib.format.open_memmap(file, mode="w+", dtype=none.dtype, shape=shape)
    for first in range(0, count, BLOCK):
        size = min(BLOCK, count - first)
        made[(slice(None),) * axis + (slice(first, first + size),)] = of_block(size)


def write_queries(count: int, folder: Path) -> None:
    """The different queries, half of them logged, some of both halves held out."""
    numbers = np.arange(count)
    sources = np.where(numbers < count // 2, "logged", "pseudo")
    told = {"query": numbers.astype(np.str_), "source": sources, "held_out": numbers % HELD_OUT_EVERY == 0}
    pq.write_table(pa.table(told), folder / layout.TRAINING_QUERIES)


def train(kind: str, folder: Path, steps: int) -> None:
    """Gather the examples of a stage from what the steps have left, and train the recipe's backbone on them."""
    import torch

    from shelfwalk.generators.training import Trainer
    from shelfwalk.shelf.backbones import make_backbone

    torch.set_num_threads(1)
    torch.manual_seed(0)
    recipe, left = load_recipe(RECIPE), StepResult("left", folder, {}, reused=True)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        items = pa.table({"title": [""] * ITEMS})
        build = Build(items, recipe, work, 0, 1, lambda *_: None, Steps(work / "steps", ""))
        inputs = GeneratorInputs(Vectors(left, left), folder / layout.TEXT_ENCODER, left, left, left)
        made = StageExamples(build, inputs, work / "examples", texts=False)
        (stage,) = (stage for stage in recipe.training.stages or () if stage.kind == kind)
        settings = recipe.training.of_stage(stage).model_copy(update={"steps": steps, "validate_every": steps})
        backbone = make_backbone(build, DIMENSIONS, LEVEL_SIZES)
        Trainer(backbone, made.of(stage, settings), settings, 0, work / "checkpoints").run()


def own_megabytes(process: int) -> float:
    """What a process has in memory of its own, without what it has mapped from files; 0 where it has gone."""
    told = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    found = re.search(r"^RssAnon:\s+(\d+) kB", told, re.MULTILINE)
    return 0.0 if found is None else int(found[1]) / 1024


def most_megabytes(command: list[str]) -> float:
    """The most memory of its own that a command had, looked at again and again while it runs."""
    most = 0.0
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            most = max(most, own_megabytes(process.pid))
            time.sleep(SECONDS_BETWEEN_LOOKS)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return most


def measure(pairs: int, steps: int) -> dict[str, Any]:
    """The memory of every stage over a log of so many pairs."""
    with tempfile.TemporaryDirectory() as folder:
        write_steps(pairs, Path(folder))
        files = sum(file.stat().st_size for file in Path(folder).rglob("*"))
        found: dict[str, Any] = {"pairs": pairs, "files_megabytes": round(files / 2**20)}
        for stage in STAGES:
            command = [sys.executable, __file__, "--stage", stage, "--folder", folder, "--steps", str(steps)]
            found[f"{stage}_megabytes"] = round(most_megabytes(command))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, nargs="+", default=PAIRS_OF_LOGS)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--results", type=Path, default=RESULTS, help="the file to write")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stage is not None:
        train(arguments.stage, arguments.folder, arguments.steps)
        return
    from shelfwalk.evaluation.results import installed_versions, this_machine

    rows = [measure(pairs, arguments.steps) for pairs in arguments.pairs]
    about = {"steps": arguments.steps, "machine": asdict(this_machine()), "versions": installed_versions()}
    arguments.results.write_text(json.dumps({"rows": rows, **about}, indent=1) + "\n", encoding="utf-8")
    for row in rows:
        print("  ".join(f"{name} {value:,}" for name, value in row.items()))


if __name__ == "__main__":
    main()

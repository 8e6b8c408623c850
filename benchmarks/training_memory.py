"""What memory each stage of a generator's training needs, from a short log and from one thirty times as long.

    python benchmarks/training_memory.py

writes made-up pairs, visits and query vectors to files, as a build leaves them, trains each published stage for some
steps in a process of its own, and tells the most memory that the process had to itself; what it has mapped from files
is not counted, as the kernel takes that back when it needs it. Writes benchmarks/results/training_memory.json. No time
is measured, so that others may use the machine.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from shelfwalk.generators.examples import Asked, ExampleSource, ItemExamples, QueryExamples, TargetExamples
from shelfwalk.generators.pairs import MixedPairs, QueryTargets, StoredPairs
from shelfwalk.generators.shopper_examples import ShopperExamples, StoredVisits

RESULTS = Path(__file__).parent / "results" / "training_memory.json"
PAIRS = (1_000_000, 30_000_000)
PAIRS_OF_A_QUERY = 100
ITEMS, DIMENSIONS, LEVEL_SIZES, HISTORY = 20_000, 384, (64, 64, 32), 20
HELD_OUT = 1_000
BLOCK = 1_000_000
STAGES = ("items", "queries", "shoppers")


def write_log(pairs: int, folder: Path) -> None:
    """Made-up arrays of a log that has led to so many pairs; one visit a pair."""
    random, queries = np.random.default_rng(0), pairs // PAIRS_OF_A_QUERY
    kinds: dict[str, tuple[tuple[int, ...], type, Callable[[int], Any]]] = {
        "vectors": ((queries, DIMENSIONS), np.float32, lambda n: random.random((n, DIMENSIONS), np.float32)),
        "visit_queries": ((pairs,), np.int32, lambda n: random.integers(queries, size=n)),
        "histories": ((pairs, HISTORY), np.int32, lambda n: random.integers(ITEMS, size=(n, HISTORY))),
    }
    for name, (shape, number, of_block) in kinds.items():
        made = np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=number, shape=shape)
        for first in range(0, shape[0], BLOCK):
            made[first : first + BLOCK] = of_block(len(made[first : first + BLOCK]))
    # A query's pairs side by side, and a visit's target in the visit's place.
    items = random.integers(ITEMS, size=pairs, dtype=np.int32)
    np.save(folder / "pairs.npy", np.stack((np.arange(pairs, dtype=np.int32) // PAIRS_OF_A_QUERY, items)))
    np.save(folder / "visit_targets.npy", np.stack((np.arange(pairs, dtype=np.int32), items)))
    np.save(folder / "target_begins.npy", np.arange(queries + 1) * PAIRS_OF_A_QUERY)
    np.save(folder / "targets.npy", items)


def examples_of(stage: str, folder: Path) -> ExampleSource:
    """The source of a stage over the files, mapped as a build maps them."""
    read = {file.stem: np.load(file, mmap_mode="r", allow_pickle=False) for file in folder.glob("*.npy")}
    random = np.random.default_rng(1)
    codes = random.integers(LEVEL_SIZES, size=(ITEMS, len(LEVEL_SIZES)), dtype=np.int32)
    items = Asked(None, random.random((ITEMS, DIMENSIONS), np.float32))
    pairs = StoredPairs(read["pairs"])
    shared = Asked(None, read["vectors"]), items, codes, StoredPairs(np.array(read["pairs"][:, :HELD_OUT]))
    mixed = MixedPairs.of(pairs, pairs, None)
    if stage == "items":
        return ItemExamples(*shared)
    if stage == "queries":
        targets = QueryTargets(read["target_begins"], read["targets"])
        return TargetExamples(*shared, mixed, 0.125, targets)
    of_visits = read["visit_targets"]
    visits = StoredVisits(read["visit_queries"], read["histories"], of_visits, np.array(of_visits[:, :HELD_OUT]))
    return ShopperExamples(*shared[:3], visits, 0.125, 0.2, QueryExamples(*shared, mixed, item_share=0.0), 0.5)


def own_megabytes() -> float:
    """What this process has in memory of its own, without what it has mapped from files."""
    found = re.search(r"^RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


def train(stage: str, folder: Path, steps: int) -> None:
    """Train a stage, and print the most memory that it had after any step."""
    import torch

    from shelfwalk.generators.decoder import DecoderShape, IdentifierDecoder
    from shelfwalk.generators.decoder_backbone import DecoderBackbone
    from shelfwalk.generators.settings import TrainingSettings
    from shelfwalk.generators.training import Trainer

    torch.set_num_threads(1)
    torch.manual_seed(0)
    history = HISTORY if stage == "shoppers" else None
    backbone = DecoderBackbone(IdentifierDecoder(DecoderShape(DIMENSIONS, LEVEL_SIZES, history_length=history)))
    most = 0.0

    def told(_step: int, _loss: float) -> None:
        nonlocal most
        most = max(most, own_megabytes())

    with tempfile.TemporaryDirectory() as checkpoints:
        settings = TrainingSettings(steps=steps, validate_every=steps)
        Trainer(backbone, examples_of(stage, folder), settings, 0, Path(checkpoints)).run(told)
    print(round(most))


def measure(pairs: int, steps: int) -> dict[str, Any]:
    """The memory of every stage over a log of so many pairs."""
    with tempfile.TemporaryDirectory() as folder:
        write_log(pairs, Path(folder))
        files = sum(file.stat().st_size for file in Path(folder).iterdir())
        found: dict[str, Any] = {"pairs": pairs, "files_megabytes": round(files / 2**20)}
        for stage in STAGES:
            command = [sys.executable, __file__, "--stage", stage, "--folder", folder, "--steps", str(steps)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[f"{stage}_megabytes"] = int(done.stdout.split()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, nargs="+", default=PAIRS)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stage is not None:
        train(arguments.stage, arguments.folder, arguments.steps)
        return
    from shelfwalk.evaluation.results import installed_versions, this_machine

    rows = [measure(pairs, arguments.steps) for pairs in arguments.pairs]
    about = {"steps": arguments.steps, "machine": asdict(this_machine()), "versions": installed_versions()}
    RESULTS.write_text(json.dumps({"rows": rows, **about}, indent=1) + "\n", encoding="utf-8")
    for row in rows:
        print("  ".join(f"{name} {value:,}" for name, value in row.items()))


if __name__ == "__main__":
    main()

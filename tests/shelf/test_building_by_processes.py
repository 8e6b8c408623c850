"""Two processes build one shelf, as accelerate starts them: the first builds, the other trains with it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest
import torch
from test_building_stages import STAGES, write_log

from shelfwalk import Shelf
from shelfwalk.shelf.steps import AwaitedSteps, Steps
from small_shop import KINDS, SmallShop

LIMIT = 400


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def started(command: list[str], rank: int, port: int) -> subprocess.Popen[str]:
    own = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    environment = os.environ | {name: str(value) for name, value in own.items()} | {"ACCELERATE_USE_CPU": "true"}
    program = [sys.executable, "-c", "from shelfwalk.cli import main; main()"]
    return subprocess.Popen(
        [*program, *command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def built_by_two(command: list[str]) -> list[str]:
    """Build, and return what each of the two has said."""
    port = _free_port()
    running = [started(command, rank, port) for rank in (0, 1)]
    try:
        said = ["".join(process.communicate(timeout=LIMIT)) for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0, 0], said
    return said


class Together:
    """What two builders of one folder did: the first in this thread, the other beside it."""

    def __init__(self, folder: Path, before: tuple[str, ...] = ()) -> None:
        self.joined: list[str] = []
        self.ran: list[str] = []
        self.folder = folder
        if before:
            self._build(before)
            self.ran.clear()

    def _build(self, names: tuple[str, ...]) -> list[dict[str, object]]:
        steps = Steps(self.folder, "data")

        def fill(work: Path, name: str) -> dict[str, object]:
            checkpoints = steps.partial(name)
            # Long enough that the other looks before and after.
            deadline = time.monotonic() + 60
            while name == "shared" and name not in self.joined and self.awaiting and time.monotonic() < deadline:
                time.sleep(0.01)
            assert checkpoints.is_dir()
            self.ran.append(name)
            return {"name": name}

        return [steps.run(name, partial(fill, name=name)).facts for name in names]

    awaiting = False

    def run(self, names: tuple[str, ...]) -> list[dict[str, object]]:
        """What the one that waits was given."""
        found: list[dict[str, object]] = []

        def join(work: Path) -> dict[str, object]:
            self.joined.append(work.name.removesuffix(".tmp"))
            return {}

        def wait() -> None:
            steps = AwaitedSteps(self.folder, "data", frozenset({"shared"}))
            found.extend(steps.run(name, join).facts for name in names)

        self.awaiting = True
        other = threading.Thread(target=wait)
        other.start()
        self._build(names)
        other.join(60)
        assert not other.is_alive()
        return found


STEPS = ("first", "shared", "last")


def test_the_one_that_waits_joins_in_the_shared_step_and_gets_what_the_other_made(tmp_path: Path) -> None:
    together = Together(tmp_path / "steps")
    assert together.run(STEPS) == [{"name": name} for name in STEPS]
    assert together.ran == list(STEPS)
    assert together.joined == ["shared"]


def test_a_shared_step_that_was_finished_before_is_not_joined(tmp_path: Path) -> None:
    together = Together(tmp_path / "steps", before=STEPS)
    assert together.run(STEPS) == [{"name": name} for name in STEPS]
    assert together.ran == together.joined == []


def test_a_shared_step_whose_checkpoints_an_interruption_left_is_joined(tmp_path: Path) -> None:
    together = Together(tmp_path / "steps", before=("first",))
    steps = Steps(tmp_path / "steps", "data")
    steps.run("first", lambda _: {})
    steps.partial("shared")
    assert together.run(STEPS)[1] == {"name": "shared"}
    assert (together.ran, together.joined) == (["shared", "last"], ["shared"])


def inodes(folder: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_ino for path in (folder / "building" / "steps").glob("*/step.json")}


def test_two_processes_build_a_shelf_in_stages_and_find_it_built(
    small_shop: SmallShop, shop_cache: Path, tmp_path: Path
) -> None:
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("this torch has no gloo")
    text = small_shop.recipe_file.read_text(encoding="utf-8").replace(
        "[generator]\n", "[generator]\nhistory_length = 3\n"
    )
    recipe, out = tmp_path / "staged.toml", tmp_path / "my.shelf"
    recipe.write_text(text.replace("steps = 40", "steps = 20") + STAGES, encoding="utf-8")
    command = ["build", "--items", str(small_shop.items_file), "--events", str(write_log(tmp_path)), "--recipe"]
    command += [str(recipe), "--out", str(out), "--threads", "1"]
    first, other = built_by_two(command)
    assert "Published" in first
    assert "Published" not in other
    assert "Training" not in other
    shelf = Shelf.open(out)
    assert [stage["steps"] for stage in shelf.recorded["stages"]] == [10, 20, 30]
    assert len(shelf.search(next(iter(KINDS)), 5, "generative").results) == 5
    steps = out / "building" / "steps"
    assert not [path.name for path in steps.iterdir() if path.suffix in (".tmp", ".partial")]
    before = inodes(out)
    built_by_two(command)
    assert inodes(out) == before, "finished steps were made again"
    assert Shelf.open(out).manifest.recipe == shelf.manifest.recipe

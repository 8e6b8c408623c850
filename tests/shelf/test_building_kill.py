"""A real build, killed at random moments over an existing shelf: the shelf answers as before, and the build completes.

This very file, run as a program, is the process that builds: it loads the libraries once and forks for each build, so
that the moments are those of the build's own work.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shelfwalk.shelf.generations import generations
from shelfwalk.shelf.manifest import read_manifest, verify
from shelfwalk.shelf.shelf import Answer, Shelf

if TYPE_CHECKING:
    from small_shop import SmallShop

MOMENTS = (
    # What of the shelf's folder is there when the clock starts, and the longest wait from then to the kill in seconds.
    *[(".", 0.4)] * 3,
    ("building/steps/identifiers", 0.2),
    ("building/steps/generator.partial", 0.3),
    ("building/steps/generator.partial/best.safetensors", 2.0),
    *[("building/steps/generator", 0.5)] * 3,
    *[("building/steps/generator", 2.0)] * 3,
)


@pytest.fixture
def shelf(small_shop: SmallShop, tmp_path: Path) -> Path:
    return small_shop.copy_of_shelf(tmp_path)


@pytest.fixture
def builders(small_shop: SmallShop, shop_cache: Path, shelf: Path) -> Iterator[subprocess.Popen[str]]:
    """The process that forks builds of another seed over the shelf."""
    command = [sys.executable, __file__, "build", "--items", str(small_shop.items_file), "--out", str(shelf)]
    command += ["--recipe", str(small_shop.recipe_file), "--seed", "1", "--threads", "1", "--quiet"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        yield process
        process.stdin.close()


def start(builders: subprocess.Popen[str]) -> int:
    builders.stdin.write("build\n")
    return int(builders.stdout.readline().split()[1])


def end(builders: subprocess.Popen[str]) -> int:
    return int(builders.stdout.readline().split()[1])


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def kill_at(builders: subprocess.Popen[str], marker: Path, wait: float) -> int:
    """Start a build, kill it so long after `marker` is there, and return how it ended."""
    child = start(builders)
    while is_running(child) and not marker.exists():
        time.sleep(0.001)
    time.sleep(wait)
    if is_running(child):
        os.kill(child, signal.SIGKILL)
    return end(builders)


def answers(shelf: Shelf) -> list[Answer]:
    return [shelf.search(query, 20) for query in ("usb hub", "warm lamp for a desk", "Dunlo")]


def test_a_build_killed_at_random_moments(small_shop: SmallShop, shelf: Path, builders: subprocess.Popen[str]) -> None:
    rng = random.Random(11)
    expected = {0: [answer.results for answer in answers(Shelf.open(small_shop.shelf))]}
    published, ends = 0, []
    for name, longest in MOMENTS:
        ends.append(kill_at(builders, shelf / name, rng.uniform(0, longest)))
        for generation in generations(shelf):
            verify(shelf / "generations" / generation, read_manifest(shelf / "generations" / generation))
        opened = Shelf.open(shelf)
        found = [answer.results for answer in answers(opened)]
        # Of the seed that is being built only where a build came to its end before the kill.
        assert opened.recorded["seed"] >= published
        published = opened.recorded["seed"]
        assert expected.setdefault(published, found) == found, name
    assert set(ends) <= {0, -signal.SIGKILL}
    assert ends.count(-signal.SIGKILL) >= len(MOMENTS) // 2
    start(builders)
    assert end(builders) == 0
    finished = Shelf.open(shelf)
    assert finished.recorded["seed"] == 1
    found = [answer.results for answer in answers(finished)]
    assert expected.setdefault(1, found) == found
    assert not [path.name for path in (shelf / "generations").iterdir() if path.name.startswith(".")]


def serve(arguments: list[str]) -> None:
    """For each line read, fork a process that builds; tell its id, and how it ended."""
    import faiss  # noqa: F401
    import onnxruntime.quantization  # noqa: F401

    from shelfwalk.cli import main

    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            os._exit(main(arguments))
        print("started", child, flush=True)
        print("ended", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    serve(sys.argv[1:])

"""Kills and faults: whatever ends a build, at whatever moment, the shelf holds a whole version.

The build under test makes two steps (one with checkpoints), stages, publishes and removes old generations; every byte
that it writes tells its version. It runs in this process with a fault injected at each system call in turn, and in a
second process (this very file, run as a program) that is killed at random moments.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shelfwalk.errors import UserError
from shelfwalk.files import write_whole
from shelfwalk.shelf.generations import generations, open_for_building, open_generation
from shelfwalk.shelf.manifest import read_manifest, verify
from shelfwalk.shelf.steps import Steps

CHECKPOINTS = 3
KILLS = 60


def contents(version: int) -> dict[str, bytes]:
    """The files of a version."""
    epochs = "".join(f"epoch {number} of {version}\n" for number in range(CHECKPOINTS))
    return {"codes.npy": f"codes {version}".encode() * 100, "models/generator.onnx": epochs.encode()}


def train(folder: Path, checkpoints: Path, version: int) -> dict[str, int]:
    """A step that goes on from its last checkpoint."""
    text, first = "", 0
    for first in range(CHECKPOINTS, 0, -1):
        if (checkpoints / f"{first}").exists():
            text = (checkpoints / f"{first}").read_text()
            break
    else:
        first = 0
    for number in range(first, CHECKPOINTS):
        text += f"epoch {number} of {version}\n"
        write_whole(checkpoints / f"{number + 1}", text)
    (folder / "models").mkdir()
    (folder / "models" / "generator.onnx").write_text(text)
    return {"version": version}


def build(shelf: Path, version: int, keep: int) -> None:
    """Build and publish one version, resuming whatever an earlier attempt left."""

    def encode(folder: Path) -> dict[str, int]:
        (folder / "codes.npy").write_bytes(contents(version)["codes.npy"])
        return {"version": version}

    with open_for_building(shelf) as builder:
        steps = Steps(builder.folder / "steps", f"version {version}")
        results = [steps.run("encode", encode)]
        results.append(steps.run("train", lambda folder: train(folder, steps.partial("train"), version)))
        assert [result.facts for result in results] == [{"version": version}] * 2
        staging = builder.folder / "staging"
        shutil.rmtree(staging, ignore_errors=True)
        for result in results:
            shutil.copytree(result.folder, staging, dirs_exist_ok=True, ignore=shutil.ignore_patterns("step.json"))
        builder.publish(staging, {}, {"version": version})
        builder.remove_old(keep)


def opened_version(shelf: Path) -> int:
    """The version of an opened shelf, after checking every byte in it."""
    folder, manifest = open_generation(shelf)
    version = manifest.facts["version"]
    assert isinstance(version, int)
    expected = contents(version)
    assert {name: (folder / name).read_bytes() for name in manifest.files} == expected
    return version


def check_all_generations(shelf: Path) -> None:
    for name in generations(shelf):
        folder = shelf / "generations" / name
        verify(folder, read_manifest(folder))


@pytest.fixture
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make fsync free: a fault in this process loses nothing that was written."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def test_nothing_gets_its_name_before_it_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut keeps what was synced: everything below a renamed path, and the renames before CURRENT changes."""
    synced, awaited, renamed = set[tuple[int, ...]](), set[int](), list[str]()
    fsync = os.fsync

    def state(status: os.stat_result) -> tuple[int, ...]:
        # An inode alone would not do: its number comes back for another file.
        return status.st_ino, status.st_size, status.st_mtime_ns

    def recording_fsync(descriptor: int) -> None:
        synced.add(state(os.fstat(descriptor)))
        awaited.discard(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    def checking(original: Callable[..., None]) -> Callable[..., None]:
        def move(source: Path, target: Path) -> None:
            doomed = target.suffix == ".tmp" or target.name.startswith(".removed-")
            for path in () if doomed else (source, *source.rglob("*")):
                assert state(path.stat()) in synced, f"{path} became {target} before it was on the disk"
            if target.name == "CURRENT":
                assert not awaited, "CURRENT changed before the generation's place was on the disk"
            original(source, target)
            renamed.append(target.name)
            if target.parent.name == "generations" and not doomed:
                awaited.update(
                    {source.parent.stat().st_ino, target.parent.stat().st_ino, target.parents[1].stat().st_ino}
                )

        return move

    monkeypatch.setattr(os, "fsync", recording_fsync)
    for name in ("rename", "replace"):
        monkeypatch.setattr(os, name, checking(getattr(os, name)))
    for version in (1, 2, 3):
        build(tmp_path / "my.shelf", version, 2)
    assert [name for name in renamed if name in ("encode", "000002", "CURRENT")] == [
        "encode", "CURRENT", "encode", "000002", "CURRENT", "encode", "CURRENT"
    ]  # fmt: skip
    assert opened_version(tmp_path / "my.shelf") == 3


class FaultError(Exception):
    """Stands for a full disk or a lost machine at one system call."""


def strikes(patch: pytest.MonkeyPatch, call: int, action: Callable[..., object], *arguments: Any) -> bool:
    """Run `action` with its `call`-th change of the disk and every later one failing; False if it passed before."""
    counter = itertools.count(1)

    def failing(original: Callable[..., Any]) -> Callable[..., Any]:
        def attempt(*values: Any, **options: Any) -> Any:
            if next(counter) >= call:
                raise FaultError
            return original(*values, **options)

        return attempt

    with patch.context() as during:
        for name in ("replace", "rename", "fsync", "unlink", "rmdir", "mkdir"):
            during.setattr(os, name, failing(getattr(os, name)))
        try:
            action(*arguments)
        except FaultError:
            return True
    return False


@pytest.mark.usefixtures("no_waiting_for_the_disk")
@pytest.mark.parametrize("resumed", [True, False], ids=["the same build again", "another build"])
def test_a_fault_at_any_call_leaves_the_former_or_the_new_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resumed: bool
) -> None:
    shelf = tmp_path / "my.shelf"
    for version in (0, 1):
        build(shelf, version, 2)
    before_and_after = set()
    for call in itertools.count(1):
        former = opened_version(shelf)
        attempted = former + 1
        if not strikes(monkeypatch, call, build, shelf, attempted, 2):
            break
        now = opened_version(shelf)
        assert now in (former, attempted), f"after a fault at call {call}"
        check_all_generations(shelf)
        before_and_after.add(now == attempted)
        following = attempted if resumed else attempted + 1
        build(shelf, following, 2)
        assert opened_version(shelf) == following
        check_all_generations(shelf)
    assert opened_version(shelf) == attempted
    assert len(generations(shelf)) == 2
    assert before_and_after == {True, False}


@pytest.mark.usefixtures("no_waiting_for_the_disk")
def test_a_fault_at_any_call_of_the_first_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for call in itertools.count(1):
        shelf = tmp_path / f"{call}" / "my.shelf"
        shelf.parent.mkdir()
        struck = strikes(monkeypatch, call, build, shelf, 1, 2)
        try:
            assert opened_version(shelf) == 1
        except UserError as error:
            assert struck
            assert any(words in str(error) for words in ("no shelf here", "not a shelf", "never finished"))
        if not struck:
            break
        build(shelf, 2, 2)
        assert opened_version(shelf) == 2


def serve(shelf: Path) -> None:
    """For each number read, fork a process that builds that version and all after it; tell its id and its end."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                for version in itertools.count(int(line)):
                    build(shelf, version, 20)
                    os.write(1, f"acknowledged {version}\n".encode())
            finally:
                os._exit(1)
        os.write(1, f"started {child}\n".encode())
        _, status = os.waitpid(child, 0)
        os.write(1, f"ended {os.waitstatus_to_exitcode(status)}\n".encode())


@pytest.fixture
def builders(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    build(tmp_path / "my.shelf", 0, 20)
    command = [sys.executable, __file__, str(tmp_path / "my.shelf")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        yield process


def kill_one(builders: subprocess.Popen[str], first: int, delay: float, wait: bool, watch: Callable[[], int]) -> int:
    """Let one process build from version `first` on and kill it; return the last version that it acknowledged."""
    assert builders.stdin is not None and builders.stdout is not None
    builders.stdin.write(f"{first}\n")
    child, last = 0, first - 1
    while not child or (wait and last < first):
        word, number = builders.stdout.readline().split()
        child, last = (int(number), last) if word == "started" else (child, int(number))
    until, seen = time.monotonic() + delay, 0
    while time.monotonic() < until:
        now = watch()
        assert now >= seen, "a reader saw an older version after a newer one"
        seen = now
    os.kill(child, signal.SIGKILL)
    for line in builders.stdout:
        word, number = line.split()
        if word == "ended":
            assert int(number) == -signal.SIGKILL, "the build failed by itself"
            return last
        last = int(number)
    raise AssertionError("the builders ended early")


def test_a_kill_at_any_moment_leaves_every_acknowledged_version(
    tmp_path: Path, builders: subprocess.Popen[str]
) -> None:
    shelf = tmp_path / "my.shelf"
    moments = random.Random(20)
    version = 0
    for number in range(KILLS):
        delay = moments.uniform(0, 0.06)
        last = kill_one(builders, version + 1, delay, number % 4 == 0, lambda: opened_version(shelf))
        version = opened_version(shelf)
        assert version in (last, last + 1), "older than acknowledged, or newer than ever built"
        check_all_generations(shelf)
    assert version >= KILLS // 4
    build(shelf, version + 1, 1)
    assert opened_version(shelf) == version + 1
    assert len(generations(shelf)) == 1


if __name__ == "__main__":
    serve(Path(sys.argv[1]))

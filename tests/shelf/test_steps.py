"""Build steps: each interrupted once, resumed, invalidated, and compared with a build that ran through."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfwalk.shelf.steps import StepResult, Steps

NAMES = ["encode", "tokenize", "train", "export"]


@pytest.fixture(autouse=True, scope="module")
def no_waiting_for_the_disk() -> Iterator[None]:
    """No machine loses power here; test_kill.py checks what waits for the disk, and when."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


class Build:
    """A build whose steps copy the former step's text and add their own; it counts what it runs."""

    def __init__(self, folder: Path, fingerprint: str = "data 1", names: list[str] | None = None) -> None:
        self.folder, self.fingerprint, self.names = folder, fingerprint, names or NAMES
        self.ran: list[str] = []

    def run(self, stop: str = "", error: type[BaseException] = KeyboardInterrupt) -> list[StepResult]:
        steps, text, results = Steps(self.folder, self.fingerprint), self.fingerprint, list[StepResult]()
        for name in self.names:
            result = steps.run(name, self.step(name, text, error if name == stop else None))
            text = (result.folder / "text").read_text()
            results.append(result)
        return results

    def step(self, name: str, before: str, error: type[BaseException] | None) -> Callable[[Path], dict[str, Any]]:
        def function(folder: Path) -> dict[str, Any]:
            self.ran.append(name)
            assert list(folder.iterdir()) == []
            (folder / "text").write_text("half")
            if error:
                raise error
            (folder / "text").write_text(f"{before} {name}")
            return {"length": len(before), "pair": (1, 2.5)}

        return function


def outcome(results: list[StepResult]) -> list[tuple[str, dict[str, Any], str]]:
    return [(result.name, result.facts, (result.folder / "text").read_text()) for result in results]


def test_a_build_that_runs_through(tmp_path: Path) -> None:
    build = Build(tmp_path / "new" / "steps")
    results = build.run()
    assert build.ran == NAMES
    assert [result.reused for result in results] == [False] * 4
    assert results[-1].folder == tmp_path / "new" / "steps" / "export"
    assert (results[-1].folder / "text").read_text() == "data 1 encode tokenize train export"
    assert results[1].facts == {"length": len("data 1 encode"), "pair": [1, 2.5]}
    assert sorted(path.name for path in build.folder.iterdir()) == sorted(NAMES)


def test_a_finished_build_runs_nothing_again(tmp_path: Path) -> None:
    first = outcome(Build(tmp_path).run())
    again = Build(tmp_path)
    results = again.run()
    assert again.ran == []
    assert [result.reused for result in results] == [True] * 4
    assert outcome(results) == first


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("stop", NAMES)
def test_an_interrupted_build_goes_on_after_its_last_finished_step(
    tmp_path: Path, stop: str, error: type[BaseException]
) -> None:
    whole = outcome(Build(tmp_path / "whole").run())
    with pytest.raises(error):
        Build(tmp_path / "steps").run(stop, error)
    resumed = Build(tmp_path / "steps")
    assert outcome(resumed.run()) == whole
    assert resumed.ran == NAMES[NAMES.index(stop) :]
    assert sorted(path.name for path in resumed.folder.iterdir()) == sorted(NAMES)


def test_another_fingerprint_discards_every_step(tmp_path: Path) -> None:
    Build(tmp_path, "data 1").run()
    with pytest.raises(KeyboardInterrupt):
        Build(tmp_path, "data 2").run("encode")
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".tmp"] == []
    back = Build(tmp_path, "data 1")
    back.run()
    assert back.ran == NAMES


@pytest.mark.parametrize(
    ("names", "rerun"),
    [
        (["encode", "tokenize", "distil", "export"], ["distil", "export"]),
        (["tokenize", "encode", "train", "export"], ["tokenize", "encode", "train", "export"]),
        (["encode", "train", "export"], ["train", "export"]),
        (["encode", "tokenize", "train", "export", "check"], ["check"]),
    ],
)
def test_a_step_stands_on_all_steps_before_it(tmp_path: Path, names: list[str], rerun: list[str]) -> None:
    Build(tmp_path).run()
    changed = Build(tmp_path, names=names)
    assert outcome(changed.run())[-1][2] == " ".join(["data 1", *names])
    assert changed.ran == rerun
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


@pytest.mark.parametrize("damage", ["remove the folder", "remove the record", "cut the record", "replace the record"])
def test_a_damaged_step_and_all_after_it_run_again(tmp_path: Path, damage: str) -> None:
    whole = outcome(Build(tmp_path).run())
    record = tmp_path / "tokenize" / "step.json"
    if damage == "remove the folder":
        shutil.rmtree(record.parent)
    elif damage == "remove the record":
        record.unlink()
    else:
        record.write_text(record.read_text()[:-20] if damage == "cut the record" else "[1, 2]")
    again = Build(tmp_path)
    assert outcome(again.run()) == whole
    assert again.ran == NAMES[1:]


@settings(max_examples=60)
@given(
    runs=st.lists(
        st.tuples(st.sampled_from(["data 1", "data 2"]), st.permutations(NAMES[:3]), st.sampled_from(["", *NAMES[:3]])),
        min_size=1,
        max_size=6,
    )
)
def test_any_history_ends_like_a_fresh_build(
    runs: list[tuple[str, list[str], str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("history")
    finished: tuple[str, list[str]] = ("", [])  # fingerprint and names of the steps that are there
    for fingerprint, names, stop in runs:
        build = Build(folder, fingerprint, names)
        wanted = names[: names.index(stop)] if stop else names
        kept = 0
        if finished[0] == fingerprint:
            while kept < len(finished[1]) and kept < len(names) and finished[1][kept] == names[kept]:
                kept += 1
        if stop and kept <= names.index(stop):
            with pytest.raises(KeyboardInterrupt):
                build.run(stop)
            assert build.ran == names[kept : names.index(stop) + 1]
            finished = (fingerprint, wanted)
        else:
            results = build.run(stop)
            assert build.ran == names[kept:]
            assert outcome(results)[-1][2] == " ".join([fingerprint, *names])
            finished = (fingerprint, names)
    shutil.rmtree(folder)


def count_up(steps: Steps, goal: int, stop: int) -> StepResult:
    """A step that counts in a checkpoint file and is interrupted at `stop`."""

    def function(folder: Path) -> dict[str, int]:
        checkpoint = steps.partial("count") / "count.json"
        start = json.loads(checkpoint.read_text()) if checkpoint.exists() else 0
        for number in range(start, goal):
            if number == stop:
                raise KeyboardInterrupt
            checkpoint.write_text(json.dumps(number + 1))
        (folder / "result").write_text("counted")
        return {"started_at": start}

    return steps.run("count", function)


def test_checkpoints_survive_an_interruption_and_go_when_the_step_is_done(tmp_path: Path) -> None:
    for stop in (3, 7):
        with pytest.raises(KeyboardInterrupt):
            count_up(Steps(tmp_path, "data 1"), 10, stop)
        assert json.loads((tmp_path / "count.partial" / "count.json").read_text()) == stop
    result = count_up(Steps(tmp_path, "data 1"), 10, -1)
    assert result.facts == {"started_at": 7}
    assert [path.name for path in tmp_path.iterdir()] == ["count"]
    assert sorted(path.name for path in result.folder.iterdir()) == ["result", "step.json"]


def test_a_kill_in_the_middle_of_discarding_never_revives_half_a_step(tmp_path: Path) -> None:
    whole = outcome(Build(tmp_path / "whole").run())
    remove = os.unlink
    for removals in range(12):
        folder = tmp_path / f"{removals}"
        Build(folder, "data 1").run()
        counter = itertools.count()

        def unlink(*values: Any, counter: Iterator[int] = counter, last: int = removals, **options: Any) -> None:
            if next(counter) == last:
                raise KeyboardInterrupt
            remove(*values, **options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "unlink", unlink)
            try:
                Build(folder, "data 2").run()
            except KeyboardInterrupt:
                assert outcome(Build(folder, "data 1").run()) == whole, f"killed at removal {removals}"
            else:
                break
    assert removals == 2 * len(NAMES), "each step holds two files"


def test_checkpoints_may_be_asked_for_before_the_step_runs(tmp_path: Path) -> None:
    before = Steps(tmp_path, "data 1").partial("count")
    (before / "count.json").write_text("4")
    assert count_up(Steps(tmp_path, "data 1"), 10, -1).facts == {"started_at": 4}


def test_checkpoints_of_another_build_are_not_used(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        count_up(Steps(tmp_path, "data 1"), 10, 5)
    partial = Steps(tmp_path, "data 2").partial("count")
    assert [path.name for path in partial.iterdir()] == ["step.json"]
    assert count_up(Steps(tmp_path, "data 2"), 10, -1).facts == {"started_at": 0}


def test_checkpoints_go_when_an_earlier_step_runs_again(tmp_path: Path) -> None:
    first = Steps(tmp_path, "data 1")
    first.run("encode", lambda folder: {})
    with pytest.raises(KeyboardInterrupt):
        count_up(first, 10, 5)
    shutil.rmtree(tmp_path / "encode")
    second = Steps(tmp_path, "data 1")
    second.run("encode", lambda folder: {})
    assert count_up(second, 10, -1).facts == {"started_at": 0}


def test_checkpoints_half_discarded_by_a_kill_are_not_taken_for_new_ones(tmp_path: Path) -> None:
    (tmp_path / "count.partial.tmp").mkdir()
    (tmp_path / "count.partial.tmp" / "count.json").write_text("9")
    assert not (Steps(tmp_path, "data 1").partial("count") / "count.json").exists()
    assert count_up(Steps(tmp_path, "data 1"), 10, -1).facts == {"started_at": 0}


def test_a_kill_between_the_step_and_the_end_of_its_checkpoints(tmp_path: Path) -> None:
    checkpoints = Steps(tmp_path, "data 1").partial("count")
    record = (checkpoints / "step.json").read_text()
    count_up(Steps(tmp_path, "data 1"), 10, -1)
    checkpoints.mkdir()
    (checkpoints / "step.json").write_text(record)
    assert count_up(Steps(tmp_path, "data 1"), 10, -1).reused
    assert not checkpoints.exists()


def test_what_is_no_step_stays(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "vectors").mkdir()
    (tmp_path / "vectors" / "cache.npy").write_bytes(b"cache")
    Build(tmp_path, "data 1").run()
    Build(tmp_path, "data 2").run()
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / "vectors" / "cache.npy").read_bytes() == b"cache"


@pytest.mark.parametrize("name", ["", "..", "a/b", "a.partial", "a b", "é"])
def test_a_bad_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no step name"):
        Steps(tmp_path, "data 1").run(name, lambda folder: {})
    with pytest.raises(ValueError, match="no step name"):
        Steps(tmp_path, "data 1").partial(name)


def test_a_repeated_name_is_refused(tmp_path: Path) -> None:
    steps = Steps(tmp_path, "data 1")
    steps.run("encode", lambda folder: {})
    with pytest.raises(ValueError, match="has run already"):
        steps.run("encode", lambda folder: {})


@pytest.mark.parametrize("facts", [{"mean": float("nan")}, {"folder": Path("a")}, {"codes": {1, 2}}])
def test_facts_that_are_no_json_leave_the_step_undone(tmp_path: Path, facts: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        Steps(tmp_path, "data 1").run("encode", lambda folder: facts)
    assert not Steps(tmp_path, "data 1").run("encode", lambda folder: {}).reused


def test_a_step_may_not_write_its_own_record(tmp_path: Path) -> None:
    def forging(folder: Path) -> dict[str, int]:
        (folder / "step.json").write_text("{}")
        return {}

    with pytest.raises(ValueError, match=r"step\.json"):
        Steps(tmp_path, "data 1").run("encode", forging)
    assert not (tmp_path / "encode").exists()

"""Resumable build steps: an interrupted build goes on after its last finished step.

In: a folder, the fingerprint of the build (a hash of its data, recipe and seed) and, one after another, functions that
fill a folder. Out: one folder a step, with its facts in `step.json`. A step appears by one rename, so it is there whole
or not at all; it is taken over from an earlier run only where the fingerprint, its own name and all steps before it
are the same. Everything else that earlier runs left is discarded before the first step that runs anew, so no step ever
stands on a newer one.

Where several processes build together, one runs the steps and the others wait for each, but for those that they share.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shelfwalk.files import sync_folder, sync_tree, write_whole

RECORD = "step.json"
"""The file inside a finished step's folder that makes it one; a step must not write it itself."""

_STEP_NAME = re.compile(r"[A-Za-z0-9_-]+")
_UNFINISHED = ".tmp"
_PARTIAL = ".partial"
_SECONDS_BETWEEN_LOOKS = 0.2


@dataclass(frozen=True)
class StepResult:
    """A finished step: its folder (to be read only), its JSON facts, and whether an earlier run had made it."""

    name: str
    folder: Path
    facts: dict[str, Any]
    reused: bool


class _Chain:
    """The steps so far, each named by a digest of itself and of all before it."""

    def __init__(self, fingerprint: str) -> None:
        self.finished: list[str] = []
        self._last = hashlib.sha256(fingerprint.encode()).hexdigest()

    def next(self, name: str, settings: str) -> str:
        """The digest of the step to come; raises ValueError for a bad or repeated name."""
        if not _STEP_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no step name: use letters, digits, - and _")
        if name in self.finished:
            raise ValueError(f"the step {name!r} has run already in this build")
        return hashlib.sha256(f"{self._last} {name} {settings}".encode()).hexdigest()

    def finish(self, name: str, digest: str) -> None:
        """Go on to the step after this one."""
        self._last = digest
        self.finished.append(name)


class Steps:
    """The steps of one build, run in order inside `folder`, which is created and should hold nothing else."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder = folder
        self._chain = _Chain(fingerprint)
        folder.mkdir(parents=True, exist_ok=True)

    def run(self, name: str, function: Callable[[Path], Mapping[str, Any]], settings: str = "") -> StepResult:
        """Return the step `name`, either as an earlier run left it or by calling `function` with an empty folder.

        `settings`: what of the build's settings the step depends on, beside what it finds in earlier steps.
        `function` fills the folder and returns its facts (JSON; no NaN); the folder then moves, so it must not keep
        the path. Whatever it raises passes through and leaves the step undone. Raises ValueError for a bad or repeated
        name, for a step that writes `step.json` itself and for NaN in the facts; TypeError for facts that are no JSON.
        """
        chain = self._chain.next(name, settings)
        facts = _facts(self.folder / name, chain)
        reused = facts is not None
        if facts is None:
            self._discard_stale(name, chain)
            facts = self._execute(name, chain, function)
        self._discard(self.folder / f"{name}{_PARTIAL}")
        self._chain.finish(name, chain)
        return StepResult(name, self.folder / name, facts, reused)

    def partial(self, name: str, settings: str = "") -> Path:
        """Return the folder where the next step, `name`, may keep checkpoints: it survives an interruption.

        It is empty but for its record unless an interrupted run of the same step of the same build left something, and
        goes when the step is done. The step itself must write each checkpoint whole or not at all. Raises ValueError
        for a bad or repeated name.
        """
        chain = self._chain.next(name, settings)
        path = self.folder / f"{name}{_PARTIAL}"
        if _facts(path, chain) is None:
            self._discard(path)
            self._appear(path, chain, {})
        return path

    def _execute(self, name: str, chain: str, function: Callable[[Path], Mapping[str, Any]]) -> dict[str, Any]:
        work = self.folder / f"{name}{_UNFINISHED}"
        work.mkdir()
        facts = dict(function(work))
        if (work / RECORD).exists():
            raise ValueError(f"the step {name!r} wrote {RECORD}, which is kept for its record")
        return self._appear(self.folder / name, chain, facts)

    def _appear(self, path: Path, chain: str, facts: dict[str, Any]) -> dict[str, Any]:
        """Give `path`.tmp its record and its final name; return the facts as they read back from JSON."""
        work = path.with_name(f"{path.name}{_UNFINISHED}")
        work.mkdir(exist_ok=True)
        text = json.dumps({"chain": chain, "facts": facts}, indent=1, allow_nan=False)
        write_whole(work / RECORD, text)
        sync_tree(work)
        work.rename(path)
        sync_folder(self.folder)
        return dict(json.loads(text)["facts"])

    def _discard_stale(self, name: str, chain: str) -> None:
        """Remove all that does not belong to this build so far; only the checkpoints of the step to come stay."""
        for path in sorted(self.folder.iterdir()):
            if path.name in self._chain.finished or not path.is_dir():
                continue
            own_checkpoints = path.name == f"{name}{_PARTIAL}" and _facts(path, chain) is not None
            ours = path.name == name or path.suffix in (_UNFINISHED, _PARTIAL) or (path / RECORD).exists()
            if ours and not own_checkpoints:
                self._discard(path)

    def _discard(self, path: Path) -> None:
        """Remove `path` and what an interrupted run left under its unfinished name."""
        doomed = path.with_name(f"{path.name}{_UNFINISHED}")
        if doomed.exists():
            shutil.rmtree(doomed)
        if path.exists():
            # Renamed first, lest a removal that is cut short leaves half a step with a valid record.
            shutil.rmtree(path.rename(doomed))


class AwaitedSteps:
    """The steps of a build that another process runs: this one waits for each, and takes its part in the `shared` ones.

    It writes nothing by itself. Where the other process fails, whoever started both has to end this one.
    """

    def __init__(self, folder: Path, fingerprint: str, shared: frozenset[str]) -> None:
        self.folder = folder
        self._chain = _Chain(fingerprint)
        self._shared = shared

    def run(self, name: str, function: Callable[[Path], Mapping[str, Any]], settings: str = "") -> StepResult:
        """The step `name`, as the other process leaves it.

        Of a shared step that is not finished yet, `function` is called when the other process is about to run it.
        """
        chain = self._chain.next(name, settings)
        to_join = name in self._shared
        while (facts := _facts(self.folder / name, chain)) is None:
            if to_join and _facts(self.partial(name), chain) is not None:
                function(self.folder / f"{name}{_UNFINISHED}")
                to_join = False
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        self._chain.finish(name, chain)
        return StepResult(name, self.folder / name, facts, reused=True)

    def partial(self, name: str, settings: str = "") -> Path:
        """The folder of the checkpoints of step `name`."""
        return self.folder / f"{name}{_PARTIAL}"


def finished_steps(folder: Path) -> set[str]:
    """The names of the finished steps in `folder`, of whatever build."""
    records = folder.glob(f"*/{RECORD}")
    return {record.parent.name for record in records if record.parent.suffix != _PARTIAL}


def _facts(folder: Path, chain: str) -> dict[str, Any] | None:
    """Return the facts in a folder's record, or None where the record is missing, unreadable or of another chain."""
    try:
        record = json.loads((folder / RECORD).read_bytes())
        return dict(record["facts"]) if record["chain"] == chain else None
    except (OSError, ValueError, TypeError, KeyError):
        return None

"""Generations: how a finished build becomes the current version of a shelf, whole or not at all.

In: a folder of staged files, the recipe and the facts of the build. Out: a new immutable generation that readers see
from one atomic rename on. On disk (POSIX: it relies on atomic renames, fsync of folders and flock):

    my.shelf/
      CURRENT              one line: the name of the current generation
      generations/000001/  immutable; the files and, written last, manifest.json
      building/            what a build in progress keeps; readers ignore it
      lock                 held by the one builder; readers never need it

Each rename waits until what it names is on the disk (fsync), so a process killed or a machine stopped at any moment
leaves the former generation or the new one. What a killed publication leaves behind is never reused.
"""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shelfwalk.errors import UserError
from shelfwalk.files import sync_folder, sync_tree, write_whole
from shelfwalk.shelf import manifest as manifests
from shelfwalk.shelf.manifest import FORMAT_VERSION, MANIFEST, Manifest
from shelfwalk.version import __version__

CURRENT = "CURRENT"
GENERATIONS = "generations"
BUILDING = "building"
LOCK = "lock"

_GENERATION_NAME = re.compile(r"[0-9]{6,}")
_REMOVED = ".removed-"
_NAME_A_SHELF = "give the folder that shelfwalk build --out made"


@dataclass(frozen=True)
class Builder:
    """The one writer of a shelf while it holds the lock: see `open_for_building`.

    `folder` (my.shelf/building) is where it keeps unfinished work and stages what it will publish.
    """

    shelf: Path
    folder: Path

    def publish(self, staging: Path, recipe: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
        """Move `staging` into the shelf as its next generation, make that current and return its name.

        `staging` must be on the shelf's file system and hold at least one file; afterwards it is gone. Raises
        ValueError for an empty one and for facts that are no JSON, UserError for links inside it.
        """
        _seal(staging, recipe, facts)
        name = f"{_last_number(self.shelf) + 1:06d}"
        folder = self.shelf / GENERATIONS
        folder.mkdir(exist_ok=True)
        staging.rename(folder / name)
        for changed in (staging.parent, folder, self.shelf):
            sync_folder(changed)
        write_whole(self.shelf / CURRENT, f"{name}\n")
        return name

    def remove_old(self, keep: int) -> list[str]:
        """Remove all but the current generation and the `keep` - 1 newest before it; return the removed names.

        What killed publications left goes too. A reader that already opened a generation keeps it, one that is about
        to open an old one may fail: keep at least 2 where searches run beside builds. Raises ValueError for `keep`
        below 1.
        """
        if keep < 1:
            raise ValueError(f"keep is {keep}, but the current generation always stays: give at least 1")
        current = current_generation(self.shelf).name
        older = [name for name in generations(self.shelf) if int(name) < int(current)]
        kept = {current, *older[::-1][: keep - 1]}
        removed = [name for name in _numbered(self.shelf) if name not in kept]
        folder = self.shelf / GENERATIONS
        for leftover in folder.glob(f"{_REMOVED}*"):
            shutil.rmtree(leftover)
        for name in removed:
            # Renamed first: a folder under a generation's name is complete at every moment.
            shutil.rmtree((folder / name).rename(folder / f"{_REMOVED}{name}"))
        return removed


@contextmanager
def open_for_building(shelf: Path) -> Iterator[Builder]:
    """Create the shelf's folder where needed and hold its lock: one builder at a time.

    Raises UserError where another build holds the lock, where `shelf` is something else than a shelf (nothing in it
    is touched), and where it cannot be written.
    """
    _refuse_foreign(shelf)
    try:
        shelf.mkdir(parents=True, exist_ok=True)
        sync_folder(shelf.parent)
        (shelf / BUILDING).mkdir(exist_ok=True)
        descriptor = os.open(shelf / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise UserError(f"{shelf}: cannot be written ({error.strerror}): choose another place.") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{shelf}: another build is writing this shelf: wait until it ends, or build into another folder."
            ) from None
        yield Builder(shelf, shelf / BUILDING)
    finally:
        os.close(descriptor)


def publish(shelf: Path, staging: Path, recipe: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """Publish `staging` as the shelf's next generation and return its name; takes the lock for this one call.

    Inside `open_for_building` call the builder's `publish` instead: the lock is held already. Raises what both raise.
    """
    with open_for_building(shelf) as builder:
        return builder.publish(staging, recipe, facts)


def current_generation(shelf: Path) -> Path:
    """Return the folder of the current generation; UserError where there is no (finished, undamaged) shelf."""
    if not shelf.exists():
        command = f"shelfwalk build --out {shlex.quote(str(shelf))}"
        raise UserError(f"{shelf}: there is no shelf here: build one with {command}.")
    if not shelf.is_dir():
        raise UserError(f"{shelf}: a file, not a shelf: {_NAME_A_SHELF}.")
    try:
        name = (shelf / CURRENT).read_text(encoding="utf-8", errors="replace").strip()
    except (FileNotFoundError, IsADirectoryError):
        unfinished = (shelf / LOCK).exists()
        foreign = f"a folder, but not a shelf: {_NAME_A_SHELF}"
        kind = "this shelf was never finished: run its build again" if unfinished else foreign
        raise UserError(f"{shelf}: {kind}.") from None
    folder = shelf / GENERATIONS / name
    if not _GENERATION_NAME.fullmatch(name) or not folder.is_dir():
        raise UserError(
            f"{shelf / CURRENT}: names {name[:40]!r}, which is no generation of this shelf: the shelf is damaged, "
            "build it again."
        )
    return folder


def open_generation(shelf: Path, *, verify: bool = True) -> tuple[Path, Manifest]:
    """Return the folder and the manifest of the current generation, by default with every file's checksum compared.

    Raises UserError where there is no shelf, a newer shelfwalk made it, or a file is damaged, missing, extra or
    cannot be read.
    """
    try:
        folder = current_generation(shelf)
        manifest = manifests.read_manifest(folder)
        if verify:
            manifests.verify(folder, manifest)
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be read ({error.strerror}): check its permissions.") from None
    return folder, manifest


def generations(shelf: Path) -> list[str]:
    """Return the names of the complete generations, oldest first; one newer than the current was never published."""
    return [name for name in _numbered(shelf) if (shelf / GENERATIONS / name / MANIFEST).is_file()]


def _numbered(shelf: Path) -> list[str]:
    folder = shelf / GENERATIONS
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return sorted((name for name in names if _GENERATION_NAME.fullmatch(name)), key=int)


def _last_number(shelf: Path) -> int:
    numbers = [int(name) for name in _numbered(shelf)]
    # A current generation deleted by hand still counts: its number must not come back with other content.
    current = shelf / CURRENT
    named = current.read_text(encoding="utf-8", errors="replace").strip() if current.is_file() else ""
    if _GENERATION_NAME.fullmatch(named):
        numbers.append(int(named))
    return max(numbers, default=0)


def _seal(staging: Path, recipe: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Put all files of `staging` on the disk, then the manifest that lists them."""
    # What a publication stopped right here left behind.
    (staging / f"{MANIFEST}.tmp").unlink(missing_ok=True)
    names = manifests.file_names(staging)
    if not names:
        raise ValueError(f"{staging}: holds no file to publish")
    sync_tree(staging)
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        shelfwalk_version=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        recipe=dict(recipe),
        facts=dict(facts),
        files={name: manifests.describe(staging / name) for name in names},
    )
    write_whole(staging / MANIFEST, manifest.text())


def _refuse_foreign(shelf: Path) -> None:
    """Raise UserError where `shelf` exists and is neither empty nor a shelf, finished or not."""
    if not shelf.exists() or (shelf.is_dir() and (shelf / CURRENT).is_file() and (shelf / GENERATIONS).is_dir()):
        return
    foreign = next(_foreign_names(shelf), None) if shelf.is_dir() else "one file"
    if foreign:
        raise UserError(
            f"{shelf}: exists and is not a shelf (it holds {foreign}): nothing was touched, choose another place."
        )


def _foreign_names(shelf: Path) -> Iterator[str]:
    for path in sorted(shelf.iterdir()):
        known = {GENERATIONS, BUILDING} if path.is_dir() else {LOCK, CURRENT, f"{CURRENT}.tmp"}
        if path.name not in known:
            yield path.name

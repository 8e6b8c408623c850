"""The manifest: what a generation of a shelf holds, with a checksum for every file.

In: a folder of files. Out: a `Manifest` (recipe, facts and the size and sha256 of each file), read from or written as
`manifest.json` inside that folder, and `verify`, which compares a folder with its manifest. A generation is complete
exactly when its manifest is there, because the manifest is written last.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError

from shelfwalk.errors import UserError

FORMAT_VERSION = 1
"""The newest layout of a shelf that this code reads, and the one that it writes."""

MANIFEST = "manifest.json"
"""The manifest's file name inside a generation."""

_NAMED_IN_ERRORS = 5


def _inside(name: str) -> str:
    """Return a file name that stays inside its folder; raise ValueError for any other."""
    path = PurePosixPath(name)
    escapes = path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name
    if escapes or name != str(path) or name in (".", MANIFEST):
        raise ValueError(f"{name!r} is not a plain relative file name inside the generation")
    return name


class FileEntry(BaseModel):
    """Size (bytes) and lower-case hexadecimal sha256 of one file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Manifest(BaseModel):
    """What a generation holds; `files` maps relative posix paths to their entries and leaves the manifest itself out.

    `created` is UTC in ISO 8601; `recipe` and `facts` are whatever JSON the builder wants to find again.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format_version: int = Field(ge=1)
    shelfwalk_version: str
    created: str
    recipe: dict[str, JsonValue]
    facts: dict[str, JsonValue]
    files: dict[Annotated[str, AfterValidator(_inside)], FileEntry]

    def text(self) -> str:
        """Return the manifest as the JSON text of `manifest.json`; ValueError where a fact is NaN or infinite."""
        return json.dumps(self.model_dump(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_manifest(folder: Path) -> Manifest:
    """Read `folder`/manifest.json; UserError where it is missing, no JSON, from a newer shelfwalk or malformed."""
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{folder}: there is no shelf here ({MANIFEST} is missing): build one first.") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not readable as JSON ({error}): the shelf is damaged, build it again.") from None
    version = content.get("format_version") if isinstance(content, dict) else None
    # Asked before the rest, because a newer layout may have any other fields.
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise UserError(
            f"{path}: format version {version} was made by a newer shelfwalk, this one reads up to {FORMAT_VERSION}: "
            "upgrade shelfwalk."
        )
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole file"
        raise UserError(
            f"{path}: not a shelf's manifest ({place}: {first['msg']}): the shelf is damaged, build it again."
        ) from None


def file_names(folder: Path) -> list[str]:
    """Return the sorted relative posix paths of all files below `folder`, its manifest left out.

    Raises UserError for a symbolic link or a special file: its content would not be held by the folder.
    """
    return sorted(name for name in _walk(folder) if name != MANIFEST)


def _walk(folder: Path) -> Iterator[str]:
    for parent, folders, files in os.walk(folder, onerror=_raise):
        for path in (Path(parent, name) for name in folders + files):
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise UserError(f"{path}: a link or special file cannot be part of a shelf: put a plain file there.")
            if path.is_file():
                yield path.relative_to(folder).as_posix()


def _raise(error: OSError) -> None:
    """Let a folder that cannot be listed stop the walk, which would leave it out in silence."""
    raise error


def describe(path: Path) -> FileEntry:
    """Return the size and sha256 of one file, read as a stream."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return FileEntry(bytes=stream.tell(), sha256=digest)


def verify(folder: Path, manifest: Manifest) -> None:
    """Compare every file below `folder` with `manifest`; UserError names the missing, extra and damaged ones."""
    present = set(file_names(folder))
    problems = [f"{name} (not in the manifest)" for name in sorted(present - manifest.files.keys())]
    for name, entry in sorted(manifest.files.items()):
        problem = _problem(folder / name, entry) if name in present else "missing"
        if problem:
            problems.append(f"{name} ({problem})")
    if problems:
        named = ", ".join(problems[:_NAMED_IN_ERRORS])
        more = f" and {len(problems) - _NAMED_IN_ERRORS} more" if len(problems) > _NAMED_IN_ERRORS else ""
        raise UserError(f"{folder}: the shelf is damaged: {named}{more}: build it again or restore a copy.")


def _problem(path: Path, entry: FileEntry) -> str:
    size = path.stat().st_size
    if size != entry.bytes:
        return f"{size} bytes instead of {entry.bytes}"
    return "" if describe(path) == entry else "checksum differs"

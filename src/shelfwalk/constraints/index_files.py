"""How a span index lies on the disk: a folder of `index.json` and npy arrays.

In and out: the kind of the index, facts (JSON) and named arrays. An array's file is named by its content and
`index.json`, which names the files with size and sha256, is written last: the folder holds the former index or all of
the new one, whatever happens. Reading checks every checksum and maps the arrays into memory.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shelfwalk.errors import UserError
from shelfwalk.files import sync_folder, write_whole

DESCRIPTION = "index.json"
FORMAT = 1


@dataclass(frozen=True)
class SavedIndex:
    """What a folder holds; the arrays are mapped and cannot be written."""

    kind: str
    facts: dict[str, Any]
    arrays: dict[str, npt.NDArray[Any]]


def save_index(folder: Path, kind: str, facts: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write an index; what the folder's former index had and this one has not is removed afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    former = _files_named(folder)
    files = {name: _write_array(folder, name, array) for name, array in arrays.items()}
    content = {"kind": kind, "facts": dict(facts), "arrays": files}
    description = {"format": FORMAT, "sha256": _digest_of(content), "content": content}
    sync_folder(folder)
    write_whole(folder / DESCRIPTION, json.dumps(description, indent=1, allow_nan=False) + "\n")
    for name in former - {entry["file"] for entry in files.values()}:
        (folder / name).unlink(missing_ok=True)


def read_index(folder: Path) -> SavedIndex:
    """Read an index.

    Raises UserError if a file is missing, damaged, or written by a newer version of shelfwalk.
    """
    content = _read_description(folder)
    arrays = {name: _map_array(folder, entry) for name, entry in content["arrays"].items()}
    return SavedIndex(content["kind"], content["facts"], arrays)


def _write_array(folder: Path, name: str, array: npt.NDArray[Any]) -> dict[str, Any]:
    temporary = folder / f"{name}.npy.tmp"
    try:
        with temporary.open("w+b") as file:
            np.save(file, array, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        final = f"{name}-{sha256[:16]}.npy"
        temporary.replace(folder / final)
    except Exception:
        temporary.unlink(missing_ok=True)
        raise
    return {"file": final, "bytes": size, "sha256": sha256}


def _files_named(folder: Path) -> set[str]:
    """The array files of the index that a folder holds already; none if it holds no whole one."""
    try:
        return {entry["file"] for entry in _read_description(folder)["arrays"].values()}
    except UserError:
        return set()


def _read_description(folder: Path) -> dict[str, Any]:
    path = folder / DESCRIPTION
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        format_number, content = int(description["format"]), description.get("content")
        whole = format_number == FORMAT and description["sha256"] == _digest_of(content)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): build the span index again.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is damaged: build the span index again.") from error
    if format_number > FORMAT:
        raise UserError(
            f"{path} was written by a newer version of shelfwalk (format {format_number}, this one reads {FORMAT}): "
            "update shelfwalk or build the span index again."
        )
    if not whole:
        raise UserError(f"{path} is damaged: build the span index again.")
    return dict(content)


def _map_array(folder: Path, entry: Mapping[str, Any]) -> npt.NDArray[Any]:
    path = folder / entry["file"]
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): build the span index again.") from error
    if sha256 != entry["sha256"]:
        size = path.stat().st_size
        wrong = f"has {size} bytes and not {entry['bytes']}" if size != entry["bytes"] else "has been changed"
        raise UserError(f"{path} {wrong}: build the span index again.")
    # A plain array over the mapped file: compiled code does not know numpy's class for mapped arrays.
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def _digest_of(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

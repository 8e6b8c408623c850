"""A trie on disk: one npy file an array, memory-mapped, and `trie.json` with the version, shapes and checksums.

In: a trie or a folder. Out: the other. `trie.json` is written last, so a folder without it was never finished.
"""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shelfwalk.constraints.flat_trie import FlatTrie
from shelfwalk.errors import UserError
from shelfwalk.files import write_whole

VERSION = 2
"""Of the arrays' layout; 1 had no header."""
_HEADER = "trie.json"
_ARRAYS = ("children", "tokens", "posting_offsets", "posting_items")
_BLOCK = 1 << 20


def save_trie(trie: FlatTrie, folder: Path) -> None:
    """See `Trie.save`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _HEADER).unlink(missing_ok=True)
    arrays = {}
    for name in _ARRAYS:
        array = getattr(trie, name)
        path = folder / f"{name}.npy"
        temporary = path.with_name(f"{path.name}.tmp")
        with temporary.open("wb") as file:
            np.save(file, array, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        arrays[name] = _Array(len(array), array.dtype.str, _checksum(path))
    header = {"version": VERSION, **asdict(_Header(trie.level_sizes, arrays))}
    write_whole(folder / _HEADER, json.dumps(header, indent=1) + "\n")


def open_trie(folder: Path, *, verify: bool) -> FlatTrie:
    """See `Trie.open`."""
    header = _read_header(folder)
    arrays = {name: _open_array(folder / f"{name}.npy", header.arrays[name], verify) for name in _ARRAYS}
    trie = FlatTrie(**arrays, level_sizes=header.level_sizes)
    fits = (
        len(trie.children) > 1
        and len(trie.tokens) == trie.children[-1] == trie.first_leaf + trie.leaves
        and trie.posting_offsets[-1] == len(trie.posting_items)
    )
    if not fits:
        raise UserError(f"{folder}: the arrays of this trie do not fit together: build the index anew.")
    return trie


@dataclass(frozen=True)
class _Array:
    length: int
    type: str
    crc32: int


@dataclass(frozen=True)
class _Header:
    level_sizes: tuple[int, ...]
    arrays: dict[str, _Array]


def _read_header(folder: Path) -> _Header:
    path = folder / _HEADER
    try:
        read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = int(read["version"])
        if version > VERSION:
            raise UserError(f"{path} has version {version}, and this shelfwalk reads {VERSION}: get a newer one.")
        arrays = {name: _Array(**read["arrays"][name]) for name in _ARRAYS}
        return _Header(tuple(int(size) for size in read["level_sizes"]), arrays)
    except FileNotFoundError:
        raise UserError(
            f"{path} is missing: the folder holds no trie, or one of an older version; build the index anew."
        ) from None
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path} is damaged: build the index anew.") from None


def _open_array(path: Path, known: _Array, verify: bool) -> npt.NDArray[Any]:
    try:
        # As a plain array: compiled code does not know the class that memory-maps.
        array: npt.NDArray[Any] = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: build the index anew.") from None
    except (ValueError, EOFError, OSError):
        raise UserError(f"{path} is truncated or damaged: build the index anew.") from None
    if array.shape != (known.length,) or array.dtype.str != known.type:
        raise UserError(f"{path} is not the file that was written with this index: build the index anew.")
    if verify and _checksum(path) != known.crc32:
        raise UserError(f"{path} is damaged: its checksum differs; build the index anew.")
    return array


def _checksum(path: Path) -> int:
    checksum = 0
    with path.open("rb", buffering=0) as stream:
        while block := stream.read(_BLOCK):
            checksum = zlib.crc32(block, checksum)
    return checksum

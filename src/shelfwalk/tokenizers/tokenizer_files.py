"""How a tokeniser lies on the disk: a folder of `tokenizer.json`, which says its kind, and npy arrays.

In and out: a description (JSON) and arrays. The description is written last: a folder that has one is whole.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from shelfwalk.errors import UserError
from shelfwalk.files import write_whole
from shelfwalk.settings import Settings

DESCRIPTION = "tokenizer.json"
_FORMAT = 1


_Settings = TypeVar("_Settings", bound=Settings)


def settings_of(kind: type[_Settings], described: Mapping[str, Any]) -> _Settings:
    """The settings among what a description holds; the others are as where nothing is said."""
    return kind(**{name: value for name, value in described.items() if name in kind.model_fields})


def write_description(folder: Path, kind: str, facts: Mapping[str, Any]) -> None:
    """Write `tokenizer.json`: the kind and its facts (JSON)."""
    content = {"kind": kind, "format": _FORMAT, **facts}
    write_whole(folder / DESCRIPTION, json.dumps(content, indent=1, allow_nan=False) + "\n")


def read_description(folder: Path) -> dict[str, Any]:
    """Read `tokenizer.json`; raises UserError if it is missing, damaged or of a format that is not known."""
    path = folder / DESCRIPTION
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        known = content["format"] == _FORMAT and isinstance(content["kind"], str)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): build the shelf again.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged: build the shelf again.") from error
    if not known:
        raise UserError(f"{path} was written by another version of shelfwalk: build the shelf again.")
    return dict(content)


def save_arrays(folder: Path, name: str, arrays: Sequence[npt.NDArray[Any]]) -> None:
    """Write `name`_1.npy, `name`_2.npy and so on, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, array in enumerate(arrays, start=1):
        content = io.BytesIO()
        np.save(content, array, allow_pickle=False)
        write_whole(folder / f"{name}_{number}.npy", content.getbuffer())


def load_arrays(folder: Path, name: str, count: int) -> tuple[npt.NDArray[Any], ...]:
    """Read `count` arrays that `save_arrays` wrote; raises UserError if one is missing or damaged."""
    arrays = []
    for number in range(1, count + 1):
        path = folder / f"{name}_{number}.npy"
        try:
            arrays.append(np.load(path, allow_pickle=False))
        except (OSError, ValueError, EOFError) as error:
            raise UserError(f"{path} is missing or damaged: build the shelf again.") from error
    return tuple(arrays)

"""market.json: what a market was made from, what it holds, and the checksum of every file.

In: a folder. Out: a `MarketManifest`, which says that all is simulated, or a sentence on what is wrong with the folder.
A market is complete exactly when its market.json is there, because that is written last.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal

import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from shelfwalk.data.hashing import content_hash
from shelfwalk.errors import UserError
from shelfwalk.market.settings import MARKET_VERSION
from shelfwalk.shelf.manifest import FileEntry, describe

MANIFEST = "market.json"


class MarketManifest(BaseModel):
    """What market.json holds; `files` maps relative posix paths to their entries and leaves market.json itself out.

    `name` is that of the standard market, or null. `catalogue`: whether it was made up or given. `counts`: how much
    there is of everything. `notes`: a sentence for each thing made up about a given catalogue. `hash`: sixteen
    hexadecimal digits of what the tables say, whatever wrote the files.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    simulated: Literal[True]
    version: int
    shelfwalk_version: str
    name: str | None
    catalogue: Literal["generated", "given"]
    settings: dict[str, JsonValue]
    seed: int = Field(ge=0)
    counts: dict[str, int]
    notes: list[str]
    hash: str
    files: dict[str, FileEntry]

    def text(self) -> str:
        """Return the JSON text of market.json."""
        return json.dumps(self.model_dump(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_manifest(folder: Path) -> MarketManifest:
    """Read `folder`/market.json; UserError where it is missing, damaged or of another version of the market."""
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(
            f"{folder}: there is no market here ({MANIFEST} is missing): make one with shelfwalk market --out {folder}."
        ) from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not readable as JSON ({error}): the market is damaged, make it again.") from None
    version = content.get("version") if isinstance(content, dict) else None
    # Asked before the rest, because another version may have any other fields.
    if isinstance(version, int) and version != MARKET_VERSION:
        raise UserError(
            f"{path}: this market is of version {version} and this shelfwalk makes and reads version {MARKET_VERSION}: "
            "make the market again."
        )
    try:
        return MarketManifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole file"
        raise UserError(
            f"{path}: does not describe a market ({place}: {first['msg']}): the market is damaged, make it again."
        ) from None


def entries_of(folder: Path) -> dict[str, FileEntry]:
    """Describe every file below `folder` but market.json, by its path."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {name: describe(folder / name) for name in names if name != MANIFEST}


def verify(folder: Path, manifest: MarketManifest) -> None:
    """Compare every file with its entry; UserError names the first that is missing or differs."""
    for name, entry in manifest.files.items():
        path = folder / name
        problem = "is missing" if not path.is_file() else "differs from its checksum" if describe(path) != entry else ""
        if problem:
            raise UserError(f"{folder}: the market is damaged ({name} {problem}): make it again or restore a copy.")


def tables_hash(paths: list[Path]) -> str:
    """Name the content of Parquet files, sixteen hexadecimal digits, reading a row group at a time."""
    digest = hashlib.sha256()
    for path in paths:
        with pq.ParquetFile(path) as file:
            digest.update(content_hash(file.schema_arrow.empty_table()).encode())
            for group in range(file.num_row_groups):
                digest.update(content_hash(file.read_row_group(group)).encode())
    return digest.hexdigest()[:16]

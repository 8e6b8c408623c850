"""The results file: JSON lines, one evaluation a line, only ever appended to.

In: an evaluation with what it was made from (data, recipe, seed). Out: a line that also holds the versions and the
machine, and beside the file its values per query (query_values.py); tables in the docs are made from these alone.

The values are on the disk before the line that names them. A line is appended by one write under a lock and then forced
to disk. If the machine stops within that write, half a line stays: the next append puts its line below it, and reading
leaves it out and says so.
"""

from __future__ import annotations

import fcntl
import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shelfwalk.errors import UserError
from shelfwalk.evaluation.evaluate import Evaluation
from shelfwalk.evaluation.query_values import QueryValues, encode_query_values, query_values, values_id, values_path
from shelfwalk.files import sync_folder, write_whole

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_PACKAGES = ("shelfwalk", "numpy", "onnxruntime", "torch", "transformers", "faiss-cpu", "bm25s", "ir-measures")


@dataclass(frozen=True)
class Machine:
    """What the figures were measured on; memory in bytes."""

    processor: str
    cores: int
    memory: int


@dataclass(frozen=True)
class ResultRecord:
    """One evaluation: `time` in ISO 8601, UTC; hashes in hexadecimal; the rest as in `Evaluation.to_json`.

    `queries_hash` names the queries that count, which two evaluations must share to be compared; `values` is the id of
    the values per query, "" before they are written. `identifiers` are the figures of the tokeniser's diagnosis.
    """

    time: str
    data_hash: str
    queries_hash: str
    recipe: str
    recipe_hash: str
    seed: int
    versions: Mapping[str, str]
    machine: Machine
    queries: int
    left_out: int
    relevant_grade: int
    values: str
    identifiers: Mapping[str, Any]
    figures: Mapping[str, Mapping[str, float]]
    intervals: Mapping[str, Mapping[str, list[float]]]
    comparisons: list[dict[str, Any]]


@dataclass(frozen=True)
class Result:
    """One evaluation with the values per query that its record will name once both are written."""

    record: ResultRecord
    values: QueryValues


@dataclass(frozen=True)
class ResultsRead:
    """The records of a file in its order, and a sentence for each half-written line that was left out."""

    records: tuple[ResultRecord, ...]
    left_out: tuple[str, ...]


def result_of(
    evaluation: Evaluation,
    *,
    data_hash: str,
    recipe: str,
    recipe_hash: str,
    seed: int,
    identifiers: Mapping[str, Any] | None = None,
) -> Result:
    """Return the result of an evaluation made now, on this machine, with the packages installed."""
    plain, values = evaluation.to_json(), query_values(evaluation)
    record = ResultRecord(
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        data_hash=data_hash,
        queries_hash=values.queries_hash,
        recipe=recipe,
        recipe_hash=recipe_hash,
        seed=seed,
        versions=installed_versions(),
        machine=this_machine(),
        queries=plain["queries"],
        left_out=plain["left_out"],
        relevant_grade=plain["relevant_grade"],
        values="",
        identifiers=dict(identifiers or {}),
        figures=plain["figures"],
        intervals=plain["intervals"],
        comparisons=plain["comparisons"],
    )
    return Result(record, values)


def append_evaluation(path: Path, result: Result) -> ResultRecord:
    """Append the line of an evaluation to `path` and put its values beside it; returns the record as written.

    Both are whole and on the disk when this returns. Raises as `append_result`, and then appends nothing.
    """
    content = encode_query_values(result.values)
    record = replace(result.record, values=values_id(content))
    line = _line(record)
    write_whole(values_path(path.parent, record.values), content)
    _append(path, line)
    return record


def append_result(path: Path, record: DataclassInstance) -> None:
    """Append one line to `path`, whole and on the disk when this returns; the file and its folder are made if missing.

    A write that fails or comes short is undone. Raises OSError when the disk refuses, ValueError for a figure that is
    not finite.
    """
    _append(path, _line(record))


def _line(record: DataclassInstance) -> bytes:
    return json.dumps(asdict(record), ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _append(path: Path, line: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        _append_line(descriptor, line)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(path.parent)


def read_results(path: Path) -> ResultsRead:
    """Read all records of a results file.

    Raises UserError for a file that cannot be read or a line that is not of a results file; a half-written line is left
    out with a sentence.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UserError(f"Cannot read the results file {path}: {error.strerror}.") from error
    records: list[ResultRecord] = []
    left_out: list[str] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        record = _parse(line, f"{path}, line {number}")
        if record is None:
            left_out.append(
                f"{path}, line {number} is half-written (an evaluation was interrupted there) and left out."
            )
        else:
            records.append(record)
    return ResultsRead(tuple(records), tuple(left_out))


def installed_versions() -> dict[str, str]:
    """Return the versions of Python and of those packages that matter and are installed, importing none of them."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def this_machine() -> Machine:
    """Return the processor's name, the cores this process may use, and the memory of the machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Machine(_processor(), cores, memory)


def _append_line(descriptor: int, line: bytes) -> None:
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        line = b"\n" + line
    try:
        written = os.write(descriptor, line)
        if written < len(line):
            raise OSError(f"only {written} of {len(line)} bytes could be written; is the disk full?")
    except BaseException:
        os.ftruncate(descriptor, size)
        raise


def _parse(line: bytes, where: str) -> ResultRecord | None:
    if not line.startswith(b'{"'[: len(line)]):
        raise UserError(f"{where}: this is no line of a results file; name a file that `shelfwalk evaluate` wrote.")
    try:
        plain = json.loads(line)
    except ValueError:
        return None
    try:
        known = {field.name: plain[field.name] for field in fields(ResultRecord)}
        return ResultRecord(**known | {"machine": Machine(**known["machine"])})
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{where}: the record lacks or has a wrong {error}; another program or an earlier version wrote it, so "
            "evaluate again."
        ) from error


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()

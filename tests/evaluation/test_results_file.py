"""The results file: whole lines, appended by several, surviving a write cut short."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from shelfwalk.errors import UserError
from shelfwalk.evaluation.evaluate import Evaluation
from shelfwalk.evaluation.query_values import read_query_values
from shelfwalk.evaluation.results import (
    Result,
    ResultRecord,
    append_evaluation,
    append_result,
    read_results,
    result_of,
)


@pytest.fixture
def result(evaluation: Evaluation) -> Result:
    return result_of(evaluation, data_hash="d1", recipe="rqkmeans", recipe_hash="r1", seed=7, identifiers={"items": 9})


@pytest.fixture
def record(result: Result) -> ResultRecord:
    return result.record


def append_many(path: Path, record: ResultRecord, worker: int) -> None:
    for number in range(20):
        append_result(path, replace(record, seed=100 * worker + number))


def test_records_are_read_back_as_they_were(tmp_path: Path, record: ResultRecord) -> None:
    path = tmp_path / "new" / "results.jsonl"
    for seed in range(3):
        append_result(path, replace(record, seed=seed, recipe="naïve | ü"))
    read = read_results(path)
    assert read.records == tuple(replace(record, seed=seed, recipe="naïve | ü") for seed in range(3))
    assert read.left_out == ()
    assert path.read_bytes().count(b"\n") == 3


def test_record_says_where_it_comes_from(record: ResultRecord, evaluation: Evaluation) -> None:
    assert record.figures == evaluation.figures
    assert (record.queries, record.left_out, record.relevant_grade, record.seed) == (60, 6, 2, 7)
    assert record.identifiers == {"items": 9}
    assert record.time.endswith("+00:00")
    assert {"python", "shelfwalk", "numpy"} <= set(record.versions)
    assert record.machine.processor
    assert record.machine.cores >= 1
    assert record.machine.memory > 1 << 28


def test_neither_versions_nor_reports_import_heavy_packages_early() -> None:
    code = (
        "import sys, shelfwalk.evaluation.report; from shelfwalk.evaluation.results import installed_versions;"
        "installed_versions();"
        "print([name for name in ('torch', 'transformers', 'matplotlib', 'ir_measures') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("kept", [1, 2, 30, -1])
def test_a_line_cut_short_by_a_crash_costs_only_itself(tmp_path: Path, record: ResultRecord, kept: int) -> None:
    path = tmp_path / "results.jsonl"
    append_result(path, record)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: kept - 1 if kept < 0 else kept])
    read = read_results(path)
    assert read.records == (record,)
    assert len(read.left_out) == 1
    assert "line 2 is half-written" in read.left_out[0]
    append_result(path, replace(record, seed=8))
    assert [found.seed for found in read_results(path).records] == [7, 8]


def test_a_line_that_lacks_only_its_end_of_line_is_kept(tmp_path: Path, record: ResultRecord) -> None:
    path = tmp_path / "results.jsonl"
    append_result(path, record)
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    append_result(path, record)
    assert read_results(path).records == (record, record)


@pytest.mark.parametrize("failing", ["short", "error"])
def test_a_write_that_fails_is_undone(
    tmp_path: Path, record: ResultRecord, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    path = tmp_path / "results.jsonl"
    append_result(path, record)
    before = path.read_bytes()
    real_write = os.write

    def full_disk(descriptor: int, line: bytes) -> int:
        written = real_write(descriptor, line[:50])
        if failing == "error":
            raise OSError(28, "No space left on device")
        return written

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full_disk)
        with pytest.raises(OSError, match=r"disk full|No space"):
            append_result(path, record)
    assert path.read_bytes() == before


def test_a_figure_that_is_no_number_is_refused_before_anything_is_written(tmp_path: Path, record: ResultRecord) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        append_result(tmp_path / "r.jsonl", replace(record, figures={"bm25": {"R@100": math.nan}}))
    assert not (tmp_path / "r.jsonl").exists()


def test_several_processes_append_whole_lines(tmp_path: Path, record: ResultRecord) -> None:
    path = tmp_path / "results.jsonl"
    spawn = multiprocessing.get_context("fork")
    workers = [spawn.Process(target=append_many, args=(path, record, number)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
    read = read_results(path)
    assert read.left_out == ()
    assert sorted(found.seed for found in read.records) == [100 * w + n for w in range(3) for n in range(20)]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("channel,R@100\n", "line 1: this is no line of a results file"),
        ('{"figures": {}}\n', "line 1: the record lacks or has a wrong 'time'"),
    ],
)
def test_another_kind_of_file_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "other.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=complaint):
        read_results(path)
    with pytest.raises(UserError, match="Cannot read the results file"):
        read_results(tmp_path / "absent.jsonl")


def test_each_line_is_one_json_object(tmp_path: Path, record: ResultRecord) -> None:
    append_result(tmp_path / "r.jsonl", record)
    plain = json.loads((tmp_path / "r.jsonl").read_text(encoding="utf-8"))
    told = {"time", "data_hash", "recipe", "recipe_hash", "seed", "versions", "machine", "figures", "intervals"}
    assert told <= set(plain)


def test_an_evaluation_leaves_its_values_beside_its_line(tmp_path: Path, result: Result) -> None:
    path = tmp_path / "new" / "results.jsonl"
    first = append_evaluation(path, result)
    second = append_evaluation(path, replace(result, record=replace(result.record, seed=8)))
    assert read_results(path).records == (first, second)
    assert first.values == second.values, "the same values are one file"
    assert sorted(found.name for found in path.parent.rglob("*")) == [
        f"{first.values}.parquet",
        "results.jsonl",
        "values",
    ]
    found = read_query_values(path.parent, first.values)
    assert found.queries_hash == first.queries_hash
    assert found.values["fused"]["R@100"].mean() == pytest.approx(first.figures["fused"]["R@100"])


def test_a_line_is_never_without_its_values(tmp_path: Path, result: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "results.jsonl"
    append_evaluation(path, replace(result, record=replace(result.record, seed=1)))
    before = path.read_bytes()

    def crash(*_: object) -> None:
        raise OSError("disk on fire")

    with monkeypatch.context() as patch:
        patch.setattr("shelfwalk.files.os.fsync", crash)
        with pytest.raises(OSError, match="on fire"):
            append_evaluation(path, result)
    assert path.read_bytes() == before
    broken = replace(result, record=replace(result.record, figures={"bm25": {"R@100": math.nan}}))
    with pytest.raises(ValueError, match="JSON compliant"):
        append_evaluation(tmp_path / "other" / "r.jsonl", broken)
    assert not (tmp_path / "other").exists()

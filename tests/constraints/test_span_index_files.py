"""A saved span index is whole or not there, and damage of any kind is one clear sentence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shelfwalk.constraints import index_files
from shelfwalk.constraints.fm_index import FMIndex
from shelfwalk.constraints.index_files import DESCRIPTION, read_index, save_index
from shelfwalk.constraints.saved_span_index import open_span_index
from shelfwalk.constraints.suffix_array_index import SuffixArrayIndex
from shelfwalk.constraints.token_sequences import TokenSequences
from shelfwalk.errors import UserError

DOCUMENTS = TokenSequences.of([(1, 2, 3), (), (3, 1, 2, 3)])
OTHERS = TokenSequences.of([(5, 5, 5, 1)])
KINDS = pytest.mark.parametrize("kind", [FMIndex, SuffixArrayIndex])
Kind = type[FMIndex] | type[SuffixArrayIndex]


def counts(folder: Path) -> list[int]:
    index = open_span_index(folder)
    return index.count(index.find(TokenSequences.of([(1,), (1, 2, 3), (5, 5)]))).tolist()


def rewrite(folder: Path, **changes: Any) -> None:
    path = folder / DESCRIPTION
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@KINDS
def test_every_file_is_checked_whether_cut_short_changed_or_gone(kind: Kind, tmp_path: Path) -> None:
    kind.build(DOCUMENTS, 9).save(tmp_path / "whole")
    files = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert len(files) > 5 and not any(name.endswith(".tmp") for name in files)
    for name in files:
        for damage in ("cut", "changed", "gone"):
            folder = tmp_path / f"{name}.{damage}"
            shutil.copytree(tmp_path / "whole", folder)
            path = folder / name
            content = path.read_bytes()
            if damage == "gone":
                path.unlink()
            else:
                path.write_bytes(content[:-1] if damage == "cut" else bytes([*content[:-1], content[-1] ^ 1]))
            if damage == "cut" and name == DESCRIPTION:
                # Its last byte is the line's end; take the bracket as well.
                path.write_bytes(content[:-2])
            if (name, damage) == (DESCRIPTION, "changed"):
                path.write_text(path.read_text().replace('"vocabulary": 9', '"vocabulary": 8'))
            with pytest.raises(UserError, match="build the span index again") as raised:
                open_span_index(folder)
            assert name in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"format": 1}', '{"format": null}', '{"format": 1, "content": 3}']
)
def test_a_description_that_is_none_is_damaged(tmp_path: Path, text: str) -> None:
    FMIndex.build(DOCUMENTS, 9).save(tmp_path)
    (tmp_path / DESCRIPTION).write_text(text)
    with pytest.raises(UserError, match="damaged"):
        open_span_index(tmp_path)


def test_an_index_of_a_newer_version_says_so(tmp_path: Path) -> None:
    FMIndex.build(DOCUMENTS, 9).save(tmp_path)
    rewrite(tmp_path, format=2, content={"whatever": "it may be"})
    with pytest.raises(UserError, match=r"newer version of shelfwalk \(format 2, this one reads 1\)"):
        open_span_index(tmp_path)


def test_an_unknown_kind_is_named(tmp_path: Path) -> None:
    save_index(tmp_path, "bloom-filter", {"vocabulary": 3}, {"bits": np.zeros(3)})
    with pytest.raises(UserError, match="'bloom-filter', which this version of shelfwalk lacks"):
        open_span_index(tmp_path)


def test_a_folder_without_an_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        open_span_index(tmp_path / "nowhere")


def test_arrays_are_mapped_and_cannot_be_written(tmp_path: Path) -> None:
    SuffixArrayIndex.build(DOCUMENTS, 9).save(tmp_path)
    for array in read_index(tmp_path).arrays.values():
        assert type(array) is np.ndarray and isinstance(array.base, np.memmap)
        assert not array.flags.writeable


@KINDS
def test_symbols_of_four_bytes_are_saved_as_well(kind: Kind, tmp_path: Path) -> None:
    documents = TokenSequences.of([range(70_000), (1, 2, 3, 69_999)])
    kind.build(documents, 70_000).save(tmp_path)
    index = open_span_index(tmp_path)
    found = index.locate(index.find(TokenSequences.of([(2, 3), (69_999,), (3, 69_999)])))
    assert found.documents.tolist() == [0, 1, 0, 1, 1]
    assert found.positions.tolist() == [2, 1, 69_999, 3, 2]


@pytest.mark.parametrize("kinds", [(FMIndex, FMIndex), (FMIndex, SuffixArrayIndex), (SuffixArrayIndex, FMIndex)])
def test_a_new_index_takes_the_place_of_the_former_and_leaves_nothing_of_it(
    kinds: tuple[Kind, Kind], tmp_path: Path
) -> None:
    kinds[0].build(DOCUMENTS, 9).save(tmp_path / "twice")
    kinds[1].build(OTHERS, 9).save(tmp_path / "twice")
    kinds[1].build(OTHERS, 9).save(tmp_path / "once")
    assert counts(tmp_path / "twice") == [1, 0, 2]
    assert {path.name for path in (tmp_path / "twice").iterdir()} == {
        path.name for path in (tmp_path / "once").iterdir()
    }


@KINDS
def test_a_save_that_fails_at_any_file_leaves_the_former_index(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind.build(DOCUMENTS, 9).save(tmp_path)
    (tmp_path / "notes.npy").write_text("somebody's own file")
    other = kind.build(OTHERS, 9)
    fsync, calls = index_files.os.fsync, 0
    for last in range(len(other.arrays()) + 1):
        calls = 0

        def full_disk(descriptor: int, last: int = last) -> None:
            nonlocal calls
            calls += 1
            if calls > last:
                raise OSError(28, "No space left on device")
            fsync(descriptor)

        monkeypatch.setattr(index_files.os, "fsync", full_disk)
        with pytest.raises(OSError, match="No space left"):
            other.save(tmp_path)
        monkeypatch.undo()
        assert counts(tmp_path) == [2, 2, 0]
        assert not list(tmp_path.glob("*.tmp"))
    other.save(tmp_path)
    assert counts(tmp_path) == [1, 0, 2]
    assert (tmp_path / "notes.npy").exists()

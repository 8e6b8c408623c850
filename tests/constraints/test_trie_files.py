"""A saved trie is read back as it was, and what is damaged, missing or too new is refused in one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from catalogues import Codes, catalogues
from hypothesis import given, settings

from shelfwalk.constraints.trie import Trie
from shelfwalk.errors import UserError

FIELDS = ("children", "tokens", "posting_offsets", "posting_items")


@settings(max_examples=50)
@given(catalogues())
def test_opens_what_it_saved(codes: Codes) -> None:
    trie = Trie.build(codes)
    with TemporaryDirectory() as name:
        folder = Path(name, "deep", "trie")
        trie.save(folder)
        for opened in (Trie.open(folder), Trie.open(folder, verify=True)):
            for field in FIELDS:
                kept, read = getattr(trie, field), getattr(opened, field)
                assert type(read) is np.ndarray and isinstance(read.base, np.memmap)
                assert read.dtype == kept.dtype
                np.testing.assert_array_equal(read, kept)
            assert opened.level_sizes == trie.level_sizes
            np.testing.assert_array_equal(opened.codes_of(np.arange(len(codes))), codes)
        assert sorted(path.name for path in folder.iterdir()) == sorted(
            [*(f"{field}.npy" for field in FIELDS), "trie.json"]
        )


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    Trie.build(np.random.default_rng(0).integers(0, 20, (500, 3)).astype(np.int32)).save(tmp_path / "trie")
    return tmp_path / "trie"


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("kept", [0, 60, 200, -1])
def test_refuses_a_truncated_file(saved: Path, field: str, kept: int) -> None:
    path = saved / f"{field}.npy"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UserError, match=f"{field}.npy is truncated or damaged"):
        Trie.open(saved)


@pytest.mark.parametrize("field", FIELDS)
def test_a_changed_byte_is_found_when_asked_for(saved: Path, field: str) -> None:
    path = saved / f"{field}.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(UserError, match=f"{field}.npy is damaged: its checksum differs"):
        Trie.open(saved, verify=True)


@pytest.mark.parametrize("name", [*(f"{field}.npy" for field in FIELDS), "trie.json"])
def test_refuses_a_missing_file(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(UserError, match=f"{name} is missing"):
        Trie.open(saved)


@pytest.mark.parametrize("field", FIELDS)
def test_refuses_an_array_of_another_index(saved: Path, field: str) -> None:
    np.save(saved / f"{field}.npy", np.zeros(3, np.int32))
    with pytest.raises(UserError, match="not the file that was written with this index"):
        Trie.open(saved)


def test_refuses_a_newer_version(saved: Path) -> None:
    header = json.loads((saved / "trie.json").read_text(encoding="utf-8"))
    (saved / "trie.json").write_text(json.dumps(header | {"version": header["version"] + 1}), encoding="utf-8")
    with pytest.raises(UserError, match="get a newer one"):
        Trie.open(saved)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"version": 2}', '{"version": "2"}', '{"version": 1}'])
def test_refuses_a_damaged_header(saved: Path, text: str) -> None:
    (saved / "trie.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="damaged"):
        Trie.open(saved)


def test_arrays_that_do_not_fit_together_are_refused(saved: Path) -> None:
    header = json.loads((saved / "trie.json").read_text(encoding="utf-8"))
    children = np.load(saved / "children.npy")
    children[-1] += 1
    np.save(saved / "children.npy", children)
    assert header["arrays"]["children"]["length"] == len(children)
    with pytest.raises(UserError, match="do not fit together"):
        Trie.open(saved)


def test_an_index_that_was_never_finished_is_none(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trie = Trie.build(np.array([[0], [1]], np.int32))

    def full_disk(*arguments: object, **options: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(np, "save", full_disk)
    with pytest.raises(OSError, match="no space"):
        trie.save(saved)
    with pytest.raises(UserError, match=r"trie.json is missing"):
        Trie.open(saved)

"""Opening saved tokenisers: what is missing, damaged or unknown gets one clear sentence; writes are whole."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from shelfwalk.errors import UserError
from shelfwalk.files import write_whole
from shelfwalk.tokenizers.residual_kmeans import ResidualKMeansTokenizer
from shelfwalk.tokenizers.saved_tokenizer import open_tokenizer
from shelfwalk.tokenizers.uniqueness import UniqueTokenizer

MakeCatalogue = Callable[..., tuple[pa.Table, npt.NDArray[np.float32]]]


@pytest.fixture
def saved(tmp_path: Path, catalogue: MakeCatalogue) -> Path:
    items, vectors = catalogue(20, 4)
    UniqueTokenizer(ResidualKMeansTokenizer((4, 4))).fit(items, vectors).save(tmp_path / "saved")
    open_tokenizer(tmp_path / "saved")
    return tmp_path / "saved"


@pytest.mark.parametrize("name", ["tokenizer.json", "registry.parquet", "inner/tokenizer.json", "inner/codebook_2.npy"])
@pytest.mark.parametrize("fault", ["missing", "cut", "empty"])
def test_a_missing_or_damaged_file_is_named(saved: Path, name: str, fault: str) -> None:
    path = saved / name
    content = path.read_bytes()
    path.unlink()
    if fault != "missing":
        path.write_bytes(content[:20] if fault == "cut" else b"")
    with pytest.raises(UserError, match=f"{name} .*: build the shelf again") as refusal:
        open_tokenizer(saved)
    assert str(path) in str(refusal.value)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"kind": "wishful"}, "'wishful', which this version of shelfwalk lacks"),
        ({"format": 99}, "written by another version of shelfwalk"),
        ({"kind": 7}, "written by another version of shelfwalk"),
    ],
)
def test_an_unknown_kind_or_format(saved: Path, change: dict[str, object], sentence: str) -> None:
    path = saved / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=sentence):
        open_tokenizer(saved)


def test_a_description_that_is_no_object(saved: Path) -> None:
    (saved / "tokenizer.json").write_text("[]")
    with pytest.raises(UserError, match="damaged"):
        open_tokenizer(saved)


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "content"
    write_whole(path, b"old")

    def full_disk(descriptor: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_whole(path, b"new and longer")
    assert path.read_bytes() == b"old"


def test_no_leftovers_and_no_pickle(saved: Path) -> None:
    names = sorted(str(path.relative_to(saved)) for path in saved.rglob("*") if path.is_file())
    assert names == [
        "inner/codebook_1.npy",
        "inner/codebook_2.npy",
        "inner/tokenizer.json",
        "registry.parquet",
        "tokenizer.json",
    ]
    assert all(np.load(path, allow_pickle=False).dtype == np.float32 for path in saved.glob("inner/*.npy"))

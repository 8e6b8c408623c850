"""The manifest: round trip, refusals in one sentence, and every kind of damage named."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfwalk.errors import UserError
from shelfwalk.shelf.manifest import FORMAT_VERSION, FileEntry, Manifest, describe, file_names, read_manifest, verify

CONTENTS = {"codes.npy": b"\x00\x01\x02", "models/query.onnx": b"model" * 100, "models/deep/empty.json": b""}


def manifest_of(folder: Path, **changes: Any) -> Manifest:
    fields: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "shelfwalk_version": "0.1.0",
        "created": "2026-01-02T03:04:05+00:00",
        "recipe": {"name": "rqkmeans", "levels": [256, 256, 256]},
        "facts": {"items": 3, "gini": 0.25, "größe": None},
        "files": {name: describe(folder / name) for name in file_names(folder)},
    }
    return Manifest(**(fields | changes))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in CONTENTS.items():
        path = tmp_path / "generation" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "generation"


def damaged(folder: Path, text: str | bytes) -> str:
    (folder / "manifest.json").write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(UserError) as caught:
        read_manifest(folder)
    return str(caught.value)


def test_reads_back_what_it_wrote(folder: Path) -> None:
    manifest = manifest_of(folder)
    (folder / "manifest.json").write_text(manifest.text(), encoding="utf-8")
    assert read_manifest(folder) == manifest
    verify(folder, manifest)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@settings(max_examples=50)
@given(facts=st.dictionaries(st.text(), json_values))
def test_any_json_fact_survives(facts: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp() / "facts"
    folder.mkdir(exist_ok=True)
    (folder / "manifest.json").write_text(manifest_of(folder, facts=facts).text(), encoding="utf-8")
    assert read_manifest(folder).facts == facts


def test_a_file_is_described_by_its_size_and_sha256(folder: Path) -> None:
    for name, content in CONTENTS.items():
        entry = describe(folder / name)
        assert (entry.bytes, entry.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_the_files_are_all_but_the_manifest_at_the_top(folder: Path) -> None:
    (folder / "manifest.json").write_text("{}")
    (folder / "models" / "manifest.json").write_text("{}")
    assert file_names(folder) == sorted([*CONTENTS, "models/manifest.json"])


def test_a_fact_that_is_nan_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        manifest_of(folder, facts={"mean": float("nan")}).text()


def test_no_shelf_there(tmp_path: Path, folder: Path) -> None:
    for place in (tmp_path / "nothing", tmp_path, folder / "codes.npy"):
        with pytest.raises(UserError, match="there is no shelf here"):
            read_manifest(place)


@pytest.mark.parametrize("text", ["", "{", '{"format_version": 1', b"\xff\xfe\x00", "[" * 100_000])
def test_unreadable_json(folder: Path, text: str | bytes) -> None:
    assert "not readable as JSON" in damaged(folder, text)


def test_every_truncation_is_refused(folder: Path) -> None:
    text = manifest_of(folder).text().rstrip()
    for length in range(len(text)):
        assert "damaged" in damaged(folder, text[:length])


def test_a_newer_format_asks_for_an_upgrade_whatever_its_fields(folder: Path) -> None:
    message = damaged(folder, json.dumps({"format_version": FORMAT_VERSION + 1, "unheard_of": []}))
    assert "newer shelfwalk" in message and "upgrade" in message


@pytest.mark.parametrize("content", [[], "text", 3, None, {}])
def test_json_that_is_no_manifest(folder: Path, content: Any) -> None:
    assert "not a shelf's manifest" in damaged(folder, json.dumps(content))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("format_version", "1"),
        ("format_version", 0),
        ("format_version", True),
        ("files", {"a": {"bytes": -1, "sha256": "0" * 64}}),
        ("files", {"a": {"bytes": 1, "sha256": "0" * 63}}),
        ("files", {"a": {"bytes": 1, "sha256": "0" * 64, "mode": 7}}),
        ("recipe", []),
        ("surplus", 1),
    ],
)
def test_a_wrong_field_is_named(folder: Path, field: str, value: Any) -> None:
    content = json.loads(manifest_of(folder).text()) | {field: value}
    assert field in damaged(folder, json.dumps(content))


@pytest.mark.parametrize(
    "name",
    ["../codes.npy", "/etc/passwd", "a/../../b", "a//b", "./a", "a/", "a\\b", "a\0b", "", ".", "..", "manifest.json"],
)
def test_a_file_name_that_leaves_the_folder_is_refused(folder: Path, name: str) -> None:
    content = json.loads(manifest_of(folder).text())
    content["files"][name] = {"bytes": 0, "sha256": "0" * 64}
    assert "files" in damaged(folder, json.dumps(content))


@given(name=st.text(st.characters(exclude_categories=["Cs"]), max_size=12))
def test_an_accepted_file_name_never_leaves_its_folder(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp()
    entry = FileEntry(bytes=0, sha256="0" * 64)
    try:
        accepted = manifest_of(folder / "facts", files={name: entry})
    except ValueError:
        return
    for file_name in accepted.files:
        assert folder in Path(os.path.normpath(folder / file_name)).parents


@pytest.mark.parametrize("name", CONTENTS)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    manifest = manifest_of(folder)
    (folder / name).unlink()
    with pytest.raises(UserError, match=f"{name} .missing"):
        verify(folder, manifest)


@pytest.mark.parametrize("name", CONTENTS)
def test_a_longer_file_is_named(folder: Path, name: str) -> None:
    manifest = manifest_of(folder)
    with (folder / name).open("ab") as stream:
        stream.write(b"!")
    with pytest.raises(UserError, match=f"{name} .{len(CONTENTS[name]) + 1} bytes instead of {len(CONTENTS[name])}"):
        verify(folder, manifest)


@pytest.mark.parametrize("position", [0, 250, 499])
def test_one_changed_bit_is_noticed(folder: Path, position: int) -> None:
    manifest = manifest_of(folder)
    content = bytearray(CONTENTS["models/query.onnx"])
    content[position] ^= 1
    (folder / "models/query.onnx").write_bytes(content)
    with pytest.raises(UserError, match=r"models/query\.onnx .checksum differs"):
        verify(folder, manifest)


def test_an_extra_file_is_named(folder: Path) -> None:
    manifest = manifest_of(folder)
    (folder / "models" / "stray").write_text("x")
    with pytest.raises(UserError, match=r"models/stray .not in the manifest"):
        verify(folder, manifest)


def test_many_damaged_files_are_counted(folder: Path) -> None:
    manifest = manifest_of(folder)
    for number in range(8):
        (folder / f"stray{number}").write_text("x")
    with pytest.raises(UserError, match=r"stray4 .* and 3 more"):
        verify(folder, manifest)


def test_links_and_special_files_are_refused(folder: Path, tmp_path: Path) -> None:
    manifest = manifest_of(folder)
    outside = tmp_path / "outside"
    outside.mkdir()
    makers: dict[str, Callable[[Path], None]] = {
        "file link": lambda path: path.symlink_to(folder / "codes.npy"),
        "folder link": lambda path: path.symlink_to(outside),
        "dangling link": lambda path: path.symlink_to(tmp_path / "nothing"),
        "pipe": os.mkfifo,
    }
    for name, make in makers.items():
        make(folder / name)
        with pytest.raises(UserError, match=f"{name}: a link or special file"):
            verify(folder, manifest)
        (folder / name).unlink()
    verify(folder, manifest)

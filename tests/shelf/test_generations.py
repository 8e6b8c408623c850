"""Generations: publishing, refusals, the lock and removal (kills and faults: test_kill.py)."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import shelfwalk
from shelfwalk.errors import UserError
from shelfwalk.files import write_whole
from shelfwalk.shelf.generations import (
    current_generation,
    generations,
    open_for_building,
    open_generation,
    publish,
)


def stage(shelf: Path, version: int) -> Path:
    """A staged build whose every file tells its version."""
    staging = shelf.parent / "staging"
    (staging / "models").mkdir(parents=True, exist_ok=True)
    (staging / "codes.npy").write_bytes(f"codes {version}".encode())
    (staging / "models" / "query.onnx").write_bytes(f"model {version}".encode() * 50)
    return staging


def publish_version(shelf: Path, version: int) -> str:
    return publish(shelf, stage(shelf, version), {"name": "rqkmeans"}, {"version": version})


def opened_version(shelf: Path) -> int:
    """The version of an opened shelf, after checking that every file in it is of that version."""
    folder, manifest = open_generation(shelf)
    version = manifest.facts["version"]
    assert isinstance(version, int)
    assert (folder / "codes.npy").read_bytes() == f"codes {version}".encode()
    assert (folder / "models" / "query.onnx").read_bytes() == f"model {version}".encode() * 50
    return version


def tree(folder: Path) -> dict[str, bytes | None]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")
    }


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    return tmp_path / "my.shelf"


def test_publishes_one_generation_after_another(shelf: Path) -> None:
    for version in (1, 2, 3):
        assert publish_version(shelf, version) == f"00000{version}"
        assert opened_version(shelf) == version
    assert generations(shelf) == ["000001", "000002", "000003"]
    assert (shelf / "CURRENT").read_text() == "000003\n"
    assert not (shelf.parent / "staging").exists()


def test_the_manifest_tells_recipe_facts_version_and_files(shelf: Path) -> None:
    publish(shelf, stage(shelf, 7), {"name": "rqkmeans", "levels": [4, 4]}, {"version": 7, "title": "é"})
    folder, manifest = open_generation(shelf)
    assert folder == shelf / "generations" / "000001"
    assert manifest.recipe == {"name": "rqkmeans", "levels": [4, 4]}
    assert manifest.facts == {"version": 7, "title": "é"}
    assert manifest.shelfwalk_version == shelfwalk.__version__
    assert list(manifest.files) == ["codes.npy", "models/query.onnx"]
    assert manifest.created.endswith("+00:00")


def test_an_old_generation_never_changes(shelf: Path) -> None:
    publish_version(shelf, 1)
    before = tree(shelf / "generations" / "000001")
    publish_version(shelf, 2)
    assert tree(shelf / "generations" / "000001") == before


def test_numbers_grow_beyond_six_digits(shelf: Path) -> None:
    publish_version(shelf, 1)
    (shelf / "generations" / "000001").rename(shelf / "generations" / "999999")
    write_whole(shelf / "CURRENT", "999999\n")
    assert publish_version(shelf, 2) == "1000000"
    assert generations(shelf) == ["999999", "1000000"]
    assert opened_version(shelf) == 2


def test_missing_parents_are_created(tmp_path: Path) -> None:
    staging = stage(tmp_path / "x", 1)
    publish(tmp_path / "a" / "b" / "my.shelf", staging, {}, {"version": 1})
    assert opened_version(tmp_path / "a" / "b" / "my.shelf") == 1


def test_what_cannot_be_published_leaves_the_shelf_alone(shelf: Path) -> None:
    publish_version(shelf, 1)
    empty = shelf.parent / "empty"
    empty.mkdir()
    linked = stage(shelf, 2)
    (linked / "link").symlink_to(shelf)
    attempts: list[tuple[Path, Any, type[Exception]]] = [
        (empty, {}, ValueError),
        (shelf.parent / "nothing", {}, OSError),
        (linked, {}, UserError),
    ]
    for staging, facts, error in attempts:
        with pytest.raises(error):
            publish(shelf, staging, {}, facts)
    (linked / "link").unlink()
    for facts in ({"mean": float("nan")}, {"folder": shelf}, {"inner": {"value": float("inf")}}):
        with pytest.raises(ValueError):
            publish(shelf, linked, {}, facts)
    assert generations(shelf) == ["000001"]
    assert opened_version(shelf) == 1


def test_no_shelf_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    for name, words in [
        ("my shop", f"no shelf here: build one with shelfwalk build --out '{tmp_path}/my shop'"),
        ("file", "a file, not a shelf: give the folder that"),
        ("folder", "a folder, but not a shelf: give the folder that"),
    ]:
        with pytest.raises(UserError, match=words):
            open_generation(tmp_path / name)


def test_a_place_that_cannot_be_written_is_named_and_not_our_file_beside_it(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / ("x" * 254)):
        with pytest.raises(OSError) as refused:
            write_whole(place, "new")
        assert refused.value.filename == str(place)
    assert not list(tmp_path.iterdir())


def test_a_shelf_that_was_never_finished(shelf: Path) -> None:
    with open_for_building(shelf) as builder:
        assert builder.folder.is_dir()
    with pytest.raises(UserError, match="never finished"):
        open_generation(shelf)
    assert generations(shelf) == []
    publish_version(shelf, 1)
    assert opened_version(shelf) == 1


@pytest.mark.parametrize("text", ["", "latest", "000009", "../outside", "000001/../../outside", "\udcff", "1"])
def test_a_damaged_current_is_refused_and_the_next_build_repairs_it(shelf: Path, text: str) -> None:
    publish_version(shelf, 1)
    stage(shelf, 5).rename(shelf / "outside")
    (shelf / "CURRENT").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UserError, match="damaged"):
        current_generation(shelf)
    publish_version(shelf, 2)
    assert opened_version(shelf) == 2


def test_a_number_never_comes_back(shelf: Path) -> None:
    publish_version(shelf, 1)
    publish_version(shelf, 2)
    (shelf / "generations" / "000002").rename(shelf.parent / "moved away")
    assert publish_version(shelf, 3) == "000003"


def test_damage_is_noticed_unless_the_caller_declines(shelf: Path) -> None:
    publish_version(shelf, 1)
    (shelf / "generations" / "000001" / "codes.npy").write_bytes(b"codes 2")
    with pytest.raises(UserError, match=r"codes\.npy .checksum differs"):
        open_generation(shelf)
    assert open_generation(shelf, verify=False)[1].facts == {"version": 1}


def test_an_unreadable_file_is_one_sentence(shelf: Path) -> None:
    publish_version(shelf, 1)
    manifest = shelf / "generations" / "000001" / "manifest.json"
    manifest.unlink()
    manifest.mkdir()
    with pytest.raises(UserError, match=r"manifest\.json: cannot be read"):
        open_generation(shelf)


def foreign_places(folder: Path) -> Iterator[Path]:
    for name, entries in {
        "photos": ["cat.jpg"],
        "mixed": ["generations", "cat.jpg"],
        "hidden": [".git/"],
        "wrong kinds": ["CURRENT/"],
        "file as folder": ["building"],
    }.items():
        place = folder / name
        place.mkdir()
        for entry in entries:
            if entry.endswith("/") or entry == "generations":
                (place / entry).mkdir()
            else:
                (place / entry).write_text("precious")
        yield place
    (folder / "notes.txt").write_text("precious")
    yield folder / "notes.txt"


def test_what_is_no_shelf_is_refused_and_untouched(tmp_path: Path) -> None:
    staging = stage(tmp_path / "x", 1)
    (tmp_path / "places").mkdir()
    for place in foreign_places(tmp_path / "places"):
        before = tree(tmp_path)
        with pytest.raises(UserError, match="exists and is not a shelf"):
            publish(place, staging, {}, {})
        assert tree(tmp_path) == before, place


def test_an_empty_folder_becomes_a_shelf_and_a_shelf_may_hold_more(shelf: Path) -> None:
    shelf.mkdir()
    publish_version(shelf, 1)
    (shelf / "README.txt").write_text("the shop's notes")
    publish_version(shelf, 2)
    assert opened_version(shelf) == 2
    assert (shelf / "README.txt").read_text() == "the shop's notes"


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="cannot be written"), open_for_building(tmp_path / "file" / "my.shelf"):
        pass


def test_a_second_builder_gets_one_sentence_and_readers_go_on(shelf: Path) -> None:
    publish_version(shelf, 1)
    with open_for_building(shelf) as builder:
        with pytest.raises(UserError, match="another build"):
            publish_version(shelf, 2)
        assert opened_version(shelf) == 1
        builder.publish(stage(shelf, 3), {}, {"version": 3})
        assert opened_version(shelf) == 3
    publish_version(shelf, 4)
    assert opened_version(shelf) == 4


def test_the_lock_is_released_by_an_error(shelf: Path) -> None:
    with pytest.raises(KeyboardInterrupt), open_for_building(shelf):
        raise KeyboardInterrupt
    publish_version(shelf, 1)


def test_the_lock_holds_between_processes(shelf: Path) -> None:
    publish_version(shelf, 1)
    attempt = (
        "import sys; from pathlib import Path; from shelfwalk.errors import UserError\n"
        "from shelfwalk.shelf.generations import open_for_building\n"
        "try:\n    open_for_building(Path(sys.argv[1])).__enter__(); print('got it')\n"
        "except UserError as error: print(error)\n"
    )
    with (shelf / "lock").open("r+") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        refused = subprocess.run([sys.executable, "-c", attempt, shelf], capture_output=True, text=True, check=True)
    allowed = subprocess.run([sys.executable, "-c", attempt, shelf], capture_output=True, text=True, check=True)
    assert "another build" in refused.stdout
    assert allowed.stdout == "got it\n"


@pytest.mark.parametrize(("keep", "left"), [(1, [5]), (2, [4, 5]), (4, [2, 3, 4, 5]), (9, [1, 2, 3, 4, 5])])
def test_old_generations_are_removed(shelf: Path, keep: int, left: list[int]) -> None:
    for version in range(1, 6):
        publish_version(shelf, version)
    with open_for_building(shelf) as builder:
        removed = builder.remove_old(keep)
    assert generations(shelf) == [f"{number:06d}" for number in left]
    assert removed == [f"{number:06d}" for number in range(1, 6) if number not in left]
    assert opened_version(shelf) == 5
    assert sorted(path.name for path in (shelf / "generations").iterdir()) == generations(shelf)


def test_removal_takes_what_killed_publications_left_but_never_the_current(shelf: Path) -> None:
    for version in (1, 2, 3):
        publish_version(shelf, version)
    write_whole(shelf / "CURRENT", "000002\n")
    (shelf / "generations" / "000001" / "manifest.json").unlink()
    (shelf / "generations" / ".removed-000003").mkdir()
    (shelf / "generations" / ".removed-000003" / "codes.npy").write_text("half removed")
    with open_for_building(shelf) as builder:
        with pytest.raises(ValueError, match="keep"):
            builder.remove_old(0)
        assert builder.remove_old(2) == ["000001", "000003"]
    assert [path.name for path in (shelf / "generations").iterdir()] == ["000002"]
    assert opened_version(shelf) == 2


def test_a_publication_stopped_after_its_manifest_is_sealed_again(shelf: Path) -> None:
    staging = stage(shelf, 1)
    (staging / "manifest.json").write_text("of an earlier attempt")
    (staging / "manifest.json.tmp").write_text("half")
    publish(shelf, staging, {}, {"version": 1})
    folder, manifest = open_generation(shelf)
    assert sorted(manifest.files) == ["codes.npy", "models/query.onnx"]
    assert json.loads((folder / "manifest.json").read_text())["facts"] == {"version": 1}

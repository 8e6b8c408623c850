"""Where an encoder's weights come from, in which order, and what is refused."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shelfwalk.encoders import weights
from shelfwalk.encoders.weights import DEFAULT_ENCODER, cache_folder, encoder_sha256, find_weights, weights_sha256
from shelfwalk.errors import UserError


def a_folder(path: Path, content: bytes = b"weights") -> Path:
    path.mkdir(parents=True)
    (path / "model.safetensors").write_bytes(content)
    return path


def refusal(call: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(UserError) as caught:
        call(*arguments)
    message = str(caught.value)
    assert message and "\n" not in message
    return message


class Hub:
    """A model hub that gives one folder, or fails."""

    def __init__(self, answer: Path | Exception) -> None:
        self.answer = answer
        self.asked: list[str] = []
        self.patterns: list[str] = []

    def __call__(self, name: str, *, allow_patterns: list[str]) -> str:
        self.asked.append(name)
        self.patterns = allow_patterns
        if isinstance(self.answer, Exception):
            raise self.answer
        return str(self.answer)


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No weights anywhere: an empty cache, an empty working folder, no package."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("SHELFWALK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(weights, "_PACKAGE", "no_such_package_of_weights")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    hub = Hub(a_folder(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.snapshot_download", hub)
    return hub


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of weights in an installed package that carries the expected ones."""
    name = "made_up_package_of_weights"
    folder = a_folder(tmp_path / "site" / name / "model")
    (folder.parent / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setattr(weights, "_PACKAGE", name)
    monkeypatch.setattr(weights, "_PACKAGE_WEIGHTS_SHA256", hashlib.sha256(b"weights").hexdigest())
    return folder


def test_the_order_is_folder_cache_package_hub(tmp_path: Path, package: Path, hub: Hub) -> None:
    cached = a_folder(tmp_path / "cache" / "encoders" / DEFAULT_ENCODER)
    named = a_folder(tmp_path / "here" / DEFAULT_ENCODER)
    for expected in (named, cached, package):
        assert find_weights().resolve() == expected.resolve()
        shutil.rmtree(expected.parent if expected == package else expected)
    assert hub.asked == []
    assert find_weights() == hub.answer
    assert hub.asked == [f"sentence-transformers/{DEFAULT_ENCODER}"]


def test_takes_a_folder_as_it_is_even_from_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = a_folder(tmp_path / "home" / "mine")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert find_weights(str(folder)) == find_weights("~/mine") == folder


def test_the_package_stands_for_the_default_encoder_only(package: Path, hub: Hub) -> None:
    assert find_weights(DEFAULT_ENCODER) == package
    assert find_weights("someone/other-encoder") == hub.answer
    assert hub.asked == ["someone/other-encoder"]


def test_the_hub_is_asked_for_no_pickled_weights(hub: Hub) -> None:
    find_weights()
    assert not any(Path("pytorch_model.bin").match(pattern) for pattern in hub.patterns)
    assert any(Path("model.safetensors").match(pattern) for pattern in hub.patterns)


def test_refuses_other_weights_in_the_package(package: Path, hub: Hub) -> None:
    (package / "model.safetensors").write_bytes(b"other weights")
    message = refusal(find_weights)
    for content in (b"weights", b"other weights"):
        assert hashlib.sha256(content).hexdigest()[:16] in message
    assert "not loaded" in message and hub.asked == []


def test_refuses_a_package_without_weights(package: Path, hub: Hub) -> None:
    (package / "model.safetensors").unlink()
    assert "has no model.safetensors" in refusal(find_weights)
    assert hub.asked == []


@pytest.mark.parametrize("name", ["./missing", "/missing/folder", "~/missing", "~no_such_user/missing", "../missing"])
def test_says_that_a_folder_is_missing_and_asks_no_hub(name: str, hub: Hub) -> None:
    message = refusal(find_weights, name)
    assert name in message and "does not exist" in message
    assert hub.asked == []


@pytest.mark.parametrize("error", [OSError("no route"), ValueError("bad name"), RuntimeError("offline")])
def test_says_where_it_looked_when_the_hub_fails_too(tmp_path: Path, hub: Hub, error: Exception) -> None:
    hub.answer = error
    message = refusal(find_weights, "some-encoder")
    assert "some-encoder" in message and type(error).__name__ in message
    assert str(tmp_path / "cache" / "encoders") in message and "shelfwalk[weights]" in message


def test_without_a_hub_client_it_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert "the model hub did not give it" in refusal(find_weights)


def test_the_cache_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("SHELFWALK_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "shelfwalk"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "shelfwalk"


def test_the_checksums_need_weights(tmp_path: Path) -> None:
    for checksum in (weights_sha256, encoder_sha256):
        assert str(tmp_path) in refusal(checksum, tmp_path)
    assert weights_sha256(a_folder(tmp_path / "some", b"abc")) == hashlib.sha256(b"abc").hexdigest()


def test_the_encoder_checksum_covers_all_that_shapes_vectors(tmp_path: Path, tiny_weights: Path) -> None:
    def changed(change: Callable[[Path], object]) -> str:
        folder = tmp_path / "copy"
        shutil.copytree(tiny_weights, folder)
        change(folder)
        digest = encoder_sha256(folder)
        shutil.rmtree(folder)
        return digest

    digests = [
        changed(lambda folder: None),
        changed(lambda folder: (folder / "model.safetensors").write_bytes(b"other weights")),
        changed(lambda folder: (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode": "cls"}')),
        changed(lambda folder: (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 12}')),
        changed(lambda folder: (folder / "tokenizer.json").write_text("{}")),
        changed(lambda folder: (folder / "modules.json").unlink()),
        changed(lambda folder: (folder / "2_Normalize").rename(folder / "3_Normalize")),
        changed(lambda folder: (folder / "3_Dense.safetensors").write_bytes(b"a layer more")),
    ]
    assert len(set(digests)) == len(digests)
    assert digests[0] == encoder_sha256(tiny_weights)
    assert digests[0] == changed(lambda folder: (folder / "README.md").write_text("another description"))


def test_the_real_package_carries_the_expected_weights(real_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_PACKAGE", real_weights.parent.name)
    assert find_weights() == real_weights

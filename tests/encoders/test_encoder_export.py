"""Exporting once, deciding between int8 and float, and what happens when an export fails or a folder is damaged."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest

from shelfwalk.encoders import export
from shelfwalk.encoders.export import (
    compare_encoders,
    export_encoder,
    load_encoder,
    quantise,
    read_check,
    torch_encode,
)
from shelfwalk.encoders.onnx import EncoderCard
from shelfwalk.encoders.weights import encoder_sha256
from shelfwalk.errors import UserError

if TYPE_CHECKING:
    from conftest import Exported

Floats = npt.NDArray[np.float32]
Encode = Callable[[Sequence[str]], Floats]


class ExportBeganError(Exception):
    """An export began where none, or this one, was expected."""


@pytest.fixture
def no_export(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ExportBeganError

    monkeypatch.setattr(export, "export_onnx", refuse)


def copy_of(exported: Exported, folder: Path) -> Path:
    shutil.copytree(exported.weights, folder)
    return folder


def test_leaves_two_whole_encoders_and_their_comparison(exported: Exported) -> None:
    assert sorted(path.name for path in exported.home.iterdir()) == ["check.json", "float32", "int8"]
    for precision in ("float32", "int8"):
        folder = exported.home / precision
        assert sorted(path.name for path in folder.iterdir()) == ["encoder.json", "model.onnx", "tokenizer.json"]
        assert exported.encoder(precision).card == EncoderCard(
            "tiny", encoder_sha256(exported.weights), dimensions=32, token_limit=48, precision=precision
        )
    sizes = [(exported.home / precision / "model.onnx").stat().st_size for precision in ("float32", "int8")]
    assert sizes[1] < sizes[0]
    # Nothing half made lies about, though other rooms may have exported other encoders.
    assert all((home / "check.json").is_file() for home in exported.home.parent.iterdir())


def test_the_comparison_says_what_the_two_models_give(exported: Exported) -> None:
    check = read_check(exported.home)
    vectors = torch_encode(exported.model, exported.texts)
    cosines = np.sum(vectors * exported.encoder("int8").encode(exported.texts), axis=1)
    assert check.mean_cosine == pytest.approx(float(cosines.mean()), abs=1e-4)
    assert 0.9 < check.mean_cosine < 0.999999
    nearest = np.argsort(-torch_encode(exported.model, exported.queries) @ vectors.T, axis=1)[:, :100]
    assert check.recall_float == pytest.approx(np.mean([row in nearest[row] for row in range(len(vectors))]), abs=0.02)
    assert check.speed_ratio > 0


@pytest.mark.usefixtures("no_export")
def test_a_second_call_finds_the_export_and_the_comparison(
    exported: Exported, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(export, "load_encoder", lambda _: pytest.fail("nothing had to be loaded"))
    expected = exported.home / ("int8" if read_check(exported.home).int8 else "float32")
    for weights in (exported.weights, copy_of(exported, tmp_path / "moved")):
        assert export_encoder(weights, "tiny", 1, exported.texts, exported.queries) == expected


@pytest.mark.usefixtures("no_export")
def test_another_sample_is_compared_anew_without_an_export(exported: Exported) -> None:
    before = read_check(exported.home)
    folder = export_encoder(exported.weights, "tiny", 1, exported.texts[:30], exported.queries[:30])
    after = read_check(exported.home)
    assert folder == exported.home / ("int8" if after.int8 else "float32")
    assert after.sample_sha256 != before.sample_sha256
    export_encoder(exported.weights, "tiny", 1, exported.texts, exported.queries)
    again = read_check(exported.home)
    assert (again.sample_sha256, again.mean_cosine) == (before.sample_sha256, pytest.approx(before.mean_cosine))


@pytest.mark.usefixtures("no_export")
@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("tokenizer_config.json", '"model_max_length": 48', '"model_max_length": 12'),
        ("1_Pooling/config.json", '"mean"', '"cls"'),
    ],
)
def test_the_same_weights_used_otherwise_are_another_encoder(
    exported: Exported, tmp_path: Path, name: str, old: str, new: str
) -> None:
    folder = copy_of(exported, tmp_path / "other")
    settings = (folder / name).read_text()
    assert old in settings
    (folder / name).write_text(settings.replace(old, new))
    vectors = [torch_encode(model, exported.texts) for model in (exported.model, load_encoder(folder))]
    assert np.abs(vectors[0] - vectors[1]).max() > 0.1
    with pytest.raises(ExportBeganError):
        export_encoder(folder, "tiny", 1, exported.texts, exported.queries)


def test_a_failed_export_leaves_nothing(exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(model: object, folder: Path, card: EncoderCard) -> None:
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setenv("SHELFWALK_CACHE", str(tmp_path))
    monkeypatch.setattr(export, "export_onnx", half)
    with pytest.raises(KeyboardInterrupt):
        export_encoder(exported.weights, "tiny", 1, exported.texts, exported.queries)
    assert list((tmp_path / "exported").iterdir()) == []


def test_of_two_exports_at_once_the_first_stays(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "exported" / exported.home.name

    def overtaken(staged: Path, *_: object) -> None:
        shutil.copytree(exported.home, home)
        staged.mkdir()
        (staged / "later").touch()

    monkeypatch.setenv("SHELFWALK_CACHE", str(tmp_path))
    monkeypatch.setattr(export, "_export_into", overtaken)
    folder = export_encoder(exported.weights, "tiny", 1, exported.texts[:9], exported.queries[:9])
    assert folder.parent == home and not (home / "later").exists()
    assert list(home.parent.iterdir()) == [home]


def test_a_default_prompt_is_not_read_by_either_form(exported: Exported, tmp_path: Path) -> None:
    folder = copy_of(exported, tmp_path / "prompted")
    card = json.loads((folder / "config_sentence_transformers.json").read_text())
    prompted = card | {"prompts": {"query": "query: "}, "default_prompt_name": "query"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompted))
    expected = exported.encoder().encode(exported.texts)
    np.testing.assert_allclose(torch_encode(load_encoder(folder), exported.texts), expected, rtol=0, atol=1e-4)


def test_quantising_leaves_logging_as_it_was(
    exported: Exported, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    quantise(exported.home / "float32" / "model.onnx", tmp_path / "model.onnx")
    assert export._is_no_quantisation_advice not in logging.getLogger().filters
    assert caplog.messages == []
    assert (tmp_path / "model.onnx").read_bytes() == (exported.home / "int8" / "model.onnx").read_bytes()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "model.safetensors").unlink(),
        lambda folder: cut(folder / "model.safetensors"),
        lambda folder: (folder / "model.safetensors").write_bytes(b""),
        lambda folder: (folder / "config.json").unlink(),
        lambda folder: cut(folder / "config.json") or (folder / "config.json").write_text("{"),
        lambda folder: (folder / "config.json").write_text('{"model_type": "nonesuch"}'),
        lambda folder: (folder / "modules.json").write_text("[]"),
        lambda folder: shutil.rmtree(folder / "1_Pooling"),
        lambda folder: (folder / "tokenizer.json").unlink(),
    ],
)
def test_a_damaged_folder_is_refused_in_one_sentence(
    exported: Exported, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    folder = copy_of(exported, tmp_path / "damaged")
    damage(folder)
    with pytest.raises(UserError) as caught:
        load_encoder(folder)
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


class Clock:
    """A clock that only encoding moves."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


class MadeUp:
    """An encoder with a vector for each text, and a time that a text takes."""

    def __init__(self, clock: Clock, vectors: dict[str, Floats], seconds: float) -> None:
        self._clock, self._vectors, self._seconds = clock, vectors, seconds

    def __call__(self, texts: Sequence[str]) -> Floats:
        self._clock.now += self._seconds * len(texts)
        return np.array([self._vectors[text] for text in texts], np.float32)


def unit(vectors: Floats) -> Floats:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


TEXTS = [f"text {number}" for number in range(400)]
QUERIES = [f"query {number}" for number in range(400)]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(export, "time", clock)
    return clock


def encoder(clock: Clock, texts: Floats, queries: Floats, seconds: float) -> Encode:
    return MadeUp(clock, dict(zip(TEXTS + QUERIES, [*unit(texts), *unit(queries)], strict=True)), seconds)


class TestComparing:
    """Texts close to one another, so that little noise is enough to lose a text among its like."""

    rng = np.random.default_rng(0)
    middle = rng.normal(size=(1, 16)) * 5
    texts = middle + rng.normal(size=(400, 16))
    queries = texts + rng.normal(size=(400, 16)) * 0.2
    noise = rng.normal(size=(400, 16))
    rotation = np.linalg.qr(rng.normal(size=(16, 16)))[0]

    def compared(self, clock: Clock, texts: Floats, queries: Floats, seconds: float = 0.001) -> export.ExportCheck:
        reference = encoder(clock, self.texts, self.queries, seconds=0.004)
        return compare_encoders(reference, encoder(clock, texts, queries, seconds), TEXTS, QUERIES)

    def test_takes_an_identical_faster_one(self, clock: Clock) -> None:
        check = self.compared(clock, self.texts, self.queries)
        assert check.int8
        assert check.mean_cosine == pytest.approx(1, abs=1e-6)
        assert check.recall_int8 == check.recall_float > 0.95
        assert check.speed_ratio == pytest.approx(4)

    @pytest.mark.parametrize(("seconds", "taken"), [(0.0039, True), (0.004, False), (0.0041, False)])
    def test_takes_only_a_faster_one(self, clock: Clock, seconds: float, taken: bool) -> None:
        assert self.compared(clock, self.texts, self.queries, seconds).int8 == taken

    def test_refuses_other_vectors_even_if_they_find_as_much(self, clock: Clock) -> None:
        check = self.compared(clock, self.texts @ self.rotation, self.queries @ self.rotation)
        assert not check.int8
        assert check.mean_cosine < export.COSINE_FLOOR
        assert check.recall_int8 == pytest.approx(check.recall_float, abs=0.005)

    def test_refuses_close_vectors_that_find_less(self, clock: Clock) -> None:
        check = self.compared(clock, self.texts + 0.8 * self.noise, self.queries - 0.8 * self.noise)
        assert not check.int8
        assert check.mean_cosine > export.COSINE_FLOOR
        assert check.recall_int8 < check.recall_float - export.RECALL_TOLERANCE

    def test_takes_close_vectors_that_find_more(self, clock: Clock) -> None:
        reference = encoder(clock, self.texts, self.texts + 4 * self.noise, seconds=0.004)
        candidate = encoder(clock, self.texts, self.texts, seconds=0.001)
        check = compare_encoders(reference, candidate, TEXTS, QUERIES)
        assert check.recall_int8 > check.recall_float + export.RECALL_TOLERANCE
        assert check.int8

    def test_recall_is_the_share_of_texts_among_the_nearest_hundred_of_their_query(self, clock: Clock) -> None:
        check = self.compared(clock, self.texts, self.noise)
        nearest = np.argsort(-unit(self.noise) @ unit(self.texts).T, axis=1)[:, :100]
        expected = np.mean([row in nearest[row] for row in range(400)])
        assert 0.1 < expected < 0.9
        assert check.recall_int8 == pytest.approx(expected)

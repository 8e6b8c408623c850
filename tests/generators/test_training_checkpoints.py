"""A run that was interrupted anywhere, even in the middle of a write, ends as one that never was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from toy_training import Toy, assert_equal_weights, make_toy, small_decoder, trainer_of, weights_of

from shelfwalk.generators import training
from shelfwalk.generators.backbone import Backbone
from shelfwalk.generators.decoder_backbone import DecoderBackbone
from shelfwalk.generators.training import Trainer, TrainingReport


@pytest.fixture(scope="module")
def toy() -> Toy:
    return make_toy()


@pytest.fixture(scope="module")
def uninterrupted(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingReport, dict[str, torch.Tensor]]:
    trainer = short_run(toy, tmp_path_factory.mktemp("whole"))
    return trainer.run(), weights_of(trainer)


def short_run(toy: Toy, folder: Path, backbone: Backbone | None = None, **settings: Any) -> Trainer:
    """Thirty steps with a validation after every ten, where nothing else is asked for."""
    return trainer_of(toy.examples(), folder, backbone, **({"steps": 30, "validate_every": 10} | settings))


def stop_at(*steps: int) -> Any:
    def progress(step: int, _: float) -> None:
        if step in steps:
            raise KeyboardInterrupt

    return progress


def files(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


# Step 10 is stopped before its validation, 11 after.
@pytest.mark.parametrize("stops", [(10,), (11,), (30,), (3, 17, 25)])
def test_interrupted_and_resumed_equals_uninterrupted(
    toy: Toy,
    tmp_path: Path,
    uninterrupted: tuple[TrainingReport, dict[str, torch.Tensor]],
    stops: tuple[int, ...],
) -> None:
    for stop in stops:
        with pytest.raises(KeyboardInterrupt):
            short_run(toy, tmp_path).run(stop_at(stop))
    # Where there is a checkpoint, nothing of the new decoder's own start may be left.
    started = DecoderBackbone(small_decoder(seed=99 if max(stops) > 10 else 0))
    told: list[int] = []
    trainer = short_run(toy, tmp_path, started)
    report = trainer.run(lambda step, _: told.append(step))
    assert report == uninterrupted[0]
    assert_equal_weights(weights_of(trainer), uninterrupted[1])
    assert told[0] == 1 + 10 * ((max(stops) - 1) // 10)


def test_a_finished_run_is_not_run_again(toy: Toy, tmp_path: Path) -> None:
    first = short_run(toy, tmp_path)
    report = first.run()
    again = short_run(toy, tmp_path, DecoderBackbone(small_decoder(seed=99)))
    assert again.run(stop_at(*range(1, 1_000))) == report
    assert_equal_weights(weights_of(again), weights_of(first))


def test_a_run_that_stopped_early_stays_stopped(toy: Toy, tmp_path: Path) -> None:
    settings = {"steps": 400, "validate_every": 5, "patience": 1, "learning_rate": 0.05}
    report = short_run(toy, tmp_path, **settings).run()
    assert report.stopped_early
    assert short_run(toy, tmp_path, **settings).run(stop_at(*range(1, 1_000))) == report


@pytest.mark.parametrize("write", [1, 2, 4, 5])
def test_killed_in_the_middle_of_a_write_and_resumed_equals_uninterrupted(
    toy: Toy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    uninterrupted: tuple[TrainingReport, dict[str, torch.Tensor]],
    write: int,
) -> None:
    writes = 0

    def half_written(tensors: dict[str, torch.Tensor], path: Path) -> None:
        nonlocal writes
        writes += 1
        save_file(tensors, path)
        if writes == write:
            path.write_bytes(path.read_bytes()[:100])
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training, "save_file", half_written)
        short_run(toy, tmp_path).run()
    for file in tmp_path.glob("*.safetensors"):
        assert load_file(file)
    trainer = short_run(toy, tmp_path)
    assert trainer.run() == uninterrupted[0]
    assert_equal_weights(weights_of(trainer), uninterrupted[1])


@pytest.mark.parametrize("validation", [1, 3])
def test_killed_before_the_state_is_written_and_resumed_equals_uninterrupted(
    toy: Toy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    uninterrupted: tuple[TrainingReport, dict[str, torch.Tensor]],
    validation: int,
) -> None:
    written: list[str] = []

    def killed(path: Path, text: str) -> None:
        written.append(text)
        if len(written) == validation:
            raise KeyboardInterrupt
        path.write_text(text)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training, "write_whole", killed)
        short_run(toy, tmp_path).run()
    trainer = short_run(toy, tmp_path)
    assert trainer.run() == uninterrupted[0]
    assert_equal_weights(weights_of(trainer), uninterrupted[1])


def test_stale_checkpoints_are_removed_and_leftovers_ignored(
    toy: Toy, tmp_path: Path, uninterrupted: tuple[TrainingReport, dict[str, torch.Tensor]]
) -> None:
    for name in ("best.partial", "10.partial", "20.safetensors", "7.safetensors"):
        (tmp_path / name).write_bytes(b"half of a fi")
    trainer = short_run(toy, tmp_path)
    assert trainer.run() == uninterrupted[0]
    assert_equal_weights(weights_of(trainer), uninterrupted[1])
    assert files(tmp_path) == ["30.safetensors", "best.safetensors", "state.json"]

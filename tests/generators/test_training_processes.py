"""Two processes train one backbone: each learns from its half of a batch, and together they learn what one would."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from toy_training import make_toy, trainer_of

from shelfwalk.generators.decoder import DecoderShape, IdentifierDecoder
from shelfwalk.generators.decoder_backbone import DecoderBackbone
from shelfwalk.generators.training import TrainingReport

LEVEL_SIZES = (4, 3)


def trained(folder: Path, out: Path | None = None) -> TrainingReport:
    """Without dropout, whose noise is another in each process."""
    torch.manual_seed(0)
    shape = DecoderShape(12, LEVEL_SIZES, width=16, layers=1, heads=2, memory_tokens=2, dropout=0.0)
    settings = {"steps": 12, "validate_every": 4, "batch": 32}
    trainer = trainer_of(make_toy().examples(), folder, DecoderBackbone(IdentifierDecoder(shape)), **settings)
    told: list[float] = []
    report = trainer.run(lambda _, loss: told.append(loss))
    if out is not None:
        weights = float(sum(weight.double().sum() for weight in trainer.backbone.state_dict().values()))
        out.write_text(json.dumps({"told": told, "held_out": report.held_out_losses, "weights": weights}))
    return report


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("this torch has no gloo")
    port, running = _free_port(), []
    for rank in (0, 1):
        own = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        more = {"ACCELERATE_USE_CPU": "true", "PYTHONPATH": os.pathsep.join(sys.path)}
        environment = os.environ | {name: str(value) for name, value in own.items()} | more
        command = [sys.executable, __file__, str(tmp_path / "shared"), str(tmp_path / f"{rank}.json")]
        running.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
    try:
        errors = [process.communicate(timeout=300)[1] for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0, 0], errors
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first == second
    alone = trained(tmp_path / "alone")
    np.testing.assert_allclose(first["held_out"], alone.held_out_losses, rtol=0.01)
    kept, own = (load_file(tmp_path / folder / "best.safetensors") for folder in ("shared", "alone"))
    assert kept.keys() == own.keys()
    assert sorted(path.name for path in (tmp_path / "shared").iterdir()) == sorted(
        path.name for path in (tmp_path / "alone").iterdir()
    )


if __name__ == "__main__":
    trained(Path(sys.argv[1]), Path(sys.argv[2]))

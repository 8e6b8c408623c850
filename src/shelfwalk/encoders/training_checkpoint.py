"""The state of a network in training, kept so that an interrupted training goes on as if nothing had happened.

In: the tensors of a network, its AdamW, the figures so far, and a fingerprint of data and settings. Out: one
safetensors file, written whole. Random numbers are drawn from seed and epoch or step, so they leave no state to keep.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.torch
import torch

from shelfwalk.files import write_whole

_MOMENTS = "adamw."
_ROWS_AT_A_TIME = 65_536

Figures = list[dict[str, float]]
"""What each finished part of a training told: the parts of the loss of an epoch, say."""


def training_fingerprint(settings: Mapping[str, Any], arrays: Sequence[npt.NDArray[Any]]) -> str:
    """A hash of all that the outcome of a training depends on, but for the machine; the arrays may be memory-mapped."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps([settings, [(array.shape, str(array.dtype)) for array in arrays]]).encode())
    for array in arrays:
        for start in range(0, len(array), _ROWS_AT_A_TIME):
            digest.update(np.ascontiguousarray(array[start : start + _ROWS_AT_A_TIME]).data)
    return digest.hexdigest()


def write_checkpoint(
    path: Path, fingerprint: str, network: torch.nn.Module, optimizer: torch.optim.Optimizer, figures: Figures
) -> None:
    """Replace the checkpoint at `path`, its folder made if missing; there are figures for each finished part."""
    tensors = dict(network.state_dict())
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"{_MOMENTS}{number}.{name}": value for name, value in state.items()}
    metadata = {"fingerprint": fingerprint, "figures": json.dumps(figures)}
    write_whole(path, safetensors.torch.save(tensors, metadata))


class Checkpoint:
    """A checkpoint that was read: the network's tensors by name, and the figures of the finished parts."""

    def __init__(self, tensors: dict[str, torch.Tensor], figures: Figures) -> None:
        self.weights = {name: value for name, value in tensors.items() if not name.startswith(_MOMENTS)}
        self.figures = figures
        self._moments = {name: value for name, value in tensors.items() if name.startswith(_MOMENTS)}

    def under(self, name: str) -> tuple[torch.Tensor, ...]:
        """The tensors of the list `name` of the network, in order."""
        count = sum(key.startswith(f"{name}.") for key in self.weights)
        return tuple(self.weights[f"{name}.{number}"] for number in range(count))

    def restore_optimizer(self, optimizer: torch.optim.Optimizer) -> None:
        """Give a new AdamW of the restored network its moments."""
        state: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in self._moments.items():
            number, moment = name.removeprefix(_MOMENTS).split(".")
            state.setdefault(int(number), {})[moment] = value
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def read_checkpoint(path: Path, fingerprint: str) -> Checkpoint | None:
    """The checkpoint at `path`; None if there is none, or one that is damaged or of another training."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("fingerprint") != fingerprint:
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, safetensors.SafetensorError):
        return None
    return Checkpoint(tensors, json.loads(metadata["figures"]))

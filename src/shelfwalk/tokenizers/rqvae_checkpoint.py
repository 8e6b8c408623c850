"""The state of an RQ-VAE in training, kept so that an interrupted training goes on as if nothing had happened.

In: network, AdamW, the losses so far, and a fingerprint of data and settings. Out: `rqvae.safetensors`, written whole.
Random numbers are drawn from seed and epoch, so they leave no state to keep.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import nn

from shelfwalk.tokenizers.item_tokenizer import Vectors
from shelfwalk.tokenizers.rqvae_network import RQVAENetwork
from shelfwalk.tokenizers.rqvae_settings import EpochLoss, RQVAESettings
from shelfwalk.tokenizers.tokenizer_files import write_bytes_whole

_FILE = "rqvae.safetensors"
_MOMENTS = "adamw."
_ROWS_AT_A_TIME = 65_536


def training_fingerprint(vectors: Vectors, settings: RQVAESettings, bfloat16: bool) -> str:
    """A hash of all that the outcome of a training depends on, but for the machine."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps([asdict(settings), bfloat16, vectors.shape]).encode())
    for start in range(0, len(vectors), _ROWS_AT_A_TIME):
        digest.update(np.ascontiguousarray(vectors[start : start + _ROWS_AT_A_TIME]).data)
    return digest.hexdigest()


def write_checkpoint(
    folder: Path, fingerprint: str, network: RQVAENetwork, optimizer: torch.optim.Optimizer, losses: list[EpochLoss]
) -> None:
    """Replace the checkpoint in `folder`, made if missing; there is one loss for each finished epoch."""
    tensors = dict(network.state_dict())
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"{_MOMENTS}{number}.{name}": value for name, value in state.items()}
    metadata = {"fingerprint": fingerprint, "losses": json.dumps([asdict(loss) for loss in losses])}
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes_whole(folder / _FILE, safetensors.torch.save(tensors, metadata))


class Checkpoint:
    """A checkpoint that was read: its tensors and the losses of the finished epochs."""

    def __init__(self, tensors: dict[str, torch.Tensor], losses: list[EpochLoss]) -> None:
        self._tensors = tensors
        self.losses = losses

    def restore_network(self, network: RQVAENetwork) -> None:
        """Give a network without codebooks the weights and codebooks."""
        weights = {name: value for name, value in self._tensors.items() if not name.startswith(_MOMENTS)}
        levels = sum(name.startswith("codebooks.") for name in weights)
        network.codebooks.extend(nn.Parameter(weights[f"codebooks.{level}"]) for level in range(levels))
        network.load_state_dict(weights)

    def restore_optimizer(self, optimizer: torch.optim.Optimizer) -> None:
        """Give a new AdamW of the restored network its moments."""
        state: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in self._tensors.items():
            if name.startswith(_MOMENTS):
                number, moment = name.removeprefix(_MOMENTS).split(".")
                state.setdefault(int(number), {})[moment] = value
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def read_checkpoint(folder: Path, fingerprint: str) -> Checkpoint | None:
    """The checkpoint in `folder`; None if there is none, or one that is damaged or of another training."""
    try:
        with safetensors.safe_open(folder / _FILE, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("fingerprint") != fingerprint:
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, safetensors.SafetensorError):
        return None
    return Checkpoint(tensors, [EpochLoss(**loss) for loss in json.loads(metadata["losses"])])

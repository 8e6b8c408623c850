"""Trains an RQ-VAE: k-means start, AdamW, restart of dead codes, checkpoints.

In: vectors, float32 [items, dimensions] (unit length, or near: the learning rate fits those), and settings. Out: the
encoder's layers and the codebooks as numpy arrays, and the loss of each epoch.

After TIGER (arXiv 2305.05065). Departures: k-means starts the codebooks from all items (a sample of very many), level
by level on residuals, not from the first batch; and codes that no item chose in an epoch are restarted at residuals of
items drawn at random, a common remedy that TIGER does not name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from shelfwalk.encoders.training_checkpoint import (
    Checkpoint,
    read_checkpoint,
    training_fingerprint,
    write_checkpoint,
)
from shelfwalk.tokenizers.item_tokenizer import Progress, Vectors
from shelfwalk.tokenizers.number_type import bfloat16_is_faster
from shelfwalk.tokenizers.residual_kmeans import fit_codebooks, sampled_rows
from shelfwalk.tokenizers.residual_quantisation import Codebook
from shelfwalk.tokenizers.rqvae_encoder import Layer, latents_of
from shelfwalk.tokenizers.rqvae_network import RQVAENetwork, RQVAEPass, layers_of
from shelfwalk.tokenizers.settings import RqVaeSettings
from shelfwalk.tokenizers.torch_threads import torch_threads
from shelfwalk.tokenizers.training_run import WEIGHT_DECAY, EpochLoss, TrainingRun, described

_CHECKPOINT = "rqvae.safetensors"


@dataclass(frozen=True)
class TrainedRQVAE:
    """What is left of a training: what encoding needs, and one loss an epoch."""

    layers: tuple[Layer, ...]
    codebooks: tuple[Codebook, ...]
    losses: tuple[EpochLoss, ...]


def train_rqvae(
    vectors: Vectors,
    settings: RqVaeSettings,
    run: TrainingRun,
    progress: Progress | None = None,
    checkpoints: Path | None = None,
) -> TrainedRQVAE:
    """Train on `vectors`, which may be memory-mapped, or finish the training that `checkpoints` holds.

    A level has fewer codes than asked for where the start has fewer different residuals.
    """
    if run.bfloat16 is None:
        run = replace(run, bfloat16=bfloat16_is_faster())
    fingerprint = training_fingerprint(described(settings, run), [vectors]) if checkpoints else ""
    network = _untrained_network(vectors.shape[1], settings, run.seed)
    checkpoint = read_checkpoint(checkpoints / _CHECKPOINT, fingerprint) if checkpoints else None
    losses = list[EpochLoss]()
    if checkpoint is None:
        _start_codebooks(network, vectors, settings.level_sizes, run.seed)
    else:
        _restore(network, checkpoint)
        losses = [EpochLoss(**loss) for loss in checkpoint.figures]
    optimizer = _optimizer(network, settings.learning_rate)
    if checkpoint is not None:
        checkpoint.restore_optimizer(optimizer)
    _report(progress, len(losses), settings)
    while len(losses) < settings.epochs:
        with torch_threads(run.threads):
            losses.append(_train_epoch(network, optimizer, vectors, settings, run, len(losses)))
        if checkpoints:
            told = [asdict(loss) for loss in losses]
            write_checkpoint(checkpoints / _CHECKPOINT, fingerprint, network, optimizer, told)
        _report(progress, len(losses), settings)
    codebooks = tuple(codebook.detach().numpy() for codebook in network.codebooks)
    return TrainedRQVAE(layers_of(network.encoder), codebooks, tuple(losses))


def _report(progress: Progress | None, done: int, settings: RqVaeSettings) -> None:
    if progress is not None:
        progress("RQ-VAE epochs", done, settings.epochs)


def _untrained_network(dimensions: int, settings: RqVaeSettings, seed: int) -> RQVAENetwork:
    # torch draws the first weights from its global generator only: use it, and leave it as it was.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return RQVAENetwork([dimensions, *settings.hidden_widths, settings.latent_width])


def _restore(network: RQVAENetwork, checkpoint: Checkpoint) -> None:
    """Give a network without codebooks the weights and codebooks of a checkpoint."""
    network.codebooks.extend(nn.Parameter(codebook) for codebook in checkpoint.under("codebooks"))
    network.load_state_dict(checkpoint.weights)


def _start_codebooks(network: RQVAENetwork, vectors: Vectors, level_sizes: tuple[int, ...], seed: int) -> None:
    sample = sampled_rows(vectors, level_sizes, seed)
    # In numpy, where equal vectors have equal latents: a level must not take rounding for differences.
    latents = latents_of(sample, layers_of(network.encoder))
    codebooks = fit_codebooks(latents, level_sizes, seed)
    network.codebooks.extend(nn.Parameter(torch.from_numpy(codebook)) for codebook in codebooks)


def _optimizer(network: RQVAENetwork, learning_rate: float) -> torch.optim.AdamW:
    perceptrons = [*network.encoder.parameters(), *network.decoder.parameters()]
    groups = [
        {"params": perceptrons, "weight_decay": WEIGHT_DECAY},
        # Decay would pull the codes away from the residuals whose mean they are.
        {"params": list(network.codebooks.parameters()), "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=learning_rate)


def _train_epoch(
    network: RQVAENetwork,
    optimizer: torch.optim.AdamW,
    vectors: Vectors,
    settings: RqVaeSettings,
    run: TrainingRun,
    epoch: int,
) -> EpochLoss:
    random = np.random.default_rng((run.seed, epoch))
    use = [torch.zeros(len(codebook), dtype=torch.int64) for codebook in network.codebooks]
    # Batches of nearly equal size: a small last one would make a noisy step and a poor source of new codes.
    batches = np.array_split(random.permutation(len(vectors)), -(-len(vectors) // settings.batch))
    parts = np.empty((len(batches), 3))
    for number, rows in enumerate(batches):
        result = network(torch.from_numpy(np.asarray(vectors[rows])), bfloat16=bool(run.bfloat16))
        loss = result.reconstruction + result.codebook + settings.commitment * result.commitment
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for level, codes in enumerate(result.codes):
            use[level] += torch.bincount(codes, minlength=len(use[level]))
        parts[number] = [part.item() for part in (result.reconstruction, result.codebook, result.commitment)]
    _restart_dead_codes(network.codebooks, use, result, random)
    return EpochLoss(*parts.mean(axis=0).tolist())


def _restart_dead_codes(
    codebooks: Sequence[Tensor], use: Sequence[Tensor], last: RQVAEPass, random: np.random.Generator
) -> None:
    """Move codes that no item chose to residuals of items of the last batch."""
    for codebook, counts, residuals in zip(codebooks, use, last.residuals, strict=True):
        dead = torch.nonzero(counts == 0).squeeze(1)
        chosen = torch.from_numpy(random.integers(len(residuals), size=len(dead)))
        with torch.no_grad():
            codebook[dead] = residuals[chosen]

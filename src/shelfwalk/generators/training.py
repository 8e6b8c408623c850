"""The supervised stages: query → identifier and item → identifier pairs teach the decoder.

In: a decoder, query vectors or a trainable encoder, pairs of queries and items, item vectors and codes. Out: the
decoder with the weights of the lowest held-out loss, and a report.

A batch holds (query, item) pairs and, as CQ-SID's first stage does (arXiv 2605.14434, Item2SID), items that stand for
themselves: an item's own vector asks for its own identifier. Both go in one batch instead of one stage after the other,
so that nothing learned first is forgotten. Loss: the negative log-likelihood of the identifier. Every random choice is
made from (seed, step), so that a run resumed from a checkpoint equals one that was never interrupted.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from shelfwalk.data.query_item_pairs import QueryItemPairs
from shelfwalk.errors import UserError
from shelfwalk.files import write_whole
from shelfwalk.generators.decoder import IdentifierDecoder, level_loss
from shelfwalk.generators.settings import TrainingSettings
from shelfwalk.tokenizers.number_type import bfloat16_is_native

_VALIDATION_PAIRS = 4_096


class QuerySource(Protocol):
    """Gives the vectors of distinct queries by their row, with gradients if the encoder is trained."""

    def __call__(self, rows: npt.NDArray[np.int32]) -> Tensor:
        """Vectors [rows, dimensions]."""
        ...

    def parameters(self) -> Iterable[nn.Parameter]:
        """What is trained along with the decoder; empty for a frozen encoder."""
        ...

    def modules_by_name(self) -> dict[str, nn.Module]:
        """The trained modules, for checkpoints."""
        ...


class FrozenQueries:
    """Query vectors that were made once."""

    def __init__(self, vectors: npt.NDArray[np.float32]) -> None:
        self._vectors = vectors

    def __call__(self, rows: npt.NDArray[np.int32]) -> Tensor:
        """Vectors [rows, dimensions], without gradients."""
        # Rows are taken before they become tensors: vectors that are memory-mapped stay on the disk.
        return torch.from_numpy(self._vectors[rows])

    def parameters(self) -> Iterable[nn.Parameter]:
        """Nothing."""
        return ()

    def modules_by_name(self) -> dict[str, nn.Module]:
        """Nothing."""
        return {}


class TrainedQueries:
    """Query vectors by a sentence-transformers encoder that learns along with the decoder."""

    def __init__(self, encoder: Any, queries: tuple[str, ...]) -> None:
        self.encoder = encoder
        self._queries = queries

    def __call__(self, rows: npt.NDArray[np.int32]) -> Tensor:
        """Unit vectors [rows, dimensions]; a query that stands in a batch more than once is encoded once."""
        distinct, place = np.unique(rows, return_inverse=True)
        features = self.encoder.preprocess([self._queries[row] for row in distinct])
        vectors = nn.functional.normalize(self.encoder(features)["sentence_embedding"].float(), dim=-1)
        return vectors[torch.from_numpy(place)]

    def parameters(self) -> Iterable[nn.Parameter]:
        """The encoder's parameters."""
        parameters: Iterable[nn.Parameter] = self.encoder.parameters()
        return parameters

    def modules_by_name(self) -> dict[str, nn.Module]:
        """The encoder."""
        return {"encoder": self.encoder}


@dataclass(frozen=True)
class TrainingData:
    """What the decoder learns from.

    `codes` int32 [items, levels], `item_vectors` float32 [items, dimensions]; `train` and `held_out` share the query
    rows that `queries` understands.
    """

    queries: QuerySource
    train: QueryItemPairs
    held_out: QueryItemPairs
    item_vectors: npt.NDArray[np.float32]
    codes: npt.NDArray[np.int32]


@dataclass(frozen=True)
class TrainingReport:
    """What training did: losses are nats an identifier."""

    steps: int
    best_step: int
    held_out_loss: float
    train_losses: tuple[float, ...]
    held_out_losses: tuple[float, ...]
    stopped_early: bool


class Trainer:
    """Trains one decoder; `run` continues from the checkpoint in `folder` if there is one."""

    def __init__(
        self, decoder: IdentifierDecoder, data: TrainingData, settings: TrainingSettings, seed: int, folder: Path
    ) -> None:
        if not len(data.train):
            raise UserError(
                "There is no pair of a query and an item to train on: give items titles with words, or a search log."
            )
        self.decoder = decoder
        self.data = data
        self.settings = settings
        self.seed = seed
        self.folder = folder
        self._codes = torch.from_numpy(data.codes.astype(np.int64))
        encoder_parameters = list(data.queries.parameters())
        groups: list[dict[str, Any]] = [{"params": list(decoder.parameters()), "lr": settings.learning_rate}]
        if encoder_parameters:
            groups.append({"params": encoder_parameters, "lr": settings.encoder_learning_rate})
        self._peaks = [group["lr"] for group in groups]
        self._parameters = [parameter for group in groups for parameter in group["params"]]
        self._optimiser = torch.optim.AdamW(groups, weight_decay=settings.weight_decay, fused=True)
        self._autocast = bfloat16_is_native()
        self._step = 0
        self._train_losses: list[float] = []
        self._held_out_losses: list[float] = []
        self._validated: list[int] = []

    def run(self, progress: Callable[[int, float], None] | None = None) -> TrainingReport:
        """Train to the end or until the held-out loss stops falling, then load the best weights.

        `progress` is told the finished step and its loss. Interrupted, the run resumes from its last validation.
        """
        self._resume()
        while self._step < self.settings.steps and not self._exhausted():
            loss = self._train_one()
            self._step += 1
            if progress is not None:
                progress(self._step, loss)
            if self._step % self.settings.validate_every == 0 or self._step == self.settings.steps:
                self._validate(loss)
        self._load(self.folder / "best.safetensors")
        return TrainingReport(
            self._step,
            self._validated[int(np.argmin(self._held_out_losses))],
            min(self._held_out_losses),
            tuple(self._train_losses),
            tuple(self._held_out_losses),
            self._step < self.settings.steps,
        )

    def _train_one(self) -> float:
        settings = self.settings
        torch.manual_seed(self.seed * 1_000_003 + self._step)
        self.decoder.train()
        for group, peak in zip(self._optimiser.param_groups, self._peaks, strict=True):
            group["lr"] = peak * _schedule(self._step, settings.steps, settings.warm_up_steps)
        loss = self._loss(*self._batch())
        self._optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimiser.step()
        return self._finite(loss.item())

    def _finite(self, loss: float) -> float:
        if not math.isfinite(loss):
            raise UserError(
                f"Training diverged after {self._step} steps (loss {loss}): lower training.learning_rate in the recipe."
            )
        return loss

    def _batch(self) -> tuple[Tensor, Tensor]:
        generator = np.random.default_rng((self.seed, self._step))
        items = min(round(self.settings.batch * self.settings.item_share), self.settings.batch - 1)
        pairs = generator.integers(0, len(self.data.train), self.settings.batch - items)
        own = generator.integers(0, len(self._codes), items)
        queries = self.data.queries(self.data.train.query_rows[pairs])
        vectors = torch.cat((queries, torch.from_numpy(self.data.item_vectors[own])))
        asked = np.concatenate((self.data.train.item_rows[pairs], own))
        return vectors, self._codes[torch.from_numpy(asked)]

    def _loss(self, vectors: Tensor, codes: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=self._autocast):
            logits = self.decoder(vectors, codes)
        return level_loss(logits, codes)

    @torch.no_grad()
    def held_out_loss(self) -> float:
        """Mean loss of (a fixed sample of) the held-out pairs, in nats an identifier."""
        self.decoder.eval()
        pairs = np.arange(len(self.data.held_out))
        if len(pairs) > _VALIDATION_PAIRS:
            pairs = np.random.default_rng(self.seed).choice(pairs, _VALIDATION_PAIRS, replace=False)
        total = 0.0
        for start in range(0, len(pairs), self.settings.batch):
            part = pairs[start : start + self.settings.batch]
            vectors = self.data.queries(self.data.held_out.query_rows[part])
            codes = self._codes[torch.from_numpy(self.data.held_out.item_rows[part])]
            total += self._loss(vectors, codes).item() * len(part)
        return total / len(pairs)

    def _validate(self, train_loss: float) -> None:
        held_out = self._finite(self.held_out_loss()) if len(self.data.held_out) else train_loss
        self._train_losses.append(train_loss)
        self._held_out_losses.append(held_out)
        self._validated.append(self._step)
        self.folder.mkdir(parents=True, exist_ok=True)
        if held_out <= min(self._held_out_losses):
            _save_tensors(self._weights(), self.folder / "best.safetensors")
        _save_tensors(
            {**self._weights(), **_optimiser_tensors(self._optimiser)}, self.folder / f"{self._step}.safetensors"
        )
        # The state names the checkpoint that belongs to it and is written last: the two never disagree.
        state = {"step": self._step, "train": self._train_losses, "held_out": self._held_out_losses}
        write_whole(self.folder / "state.json", json.dumps({**state, "validated": self._validated}))
        for stale in self.folder.glob("[0-9]*.safetensors"):
            if stale.name != f"{self._step}.safetensors":
                stale.unlink()

    def _exhausted(self) -> bool:
        losses = self._held_out_losses
        return bool(losses) and len(losses) - 1 - int(np.argmin(losses)) >= self.settings.patience

    def _resume(self) -> None:
        state_file = self.folder / "state.json"
        if not state_file.is_file():
            return
        state = json.loads(state_file.read_text(encoding="utf-8"))
        self._step, self._train_losses, self._held_out_losses = state["step"], state["train"], state["held_out"]
        self._validated = state["validated"]
        checkpoint = self.folder / f"{self._step}.safetensors"
        self._load(checkpoint)
        _load_optimiser(self._optimiser, load_file(checkpoint))

    def _modules(self) -> dict[str, nn.Module]:
        return {"decoder": self.decoder, **self.data.queries.modules_by_name()}

    def _weights(self) -> dict[str, Tensor]:
        return {
            f"{name}.{key}": tensor.detach()
            for name, module in self._modules().items()
            for key, tensor in module.state_dict().items()
        }

    def _load(self, path: Path) -> None:
        tensors = load_file(path)
        for name, module in self._modules().items():
            own = {
                key.removeprefix(f"{name}."): tensor for key, tensor in tensors.items() if key.startswith(f"{name}.")
            }
            module.load_state_dict(own)


def _schedule(step: int, steps: int, warm_up: int) -> float:
    """Linear warm-up, then a half cosine down to 2 % of the peak."""
    risen = min(1.0, (step + 1) / max(warm_up, 1))
    return risen * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / steps)))


def _save_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    temporary = path.with_suffix(".partial")
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, temporary)
    with temporary.open("rb") as written:
        os.fsync(written.fileno())
    temporary.replace(path)


def _optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimiser.state_dict()["state"]
    return {f"optimiser.{number}.{key}": value for number, entry in state.items() for key, value in entry.items()}


def _load_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimiser."):
            _, number, key = name.split(".")
            state.setdefault(int(number), {})[key] = tensor
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})

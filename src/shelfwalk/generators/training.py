"""A supervised stage of training: examples teach a backbone to generate identifiers.

In: a backbone and a source of examples. Out: the backbone with the weights of the lowest held-out loss, and a report.

Loss: the negative log-likelihood of the identifier. Every random choice is made from (seed, step), so that a run
resumed from a checkpoint equals one that was never interrupted.

The device, bfloat16 and several processes are accelerate's: started by `accelerate launch`, each process learns from
its share of every batch, the gradients are averaged, and the first process writes what is kept.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, InitProcessGroupKwargs
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from shelfwalk.errors import UserError
from shelfwalk.files import write_whole
from shelfwalk.generators.backbone import Backbone
from shelfwalk.generators.examples import Examples, ExampleSource
from shelfwalk.generators.settings import TrainingSettings
from shelfwalk.tokenizers.number_type import bfloat16_is_faster

_VALIDATION_EXAMPLES = 4_096


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
    """Trains one backbone; `run` continues from the checkpoint in `folder` if there is one."""

    def __init__(
        self, backbone: Backbone, examples: ExampleSource, settings: TrainingSettings, seed: int, folder: Path
    ) -> None:
        if examples.is_empty():
            raise UserError(
                "There is no pair of a query and an item to train on: give items titles with words, or a search log."
            )
        self.backbone = backbone
        self.examples = examples
        self.settings = settings
        self.seed = seed
        self.folder = folder
        self._accelerator = accelerator()
        processes = self._accelerator.num_processes
        if settings.batch % processes:
            raise UserError(
                f"{processes} processes cannot share batches of {settings.batch} examples evenly: make training.batch "
                f"a multiple of {processes}."
            )
        self._model = self._shared(backbone.to(self._accelerator.device))
        groups = backbone.parameter_groups(settings)
        self._peaks = [group["lr"] for group in groups]
        self._parameters = [parameter for group in groups for parameter in group["params"]]
        self._optimiser = torch.optim.AdamW(groups, weight_decay=settings.weight_decay, fused=True)
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
        self.backbone.cpu()
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
        process, processes = self._accelerator.process_index, self._accelerator.num_processes
        torch.manual_seed(self.seed * 1_000_003 + self._step + (process << 40))
        self._model.train()
        for group, peak in zip(self._optimiser.param_groups, self._peaks, strict=True):
            group["lr"] = peak * _schedule(self._step, settings.steps, settings.warm_up_steps)
        drawn = self.examples.draw(settings.batch, np.random.default_rng((self.seed, self._step)))
        if processes > 1:
            drawn = drawn.take(np.arange(process, len(drawn.codes), processes))
        loss = self._loss(self._model, drawn)
        self._optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimiser.step()
        return self._finite(self._accelerator.reduce(loss.detach(), "mean").item())

    def _shared(self, backbone: Backbone) -> nn.Module:
        """The backbone as the processes train it together."""
        if self._accelerator.num_processes == 1:
            return backbone
        shared: nn.Module = self._accelerator.prepare_model(backbone)
        return shared

    def _finite(self, loss: float) -> float:
        if not math.isfinite(loss):
            raise UserError(
                f"Training diverged after {self._step} steps (loss {loss}): lower training.learning_rate in the recipe."
            )
        return loss

    def _loss(self, model: nn.Module, examples: Examples) -> Tensor:
        codes = torch.from_numpy(examples.codes.astype(np.int64)).to(self._accelerator.device)
        with self._accelerator.autocast():
            loss: Tensor = model(examples.prompts, codes)
        return loss

    @torch.no_grad()
    def held_out_loss(self) -> float:
        """Mean loss of (a fixed sample of) the held-out examples, in nats an identifier."""
        self.backbone.to(self._accelerator.device).eval()
        count = self.examples.held_out
        if count > _VALIDATION_EXAMPLES:
            rows = np.random.default_rng(self.seed).choice(count, _VALIDATION_EXAMPLES, replace=False)
        else:
            rows = np.arange(count)
        total = 0.0
        for start in range(0, len(rows), self.settings.batch):
            part = rows[start : start + self.settings.batch]
            total += self._loss(self.backbone, self.examples.held_out_examples(part)).item() * len(part)
        return total / len(rows)

    def _validate(self, train_loss: float) -> None:
        held_out = self._finite(self.held_out_loss()) if self.examples.held_out else train_loss
        self._train_losses.append(train_loss)
        self._held_out_losses.append(held_out)
        self._validated.append(self._step)
        if self._accelerator.is_main_process:
            self._keep(held_out)
        self._accelerator.wait_for_everyone()

    def _keep(self, held_out: float) -> None:
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

    def _weights(self) -> dict[str, Tensor]:
        return {name: tensor.detach() for name, tensor in self.backbone.state_dict().items()}

    def _load(self, path: Path) -> None:
        own = self.backbone.state_dict()
        self.backbone.load_state_dict({name: tensor for name, tensor in load_file(path).items() if name in own})


def accelerator() -> Accelerator:
    """Where and in what number type to train; every process has one, and asks for the same."""
    on_gpu = torch.cuda.is_available()
    bfloat16 = torch.cuda.is_bf16_supported() if on_gpu else bfloat16_is_faster()
    # A model's own head, in whose place codes have theirs, learns nothing.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    # The others wait while the first exports and settles what follows.
    patient = InitProcessGroupKwargs(timeout=timedelta(days=1))
    return Accelerator(mixed_precision="bf16" if bfloat16 else "no", kwargs_handlers=[unused, patient])


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

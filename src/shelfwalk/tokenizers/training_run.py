"""What one training of a tokeniser has beside its settings, and what the trainings report; needs no torch.

In: settings of a tokeniser that trains. Out: all that its outcome depends on but the data, as its folder tells it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from shelfwalk.tokenizers.residual_kmeans import ITERATIONS
from shelfwalk.tokenizers.settings import CqSidSettings, RqVaeSettings

WEIGHT_DECAY = 1e-4
"""Of the perceptrons."""
_AROUND_IT = {"kind", "unique", "logged_pairs_only", "cluster_cap", "most_groups"}
"""Settings that say what a build does with a tokeniser, and that its training does not look at."""


@dataclass(frozen=True)
class TrainingRun:
    """What only a run sets, and no recipe."""

    seed: int = 0
    bfloat16: bool | None = None
    """Whether the perceptrons compute in bfloat16; None: where that is faster."""
    threads: int = 1
    """Of torch while it trains; with one, other work delays it little, and the number of cores changes nothing."""


def described(settings: RqVaeSettings | CqSidSettings, run: TrainingRun) -> dict[str, Any]:
    """All that a training depends on but the data, by name (JSON)."""
    constants = {"weight_decay": WEIGHT_DECAY, "kmeans_iterations": ITERATIONS}
    return {**settings.model_dump(exclude=_AROUND_IT), **constants, **asdict(run)}


def run_of(facts: Mapping[str, Any]) -> TrainingRun:
    """The run among what `described` has told."""
    return TrainingRun(**{field.name: facts[field.name] for field in fields(TrainingRun)})


@dataclass(frozen=True)
class EpochLoss:
    """The parts of the loss of an RQ-VAE, means over an epoch: squared distances, unweighted."""

    reconstruction: float
    codebook: float
    commitment: float


@dataclass(frozen=True)
class CQSIDLoss:
    """The parts of the loss, means over an epoch, unweighted."""

    reconstruction: float
    commitment: float
    contrast: float
    """Nats a pair; 0 where there was none."""
    category_contrast: float
    query_commitment: float = 0.0
    """0 where queries have no commitment."""

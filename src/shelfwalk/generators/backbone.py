"""The contract of a backbone: a torch model that learns to generate identifiers, and how searching gets it.

In: prompts and the codes that they ask for. Out: the loss, and once trained a `Generator` in torch and the files from
which a search opens one. The default is a small decoder over a text encoder (`decoder_backbone`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from shelfwalk.generators.generator import Generator
from shelfwalk.generators.prompts import Prompts
from shelfwalk.generators.settings import TrainingSettings


class Backbone(nn.Module, ABC):
    """A model from prompts to identifiers."""

    reads_texts = True
    """Whether it looks at the texts of prompts; where it does not, they need not be there."""

    @abstractmethod
    def forward(self, prompts: Prompts, codes: Tensor) -> Tensor:
        """Mean negative log-likelihood of the identifiers, int64 [prompts, levels], in nats."""

    @abstractmethod
    def parameter_groups(self, settings: TrainingSettings) -> list[dict[str, Any]]:
        """What is trained, and how fast: the optimiser's groups, each with `params` and `lr`."""

    @abstractmethod
    def generator(self) -> Generator[Prompts]:
        """The model as it is now, for rollouts and for evaluation while it trains."""

    @abstractmethod
    def export(self, folder: Path) -> None:
        """Write what a search needs of the trained model into `folder`, made if missing."""

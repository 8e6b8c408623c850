"""What can be set of an RQ-VAE, and what its training reports; needs no torch.

Widths, level sizes and the commitment weight are TIGER's (arXiv 2305.05065); its some 20,000 epochs are not: on real
products further epochs lower the reconstruction error but let more items share an identifier.
"""

from __future__ import annotations

from dataclasses import dataclass

from shelfwalk.errors import UserError
from shelfwalk.tokenizers.item_tokenizer import checked_level_sizes


@dataclass(frozen=True)
class RQVAESettings:
    """Settings of an RQ-VAE; raises UserError for a size that makes no network."""

    level_sizes: tuple[int, ...] = (256, 256, 256)
    hidden_widths: tuple[int, ...] = (512, 256, 128)
    latent_width: int = 32
    """Dimensions of a code."""
    commitment: float = 0.25
    """Weight of the commitment loss."""
    epochs: int = 30
    batch: int = 1_024
    """Items a step."""
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    kmeans_iterations: int = 20
    """Of the start of the codebooks."""
    bfloat16: bool | None = None
    """Whether the perceptrons compute in bfloat16; None: where that is faster."""
    threads: int = 1
    """Of torch while it trains; with one, other work delays it little, and the number of cores changes nothing."""
    seed: int = 0

    def __post_init__(self) -> None:
        checked_level_sizes(self.level_sizes)
        sizes = {"latent_width": self.latent_width, "epochs": self.epochs, "batch": self.batch, "threads": self.threads}
        sizes |= {f"hidden_widths[{number}]": width for number, width in enumerate(self.hidden_widths)}
        for name, size in sizes.items():
            if size < 1:
                raise UserError(f"The RQ-VAE setting {name} is {size}: give 1 or more.")


@dataclass(frozen=True)
class EpochLoss:
    """The parts of the loss, means over an epoch: squared distances, unweighted."""

    reconstruction: float
    codebook: float
    commitment: float

"""What can be set of the CQ-SID tokeniser, and what its training reports; needs no torch.

Published (CQ-SID, arXiv 2605.14434): decay, commitment, contrast, temperature and the batch of the contrast. Not
published, so defaults of ours: widths, epochs, learning rate, batch, when a code is restarted, on which side of the
quantisation the contrast stands, and the depth at which the category tree is cut. The published sizes of the levels,
2,048 × 1,024 × 1,024, are for 21 million items.
"""

from __future__ import annotations

from dataclasses import dataclass

from shelfwalk.errors import UserError
from shelfwalk.tokenizers.item_tokenizer import checked_level_sizes


@dataclass(frozen=True)
class CQSIDSettings:
    """Settings of a CQ-SID tokeniser; raises UserError for a value that makes none."""

    level_sizes: tuple[int, ...] = (512, 16, 16)
    force_category: bool = True
    """Level 1 is the category of every item that has one."""
    category_depth: int | None = None
    """Names of a category path that count; None: as many as level 1 has codes for."""
    contrast: float = 0.001
    """Weight of the query-item loss; 0 for none. No pairs are needed then, but where there are any, an item is still
    learnt from as often as it was asked for."""
    contrast_before_quantisation: bool = False
    """Compare what the encoder gives, in place of the quantised vectors with a straight-through gradient."""
    temperature: float = 0.1
    contrast_batch: int = 128
    """Pairs that are one another's negatives."""
    category_contrast: float = 0.0
    """Weight of a contrast between categories: not in the publication's method, where a category enters only as the
    code of level 1, although its abstract may be read so."""
    commitment: float = 1.0
    query_commitment: float | None = None
    """Weight of drawing queries to their codes, where the contrast stands behind the quantisation; None for none, as
    the published loss has only items'. A contrast of 0.01 and more needs it: its gradient is that of the codes, so that
    without it nothing holds the queries' latents back, and they run away (docs/identifiers.md)."""
    decay: float = 0.99
    """Of the moving averages that the codes are."""
    restart_below: float = 1.0
    """A code is restarted whose moving count of items a step falls below this, or below a tenth of even use if that is
    less (a large level in a small batch)."""
    hidden_widths: tuple[int, ...] = (512, 256, 128)
    latent_width: int = 32
    epochs: int = 10
    """Passes over all pairs, and all items without one."""
    warm_up_epochs: int = 1
    """Of those, the first ones without codes: k-means then starts the codes where the encoder has learnt something.
    From an untrained encoder training was much slower (docs/identifiers.md)."""
    batch: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    kmeans_iterations: int = 20
    """Of the start of the codebooks."""
    bfloat16: bool | None = None
    """Whether the perceptrons compute in bfloat16; None: where that is faster."""
    threads: int = 1
    """Of torch while it trains."""
    seed: int = 0

    def __post_init__(self) -> None:
        checked_level_sizes(self.level_sizes)
        whole = {name: getattr(self, name) for name in ("latent_width", "epochs", "batch", "threads")}
        whole |= {f"hidden_widths[{number}]": width for number, width in enumerate(self.hidden_widths)}
        for name, size in whole.items():
            if size < 1:
                raise UserError(f"The CQ-SID setting {name} is {size}: give 1 or more.")
        if not 0 <= self.warm_up_epochs < self.epochs:
            raise UserError(
                f"{self.warm_up_epochs} of {self.epochs} epochs without codes leave none to learn codes in: give fewer"
                " warm_up_epochs than epochs."
            )
        if self.contrast_batch < 2:
            raise UserError(f"A query cannot be told from others in a contrast_batch of {self.contrast_batch}: give 2.")
        if not 0 < self.decay < 1 or self.temperature <= 0:
            raise UserError(
                f"A decay of {self.decay} with a temperature of {self.temperature} learns nothing: give a decay between"
                " 0 and 1 and a temperature above 0."
            )


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

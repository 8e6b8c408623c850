"""The settings of every kind of tokeniser: a recipe's `[tokenizer]`, and what the tokenisers themselves are made with.

Published for RQ-VAE (TIGER, arXiv 2305.05065): widths, level sizes and the weight of the commitment. Its some 20,000
epochs are not taken over: on real products further epochs lower the reconstruction error but let more items share an
identifier. Published for CQ-SID (arXiv 2605.14434): decay, commitment, contrast, temperature and the batch of the
contrast. Not published, so defaults of ours: widths, epochs, learning rate, batch, when a code is restarted, on which
side of the quantisation the contrast stands, and the depth at which the category tree is cut. The published sizes of
the levels, 2,048 × 1,024 × 1,024, are for 21 million items.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from shelfwalk.settings import Settings
from shelfwalk.tokenizers.locality_sensitive_hashing import is_power_of_two
from shelfwalk.tokenizers.residual_kmeans import ITERATIONS

LevelSizes = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]


class ResidualKMeansSettings(Settings):
    """Residual k-means: an identifier may stand for several items, a cluster."""

    kind: Literal["residual_kmeans"] = "residual_kmeans"
    level_sizes: LevelSizes = (64, 64, 32)
    iterations: int = Field(default=ITERATIONS, ge=1)


class HierarchicalKMeansSettings(Settings):
    """Hierarchical k-means, as of DSI: every cluster is split by a k-means of its own."""

    kind: Literal["hierarchical_kmeans"] = "hierarchical_kmeans"
    level_sizes: LevelSizes = (32, 32, 32)
    iterations: int = Field(default=ITERATIONS, ge=1)


class RqVaeSettings(Settings):
    """TIGER's RQ-VAE with a uniqueness token: an identifier stands for one item."""

    kind: Literal["rqvae"] = "rqvae"
    level_sizes: LevelSizes = (256, 256, 256)
    latent_width: int = Field(default=32, ge=1)
    """Dimensions of a code."""
    hidden_widths: tuple[Annotated[int, Field(ge=1)], ...] = (512, 256, 128)
    commitment: float = Field(default=0.25, ge=0)
    """Weight of the commitment loss."""
    epochs: int = Field(default=30, ge=1)
    batch: int = Field(default=1_024, ge=1)
    """Items a step."""
    learning_rate: float = Field(default=1e-3, gt=0)
    unique: bool = True
    """Add a last level that numbers the items of a shared identifier."""


class LSHSettings(Settings):
    """Locality-sensitive hashing, TIGER's first control: the sides of random hyperplanes."""

    kind: Literal["lsh"] = "lsh"
    level_sizes: LevelSizes = (256, 256, 256)
    unique: bool = True
    """Add a last level that numbers the items of a shared identifier."""

    @field_validator("level_sizes")
    @classmethod
    def _are_of_hyperplanes(cls, sizes: tuple[int, ...]) -> tuple[int, ...]:
        if not all(is_power_of_two(size) for size in sizes):
            raise ValueError(f"{list(sizes)} are not all numbers of sides of hyperplanes: give powers of two")
        return sizes


class RandomSettings(Settings):
    """Random codes, TIGER's second control: they say nothing of the item."""

    kind: Literal["random"] = "random"
    level_sizes: LevelSizes = (256, 256, 256)
    unique: bool = True
    """Add a last level that numbers the items of a shared identifier."""


class CqSidSettings(Settings):
    """CQ-SID: level 1 is the category, the codes learn from queries and items, and large clusters are split."""

    kind: Literal["cqsid"] = "cqsid"
    level_sizes: LevelSizes = (512, 16, 16)
    force_category: bool = True
    """Level 1 is the category of every item that has one."""
    category_depth: int | None = Field(default=None, ge=1)
    """Names of a category path that count; None: as many as level 1 has codes for."""
    contrast: float = Field(default=0.001, ge=0)
    """Weight of the query-item loss; 0 for none. No pairs are needed then, but where there are any, an item is still
    learnt from as often as it was asked for."""
    contrast_before_quantisation: bool = False
    """Compare what the encoder gives, in place of the quantised vectors with a straight-through gradient."""
    temperature: float = Field(default=0.1, gt=0)
    contrast_batch: int = Field(default=128, ge=2)
    """Pairs that are one another's negatives."""
    category_contrast: float = Field(default=0.0, ge=0)
    """Weight of a contrast between categories: not in the publication's method, where a category enters only as the
    code of level 1, although its abstract may be read so."""
    commitment: float = Field(default=1.0, ge=0)
    query_commitment: float | None = Field(default=None, ge=0)
    """Weight of drawing queries to their codes, where the contrast stands behind the quantisation; None for none, as
    the published loss has only items'. A contrast of 0.01 and more needs it: its gradient is that of the codes, so that
    without it nothing holds the queries' latents back, and they run away (docs/identifiers.md)."""
    decay: float = Field(default=0.99, gt=0, lt=1)
    """Of the moving averages that the codes are."""
    restart_below: float = Field(default=1.0, ge=0)
    """A code is restarted whose moving count of items a step falls below this, or below a tenth of even use if that is
    less (a large level in a small batch)."""
    latent_width: int = Field(default=32, ge=1)
    hidden_widths: tuple[Annotated[int, Field(ge=1)], ...] = (512, 256, 128)
    epochs: int = Field(default=10, ge=1)
    """Passes over all pairs, and all items without one."""
    warm_up_epochs: int = Field(default=1, ge=0)
    """Of those, the first ones without codes: k-means then starts the codes where the encoder has learnt something.
    From an untrained encoder training was much slower (docs/identifiers.md)."""
    batch: int = Field(default=256, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    logged_pairs_only: bool = True
    """Learn from the log and judgements where there are any, and from pseudo-queries only where there are none."""
    cluster_cap: int = Field(default=50, ge=0)
    """Items an identifier may have before its cluster is split into groups; 0 for no cap."""
    most_groups: int = Field(default=100, ge=1)

    @model_validator(mode="after")
    def _some_epochs_have_codes(self) -> Self:
        if self.warm_up_epochs >= self.epochs:
            raise PydanticCustomError("epochs", "warm_up_epochs leave no epoch to learn codes in: give more epochs")
        return self

    @model_validator(mode="after")
    def _the_depth_is_of_a_forced_category(self) -> Self:
        if self.category_depth is not None and not self.force_category:
            raise PydanticCustomError(
                "category", "category_depth is of level 1's categories: set force_category to true, or leave it out"
            )
        return self

    @model_validator(mode="after")
    def _every_weight_has_something_to_weigh(self) -> Self:
        if self.category_contrast and not self.force_category:
            raise PydanticCustomError(
                "contrast", "category_contrast is of level 1's categories: set force_category to true, or leave it out"
            )
        if self.query_commitment and (self.contrast == 0 or self.contrast_before_quantisation):
            raise PydanticCustomError(
                "contrast",
                "query_commitment draws queries to codes, which they have where contrast is above 0 and "
                "contrast_before_quantisation is false: set these, or leave it out",
            )
        return self


class LevelRemovalSettings(Settings):
    """Identifiers of another tokeniser without one of their levels, for all items or for those with its head codes."""

    kind: Literal["hourglass"]
    inner: Annotated[ResidualKMeansSettings | RqVaeSettings, Field(discriminator="kind")]
    level: int = Field(default=2, ge=1)
    """Which level goes, counted from 1."""
    most_used: int | None = Field(default=None, ge=1)
    """Only from identifiers that hold one of this many commonest codes of the level."""
    share: float | None = Field(default=None, gt=0, lt=1)
    """Only from identifiers that hold one of the commonest codes which together reach this share of the items."""

    @model_validator(mode="after")
    def _the_level_is_there(self) -> Self:
        levels = len(self.inner.level_sizes)
        if self.most_used is not None and self.share is not None:
            raise PydanticCustomError("removal", "most_used and share both say which codes go: give one of the two")
        if levels < 2 or self.level > levels:
            raise PydanticCustomError("removal", f"level {self.level} cannot go from identifiers of {levels} levels")
        if isinstance(self.inner, RqVaeSettings) and self.inner.unique:
            raise PydanticCustomError("removal", "inner.unique gives no two items one identifier: set it to false")
        return self


class SwappedSettings(Settings):
    """Identifiers of another tokeniser with two of their levels in each other's place."""

    kind: Literal["swapped"]
    inner: Annotated[ResidualKMeansSettings | RqVaeSettings, Field(discriminator="kind")]
    levels: tuple[int, int] = (1, 2)
    """Which levels change places, counted from 1."""

    @model_validator(mode="after")
    def _the_levels_are_there(self) -> Self:
        count = len(self.inner.level_sizes)
        if self.levels[0] == self.levels[1] or not 1 <= min(self.levels) <= max(self.levels) <= count:
            raise PydanticCustomError("levels", f"levels must be two different ones of {count}, counted from 1")
        if isinstance(self.inner, RqVaeSettings) and self.inner.unique:
            raise PydanticCustomError("levels", "inner.unique numbers items in the last level: set it to false")
        return self


TokenizerSettings = (
    ResidualKMeansSettings
    | HierarchicalKMeansSettings
    | RqVaeSettings
    | LSHSettings
    | RandomSettings
    | CqSidSettings
    | LevelRemovalSettings
    | SwappedSettings
)

"""The declarative description of one system: recipe = item tokeniser + constraint + generator + training + scorer.

In: the name of a recipe that comes with shelfwalk, or a TOML file. Out: a `Recipe`, or one sentence that names every
mistake in the file. A recipe's hash names it in results.
"""

from __future__ import annotations

import hashlib
import tomllib
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from shelfwalk.channels.bm25 import Bm25Settings
from shelfwalk.channels.generative import GenerativeSettings
from shelfwalk.data.pseudo_queries import PseudoQuerySettings
from shelfwalk.encoders.two_tower_settings import ShopperTowerSettings, TwoTowerSettings
from shelfwalk.encoders.weights import DEFAULT_ENCODER
from shelfwalk.errors import UserError
from shelfwalk.generators.settings import GeneratorSettings, TrainingSettings
from shelfwalk.ranking.ranker_settings import RankerSettings
from shelfwalk.settings import Settings

_SUFFIX = ".toml"
_KINDS = (
    *("residual_kmeans", "hierarchical_kmeans", "rqvae", "cqsid", "hourglass", "swapped"),
    *("items", "queries", "shoppers"),
)


class TextSettings(Settings):
    """What of an item is read, beside title, description, brand and category."""

    encoder_attribute_values: int = Field(default=0, ge=0)
    """Attribute values that the encoder reads: a vector of many small facts is near to no query."""
    bm25_attribute_values: int = Field(default=12, ge=0)


class EncoderSettings(Settings):
    """The pretrained text encoder."""

    model: str = DEFAULT_ENCODER
    """The name of a model, or a folder in the sentence-transformers layout."""


LevelSizes = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]


class ResidualKMeansSettings(Settings):
    """Residual k-means: an identifier may stand for several items, a cluster."""

    kind: Literal["residual_kmeans"]
    level_sizes: LevelSizes = (64, 64, 32)
    iterations: int = Field(default=20, ge=1)


class HierarchicalKMeansSettings(Settings):
    """Hierarchical k-means, as of DSI: every cluster is split by a k-means of its own."""

    kind: Literal["hierarchical_kmeans"]
    level_sizes: LevelSizes = (32, 32, 32)
    iterations: int = Field(default=20, ge=1)


class RqVaeSettings(Settings):
    """TIGER's RQ-VAE with a uniqueness token: an identifier stands for one item."""

    kind: Literal["rqvae"]
    level_sizes: LevelSizes = (256, 256, 256)
    latent_width: int = Field(default=32, ge=1)
    hidden_widths: tuple[Annotated[int, Field(ge=1)], ...] = (512, 256, 128)
    commitment: float = Field(default=0.25, ge=0)
    epochs: int = Field(default=30, ge=1)
    batch: int = Field(default=1_024, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    unique: bool = True
    """Add a last level that numbers the items of a shared identifier."""


class CqSidSettings(Settings):
    """CQ-SID: level 1 is the category, the codes learn from queries and items, and large clusters are split.

    What each setting means is said beside it in `shelfwalk.tokenizers.cqsid_settings`.
    """

    kind: Literal["cqsid"]
    level_sizes: LevelSizes = (512, 16, 16)
    force_category: bool = True
    category_depth: int | None = Field(default=None, ge=1)
    contrast: float = Field(default=0.001, ge=0)
    contrast_before_quantisation: bool = False
    temperature: float = Field(default=0.1, gt=0)
    contrast_batch: int = Field(default=128, ge=2)
    category_contrast: float = Field(default=0.0, ge=0)
    commitment: float = Field(default=1.0, ge=0)
    query_commitment: float | None = Field(default=None, ge=0)
    decay: float = Field(default=0.99, gt=0, lt=1)
    restart_below: float = Field(default=1.0, ge=0)
    latent_width: int = Field(default=32, ge=1)
    hidden_widths: tuple[Annotated[int, Field(ge=1)], ...] = (512, 256, 128)
    epochs: int = Field(default=10, ge=1)
    warm_up_epochs: int = Field(default=1, ge=0)
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


class HourglassSettings(Settings):
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
    | CqSidSettings
    | HourglassSettings
    | SwappedSettings
)


class ChannelWeights(Settings):
    """The weight of each channel's reciprocal rank."""

    bm25: float = Field(default=1.0, ge=0)
    dense: float = Field(default=1.0, ge=0)
    generative: float = Field(default=1.0, ge=0)

    @model_validator(mode="after")
    def _some_channel_counts(self) -> Self:
        if not self.bm25 + self.dense:
            raise PydanticCustomError("weights", "bm25 and dense are both 0: give at least one of them some weight")
        return self


class FusionSettings(Settings):
    """Weights of the reciprocal ranks; settled on held-out pseudo-queries where not given."""

    weights: ChannelWeights | None = None


class Recipe(Settings):
    """One system; without a tokeniser it has no generative channel."""

    name: str = Field(min_length=1)
    text: TextSettings = TextSettings()
    encoder: EncoderSettings = EncoderSettings()
    two_tower: TwoTowerSettings | None = None
    """Two towers over the encoder, trained on the pairs; without them the shelf's vectors are the encoder's."""
    shopper_tower: ShopperTowerSettings | None = None
    """Several heads and the shopper's history in the query tower; without it a query has one vector for all."""
    tokenizer: Annotated[TokenizerSettings, Field(discriminator="kind")] | None = None
    pseudo_queries: PseudoQuerySettings = PseudoQuerySettings()
    generator: GeneratorSettings = GeneratorSettings()
    training: TrainingSettings = TrainingSettings()
    generative: GenerativeSettings = GenerativeSettings()
    bm25: Bm25Settings = Bm25Settings()
    fusion: FusionSettings = FusionSettings()
    ranker: RankerSettings | None = None
    """A relevance model that reorders the fused list; without it the fused list is the answer."""

    @field_validator("generator")
    @classmethod
    def _heads_share_the_width(cls, settings: GeneratorSettings) -> GeneratorSettings:
        if settings.width % settings.heads:
            raise ValueError(f"{settings.heads} heads cannot share a width of {settings.width}: give a multiple")
        return settings

    @model_validator(mode="after")
    def _says_what_is_learned(self) -> Self:
        if self.tokenizer is None and self.two_tower is None:
            raise PydanticCustomError(
                "parts", "It has neither a [tokenizer] nor a [two_tower]: give at least one of them"
            )
        if self.ranker is not None and self.ranker.match_feature and self.tokenizer is None:
            raise PydanticCustomError(
                "ranker", "ranker.match_feature compares identifiers: give a [tokenizer], or set it to false"
            )
        if self.shopper_tower is not None and self.two_tower is None:
            raise PydanticCustomError("parts", "[shopper_tower] is a part of two towers: give [two_tower] as well")
        return self

    @model_validator(mode="after")
    def _histories_are_learned_from(self) -> Self:
        learned = any(stage.kind == "shoppers" for stage in self.training.stages or ())
        if learned and self.generator.history_length is None:
            raise PydanticCustomError(
                "history", "A training stage on shoppers needs a generator that reads histories: set history_length"
            )
        if self.generator.history_length is not None and not learned:
            raise PydanticCustomError(
                "history", "generator.history_length is of no use without a training stage on shoppers: give one"
            )
        return self

    @property
    def hash(self) -> str:
        """Sixteen hexadecimal digits that name the recipe's values.

        What a recipe leaves out is left out, so that a part that only other recipes have does not rename it.
        """
        return hashlib.sha256(self.model_dump_json(exclude_none=True).encode()).hexdigest()[:16]


def recipe_names() -> tuple[str, ...]:
    """The recipes that come with shelfwalk."""
    names = (entry.name for entry in files("shelfwalk.recipes").iterdir())
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)))


def recipe_text(name: str) -> str:
    """The TOML text of a recipe that comes with shelfwalk; raises UserError if there is none of that name."""
    file: Traversable = files("shelfwalk.recipes") / f"{name}{_SUFFIX}"
    if name not in recipe_names():
        raise UserError(f'There is no recipe "{name}": take one of {", ".join(recipe_names())}, or a {_SUFFIX} file.')
    return file.read_text(encoding="utf-8")


def load_recipe(name_or_file: str) -> Recipe:
    """Load a recipe by its name or from a TOML file; raises UserError that names every mistake in it."""
    if not name_or_file.endswith(_SUFFIX):
        return parse_recipe(recipe_text(name_or_file), name_or_file)
    try:
        text = Path(name_or_file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The recipe {name_or_file} cannot be read ({type(error).__name__}): check the path.") from None
    return parse_recipe(text, name_or_file)


def parse_recipe(text: str, source: str) -> Recipe:
    """Parse the TOML text of a recipe; `source` names it in the message of a UserError."""
    try:
        values: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"The recipe {source} is no valid TOML: {error}.") from None
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise UserError(f"The recipe {source} is not valid: {'; '.join(map(_mistake, error.errors()))}.") from None


def _mistake(error: Any) -> str:
    # Pydantic names the kind of tokeniser or stage among the places; the file has no such table.
    place = ".".join(str(part) for part in error["loc"] if part not in _KINDS) or "recipe"
    if error["type"] == "extra_forbidden":
        return f"{place}: there is no such setting"
    message = error["msg"].removeprefix("Value error, ")
    return f"{place}: {message[0].lower()}{message[1:]}"

"""The declarative description of one system: item tokeniser + generator + training + order inside clusters.

In: the name of a recipe that comes with shelfwalk, or a TOML file. Out: a `Recipe`, or one sentence that names every
mistake in the file. A recipe's hash names it in results.
"""

from __future__ import annotations

import hashlib
import tomllib
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Self, get_args

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from shelfwalk.channels.bm25 import Bm25Settings
from shelfwalk.channels.generative import GenerativeSettings
from shelfwalk.data.pseudo_queries import PseudoQuerySettings
from shelfwalk.encoders.two_tower_settings import ShopperTowerSettings, TwoTowerSettings
from shelfwalk.encoders.weights import DEFAULT_ENCODER
from shelfwalk.errors import UserError
from shelfwalk.generators.settings import GeneratorSettings, ItemStage, QueryStage, ShopperStage, TrainingSettings
from shelfwalk.ranking.ranker_settings import RankerSettings
from shelfwalk.settings import Settings
from shelfwalk.tokenizers.settings import TokenizerSettings

_SUFFIX = ".toml"
_KINDS = {
    kind
    for settings in (*get_args(TokenizerSettings), ItemStage, QueryStage, ShopperStage)
    for kind in get_args(settings.model_fields["kind"].annotation)
}


class TextSettings(Settings):
    """What of an item is read, beside title, description, brand and category."""

    encoder_attribute_values: int = Field(default=0, ge=0)
    """Attribute values that the encoder reads: a vector of many small facts is near to no query."""
    bm25_attribute_values: int = Field(default=12, ge=0)


class EncoderSettings(Settings):
    """The pretrained text encoder."""

    model: str = DEFAULT_ENCODER
    """The name of a model, or a folder in the sentence-transformers layout."""


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

        Defaults count like values that are given; only what is None is left out, so that an optional part that only
        other recipes have does not rename this one.
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
    except UnicodeDecodeError:
        raise UserError(f"The recipe {name_or_file} is not UTF-8 text, as TOML has to be: save it as that.") from None
    except OSError as error:
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
    if error["type"] == "union_tag_not_found":
        return f"{place}: it does not say of which kind it is: give kind"
    if error["type"] == "union_tag_invalid":
        return f"{place}.kind: there is no '{error['ctx']['tag']}', take one of {error['ctx']['expected_tags']}"
    message = error["msg"].removeprefix("Value error, ")
    return f"{place}: {message[0].lower()}{message[1:]}"

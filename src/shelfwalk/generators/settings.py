"""The settings of the default backbone and of its training; a recipe's `[generator]` and `[training]`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from shelfwalk.settings import Settings


class DecoderSettings(Settings):
    """The size of the decoder."""

    width: int = Field(default=256, ge=8)
    layers: int = Field(default=2, ge=1)
    heads: int = Field(default=4, ge=1)
    memory_tokens: int = Field(default=4, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    history_length: int | None = Field(default=None, ge=1)
    """Items that the shopper has lately chosen, as many as are read; none where not given."""


class GeneratorSettings(DecoderSettings):
    """Which model generates; what `DecoderSettings` say is of the default one."""

    backbone: str | None = Field(default=None, min_length=1)
    """A pretrained encoder-decoder or causal language model, by its folder or name, in place of the default backbone.

    Its new weights learn at `training.learning_rate`, its pretrained ones at `training.encoder_learning_rate`."""
    prompt_tokens: int | None = Field(default=None, ge=1)
    """Tokens that such a model reads of a query."""
    lora_rank: int | None = Field(default=None, ge=1)
    """Train low-rank adapters of such a model, and the new codes, alone."""
    int8: bool | None = None
    """Search with the default backbone in int8, if that finds what float finds on held-out queries."""

    @model_validator(mode="after")
    def _only_what_the_model_has(self) -> Self:
        if self.backbone is None and (self.lora_rank or self.prompt_tokens):
            raise PydanticCustomError("backbone", "prompt_tokens and lora_rank are of a backbone: name one")
        if self.backbone is not None and self.int8:
            raise PydanticCustomError("backbone", "int8 is for the default backbone: leave it out")
        return self


class _StageSettings(Settings):
    """What a stage may say for itself; what it does not is as `[training]` says.

    CQ-SID (arXiv 2605.14434) has published, for a language model of 0.5 billion weights: items 2,000 steps of 128 at
    1e-4, queries 2,500 of 256 at 4e-5, shoppers 5,000 of 64 at 4e-5. A decoder of 3 million weights that starts from
    nothing learns faster and from larger batches: its defaults are configuration, and ours.
    """

    steps: int | None = Field(default=None, ge=1)
    batch: int | None = Field(default=None, ge=1)
    learning_rate: float | None = Field(default=None, gt=0)
    warm_up_steps: int | None = Field(default=None, ge=0)
    validate_every: int | None = Field(default=None, ge=1)


class ItemStage(_StageSettings):
    """Item2SID: an item's title asks for its own identifier."""

    kind: Literal["items"]


class QueryStage(_StageSettings):
    """Query2SID: a query asks for the identifiers of several items that were chosen after it."""

    kind: Literal["queries"]
    targets: int = Field(default=3, ge=1)
    """Identifiers that are sampled each time a query is drawn."""
    item_share: float | None = Field(default=None, ge=0, lt=1)


class ShopperStage(_StageSettings):
    """UQ2SID: a query and what the shopper chose before ask for an identifier of what was chosen in that visit."""

    kind: Literal["shoppers"]
    item_share: float | None = Field(default=None, ge=0, lt=1)
    unknown_share: float = Field(default=0.2, ge=0, le=1)
    """Of the visits, those that are learned from as if nothing were known of the shopper."""
    query_share: float = Field(default=0.0, ge=0, lt=1)
    """Of what is no item, the pairs of queries and items of anybody: they keep visits from being learned by heart."""


Stage = Annotated[ItemStage | QueryStage | ShopperStage, Field(discriminator="kind")]


class TrainingSettings(Settings):
    """How long and how fast the decoder learns."""

    steps: int = Field(default=1_200, ge=1)
    batch: int = Field(default=1_024, ge=1)
    learning_rate: float = Field(default=1.5e-3, gt=0)
    warm_up_steps: int = Field(default=100, ge=0)
    weight_decay: float = Field(default=0.01, ge=0)
    item_share: float = Field(default=0.125, ge=0, lt=1)
    """Share of a batch that is items asking for themselves."""
    logged_share: float | None = Field(default=None, ge=0, le=1)
    """Share of the pairs that is of the log or of judgements, where there are any; half of them where not given."""
    validate_every: int = Field(default=200, ge=1)
    patience: int = Field(default=4, ge=1)
    """Validations without a lower held-out loss before training stops."""
    train_encoder: bool = False
    """Fine-tune the text encoder along with the decoder; otherwise it is frozen and query vectors are made once."""
    encoder_learning_rate: float = Field(default=2e-5, gt=0)
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)] | None = None
    """One after the other, each from the best weights of the last; where not given, one of queries and items."""

    def of_stage(self, stage: Stage) -> TrainingSettings:
        """The settings of one stage: its own where it says something, these where it does not."""
        said = stage.model_dump(include=set(type(self).model_fields), exclude_none=True)
        return self.model_copy(update={**said, "stages": None})

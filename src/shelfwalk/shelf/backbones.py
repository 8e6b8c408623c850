"""Makes the backbone that a recipe names.

In: a build. Out: the default backbone, or a pretrained language model with a token for each code. Which of the two
kinds of language model it is, its own folder says: a recipe changes one line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shelfwalk.generators.settings import DecoderSettings, GeneratorSettings
from shelfwalk.settings import Settings
from shelfwalk.shelf.build import Build

if TYPE_CHECKING:
    from shelfwalk.generators.backbone import Backbone

PROMPT_TOKENS = 64
"""What is read of a query where the recipe does not say."""


def make_backbone(build: Build, dimensions: int, level_sizes: tuple[int, ...]) -> Backbone:
    """The recipe's backbone; `dimensions` of the prompts' vectors, which the default one reads.

    Raises UserError if a language model cannot be used.
    """
    settings = build.recipe.generator
    return _default(build, dimensions, level_sizes) if settings.backbone is None else _named(settings, level_sizes)


class BackboneFiles(Settings):
    """What a language model's files hold, so that a step is not taken over from a build with others."""

    sha256: str


def backbone_files(settings: GeneratorSettings) -> BackboneFiles | None:
    """The files of the recipe's language model, if it has one; raises UserError if that cannot be one of ours.

    Of its weights none is loaded: what a build would refuse of them after minutes is refused by what describes them.
    """
    if settings.backbone is None:
        return None
    from shelfwalk.generators.language_models import checked_language_model, language_model_sha256
    from shelfwalk.generators.unfit_models import refuse_unfit

    folder = checked_language_model(settings.backbone)
    refuse_unfit(folder, settings.lora_rank)
    return BackboneFiles(sha256=language_model_sha256(folder))


def _default(build: Build, dimensions: int, level_sizes: tuple[int, ...]) -> Backbone:
    from shelfwalk.encoders.export import load_encoder
    from shelfwalk.generators.decoder import DecoderShape, IdentifierDecoder
    from shelfwalk.generators.decoder_backbone import DecoderBackbone

    sizes = build.recipe.generator.model_dump(include=set(DecoderSettings.model_fields))
    decoder = IdentifierDecoder(DecoderShape(dimensions, level_sizes, **sizes))
    return DecoderBackbone(decoder, load_encoder(build.weights_folder) if build.recipe.training.train_encoder else None)


def _named(settings: GeneratorSettings, level_sizes: tuple[int, ...]) -> Backbone:
    from shelfwalk.generators.causal_backbone import CausalBackbone
    from shelfwalk.generators.language_models import load_language_model
    from shelfwalk.generators.seq2seq_backbone import Seq2SeqBackbone

    assert settings.backbone is not None
    loaded = load_language_model(settings.backbone)
    kind = Seq2SeqBackbone if loaded.kind == "seq2seq" else CausalBackbone
    tokens = settings.prompt_tokens or PROMPT_TOKENS
    return kind(loaded, level_sizes, tokens, settings.lora_rank, settings.history_length or 0)

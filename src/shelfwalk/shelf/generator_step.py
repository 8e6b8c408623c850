"""The step of a build that trains the generator, stage by stage, and exports what searching needs of it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shelfwalk.encoders.onnx import EncoderCard, OnnxTextEncoder
from shelfwalk.processes import process_index
from shelfwalk.shelf import layout
from shelfwalk.shelf.build import Build
from shelfwalk.shelf.identifier_step import open_trie
from shelfwalk.shelf.int8_choice import choose_int8
from shelfwalk.shelf.pair_step import read_pairs
from shelfwalk.shelf.stage_examples import GeneratorInputs, StageExamples

if TYPE_CHECKING:
    from shelfwalk.generators.backbone import Backbone
    from shelfwalk.generators.stages import Stage

WITHOUT_STAGES = "pairs"
"""The name of the one stage of a recipe that declares none."""


def train_generator(build: Build, inputs: GeneratorInputs, folder: Path, checkpoints: Path) -> dict[str, Any]:
    """Train the decoder, and the encoder where the recipe says so, and export both.

    Of several processes all train, and the first alone writes and has facts to tell.
    """
    import torch

    from shelfwalk.generators.stages import IdentifierCard, run_stages
    from shelfwalk.shelf.backbones import make_backbone

    torch.set_num_threads(build.threads)
    torch.manual_seed(build.seed)
    sizes = tuple(inputs.identifiers.facts["level_sizes"])
    backbone = make_backbone(build, inputs.vectors.items().shape[1], sizes)
    made = StageExamples(build, inputs, checkpoints / f"examples-{process_index()}", texts=backbone.reads_texts)
    identifiers = IdentifierCard.of(made.codes, sizes)

    def progress(stage: Stage, step: int, loss: float, speed: float) -> None:
        on = "" if build.recipe.training.stages is None else f" on {stage.name}"
        told = f"Training the generator{on} (loss {loss:.2f}, {speed:,.0f} examples/s)"
        build.progress(told, step, stage.settings.steps)

    reports = run_stages(backbone, _stages(build, made), identifiers, build.seed, checkpoints, progress)
    if process_index():
        return {}
    build.progress("Exporting the generator", 0, 1)
    backbone.export(folder / layout.GENERATOR)
    encoder = _export_encoder(backbone, inputs.text_encoder, folder / layout.GENERATOR_ENCODER)
    build.progress("Exporting the generator", 1, 1)
    facts: dict[str, Any] = {
        "training": asdict(reports[-1].training),
        "examples_per_second": [report.examples_per_second for report in reports],
    }
    if build.recipe.training.stages is not None:
        facts["stages"] = [{"name": report.name, **asdict(report.training)} for report in reports]
    if inputs.visits is not None:
        facts["visits"] = inputs.visits.facts
    if build.recipe.generator.int8:
        trie, queries = open_trie(inputs.identifiers), np.asarray(inputs.vectors.queries())
        facts |= choose_int8(folder / layout.GENERATOR, trie, read_pairs(inputs.pairs), queries, encoder)
    return facts


def _stages(build: Build, made: StageExamples) -> list[Stage]:
    from shelfwalk.generators.stages import Stage

    training = build.recipe.training
    if training.stages is None:
        return [Stage(WITHOUT_STAGES, made.without_stages(training), training)]
    return [
        Stage(stage.kind, made.of(stage, settings), settings)
        for stage, settings in ((stage, training.of_stage(stage)) for stage in training.stages)
    ]


def _export_encoder(backbone: Backbone, text_encoder: Path, folder: Path) -> Path | None:
    """Export the encoder that was fine-tuned from the one in `text_encoder`, if one was, and return `folder`."""
    from shelfwalk.encoders.export import export_onnx
    from shelfwalk.generators.decoder_backbone import DecoderBackbone

    if not isinstance(backbone, DecoderBackbone) or backbone.encoder is None:
        return None
    card = OnnxTextEncoder(text_encoder).card
    own = EncoderCard(f"{card.name}, fine-tuned", "of this shelf", card.dimensions, card.token_limit, "float32")
    export_onnx(backbone.encoder.eval(), folder, own)
    return folder

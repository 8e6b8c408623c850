"""The step of a build that trains the generator, stage by stage, and exports what searching needs of it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shelfwalk.encoders.onnx import EncoderCard, OnnxTextEncoder
from shelfwalk.shelf import layout
from shelfwalk.shelf.build import Build
from shelfwalk.shelf.stage_examples import GeneratorInputs, StageExamples

if TYPE_CHECKING:
    from shelfwalk.generators.decoder_backbone import DecoderBackbone
    from shelfwalk.generators.stages import Stage

WITHOUT_STAGES = "pairs"
"""The name of the one stage of a recipe that declares none."""


def train_generator(build: Build, inputs: GeneratorInputs, folder: Path, checkpoints: Path) -> dict[str, Any]:
    """Train the decoder, and the encoder where the recipe says so, and export both."""
    import torch

    from shelfwalk.generators.stages import IdentifierCard, run_stages

    torch.set_num_threads(build.threads)
    torch.manual_seed(build.seed)
    backbone = _backbone(build, inputs)
    made = StageExamples(build, inputs, checkpoints / "examples", texts=backbone.reads_texts)
    identifiers = IdentifierCard.of(made.codes, inputs.identifiers.facts["level_sizes"])

    def progress(stage: Stage, step: int, loss: float, speed: float) -> None:
        on = "" if build.recipe.training.stages is None else f" on {stage.name}"
        told = f"Training the generator{on} (loss {loss:.2f}, {speed:,.0f} examples/s)"
        build.progress(told, step, stage.settings.steps)

    reports = run_stages(backbone, _stages(build, made), identifiers, build.seed, checkpoints, progress)
    build.progress("Exporting the generator", 0, 1)
    backbone.export(folder / layout.GENERATOR)
    if backbone.encoder is not None:
        _export_encoder(backbone.encoder, inputs.text_encoder, folder / layout.GENERATOR_ENCODER)
    build.progress("Exporting the generator", 1, 1)
    facts: dict[str, Any] = {
        "training": asdict(reports[-1].training),
        "examples_per_second": [report.examples_per_second for report in reports],
    }
    if build.recipe.training.stages is not None:
        facts["stages"] = [{"name": report.name, **asdict(report.training)} for report in reports]
    return facts if inputs.visits is None else {**facts, "visits": inputs.visits.facts}


def _backbone(build: Build, inputs: GeneratorInputs) -> DecoderBackbone:
    from shelfwalk.encoders.export import load_encoder
    from shelfwalk.generators.decoder import DecoderShape, IdentifierDecoder
    from shelfwalk.generators.decoder_backbone import DecoderBackbone

    dimensions, sizes = inputs.vectors.items().shape[1], tuple(inputs.identifiers.facts["level_sizes"])
    decoder = IdentifierDecoder(DecoderShape(dimensions, sizes, **build.recipe.generator.model_dump()))
    return DecoderBackbone(decoder, load_encoder(build.weights_folder) if build.recipe.training.train_encoder else None)


def _stages(build: Build, made: StageExamples) -> list[Stage]:
    from shelfwalk.generators.stages import Stage

    training = build.recipe.training
    if training.stages is None:
        return [Stage(WITHOUT_STAGES, made.without_stages(training), training)]
    return [
        Stage(stage.kind, made.of(stage, settings), settings)
        for stage, settings in ((stage, training.of_stage(stage)) for stage in training.stages)
    ]


def _export_encoder(encoder: Any, text_encoder: Path, folder: Path) -> None:
    """Export the encoder that was fine-tuned from the one in `text_encoder`."""
    from shelfwalk.encoders.export import export_onnx

    card = OnnxTextEncoder(text_encoder).card
    own = EncoderCard(f"{card.name}, fine-tuned", "of this shelf", card.dimensions, card.token_limit, "float32")
    export_onnx(encoder.eval(), folder, own)

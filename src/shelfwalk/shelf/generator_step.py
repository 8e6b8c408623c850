"""The step of a build that trains the generator and exports what searching needs of it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from shelfwalk.encoders.onnx import EncoderCard, OnnxTextEncoder
from shelfwalk.generators.examples import Asked, QueryExamples
from shelfwalk.shelf import layout
from shelfwalk.shelf.build import Build
from shelfwalk.shelf.identifier_step import codes_of_items, open_trie
from shelfwalk.shelf.int8_choice import choose_int8
from shelfwalk.shelf.pair_step import read_pairs
from shelfwalk.shelf.steps import StepResult
from shelfwalk.shelf.vectors import Vectors


def train_generator(
    build: Build,
    vectors: Vectors,
    text_encoder: Path,
    identifiers: StepResult,
    pairs: StepResult,
    folder: Path,
    checkpoints: Path,
) -> dict[str, Any]:
    """Train the decoder, and the encoder at `text_encoder` where the recipe says so, and export both."""
    import torch

    from shelfwalk.encoders.export import export_onnx
    from shelfwalk.generators.decoder_backbone import DecoderBackbone
    from shelfwalk.generators.training import Trainer
    from shelfwalk.shelf.backbones import make_backbone

    torch.set_num_threads(build.threads)
    torch.manual_seed(build.seed)
    item_vectors, settings, read = np.asarray(vectors.items()), build.recipe.training, read_pairs(pairs)
    sizes = tuple(identifiers.facts["level_sizes"])
    backbone = make_backbone(build, item_vectors.shape[1], sizes)
    examples = QueryExamples(
        Asked(read.queries, vectors.queries()),
        Asked(build.items["title"].to_pylist(), item_vectors),
        codes_of_items(identifiers),
        read.mixed(settings.logged_share),
        read.to_choose_by(),
        settings.item_share,
    )
    trainer = Trainer(backbone, examples, settings, build.seed, checkpoints)
    stage = "Training the generator"
    report = trainer.run(lambda step, loss: build.progress(f"{stage} (loss {loss:.2f})", step, settings.steps))
    build.progress("Exporting the generator", 0, 1)
    backbone.export(folder / layout.GENERATOR)
    encoder: Path | None = None
    if isinstance(backbone, DecoderBackbone) and backbone.encoder is not None:
        encoder = folder / layout.GENERATOR_ENCODER
        card = OnnxTextEncoder(text_encoder).card
        own = EncoderCard(f"{card.name}, fine-tuned", "of this shelf", card.dimensions, card.token_limit, "float32")
        export_onnx(backbone.encoder.eval(), encoder, own)
    build.progress("Exporting the generator", 1, 1)
    facts = {"training": asdict(report)}
    if not build.recipe.generator.int8:
        return facts
    return facts | choose_int8(
        folder / layout.GENERATOR, open_trie(identifiers), read, np.asarray(vectors.queries()), encoder
    )

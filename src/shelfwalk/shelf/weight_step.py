"""The step of a build that settles the weights of cluster scores and of fusion, where the recipe gives none."""

from __future__ import annotations

from typing import Any

import numpy as np

from shelfwalk.channels.bm25 import Bm25Channel
from shelfwalk.channels.channel import Channel
from shelfwalk.channels.dense import DenseChannel
from shelfwalk.channels.generative import ClusterLabels, GenerativeChannel
from shelfwalk.channels.names import BASELINE, FUSED
from shelfwalk.encoders.onnx import OnnxTextEncoder
from shelfwalk.generators.open_generator import open_generator
from shelfwalk.shelf import layout
from shelfwalk.shelf.build import Build
from shelfwalk.shelf.identifier_step import open_trie
from shelfwalk.shelf.pair_step import read_pairs
from shelfwalk.shelf.settling import HeldOutQuery, held_out_requests, settle_fusion, settle_in_cluster
from shelfwalk.shelf.steps import StepResult
from shelfwalk.shelf.vectors import Vectors


def settle_weights(
    build: Build,
    vectors: Vectors,
    bm25: StepResult,
    efficiency: StepResult,
    pairs: StepResult,
    identifiers: StepResult | None,
    generator: StepResult | None,
) -> dict[str, Any]:
    """Choose the in-cluster and the fusion weights on held-out queries, where the recipe gives none."""
    build.progress("Settling weights", 0, 3)
    queries = held_out_requests(read_pairs(pairs), vectors.queries())
    words = Bm25Channel.open(bm25.folder / layout.BM25)
    channels: dict[str, Channel] = {"bm25": words, "dense": DenseChannel(vectors.items(), build.threads)}
    facts: dict[str, Any] = {}
    if identifiers is not None and generator is not None:
        generative = open_generative(build, vectors, words, efficiency, identifiers, generator)
        facts["in_cluster"] = _settle_in_cluster(generative, queries)
        generative.settings = generative.settings.model_copy(update=facts["in_cluster"]["weights"])
        channels["generative"] = generative
    fusion: dict[str, Any] = {}
    for name, parts in ((BASELINE, ("bm25", "dense")), (FUSED, tuple(channels))):
        build.progress("Settling weights", 1 + len(fusion), 3)
        fusion[name] = _settle_fusion(build, {part: channels[part] for part in parts}, queries)
    build.progress("Settling weights", 3, 3)
    return {**facts, "fusion": fusion, "settled_on": len(queries)}


def open_generative(
    build: Build,
    vectors: Vectors,
    words: Bm25Channel,
    efficiency: StepResult,
    identifiers: StepResult,
    generator: StepResult,
) -> GenerativeChannel:
    """The generative channel of the steps so far, as the recipe sets it."""
    own = generator.folder / layout.GENERATOR_ENCODER
    return GenerativeChannel(
        open_generator(generator.folder / layout.GENERATOR, build.threads),
        open_trie(identifiers),
        vectors.items(),
        ClusterLabels(build.items),
        words,
        np.load(efficiency.folder / layout.EFFICIENCY, allow_pickle=False),
        build.recipe.generative,
        OnnxTextEncoder(own, build.threads) if own.is_dir() else None,
    )


def _settle_fusion(build: Build, channels: dict[str, Channel], queries: list[HeldOutQuery]) -> dict[str, Any]:
    settled = settle_fusion(channels, queries)
    chosen = dict(zip(channels, settled.chosen, strict=True))
    given = build.recipe.fusion.weights
    weights = chosen if given is None else {part: getattr(given, part) for part in channels}
    return {"weights": weights, "settled": chosen, "recalls": settled.recalls}


def _settle_in_cluster(channel: GenerativeChannel, queries: list[HeldOutQuery]) -> dict[str, Any]:
    given = {"path_weight": channel.settings.path_weight, "word_weight": channel.settings.word_weight}
    settled = settle_in_cluster(channel, queries)
    chosen = dict(zip(given, settled.chosen, strict=True))
    weights = {name: chosen[name] if weight is None else weight for name, weight in given.items()}
    return {"weights": weights, "recalls": settled.recalls}

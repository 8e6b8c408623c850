"""The steps of a build that are about single items: their table, vectors, word index, and efficiency in the log."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shelfwalk.channels.bm25 import Bm25Channel
from shelfwalk.data.hashing import content_hash
from shelfwalk.data.item_text import item_texts
from shelfwalk.encoders.onnx import OnnxTextEncoder
from shelfwalk.encoders.vector_cache import VectorCache
from shelfwalk.encoders.weights import cache_folder
from shelfwalk.ranking.efficiency import efficiency_of
from shelfwalk.shelf import layout
from shelfwalk.shelf.build import Build

_SAMPLE = 400
"""Texts on which the int8 encoder is compared with the float one."""


def write_catalogue(build: Build, folder: Path) -> dict[str, Any]:
    """Write the table of items."""
    with pa.OSFile(str(folder / layout.ITEMS), "wb") as sink, pa.ipc.new_file(sink, build.items.schema) as writer:
        writer.write_table(build.items.combine_chunks())
    return {"items": build.items.num_rows, "data_hash": content_hash(build.items)}


def encoder_texts(build: Build) -> list[str]:
    """What the encoder reads of each item."""
    return item_texts(build.items, build.recipe.text.encoder_attribute_values)


def encode_items(build: Build, folder: Path) -> dict[str, Any]:
    """Export the encoder where it was not yet, choose its precision, encode the catalogue."""
    from shelfwalk.encoders.export import export_encoder, load_encoder, read_check, torch_encode

    weights = build.weights_folder
    texts = encoder_texts(build)
    sample = _sample_of(len(texts), build.seed)
    titles = build.items["title"].take(pa.array(sample)).to_pylist()
    build.progress("Exporting the encoder", 0, 1)
    name = Path(build.recipe.encoder.model).name
    exported = export_encoder(weights, name, build.threads, [texts[row] for row in sample], titles)
    build.progress("Exporting the encoder", 1, 1)
    encoder = OnnxTextEncoder(exported, build.threads)
    encode: Callable[..., npt.NDArray[np.float32]] = encoder.encode
    if encoder.card.precision == "float32":
        # Int8 was no faster or not as good here: in batches torch is the fastest that is left.
        trained = load_encoder(weights)
        encode = lambda new: torch_encode(trained, new)  # noqa: E731
    cache = VectorCache(cache_folder(), encoder.card)
    vectors = cache.encode(texts, encode, build.advancing("Encoding items", len(texts)))
    np.save(folder / layout.VECTORS, vectors, allow_pickle=False)
    shutil.copytree(exported, folder / layout.TEXT_ENCODER)
    return {"encoder": asdict(encoder.card), "check": asdict(read_check(exported.parent))}


def _sample_of(count: int, seed: int) -> npt.NDArray[np.int64]:
    return np.sort(np.random.default_rng(seed).permutation(count)[:_SAMPLE])


def index_words(build: Build, folder: Path) -> dict[str, Any]:
    """Index the words of the catalogue for BM25."""
    build.progress("Indexing words", 0, 1)
    texts = item_texts(build.items, build.recipe.text.bm25_attribute_values)
    Bm25Channel.build(texts, build.recipe.bm25).save(folder / layout.BM25)
    build.progress("Indexing words", 1, 1)
    return {}


def write_efficiency(build: Build, events: pa.Table | None, folder: Path) -> dict[str, Any]:
    """Write the efficiency of every item, by which the published order inside clusters goes."""
    np.save(folder / layout.EFFICIENCY, efficiency_of(build.items, events), allow_pickle=False)
    return {}

"""A generated catalogue: item after item streamed to Parquet, with the hidden truth beside it.

In: how many items and a seed. Out: an `items` file in row groups of `CHUNK` items and a `Catalogue`, what the
simulation knows of it. Only the features of the items, flat arrays, stay in memory; a chunk depends on the
assortment, the seed and its own number alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from shelfwalk.data.tables import ITEMS
from shelfwalk.files import sync_folder
from shelfwalk.market.assortment import Assortment, catalogue_generator, draw_assortment
from shelfwalk.market.feature_collection import FeatureCollection
from shelfwalk.market.item_columns import item_rows
from shelfwalk.market.item_facts import AppearanceLaw, ItemFacts, draw_facts
from shelfwalk.market.item_features import CategoryTree, ItemFeatures, Lexicon
from shelfwalk.market.text_pieces import TextPieces, gather_pieces
from shelfwalk.settings import Settings

CHUNK = 50_000
"""Items of a row group."""


class CatalogueSettings(Settings):
    """How large a generated catalogue is, and how much of it is new."""

    items: int = Field(default=20_000, ge=100, le=10_000_000)
    new_share: float = Field(default=0.1, ge=0, le=0.5)
    """Share of the items that appear between the start of the log and its split."""
    cold_share: float = Field(default=0.05, ge=0, le=0.4)
    """Share of the items that appear after the split: no log that is trained on has seen them."""


@dataclass(frozen=True)
class Catalogue:
    """What the simulation knows of a catalogue, generated or real; rows of `features` are rows of the items file."""

    tree: CategoryTree
    lexicon: Lexicon
    features: ItemFeatures


def generate_catalogue(
    settings: CatalogueSettings,
    seed: int,
    path: Path,
    start: int,
    split: int,
    end: int,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> Catalogue:
    """Write a generated catalogue to `path`, whole or not at all, and return what the simulation knows of it.

    `start`, `split` and `end`: first moment of the log, its split, its end, microseconds since 1970 in UTC. The same
    arguments give the same bytes. Column `popularity` is what the shop sold of an item before the log, 0 for items that
    appear later. Raises OSError when the disk refuses.
    """
    assortment = draw_assortment(settings.items, seed)
    appearance = AppearanceLaw(settings.new_share, settings.cold_share, start, split, end)
    pieces = gather_pieces(assortment)
    collection = FeatureCollection(settings.items)
    with _whole_file(path) as writer:
        for chunk in range(-(-settings.items // CHUNK)):
            count = min(CHUNK, settings.items - chunk * CHUNK)
            facts, rows = draw_chunk(assortment, pieces, appearance, seed, chunk, count)
            writer.write_batch(rows, row_group_size=CHUNK)
            collection.add(facts, assortment.leaves.node[facts.leaf])
            progress("Generating items", chunk * CHUNK + count, settings.items)
    return Catalogue(assortment.tree, assortment.lexicon, collection.features())


def draw_chunk(
    assortment: Assortment, pieces: TextPieces, appearance: AppearanceLaw, seed: int, chunk: int, count: int
) -> tuple[ItemFacts, pa.RecordBatch]:
    """Draw the `count` items of one chunk: their facts, and their rows of the items table."""
    facts = draw_facts(assortment, appearance, count, catalogue_generator(seed, 1, chunk))
    return facts, item_rows(facts, chunk * CHUNK, assortment, pieces, catalogue_generator(seed, 2, chunk))


@contextmanager
def _whole_file(path: Path) -> Iterator[pq.ParquetWriter]:
    """A writer of the items file that stands under its name only when all of it is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            with pq.ParquetWriter(file, ITEMS, compression="zstd") as writer:
                yield writer
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)

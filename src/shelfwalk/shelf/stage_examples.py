"""What each stage of a generator's training learns from, as files that it draws from without loading them.

In: the steps that have left vectors, pairs, identifiers and visits. Out: the stages that the recipe asks for. The pairs
are sorted into files by what they are for, block by block; training then maps those, so that its memory does not grow
with the log. Only while the files are made are there some numbers for each different query. Texts are only opened for a
backbone that reads them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shelfwalk.generators.examples import Asked, ExampleSource, ItemExamples, QueryExamples, TargetExamples
from shelfwalk.generators.pair_files import divided, mapped, stored_targets
from shelfwalk.generators.pairs import MixedPairs, QueryTargets, StoredPairs
from shelfwalk.generators.settings import ItemStage, QueryStage, TrainingSettings
from shelfwalk.generators.settings import Stage as StageSettings
from shelfwalk.generators.shopper_examples import ShopperExamples
from shelfwalk.shelf import layout
from shelfwalk.shelf.build import Build
from shelfwalk.shelf.identifier_step import codes_of_items, open_trie
from shelfwalk.shelf.pair_step import PAIRS
from shelfwalk.shelf.steps import StepResult
from shelfwalk.shelf.vectors import Vectors
from shelfwalk.shelf.visit_step import read_visits


@dataclass(frozen=True)
class GeneratorInputs:
    """What earlier steps have left for the training of a generator; `visits` where a stage learns from them."""

    vectors: Vectors
    text_encoder: Path
    identifiers: StepResult
    pairs: StepResult
    visits: StepResult | None


class ColumnTexts(Sequence[str]):
    """The texts of a column, made when they are looked at."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        self._column = column

    @overload
    def __getitem__(self, row: int) -> str: ...

    @overload
    def __getitem__(self, row: slice) -> list[str]: ...

    def __getitem__(self, row: int | slice) -> str | list[str]:
        if isinstance(row, slice):
            return [self[place] for place in range(*row.indices(len(self)))]
        return str(self._column[row].as_py())

    def __iter__(self) -> Iterator[str]:
        return (self[row] for row in range(len(self)))

    def __len__(self) -> int:
        return len(self._column)


class StageExamples:
    """Makes the examples of stages; its files lie in `folder`, which it fills."""

    def __init__(self, build: Build, inputs: GeneratorInputs, folder: Path, *, texts: bool) -> None:
        """`texts`: whether the backbone reads texts."""
        self._build = build
        self._inputs = inputs
        self._folder = folder
        self._texts = texts
        self.codes = codes_of_items(inputs.identifiers)
        folder.mkdir(parents=True, exist_ok=True)

    def without_stages(self, settings: TrainingSettings) -> ExampleSource:
        """What a recipe without stages learns from: pairs, and items."""
        return QueryExamples(*self._shared, self._mixed(settings), settings.item_share)

    def of(self, stage: StageSettings, settings: TrainingSettings) -> ExampleSource:
        """The examples of one stage, `settings` being those of this stage."""
        if isinstance(stage, ItemStage):
            return ItemExamples(*self._shared)
        if isinstance(stage, QueryStage):
            mixed, targets = self._mixed(settings), self._targets
            return TargetExamples(*self._shared, mixed, settings.item_share, targets, stage.targets)
        assert self._inputs.visits is not None
        visits = read_visits(self._inputs.visits)
        queries, items, codes, _ = self._shared
        pairs = QueryExamples(*self._shared, self._mixed(settings), item_share=0.0)
        shares = settings.item_share, stage.unknown_share
        return ShopperExamples(queries, items, codes, visits, *shares, pairs, stage.query_share)

    @cached_property
    def _shared(self) -> tuple[Asked, Asked, npt.NDArray[np.int32], StoredPairs]:
        vectors, titles = self._inputs.vectors, ColumnTexts(self._build.items["title"])
        queries = Asked(self._query_texts() if self._texts else None, vectors.queries())
        items = Asked(titles if self._texts else None, vectors.items())
        return queries, items, self.codes, self._parts.held_out

    def _mixed(self, settings: TrainingSettings) -> MixedPairs:
        return MixedPairs.of(self._parts.logged, self._parts.pseudo, settings.logged_share)

    @cached_property
    def _parts(self) -> _Parts:
        """The pairs by what they are for."""
        pairs = StoredPairs(mapped(self._inputs.pairs.folder / PAIRS))
        files = [self._folder / f"{part.name}.npy" for part in fields(_Parts)]
        return _Parts(*divided(pairs, _parts_of_queries(self._queries_file), files))

    @cached_property
    def _targets(self) -> QueryTargets:
        parts, leaf_of_item = self._parts, open_trie(self._inputs.identifiers).leaf_of_item
        queries = len(self._inputs.vectors.queries())
        return stored_targets((parts.logged, parts.pseudo), queries, leaf_of_item, self._folder)

    @property
    def _queries_file(self) -> Path:
        return self._inputs.pairs.folder / layout.TRAINING_QUERIES

    def _query_texts(self) -> ColumnTexts:
        file, path = self._folder / "queries.arrow", self._queries_file
        schema = pa.schema([("query", pa.string())])
        with pq.ParquetFile(path) as queries, pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, schema) as to:
            for batch in queries.iter_batches(columns=["query"]):
                to.write_batch(batch)
        return ColumnTexts(pa.ipc.open_file(pa.memory_map(str(file))).read_all()["query"])


@dataclass(frozen=True)
class _Parts:
    """Pairs to learn from, of the log or judgements and of the catalogue's own words, and those held out."""

    logged: StoredPairs
    pseudo: StoredPairs
    held_out: StoredPairs


def _parts_of_queries(file: Path) -> npt.NDArray[np.int8]:
    """The part that the pairs of each training query are, int8 [queries], −1 for none."""
    told = pq.read_table(file, columns=["source", "held_out"])
    logged, held_out = pc.equal(told["source"], "logged").to_numpy(), told["held_out"].to_numpy()
    # As a choice is made by everywhere else: by logged queries where some are held out.
    unused = held_out & ~logged & (held_out & logged).any()
    parts: npt.NDArray[np.int8] = np.select([unused, held_out, logged], [-1, 2, 0], 1).astype(np.int8)
    return parts

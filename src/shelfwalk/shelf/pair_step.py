"""The step of a build that gathers what to train on: logged pairs, pseudo-queries, and the vectors of their queries.

Written: the distinct queries with their source (`logged` or `pseudo`) and whether they are held out, their vectors, and
the pairs. Held-out queries are for stopping early and for settling weights; nothing is trained on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from shelfwalk.data.leaks import check_no_leak
from shelfwalk.data.pseudo_queries import each_pseudo_query, held_out_queries, make_pseudo_queries
from shelfwalk.data.query_item_pairs import QueryItemPairs, pairs_from_events, pairs_from_judgements
from shelfwalk.encoders.onnx import OnnxTextEncoder
from shelfwalk.errors import UserError
from shelfwalk.generators.settings import ItemStage
from shelfwalk.recipes.recipe import Recipe
from shelfwalk.shelf import layout
from shelfwalk.shelf.build import Build
from shelfwalk.shelf.steps import StepResult
from shelfwalk.shelf.training_tables import TrainingTables

PAIRS = "pairs.npy"
QUERY_VECTORS = "query_vectors.npy"
_BLOCK = 4_096
ENOUGH_LOGGED = 1_000
"""Logged queries of which some are held out; of fewer, all are trained on."""


def logged_pairs(items: pa.Table, tables: TrainingTables) -> QueryItemPairs:
    """Pairs from judgements and events, refused if one of their queries is an evaluation query in any spelling."""
    parts = []
    if tables.judgements is not None:
        if tables.queries is None:
            raise UserError("Training judgements need their queries: give the queries file as well.")
        # As in an evaluation: of grades that only say yes or no, yes is enough.
        lowest = 2 if (pa.compute.max(tables.judgements["grade"]).as_py() or 0) > 1 else 1
        parts.append(pairs_from_judgements(items, tables.queries, tables.judgements, lowest))
    if tables.events is not None:
        parts.append(pairs_from_events(items, tables.events))
    pairs = QueryItemPairs.join(parts)
    if tables.evaluation_queries is not None:
        check_no_leak(pairs.queries, tables.evaluation_queries["query"].to_pylist())
    return pairs


def refuse_nothing_to_learn(items: pa.Table, recipe: Recipe, logged: QueryItemPairs, seed: int) -> None:
    """Raise UserError, before anything takes long, where a recipe learns from pairs and there is none to be had."""
    if len(logged) or not _learns_from_pairs(recipe):
        return
    if next(each_pseudo_query(items, recipe.pseudo_queries, seed), None) is None:
        raise UserError(
            "There is no pair of a query and an item to train on: give items titles with words, or a search log."
        )


def _learns_from_pairs(recipe: Recipe) -> bool:
    stages = recipe.training.stages
    return recipe.two_tower is not None or stages is None or not all(isinstance(stage, ItemStage) for stage in stages)


def make_pairs(build: Build, vectors: StepResult, logged: QueryItemPairs, folder: Path) -> dict[str, Any]:
    """Make the pseudo-queries, put the logged pairs beside them, and encode every distinct query."""
    build.progress("Making pseudo-queries", 0, 1)
    pseudo = make_pseudo_queries(build.items, build.recipe.pseudo_queries, build.seed)
    build.progress("Making pseudo-queries", 1, 1)
    pairs = QueryItemPairs.join([logged, pseudo])
    encoder = OnnxTextEncoder(vectors.folder / layout.TEXT_ENCODER, build.threads)
    query_vectors = _encode_queries(build, encoder, pairs.queries)
    np.save(folder / QUERY_VECTORS, query_vectors, allow_pickle=False)
    np.save(folder / PAIRS, np.stack((pairs.query_rows, pairs.item_rows)), allow_pickle=False)
    sources = np.where(np.arange(len(pairs.queries)) < len(logged.queries), "logged", "pseudo")
    held_out = _held_out(build, len(logged.queries), len(pairs.queries))
    queries = pa.table({"query": pa.array(pairs.queries, pa.string()), "source": sources, "held_out": held_out})
    pq.write_table(queries, folder / layout.TRAINING_QUERIES)
    return {"pairs": len(pairs), "queries": len(pairs.queries), "logged_queries": len(logged.queries)}


def _encode_queries(build: Build, encoder: OnnxTextEncoder, queries: tuple[str, ...]) -> npt.NDArray[np.float32]:
    """The vectors of all queries, in blocks for the progress's sake.

    Not kept by text: a vector made in a batch depends on its neighbours, and a vector kept from another build would
    make this one depend on what was built before it.
    """
    advance = build.advancing("Encoding queries", len(queries))
    blocks = []
    for start in range(0, len(queries), _BLOCK):
        block = queries[start : start + _BLOCK]
        blocks.append(encoder.encode_together(block))
        advance(len(block))
    return np.concatenate(blocks) if blocks else np.empty((0, encoder.card.dimensions), np.float32)


def _held_out(build: Build, logged: int, queries: int) -> npt.NDArray[np.bool_]:
    """Which of the distinct queries, the logged ones first, are held out: the same share of both sources."""
    share = build.recipe.pseudo_queries.held_out
    of_logged = held_out_queries(logged, share, build.seed) if logged >= ENOUGH_LOGGED else np.zeros(logged, bool)
    return np.concatenate((of_logged, held_out_queries(queries - logged, share, build.seed)))


@dataclass(frozen=True)
class TrainingPairs:
    """The pairs of the step, read back; the rows of all are those of `queries`.

    `is_logged` bool [queries]. `train` and `held_out` are the pairs of the queries to learn from, and of the others.
    """

    queries: tuple[str, ...]
    is_logged: npt.NDArray[np.bool_]
    train: QueryItemPairs
    held_out: QueryItemPairs

    def of_source(self, pairs: QueryItemPairs, *, logged: bool) -> QueryItemPairs:
        """Those of the pairs whose query is logged, or those whose query is made up."""
        return pairs.where(self.is_logged[pairs.query_rows] == logged)

    def to_choose_by(self) -> QueryItemPairs:
        """The held-out pairs that a choice is made by: those of logged queries where there are any."""
        logged = self.of_source(self.held_out, logged=True)
        return logged if len(logged) else self.held_out


def read_pairs(step: StepResult) -> TrainingPairs:
    """Read the pairs that the step has left."""
    table = pq.read_table(step.folder / layout.TRAINING_QUERIES)
    queries = tuple(table["query"].to_pylist())
    pairs = QueryItemPairs(queries, *np.load(step.folder / PAIRS, allow_pickle=False))
    held_out = table["held_out"].to_numpy()[pairs.query_rows]
    is_logged = pa.compute.equal(table["source"], "logged").to_numpy()
    return TrainingPairs(queries, is_logged, pairs.where(~held_out), pairs.where(held_out))

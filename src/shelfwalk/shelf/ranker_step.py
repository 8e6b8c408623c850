"""The step of a build that trains the ranker, where the recipe has one, and fills the cache of frequent queries.

Written: the relevance model with the queries it learnt from, and the identifiers predicted for the log's frequent
queries. The model learns from queries that towers, identifiers and generator have not learnt from (the held-out ones of
the log) where there are enough: what these give for a query that they know is better than what they give for a new one,
and a model that learnt on it would trust it too much.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shelfwalk.channels.bm25 import Bm25Channel
from shelfwalk.channels.channel import Request
from shelfwalk.channels.dense import DenseChannel
from shelfwalk.channels.pair_features import MATCH_FEATURE, PairFeatures
from shelfwalk.channels.relevance_ranker import IdentifierMatch, RelevanceFeatures
from shelfwalk.data.asked_queries import asked_queries
from shelfwalk.data.labelled_pairs import LabelledPairs, labelled_by_judgements, labelled_by_log
from shelfwalk.errors import UserError
from shelfwalk.ranking.query_identifiers import QueryCache, QueryIdentifiers, most_frequent
from shelfwalk.ranking.ranker_settings import RankerSettings
from shelfwalk.ranking.relevance_model import train_relevance_model
from shelfwalk.shelf import layout
from shelfwalk.shelf.build import Build
from shelfwalk.shelf.pair_step import TrainingPairs, read_pairs
from shelfwalk.shelf.query_encoder import open_query_encoder
from shelfwalk.shelf.ranker_files import SavedRanker, tokenizer_name
from shelfwalk.shelf.steps import StepResult
from shelfwalk.shelf.training_tables import TrainingTables
from shelfwalk.shelf.vectors import Vectors
from shelfwalk.shelf.weight_step import open_generative

ENOUGH_HELD_OUT = 200
"""Held-out queries with pairs of both kinds from which the others are left alone."""
_AT_ONCE = 256


@dataclass(frozen=True)
class RankerInputs:
    """The finished steps that a ranker reads, and the tables; no identifiers and no generator for plain features."""

    vectors: Vectors
    text_vectors: StepResult
    bm25: StepResult
    efficiency: StepResult
    pairs: StepResult
    identifiers: StepResult | None
    generator: StepResult | None
    events: pa.Table | None


def labelled_pairs(items: pa.Table, tables: TrainingTables) -> LabelledPairs:
    """What a ranker learns from: the log, or judgements where there is none; raises UserError if neither will do."""
    if tables.events is not None:
        return labelled_by_log(items, tables.events)
    if tables.judgements is None or tables.queries is None:
        raise UserError(
            "The recipe has a ranker, which learns from what was shown and clicked, and there is no log: give one with"
            " --events (or judgements of both kinds), or take [ranker] out of a copy of the recipe."
        )
    lowest = 2 if (pa.compute.max(tables.judgements["grade"]).as_py() or 0) > 1 else 1
    return labelled_by_judgements(items, tables.queries, tables.judgements, lowest)


def train_ranker(
    build: Build, settings: RankerSettings, inputs: RankerInputs, labelled: LabelledPairs, folder: Path
) -> dict[str, Any]:
    """Train the relevance model on labelled pairs and fill the cache."""
    words = Bm25Channel.open(inputs.bm25.folder / layout.BM25)
    item_vectors, read = inputs.vectors.items(), read_pairs(inputs.pairs)
    of_dense, reads = DenseChannel(item_vectors, build.threads), settings.plain_features
    plain = PairFeatures(build.items, item_vectors, words, of_dense, reads)
    match = _match(build, settings, inputs, words) if settings.match_feature else None
    learnt, is_held_out = _pairs_to_learn_from(labelled, read, settings.most_queries, build.seed)
    features = _features(build, RelevanceFeatures(plain, match), learnt, _vectors_of(learnt, read, inputs.vectors))
    names = reads if match is None else (*reads, MATCH_FEATURE)
    model = train_relevance_model(names, features, learnt.relevant, settings, build.seed)
    tokenizer = "" if inputs.identifiers is None else tokenizer_name(inputs.identifiers.folder / layout.TOKENIZER)
    SavedRanker(model, settings, tokenizer, learnt.queries).save(folder / layout.RANKER)
    cached = 0
    if match is not None and inputs.events is not None and settings.cached_queries:
        cached = _fill_cache(build, match, inputs, folder / layout.QUERY_CACHE)
    facts = {"pairs": len(learnt), "queries": len(learnt.queries), "relevant_share": float(learnt.relevant.mean())}
    return {"ranker": {**facts, "held_out": is_held_out, "cached_queries": cached}}


def _match(build: Build, settings: RankerSettings, inputs: RankerInputs, words: Bm25Channel) -> IdentifierMatch:
    assert inputs.identifiers is not None
    assert inputs.generator is not None
    generative = open_generative(build, inputs.vectors, words, inputs.efficiency, inputs.identifiers, inputs.generator)
    return IdentifierMatch(generative, settings)


def _pairs_to_learn_from(
    labelled: LabelledPairs, read: TrainingPairs, most_queries: int, seed: int
) -> tuple[LabelledPairs, bool]:
    """The pairs of held-out queries, and True; or of all queries, and False, where too few are held out."""
    held_out = {read.queries[row] for row in np.unique(read.held_out.query_rows).tolist()}
    chosen = np.array([query in held_out for query in labelled.queries], bool)
    if chosen.sum() < ENOUGH_HELD_OUT:
        return labelled.sample(most_queries, seed), False
    return labelled.of_queries(chosen).sample(most_queries, seed), True


def _vectors_of(learnt: LabelledPairs, read: TrainingPairs, vectors: Vectors) -> npt.NDArray[np.float32]:
    """The vectors of the queries, every one of which is among the training queries as something was relevant to it."""
    places = pa.compute.index_in(pa.array(learnt.queries, pa.string()), value_set=pa.array(read.queries, pa.string()))
    found: npt.NDArray[np.float32] = vectors.queries()[places.to_numpy(zero_copy_only=False)]
    return found


def _features(
    build: Build, features: RelevanceFeatures, pairs: LabelledPairs, vectors: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """The features of all pairs, float32 [pairs, features], query by query; identifiers are predicted in blocks."""
    advance = build.advancing("Reading pairs for the ranker", len(pairs.queries))
    bounds = np.searchsorted(pairs.query_rows, np.arange(len(pairs.queries) + 1))
    parts = []
    for start in range(0, len(pairs.queries), _AT_ONCE):
        texts = pairs.queries[start : start + _AT_ONCE]
        requests = [Request(text, vectors[start + place]) for place, text in enumerate(texts)]
        found: list[QueryIdentifiers | None] = [None] * len(requests)
        if features.match is not None:
            found = [*features.match.live(requests)]
        for place, (request, identifiers) in enumerate(zip(requests, found, strict=True)):
            begin, end = bounds[start + place : start + place + 2]
            parts.append(features.of(request, pairs.item_rows[begin:end].astype(np.int64), identifiers))
        advance(len(requests))
    return np.concatenate(parts)


def _fill_cache(build: Build, match: IdentifierMatch, inputs: RankerInputs, path: Path) -> int:
    """Predict the identifiers of the log's frequent queries and write them; how many there are."""
    assert inputs.events is not None
    frequent = most_frequent(asked_queries(inputs.events)["user_query"], match.settings.cached_queries)
    towers = inputs.vectors.of_items.folder
    encoder = open_query_encoder(inputs.text_vectors.folder, towers, inputs.vectors.items(), build.threads)
    advance = build.advancing("Filling the cache of queries", len(frequent))
    found: list[QueryIdentifiers] = []
    for start in range(0, len(frequent), _AT_ONCE):
        texts = frequent[start : start + _AT_ONCE]
        found += match.live([Request(*one) for one in zip(texts, encoder.encode(texts), strict=True)])
        advance(len(texts))
    if not found:
        return 0
    codes, scores = (np.stack([getattr(one, name) for one in found]) for name in ("codes", "log_probabilities"))
    cache = QueryCache.of(frequent, QueryIdentifiers(codes, scores))
    cache.save(path)
    return len(cache)

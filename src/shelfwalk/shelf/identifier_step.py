"""The step of a build that gives every item its identifier: the fitted tokeniser and the trie of all identifiers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shelfwalk.constraints.trie import Trie
from shelfwalk.shelf import layout
from shelfwalk.shelf.build import Build
from shelfwalk.shelf.pair_step import TrainingPairs, read_pairs
from shelfwalk.shelf.steps import StepResult
from shelfwalk.shelf.vectors import Vectors
from shelfwalk.tokenizers.capped_clusters import CappedTokenizer
from shelfwalk.tokenizers.category_codes import CategoryCodes
from shelfwalk.tokenizers.diagnosis import TokenizerDiagnosis, diagnose, refuse_dead_levels
from shelfwalk.tokenizers.end_codes import with_end_codes
from shelfwalk.tokenizers.item_tokenizer import Codes
from shelfwalk.tokenizers.learning_pairs import LearningPairs
from shelfwalk.tokenizers.made_of_settings import numbering_levels, tokenizer_of
from shelfwalk.tokenizers.settings import CqSidSettings, TokenizerSettings


def refuse_unfit(items: pa.Table, settings: TokenizerSettings, seed: int) -> None:
    """Raise UserError, before anything takes long, where `items` cannot have the identifiers that a recipe asks for."""
    tokenizer_of(settings, seed)
    if isinstance(settings, CqSidSettings) and settings.force_category:
        CategoryCodes.of(items, settings.level_sizes[0], settings.category_depth)


def fit_identifiers(
    build: Build, settings: TokenizerSettings, vectors: Vectors, pairs: StepResult, folder: Path, checkpoints: Path
) -> dict[str, Any]:
    """Fit the recipe's tokeniser and write it with the trie of all identifiers; refuses a dead level."""
    tokenizer, item_vectors = tokenizer_of(settings, build.seed), vectors.items()
    learnt_from = _pairs_to_learn_from(settings, vectors, read_pairs(pairs))
    tokenizer.fit(build.items, item_vectors, learnt_from, progress=build.progress, checkpoints=checkpoints)
    codes = tokenizer.encode(build.items, item_vectors)
    diagnosis = diagnose(codes, tokenizer.level_sizes)
    refuse_dead_levels(diagnosis, codes, item_vectors, exempt=numbering_levels(settings, codes.shape[1]))
    tokenizer.save(folder / layout.TOKENIZER)
    # The decoder knows identifiers of one length, so an end is a code to it.
    whole, sizes = with_end_codes(codes, tokenizer.level_sizes)
    Trie.build(whole, level_sizes=sizes).save(folder / layout.TRIE)
    if isinstance(tokenizer, CappedTokenizer):
        diagnosis = _told_of_capped(diagnosis, tokenizer, codes)
    facts = {"tokenizer": diagnosis.to_json(), "level_sizes": list(sizes)}
    return {**facts, **_category_facts(build.items, settings)}


def open_trie(step: StepResult) -> Trie:
    """The trie that the step has left."""
    return Trie.open(step.folder / layout.TRIE)


def codes_of_items(step: StepResult) -> npt.NDArray[np.int32]:
    """The identifiers that the step has left, int32 [items, levels]."""
    trie = open_trie(step)
    return trie.paths()[trie.leaf_of_item]


def _pairs_to_learn_from(settings: TokenizerSettings, vectors: Vectors, pairs: TrainingPairs) -> LearningPairs | None:
    """The pairs for tokenisers that learn from them: never those of a held-out query."""
    if not isinstance(settings, CqSidSettings):
        return None
    logged = pairs.of_source(pairs.train, logged=True)
    return LearningPairs(logged if settings.logged_pairs_only and len(logged) else pairs.train, vectors.queries())


def _told_of_capped(diagnosis: TokenizerDiagnosis, tokenizer: CappedTokenizer, codes: Codes) -> TokenizerDiagnosis:
    """The diagnosis with what the cap did, and with the use of levels as it is without groups."""
    levels = diagnose(tokenizer.without_groups(codes), tokenizer.inner.level_sizes).levels
    return replace(diagnosis, levels=levels, capped_share=tokenizer.capped_share(), above_cap=tokenizer.above_cap())


def _category_facts(items: pa.Table, settings: TokenizerSettings) -> dict[str, Any]:
    """What level 1 made of the categories, where it is made of them."""
    if not isinstance(settings, CqSidSettings) or not settings.force_category:
        return {}
    categories = CategoryCodes.of(items, settings.level_sizes[0], settings.category_depth)
    known = float((categories.codes_of(items) >= 0).mean())
    facts = {"depth": categories.depth, "deepest": categories.deepest, "categories": len(categories)}
    return {"category_level": {**facts, "known_share": known}}

"""The step of a build that gives every item its identifier: the fitted tokeniser and the trie of all identifiers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shelfwalk.constraints.trie import Trie
from shelfwalk.recipes.recipe import TokenizerSettings
from shelfwalk.shelf import layout
from shelfwalk.shelf.build import Build
from shelfwalk.shelf.steps import StepResult
from shelfwalk.tokenizers.diagnosis import diagnose, refuse_dead_levels
from shelfwalk.tokenizers.item_tokenizer import ItemTokenizer
from shelfwalk.tokenizers.uniqueness import UniqueTokenizer


def fit_identifiers(
    build: Build, settings: TokenizerSettings, item_vectors: npt.NDArray[np.float32], folder: Path, checkpoints: Path
) -> dict[str, Any]:
    """Fit the recipe's tokeniser and write it with the trie of all identifiers; refuses a dead level."""
    tokenizer = _tokenizer(settings, build.seed)
    tokenizer.fit(build.items, item_vectors, progress=build.progress, checkpoints=checkpoints)
    codes = tokenizer.encode(build.items, item_vectors)
    diagnosis = diagnose(codes, tokenizer.level_sizes)
    refuse_dead_levels(diagnosis, codes, item_vectors, exempt=_numbering_levels(settings, codes.shape[1]))
    tokenizer.save(folder / layout.TOKENIZER)
    Trie.build(codes, level_sizes=tokenizer.level_sizes).save(folder / layout.TRIE)
    return {"tokenizer": diagnosis.to_json(), "level_sizes": list(tokenizer.level_sizes)}


def open_trie(step: StepResult) -> Trie:
    """The trie that the step has left."""
    return Trie.open(step.folder / layout.TRIE)


def codes_of_items(step: StepResult) -> npt.NDArray[np.int32]:
    """The identifiers that the step has left, int32 [items, levels]."""
    trie = open_trie(step)
    return trie.paths()[trie.leaf_of_item]


def _tokenizer(settings: TokenizerSettings, seed: int) -> ItemTokenizer:
    if settings.kind == "residual_kmeans":
        from shelfwalk.tokenizers.residual_kmeans import ResidualKMeansTokenizer

        return ResidualKMeansTokenizer(settings.level_sizes, seed=seed, iterations=settings.iterations)
    from shelfwalk.tokenizers.rqvae import RQVAETokenizer
    from shelfwalk.tokenizers.rqvae_settings import RQVAESettings

    values = settings.model_dump(exclude={"kind", "unique"})
    inner = RQVAETokenizer(RQVAESettings(**values, seed=seed))
    return UniqueTokenizer(inner) if settings.unique else inner


def _numbering_levels(settings: TokenizerSettings, levels: int) -> tuple[int, ...]:
    """The levels that number the items of an identifier: most items are the first of theirs, as they should be."""
    return (levels - 1,) if settings.kind == "rqvae" and settings.unique else ()

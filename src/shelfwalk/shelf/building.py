"""Builds a shelf from a catalogue and a recipe, step by step, and publishes it.

In: a table of items, a recipe, and where there are any judgements or a search log to train on. Out: a new generation of
the shelf. Every step leaves its files in the shelf's `building` folder, so that an interrupted build goes on after its
last finished step; nothing is visible to readers before the one atomic rename at the end.

    catalogue → vectors → training pairs → two towers → identifiers → visits → generator → bm25 → efficiency → weights
    → ranker → publish

A recipe may have no towers, no ranker, no visits, or no identifiers and so no generator; the others are in every shelf.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from shelfwalk.data.hashing import content_hash
from shelfwalk.data.labelled_pairs import LabelledPairs
from shelfwalk.encoders.weights import encoder_sha256, find_weights
from shelfwalk.errors import UserError
from shelfwalk.processes import process_count, process_index
from shelfwalk.recipes.recipe import Recipe
from shelfwalk.shelf import layout
from shelfwalk.shelf.backbones import BackboneFiles, backbone_files
from shelfwalk.shelf.build import Build, Progress
from shelfwalk.shelf.catalogue_steps import encode_items, index_words, write_catalogue, write_efficiency
from shelfwalk.shelf.generations import BUILDING, CURRENT, LOCK, current_generation, open_for_building
from shelfwalk.shelf.generator_step import train_generator
from shelfwalk.shelf.identifier_step import fit_identifiers, refuse_unfit
from shelfwalk.shelf.left_out import left_out
from shelfwalk.shelf.pair_step import logged_pairs, make_pairs, refuse_nothing_to_learn
from shelfwalk.shelf.ranker_step import RankerInputs, labelled_pairs, train_ranker
from shelfwalk.shelf.seeds import refuse_unfit_seed
from shelfwalk.shelf.shopper_tower_step import train_towers_for_shoppers
from shelfwalk.shelf.stage_examples import GeneratorInputs
from shelfwalk.shelf.steps import AwaitedSteps, StepResult, Steps, finished_steps
from shelfwalk.shelf.tower_step import train_towers
from shelfwalk.shelf.training_tables import TrainingTables
from shelfwalk.shelf.vectors import Vectors
from shelfwalk.shelf.visit_step import learns_from_shoppers, refuse_unfit_log, write_visits
from shelfwalk.shelf.weight_step import settle_weights
from shelfwalk.version import __version__

_STEPS = "steps"
_GENERATOR = "generator"


def build_shelf(
    items: pa.Table,
    recipe: Recipe,
    out: Path,
    *,
    tables: TrainingTables | None = None,
    seed: int = 0,
    threads: int = 2,
    progress: Progress = lambda stage, done, total: None,
    notice: Callable[[str], None] = lambda sentence: None,
) -> str:
    """Build a shelf of `items` at `out` and return the name of the generation that was published.

    The same items, recipe, tables and seed give the same shelf, and a build that was interrupted goes on where it was.
    `threads` should be the cores that the build has to itself. `notice` is given a sentence on whatever is left out,
    when nothing is left to be refused and before anything takes long. Raises UserError for what a user can mend: a seed
    out of range, training queries that are evaluation queries, nothing to train on, categories that cannot be a level
    of identifiers, a level that is dead, a place that is no shelf.

    Of several processes on one folder (`accelerate launch`) the first builds, and the others read the same tables, wait
    for its steps, train the generator with it and return when it has published.
    """
    refuse_unfit_seed(seed)
    if items.num_rows == 0:
        raise UserError("The catalogue is empty: give items with at least one row.")
    if recipe.tokenizer is not None:
        refuse_unfit(items, recipe.tokenizer, seed)
    own_backbone = backbone_files(recipe.generator)
    tables = tables or TrainingTables()
    refuse_unfit_log(recipe, tables.events)
    labelled = None if recipe.ranker is None else labelled_pairs(items, tables)
    refuse_nothing_to_learn(items, recipe, logged_pairs(items, tables), seed)
    weights_folder = find_weights(recipe.encoder.model)
    fingerprint = _fingerprint(items, weights_folder, tables, seed)
    if process_index():
        steps = AwaitedSteps(out / BUILDING / _STEPS, fingerprint, frozenset({_GENERATOR}))
        _learned(Build(items, recipe, weights_folder, seed, threads, _tell_nobody, steps), tables, own_backbone)
        _wait_for_all()
        return current_generation(out).name
    with open_for_building(out) as builder, _leaving_nothing_refused(out):
        for sentence in left_out(items, recipe, tables):
            notice(sentence)
        build = Build(
            items, recipe, weights_folder, seed, threads, progress, Steps(builder.folder / _STEPS, fingerprint)
        )
        learned = _learned(build, tables, own_backbone)
        text_vectors, pairs, vectors, generative = (
            learned.text_vectors,
            learned.pairs,
            learned.vectors,
            learned.generative,
        )
        # After what takes minutes, so that another beam, word index or weight does not ask for it again.
        bm25 = build.step("bm25", lambda folder, _: index_words(build, folder), recipe.bm25)
        efficiency = build.step("efficiency", lambda folder, _: write_efficiency(build, tables.events, folder))
        weights = build.step(
            "weights",
            lambda folder, _: settle_weights(build, vectors, bm25, efficiency, pairs, *(generative or (None, None))),
            recipe.generative,
            recipe.fusion,
        )
        parts = [*learned.parts, bm25, efficiency, weights]
        if labelled is not None:
            identifiers, generator = generative or (None, None)
            inputs = RankerInputs(vectors, text_vectors, bm25, efficiency, pairs, identifiers, generator, tables.events)
            parts.append(_ranker(build, inputs, labelled))
        staging = _stage(builder.folder / "staging", parts)
        name = builder.publish(staging, recipe.model_dump(mode="json"), _facts(build, parts))
        builder.remove_old(2)
        _wait_for_all()
        return name


@dataclass(frozen=True)
class _Learned:
    """The steps that take long; `generative`: identifiers and generator, where the recipe has them."""

    text_vectors: StepResult
    pairs: StepResult
    vectors: Vectors
    generative: tuple[StepResult, StepResult] | tuple[()]
    parts: list[StepResult]


def _learned(build: Build, tables: TrainingTables, own_backbone: BackboneFiles | None) -> _Learned:
    """Everything up to the generator, which all processes train."""
    recipe = build.recipe
    catalogue = build.step("catalogue", lambda folder, _: write_catalogue(build, folder))
    text_vectors = build.step("vectors", lambda folder, _: encode_items(build, folder), recipe.text, recipe.encoder)
    pairs = build.step(
        "pairs",
        lambda folder, _: make_pairs(build, text_vectors, logged_pairs(build.items, tables), folder),
        recipe.pseudo_queries,
    )
    parts = [catalogue, text_vectors, pairs]
    vectors = Vectors(text_vectors, pairs)
    if recipe.two_tower is not None:
        towers = _towers(build, tables.events, text_vectors, pairs)
        parts.append(towers)
        vectors = Vectors(towers, towers)
    generative = _generative_steps(build, tables.events, vectors, text_vectors, pairs, own_backbone)
    return _Learned(text_vectors, pairs, vectors, generative, [*parts, *generative])


def _towers(build: Build, events: pa.Table | None, text_vectors: StepResult, pairs: StepResult) -> StepResult:
    settings, shopper = build.recipe.two_tower, build.recipe.shopper_tower
    assert settings is not None

    def train(folder: Path, kept: Path) -> dict[str, Any]:
        if shopper is None:
            return train_towers(build, settings, text_vectors, pairs, folder, kept)
        return train_towers_for_shoppers(build, settings, shopper, events, text_vectors, pairs, folder, kept)

    return build.step("towers", train, settings, shopper)


def _ranker(build: Build, inputs: RankerInputs, labelled: LabelledPairs) -> StepResult:
    settings = build.recipe.ranker
    assert settings is not None
    return build.step("ranker", lambda folder, _: train_ranker(build, settings, inputs, labelled, folder), settings)


def _generative_steps(
    build: Build,
    events: pa.Table | None,
    vectors: Vectors,
    text_vectors: StepResult,
    pairs: StepResult,
    own_backbone: BackboneFiles | None,
) -> tuple[StepResult, StepResult] | tuple[()]:
    """The identifiers and the generator, where the recipe has them; visits, where it learns from shoppers."""
    recipe, tokenizer = build.recipe, build.recipe.tokenizer
    if tokenizer is None:
        return ()
    identifiers = build.step(
        "identifiers",
        lambda folder, kept: fit_identifiers(build, tokenizer, vectors, pairs, folder, kept),
        tokenizer,
    )
    visits = None
    if events is not None and learns_from_shoppers(recipe):
        visits = build.step("visits", lambda folder, _: write_visits(build, events, pairs, folder), recipe.generator)
    inputs = GeneratorInputs(vectors, text_vectors.folder / layout.TEXT_ENCODER, identifiers, pairs, visits)
    generator = build.step(
        _GENERATOR,
        lambda folder, kept: train_generator(build, inputs, folder, kept),
        recipe.generator,
        recipe.training,
        own_backbone,
    )
    return identifiers, generator


@contextmanager
def _leaving_nothing_refused(shelf: Path) -> Iterator[None]:
    """Remove the folder of a new shelf whose build is refused before it has anything that took long to make.

    Call it with the lock held. What has taken long stays, for the build that comes after the mistake is mended.
    """
    try:
        yield
    except UserError:
        if not (shelf / CURRENT).exists() and finished_steps(shelf / BUILDING / _STEPS) <= {"catalogue"}:
            shutil.rmtree(shelf / BUILDING)
            (shelf / LOCK).unlink()
            if not shelf.is_symlink():
                shelf.rmdir()
        raise


def _fingerprint(items: pa.Table, weights_folder: Path, tables: TrainingTables, seed: int) -> str:
    content = content_hash(items, tables.queries, tables.judgements, tables.events)
    asked = (content, encoder_sha256(weights_folder), seed, __version__)
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def _stage(staging: Path, parts: list[StepResult]) -> Path:
    """Put what searching needs of every step into one folder; a later step's file replaces an earlier one's."""
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    wanted = {value for name, value in vars(layout).items() if name.isupper()}
    for part in parts:
        for entry in part.folder.iterdir():
            if entry.name in wanted:
                copy = shutil.copytree if entry.is_dir() else shutil.copy2
                copy(entry, staging / entry.name)
    return staging


def _wait_for_all() -> None:
    if process_count() > 1:
        from shelfwalk.generators.training import accelerator

        accelerator().wait_for_everyone()


def _tell_nobody(stage: str, done: int, total: int) -> None:
    """The progress of a process beside the one that tells its own."""


def _facts(build: Build, parts: list[StepResult]) -> dict[str, Any]:
    facts: dict[str, Any] = {"seed": build.seed, "recipe_hash": build.recipe.hash, "seconds": build.seconds}
    for part in parts:
        facts |= {name: value for name, value in part.facts.items() if name != "seconds"}
    return facts

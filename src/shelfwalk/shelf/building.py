"""Builds a shelf from a catalogue and a recipe, step by step, and publishes it.

In: a table of items, a recipe, and where there are any judgements or a search log to train on. Out: a new generation of
the shelf. Every step leaves its files in the shelf's `building` folder, so that an interrupted build goes on after its
last finished step; nothing is visible to readers before the one atomic rename at the end.

    catalogue → vectors → identifiers → training pairs → generator → bm25 → weights → publish
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from shelfwalk.channels.bm25 import Bm25Channel
from shelfwalk.channels.channel import Channel
from shelfwalk.channels.dense import DenseChannel
from shelfwalk.channels.generative import ClusterLabels, GenerativeChannel
from shelfwalk.channels.names import BASELINE, FUSED
from shelfwalk.constraints.trie import Trie
from shelfwalk.data.hashing import content_hash
from shelfwalk.data.item_text import item_texts
from shelfwalk.data.leaks import check_no_leak
from shelfwalk.data.pseudo_queries import held_out_queries, make_pseudo_queries
from shelfwalk.data.query_item_pairs import QueryItemPairs, pairs_from_events, pairs_from_judgements
from shelfwalk.encoders.onnx import EncoderCard, OnnxTextEncoder
from shelfwalk.encoders.vector_cache import VectorCache
from shelfwalk.encoders.weights import cache_folder, encoder_sha256, find_weights
from shelfwalk.errors import UserError
from shelfwalk.generators.onnx_generator import OnnxGenerator
from shelfwalk.recipes.recipe import Recipe
from shelfwalk.settings import Settings
from shelfwalk.shelf import layout
from shelfwalk.shelf.generations import CURRENT, open_for_building
from shelfwalk.shelf.settling import HeldOutQuery, held_out_phrases, settle_fusion, settle_in_cluster
from shelfwalk.shelf.steps import StepResult, Steps
from shelfwalk.shelf.training_tables import TrainingTables
from shelfwalk.tokenizers.diagnosis import diagnose, refuse_dead_levels
from shelfwalk.tokenizers.item_tokenizer import ItemTokenizer
from shelfwalk.tokenizers.uniqueness import UniqueTokenizer
from shelfwalk.version import __version__

Progress = Callable[[str, int, int], None]
"""Told of (what is being done, parts done, parts in all)."""

_SAMPLE = 400
"""Texts on which the int8 encoder is compared with the float one."""


@dataclass
class Build:
    """One build: what it was asked for, and what its steps have made so far."""

    items: pa.Table
    recipe: Recipe
    weights_folder: Path
    """Of the pretrained encoder."""
    tables: TrainingTables
    seed: int
    threads: int
    progress: Progress
    steps: Steps
    seconds: dict[str, float] = field(default_factory=dict)

    def step(self, name: str, function: Callable[[Path, Path], dict[str, Any]], *settings: Settings) -> StepResult:
        """Run one step, or find it done; `settings` are the parts of the recipe that it reads itself.

        `function` gets the folder to fill and one for checkpoints. The step's seconds are kept with its facts.
        """
        started = time.perf_counter()
        asked = " ".join(part.model_dump_json() for part in settings)

        def timed(folder: Path) -> dict[str, Any]:
            facts = function(folder, self.steps.partial(name, asked))
            return {**facts, "seconds": round(time.perf_counter() - started, 2)}

        result = self.steps.run(name, timed, asked)
        self.seconds[name] = result.facts["seconds"]
        return result


def build_shelf(
    items: pa.Table,
    recipe: Recipe,
    out: Path,
    *,
    tables: TrainingTables | None = None,
    seed: int = 0,
    threads: int = 2,
    progress: Progress = lambda stage, done, total: None,
) -> str:
    """Build a shelf of `items` at `out` and return the name of the generation that was published.

    The same items, recipe, tables and seed give the same shelf, and a build that was interrupted goes on where it was.
    `threads` should be the cores that the build has to itself. Raises UserError for what a user can mend: training
    queries that are evaluation queries, a level of identifiers that is dead, a place that is no shelf.
    """
    if items.num_rows == 0:
        raise UserError("The catalogue is empty: give items with at least one row.")
    tables = tables or TrainingTables()
    logged = _logged_pairs(items, tables)
    weights_folder = find_weights(recipe.encoder.model)
    fingerprint = _fingerprint(items, weights_folder, tables, seed)
    with open_for_building(out) as builder, _leaving_nothing_refused(out):
        steps = Steps(builder.folder / "steps", fingerprint)
        build = Build(items, recipe, weights_folder, tables, seed, threads, progress, steps)
        catalogue = build.step("catalogue", lambda folder, _: _write_catalogue(build, folder))
        vectors = build.step("vectors", lambda folder, _: _encode_items(build, folder), recipe.text, recipe.encoder)
        identifiers = build.step(
            "identifiers", lambda folder, kept: _fit_identifiers(build, vectors, folder, kept), recipe.tokenizer
        )
        pairs = build.step(
            "pairs", lambda folder, _: _make_pairs(build, vectors, logged, folder), recipe.pseudo_queries
        )
        generator = build.step(
            "generator",
            lambda folder, kept: _train(build, vectors, identifiers, pairs, folder, kept),
            recipe.generator,
            recipe.training,
        )
        # After what takes minutes, so that another beam, word index or weight does not ask for it again.
        bm25 = build.step("bm25", lambda folder, _: _index_text(build, folder), recipe.bm25)
        weights = build.step(
            "weights",
            lambda folder, _: _settle(build, vectors, bm25, identifiers, pairs, generator),
            recipe.generative,
            recipe.fusion,
        )
        parts = [catalogue, vectors, identifiers, pairs, generator, bm25, weights]
        staging = _stage(builder.folder / "staging", parts)
        name = builder.publish(staging, recipe.model_dump(mode="json"), _facts(build, parts))
        builder.remove_old(2)
        return name


@contextmanager
def _leaving_nothing_refused(shelf: Path) -> Iterator[None]:
    """Remove the folder of a shelf that never was one where its build is refused; call it with the lock held."""
    try:
        yield
    except UserError:
        if not (shelf / CURRENT).exists():
            shutil.rmtree(shelf)
        raise


def _logged_pairs(items: pa.Table, tables: TrainingTables) -> QueryItemPairs:
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


def _fingerprint(items: pa.Table, weights_folder: Path, tables: TrainingTables, seed: int) -> str:
    content = content_hash(items, tables.queries, tables.judgements, tables.events)
    asked = (content, encoder_sha256(weights_folder), seed, __version__)
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def _write_catalogue(build: Build, folder: Path) -> dict[str, Any]:
    with pa.OSFile(str(folder / layout.ITEMS), "wb") as sink, pa.ipc.new_file(sink, build.items.schema) as writer:
        writer.write_table(build.items.combine_chunks())
    return {"items": build.items.num_rows, "data_hash": content_hash(build.items)}


def _encode_items(build: Build, folder: Path) -> dict[str, Any]:
    """Export the encoder where it was not yet, choose its precision, encode the catalogue."""
    from shelfwalk.encoders.export import export_encoder, load_encoder, read_check, torch_encode

    weights = build.weights_folder
    texts = item_texts(build.items, build.recipe.text.encoder_attribute_values)
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
    vectors = cache.encode(texts, encode, _advancing(build, "Encoding items", len(texts)))
    np.save(folder / layout.VECTORS, vectors, allow_pickle=False)
    shutil.copytree(exported, folder / layout.TEXT_ENCODER)
    return {"encoder": asdict(encoder.card), "check": asdict(read_check(exported.parent))}


def _sample_of(count: int, seed: int) -> npt.NDArray[np.int64]:
    return np.sort(np.random.default_rng(seed).permutation(count)[:_SAMPLE])


def _advancing(build: Build, stage: str, total: int) -> Callable[[int], None]:
    """A function that is told how much more of a stage is done."""
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        build.progress(stage, done, total)

    return advance


def _index_text(build: Build, folder: Path) -> dict[str, Any]:
    build.progress("Indexing words", 0, 1)
    texts = item_texts(build.items, build.recipe.text.bm25_attribute_values)
    Bm25Channel.build(texts, build.recipe.bm25).save(folder / layout.BM25)
    build.progress("Indexing words", 1, 1)
    return {}


def _vectors(step: StepResult) -> npt.NDArray[np.float32]:
    vectors: npt.NDArray[np.float32] = np.load(step.folder / layout.VECTORS, mmap_mode="r", allow_pickle=False)
    return vectors


def _fit_identifiers(build: Build, vectors: StepResult, folder: Path, checkpoints: Path) -> dict[str, Any]:
    tokenizer = _tokenizer(build)
    item_vectors = np.asarray(_vectors(vectors))
    tokenizer.fit(build.items, item_vectors, progress=build.progress, checkpoints=checkpoints)
    codes = tokenizer.encode(build.items, item_vectors)
    diagnosis = diagnose(codes, tokenizer.level_sizes)
    refuse_dead_levels(diagnosis, codes, item_vectors, exempt=_numbering_levels(build.recipe, codes.shape[1]))
    tokenizer.save(folder / layout.TOKENIZER)
    Trie.build(codes, level_sizes=tokenizer.level_sizes).save(folder / layout.TRIE)
    return {"tokenizer": diagnosis.to_json(), "level_sizes": list(tokenizer.level_sizes)}


def _tokenizer(build: Build) -> ItemTokenizer:
    settings = build.recipe.tokenizer
    if settings.kind == "residual_kmeans":
        from shelfwalk.tokenizers.residual_kmeans import ResidualKMeansTokenizer

        return ResidualKMeansTokenizer(settings.level_sizes, seed=build.seed, iterations=settings.iterations)
    from shelfwalk.tokenizers.rqvae import RQVAETokenizer
    from shelfwalk.tokenizers.rqvae_settings import RQVAESettings

    values = settings.model_dump(exclude={"kind", "unique"})
    inner = RQVAETokenizer(RQVAESettings(**values, seed=build.seed))
    return UniqueTokenizer(inner) if settings.unique else inner


def _numbering_levels(recipe: Recipe, levels: int) -> tuple[int, ...]:
    """The levels that number the items of an identifier: most items are the first of theirs, as they should be."""
    return (levels - 1,) if recipe.tokenizer.kind == "rqvae" and recipe.tokenizer.unique else ()


def _make_pairs(build: Build, vectors: StepResult, logged: QueryItemPairs, folder: Path) -> dict[str, Any]:
    """Make the pseudo-queries, put the logged pairs beside them, and encode every distinct query."""
    build.progress("Making pseudo-queries", 0, 1)
    pseudo = make_pseudo_queries(build.items, build.recipe.pseudo_queries, build.seed)
    build.progress("Making pseudo-queries", 1, 1)
    # Logged queries first: what is held out for settling is then a share of the pseudo-queries only.
    pairs = QueryItemPairs.join([logged, pseudo])
    held_out = np.zeros(len(pairs.queries), bool)
    fresh = np.arange(len(logged.queries), len(pairs.queries))
    held_out[fresh] = held_out_queries(len(fresh), build.recipe.pseudo_queries.held_out, build.seed)
    encoder = OnnxTextEncoder(vectors.folder / layout.TEXT_ENCODER, build.threads)
    # Apart from the items' vectors, which are not made in batches.
    cache = VectorCache(cache_folder() / "training_queries", encoder.card)
    advance = _advancing(build, "Encoding queries", len(pairs.queries))
    query_vectors = cache.encode(pairs.queries, encoder.encode_together, advance)
    np.save(folder / "query_vectors.npy", query_vectors, allow_pickle=False)
    np.save(folder / "pairs.npy", np.stack((pairs.query_rows, pairs.item_rows)), allow_pickle=False)
    sources = np.where(np.arange(len(pairs.queries)) < len(logged.queries), "logged", "pseudo")
    queries = pa.table({"query": pa.array(pairs.queries, pa.string()), "source": sources, "held_out": held_out})
    pq.write_table(queries, folder / layout.TRAINING_QUERIES)
    return {"pairs": len(pairs), "queries": len(pairs.queries), "logged_queries": len(logged.queries)}


@dataclass(frozen=True)
class _Pairs:
    """The pairs of the step `pairs`, read back: all queries' vectors, and the pairs of each part."""

    query_vectors: npt.NDArray[np.float32]
    train: QueryItemPairs
    held_out: QueryItemPairs
    held_out_rows: npt.NDArray[np.bool_]


def _read_pairs(step: StepResult) -> _Pairs:
    table = pq.read_table(step.folder / layout.TRAINING_QUERIES)
    query_rows, item_rows = np.load(step.folder / "pairs.npy", allow_pickle=False)
    held_out_rows = table["held_out"].to_numpy()
    held_out = held_out_rows[query_rows]
    queries = tuple(table["query"].to_pylist())
    return _Pairs(
        np.load(step.folder / "query_vectors.npy", allow_pickle=False),
        QueryItemPairs(queries, query_rows[~held_out], item_rows[~held_out]),
        QueryItemPairs(queries, query_rows[held_out], item_rows[held_out]),
        held_out_rows,
    )


def _train(
    build: Build, vectors: StepResult, identifiers: StepResult, pairs: StepResult, folder: Path, checkpoints: Path
) -> dict[str, Any]:
    """Train the decoder, and the encoder where the recipe says so, and export what searching needs."""
    import torch

    from shelfwalk.encoders.export import export_onnx, load_encoder
    from shelfwalk.generators.decoder import DecoderShape, IdentifierDecoder
    from shelfwalk.generators.export import export_generator
    from shelfwalk.generators.training import FrozenQueries, QuerySource, TrainedQueries, Trainer, TrainingData

    torch.set_num_threads(build.threads)
    torch.manual_seed(build.seed)
    item_vectors, settings = np.asarray(_vectors(vectors)), build.recipe.training
    read, codes = _read_pairs(pairs), _codes(identifiers)
    sizes = tuple(identifiers.facts["level_sizes"])
    shape = DecoderShape(item_vectors.shape[1], sizes, **build.recipe.generator.model_dump())
    decoder = IdentifierDecoder(shape)
    queries: QuerySource = FrozenQueries(read.query_vectors)
    if settings.train_encoder:
        queries = TrainedQueries(load_encoder(build.weights_folder), read.train.queries)
    data = TrainingData(queries, read.train, read.held_out, item_vectors, codes)
    trainer = Trainer(decoder, data, settings, build.seed, checkpoints)
    stage = "Training the generator"
    report = trainer.run(lambda step, loss: build.progress(f"{stage} (loss {loss:.2f})", step, settings.steps))
    build.progress("Exporting the generator", 0, 1)
    export_generator(decoder, folder / layout.GENERATOR)
    if isinstance(queries, TrainedQueries):
        card = OnnxTextEncoder(vectors.folder / layout.TEXT_ENCODER).card
        own = EncoderCard(f"{card.name}, fine-tuned", "of this shelf", card.dimensions, card.token_limit, "float32")
        export_onnx(queries.encoder.eval(), folder / layout.GENERATOR_ENCODER, own)
    build.progress("Exporting the generator", 1, 1)
    return {"training": asdict(report)}


def _codes(identifiers: StepResult) -> npt.NDArray[np.int32]:
    trie = _trie(identifiers)
    return trie.paths()[trie.leaf_of_item]


def _trie(identifiers: StepResult) -> Trie:
    return Trie.open(identifiers.folder / layout.TRIE)


def _settle(
    build: Build, vectors: StepResult, bm25: StepResult, identifiers: StepResult, pairs: StepResult, trained: StepResult
) -> dict[str, Any]:
    """Choose the in-cluster and the fusion weights on held-out pseudo-queries, where the recipe gives none."""
    build.progress("Settling weights", 0, 3)
    read = _read_pairs(pairs)
    queries = held_out_phrases(read.held_out, read.query_vectors)
    words = Bm25Channel.open(bm25.folder / layout.BM25)
    own = trained.folder / layout.GENERATOR_ENCODER
    generative = GenerativeChannel(
        OnnxGenerator(trained.folder / layout.GENERATOR, build.threads),
        _trie(identifiers),
        _vectors(vectors),
        ClusterLabels(build.items),
        words,
        build.recipe.generative,
        OnnxTextEncoder(own, build.threads) if own.is_dir() else None,
    )
    in_cluster = _settle_in_cluster(generative, queries)
    generative.settings = generative.settings.model_copy(update=in_cluster["weights"])
    dense = DenseChannel(_vectors(vectors), build.threads)
    channels: dict[str, Channel] = {"bm25": words, "dense": dense, "generative": generative}
    fusion: dict[str, Any] = {}
    for name, parts in ((BASELINE, ("bm25", "dense")), (FUSED, tuple(channels))):
        build.progress("Settling weights", 1 + len(fusion), 3)
        settled = settle_fusion({part: channels[part] for part in parts}, queries)
        chosen = dict(zip(parts, settled.chosen, strict=True))
        given = build.recipe.fusion.weights
        weights = chosen if given is None else {part: getattr(given, part) for part in parts}
        fusion[name] = {"weights": weights, "settled": chosen, "recalls": settled.recalls}
    build.progress("Settling weights", 3, 3)
    return {"in_cluster": in_cluster, "fusion": fusion, "settled_on": len(queries)}


def _settle_in_cluster(channel: GenerativeChannel, queries: list[HeldOutQuery]) -> dict[str, Any]:
    given = {"path_weight": channel.settings.path_weight, "word_weight": channel.settings.word_weight}
    settled = settle_in_cluster(channel, queries)
    chosen = dict(zip(given, settled.chosen, strict=True))
    weights = {name: chosen[name] if weight is None else weight for name, weight in given.items()}
    return {"weights": weights, "recalls": settled.recalls}


def _stage(staging: Path, parts: list[StepResult]) -> Path:
    """Put what searching needs of every step into one folder."""
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    wanted = {value for name, value in vars(layout).items() if name.isupper()}
    for part in parts:
        for entry in part.folder.iterdir():
            if entry.name in wanted:
                copy = shutil.copytree if entry.is_dir() else shutil.copy2
                copy(entry, staging / entry.name)
    return staging


def _facts(build: Build, parts: list[StepResult]) -> dict[str, Any]:
    facts: dict[str, Any] = {"seed": build.seed, "recipe_hash": build.recipe.hash, "seconds": build.seconds}
    for part in parts:
        facts |= {name: value for name, value in part.facts.items() if name != "seconds"}
    return facts

"""A shelf opened for searching: catalogue, identifiers, models and indexes of one generation, memory-mapped.

In: the folder of a shelf. Out: ranked items with evidence. Needs neither torch nor transformers; what a channel needs
is opened when the channel is first used.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shelfwalk.channels.channel import Channel, Evidence, Hits, Request
from shelfwalk.channels.fusion import evidence_of_row, fuse
from shelfwalk.channels.names import BASE_CHANNELS, BASELINE, CHANNELS, FUSED, RANKED
from shelfwalk.data.shopper_history import history_rows
from shelfwalk.errors import UserError
from shelfwalk.shelf import layout
from shelfwalk.shelf.generations import open_generation
from shelfwalk.shelf.manifest import Manifest

if TYPE_CHECKING:
    from shelfwalk.channels.bm25 import Bm25Channel
    from shelfwalk.channels.dense import DenseChannel
    from shelfwalk.channels.generative import GenerativeChannel, TextEncoder
    from shelfwalk.channels.relevance_ranker import IdentifierMatch, RelevanceRanker
    from shelfwalk.constraints.item_filter import FilterColumns, ItemFilter
    from shelfwalk.generators.beam_search import Beams
    from shelfwalk.generators.time_budget import Choice, CostModel
    from shelfwalk.ranking.ranker_settings import RankerSettings
    from shelfwalk.recipes.recipe import Recipe
    from shelfwalk.shelf.ranker_files import SavedRanker

DEPTH = 300
"""Items that each channel hands to fusion, at least."""
MOST_RESULTS = 1_000
_TYPICAL = 4
"""Training queries that searches are timed on."""


@dataclass(frozen=True)
class Result:
    """One item of an answer."""

    rank: int
    item_id: str
    title: str
    score: float
    evidence: tuple[Evidence, ...]
    """What each channel that found the item says; empty where it was not to be explained."""


@dataclass(frozen=True)
class Answer:
    """The answer to one query."""

    query: str
    channel: str
    results: tuple[Result, ...]
    milliseconds: float


class Shelf:
    """One opened generation of a shelf."""

    def __init__(self, folder: Path, manifest: Manifest, threads: int, beam: int | None = None) -> None:
        self.folder = folder
        self.manifest = manifest
        self.recipe: dict[str, Any] = dict(manifest.recipe)
        self.recorded: dict[str, Any] = dict(manifest.facts)
        self._threads = threads
        self._beam = beam

    @classmethod
    def open(cls, path: str | Path, *, verify: bool = True, threads: int = 1, beam: int | None = None) -> Shelf:
        """Open the current generation of the shelf at `path`.

        `verify`: compare every file with its checksum. `threads`: for each model; more than one helps only a process
        that has the machine to itself. `beam`: identifiers generated for a query, in place of the recipe's. Raises
        UserError if there is no shelf, or it is damaged or too new, or `beam` is below 1.
        """
        if beam is not None and beam < 1:
            raise UserError(f"The beam is {beam}: give at least 1.")
        folder, manifest = open_generation(Path(path), verify=verify)
        return cls(folder, manifest, threads, beam)

    def with_beam(self, beam: int) -> Shelf:
        """The same generation, searched with another beam; what is open is shared."""
        other = copy(self)
        other._beam = beam
        other.__dict__.pop("ranker", None)
        if "generative" in self.__dict__:
            other.__dict__["generative"] = self.generative.with_settings(beam=beam)
        return other

    def within(self, milliseconds: float) -> tuple[Shelf, Choice]:
        """This shelf with the widest beam whose searches take no longer on this machine, and which that is.

        The first call measures, for a second or so, what searches cost at each of some widths as the machine is now.
        Raises UserError if no time is given, or the shelf has no generator.
        """
        if not milliseconds > 0:
            raise UserError(f"The time for a search is {milliseconds:g} ms: give more than 0.")
        choice = self._costs.widest_within(milliseconds)
        return self.with_beam(choice.width), choice

    @cached_property
    def _costs(self) -> CostModel:
        from shelfwalk.generators.time_budget import WIDTHS, CostModel

        if not self.is_generative:
            raise UserError("This shelf has no generator, so there is no beam to choose: search it without a time.")
        self.search(self._typical_queries[0])  # Opens what the widths then share.
        shelves = {width: self.with_beam(width) for width in WIDTHS}
        return CostModel.measured(lambda query, width: shelves[width].search(query), self._typical_queries)

    @property
    def _typical_queries(self) -> list[str]:
        import pyarrow.parquet as pq

        queries = pq.read_table(self.folder / layout.TRAINING_QUERIES, columns=["query"])["query"]
        return [query.as_py() for query in queries[:: max(len(queries) // _TYPICAL, 1)] if query.as_py().strip()]

    @staticmethod
    def build(
        items: str | Path | pa.Table,
        out: str | Path,
        recipe: str | Path | Recipe = "rqkmeans",
        **settings: Any,
    ) -> Shelf:
        """Build a shelf at `out` and open it; see `shelfwalk.shelf.building.build_shelf` for the settings.

        `recipe`: a recipe, its name or its .toml file. Raises UserError as that.
        """
        from shelfwalk.data.readers import read_items
        from shelfwalk.recipes.recipe import load_recipe
        from shelfwalk.shelf.building import build_shelf

        chosen = load_recipe(str(recipe)) if isinstance(recipe, str | Path) else recipe
        table = _checked_items(items) if isinstance(items, pa.Table) else read_items(Path(items)).table
        build_shelf(table, chosen, Path(out), **settings)
        return Shelf.open(out)

    def search(
        self,
        query: str,
        k: int = 10,
        channel: str | None = None,
        *,
        item_filter: ItemFilter | None = None,
        shopper: Sequence[str] = (),
        explain: bool = True,
    ) -> Answer:
        """The `k` best items of a channel for a query, each with its evidence unless `explain` is off.

        Without a channel it is the ranked list where the shelf has a ranker, and the fused one otherwise.
        `item_filter`: only items that pass it are found, by every channel; `filters` makes them. `shopper`: ids of what
        the shopper had clicked or bought, most recent first; a recipe without shoppers does not look at them, and one
        with shoppers at no more of them than it has learned from.

        Raises UserError for an empty query, an unknown channel or item of the shopper's, or `k` outside 1 to 1,000.
        """
        if not query.strip():
            raise UserError("The query is empty: give at least one word.")
        if not 1 <= k <= MOST_RESULTS:
            raise UserError(f"k is {k}: ask for 1 to {MOST_RESULTS} items.")
        started = time.perf_counter()
        channel = channel or self.best_channel
        hits = self.hits(query, k, (channel,), item_filter, shopper)
        chosen = hits[channel]
        rows = chosen.rows[:k]
        shown = self.items.select(["item_id", "title"]).take(pa.array(rows, pa.int64())).to_pylist()
        sources = [name for name in (*BASE_CHANNELS, RANKED) if name in hits]
        results = tuple(
            Result(
                position + 1,
                item["item_id"],
                item["title"],
                float(chosen.scores[position]),
                evidence_of_row(hits, sources, int(rows[position])) if explain else (),
            )
            for position, item in enumerate(shown)
        )
        return Answer(query, channel, results, 1e3 * (time.perf_counter() - started))

    @property
    def channels(self) -> tuple[str, ...]:
        """The names of the channels that this shelf has."""
        found = tuple(name for name in CHANNELS if name != "generative" or self.is_generative)
        return (*found, RANKED) if self.has_ranker else found

    @property
    def best_channel(self) -> str:
        """The last of the shelf's lists: ranked where it has a ranker, else fused."""
        return RANKED if self.has_ranker else FUSED

    @property
    def has_ranker(self) -> bool:
        """Whether a relevance model can reorder its fused list."""
        return "ranker" in self.recorded

    @property
    def reads_history(self) -> bool:
        """Whether what a shopper had chosen before can change an answer."""
        parts = [self.recipe.get(name) or {} for name in ("shopper_tower", "generator")]
        weight = (self.recipe.get("generative") or {}).get("history_weight")
        return bool(weight) or any(part.get("history_length") for part in parts)

    @property
    def is_generative(self) -> bool:
        """Whether its items have identifiers that a generator walks to."""
        return "level_sizes" in self.recorded

    def hits(
        self,
        query: str,
        k: int,
        channels: Sequence[str] | None = None,
        item_filter: ItemFilter | None = None,
        shopper: Sequence[str] = (),
        beams: Beams | None = None,
    ) -> dict[str, Hits]:
        """The `k` best catalogue rows of each named channel (all of the shelf), and of the parts of a fused one.

        `beams`: what the generative channel's `generate` has found for this request already.
        """
        channels = self.channels if channels is None else channels
        unknown = [name for name in channels if name not in self.channels]
        if unknown:
            raise UserError(f'There is no channel "{unknown[0]}": take one of {", ".join(self.channels)}.')
        asked = {*channels, FUSED} if RANKED in channels else {*channels}
        fusions = {name: self.fusion_weights(name) for name in (BASELINE, FUSED) if name in asked}
        needed = {*asked, *(part for weights in fusions.values() for part in weights)}
        depth = max(k, DEPTH) if fusions else k
        most = max(k, self.ranker.depth) if RANKED in channels else k
        request = self.request(query, item_filter, shopper, encoded=bool(needed - {"bm25"}))
        hits = {name: self._hits_of(name, request, depth, beams) for name in BASE_CHANNELS if name in needed}
        hits |= {name: fuse(hits, weights, most if name == FUSED else k) for name, weights in fusions.items()}
        if RANKED in channels:
            hits[RANKED] = self.ranker.reordered(request, hits[FUSED], k)
            hits[FUSED] = hits[FUSED].first(k)
        return hits

    def _hits_of(self, name: str, request: Request, depth: int, beams: Beams | None) -> Hits:
        if name == "generative" and beams is not None:
            return self.generative.search_beams(request, beams, depth)
        return self.channel(name).search(request, depth)

    def request(
        self, query: str, item_filter: ItemFilter | None = None, shopper: Sequence[str] = (), *, encoded: bool = True
    ) -> Request:
        """What a channel is asked; without a vector where it is not `encoded`. Raises UserError as `search`."""
        from shelfwalk.encoders.shopper_tower import ShopperTextEncoder, between

        history = history_rows(self.items["item_id"], shopper)
        if not encoded:
            return Request(query, np.empty(0, np.float32), item_filter, history)
        encoder = self.encoder
        if not isinstance(encoder, ShopperTextEncoder):
            return Request(query, encoder.encode([query])[0], item_filter, history)
        heads = encoder.heads(query, history)
        return Request(query, between(heads), item_filter, history, heads)

    def fusion_weights(self, name: str) -> dict[str, float]:
        """The weights of the channels in a fused channel."""
        return {part: float(weight) for part, weight in self.recorded["fusion"][name]["weights"].items()}

    def facts(self) -> list[tuple[str, str]]:
        """What a reader wants to know of a shelf at a glance, as (name, value)."""
        facts = self.recorded
        return [
            ("recipe", f"{self.recipe['name']} ({facts['recipe_hash']})"),
            ("items", f"{facts['items']:,}"),
            ("data", facts["data_hash"]),
            ("seed", str(facts["seed"])),
            ("encoder", f"{facts['encoder']['name']}, {facts['encoder']['precision']}"),
            (
                "training pairs",
                f"{facts['pairs']:,} of {facts['queries']:,} queries, {facts['logged_queries']:,} logged",
            ),
            *(self._tower_facts() if "two_tower" in facts else ()),
            *(self._identifier_facts() if self.is_generative else ()),
            ("fused weights", _named(self.fusion_weights(FUSED))),
            *(self._ranker_facts() if self.has_ranker else ()),
        ]

    def _ranker_facts(self) -> list[tuple[str, str]]:
        facts = self.recorded["ranker"]
        source = "held-out queries of the log" if facts["held_out"] else "queries that the rest learnt from as well"
        return [
            ("ranker", f"{facts['pairs']:,} pairs of {facts['queries']:,} {source}"),
            ("cached queries", f"{facts['cached_queries']:,}"),
        ]

    def _tower_facts(self) -> list[tuple[str, str]]:
        report = self.recorded["two_tower"]
        found = max([report["recall_before"], *report["recalls"]])
        return [("two towers", f"held-out recall from {report['recall_before']:.3f} to {found:.3f}")]

    def _identifier_facts(self) -> list[tuple[str, str]]:
        facts, diagnosis = self.recorded, self.recorded["tokenizer"]
        return [
            ("identifiers", " × ".join(str(size) for size in facts["level_sizes"])),
            *(self._category_facts() if "category_level" in facts else ()),
            ("distinct identifiers", f"{diagnosis['distinct_share']:.1%} of items"),
            ("largest, mean cluster", f"{diagnosis['largest_cluster']:,}, {diagnosis['mean_cluster']:.1f} items"),
            *(self._cap_facts() if "capped_share" in diagnosis else ()),
            ("in-cluster weights", _named(facts["in_cluster"]["weights"])),
        ]

    def _cap_facts(self) -> list[tuple[str, str]]:
        diagnosis = self.recorded["tokenizer"]
        above = f"; {diagnosis['above_cap']:,} items above the cap" if "above_cap" in diagnosis else ""
        return [("in split clusters", f"{diagnosis['capped_share']:.1%} of items{above}")]

    def _category_facts(self) -> list[tuple[str, str]]:
        level = self.recorded["category_level"]
        below = (
            "" if level["depth"] >= level["deepest"] else f"; those below level {level['depth']} of the tree count not"
        )
        named = f"{level['categories']:,} categories, {level['known_share']:.1%} of items have one{below}"
        return [("first level", named)]

    def channel(self, name: str) -> Channel:
        """A channel that answers by itself."""
        channels: dict[str, Callable[[], Channel]] = {
            "bm25": lambda: self.bm25,
            "dense": lambda: self.dense,
            "generative": lambda: self.generative,
        }
        return channels[name]()

    @cached_property
    def items(self) -> pa.Table:
        """The catalogue, memory-mapped."""
        return pa.ipc.open_file(pa.memory_map(str(self.folder / layout.ITEMS))).read_all()

    @cached_property
    def filters(self) -> FilterColumns:
        """Makes filters of this catalogue: in stock, category, brand, price, attribute."""
        from shelfwalk.constraints.item_filter import FilterColumns

        return FilterColumns(self.items)

    @cached_property
    def vectors(self) -> npt.NDArray[np.float32]:
        """The items' unit vectors [items, dimensions], memory-mapped."""
        vectors: npt.NDArray[np.float32] = np.load(self.folder / layout.VECTORS, mmap_mode="r", allow_pickle=False)
        return vectors

    @cached_property
    def efficiency(self) -> npt.NDArray[np.float32]:
        """The items' efficiency [items] in the log of the build, memory-mapped; without a log, their popularity."""
        found: npt.NDArray[np.float32] = np.load(self.folder / layout.EFFICIENCY, mmap_mode="r", allow_pickle=False)
        return found

    @cached_property
    def encoder(self) -> TextEncoder:
        """The text encoder of queries: the pretrained one, with a query tower on top where the shelf has one."""
        from shelfwalk.shelf.query_encoder import open_query_encoder

        return open_query_encoder(self.folder, self.folder, self.vectors, self._threads)

    @cached_property
    def bm25(self) -> Bm25Channel:
        """The lexical channel."""
        from shelfwalk.channels.bm25 import Bm25Channel

        return Bm25Channel.open(self.folder / layout.BM25)

    @cached_property
    def dense(self) -> DenseChannel:
        """The dense channel."""
        from shelfwalk.channels.dense import DenseChannel

        return DenseChannel(self.vectors, self._threads)

    @cached_property
    def generative(self) -> GenerativeChannel:
        """The generative channel."""
        from shelfwalk.channels.generative import ClusterLabels, GenerativeChannel, GenerativeSettings
        from shelfwalk.constraints.trie import Trie
        from shelfwalk.encoders.onnx import OnnxTextEncoder
        from shelfwalk.generators.open_generator import open_generator

        generator = open_generator(self.folder / layout.GENERATOR, self._threads)
        own = self.folder / layout.GENERATOR_ENCODER
        settings = GenerativeSettings.model_validate(self.recipe["generative"])
        return GenerativeChannel(
            generator,
            Trie.open(self.folder / layout.TRIE),
            self.vectors,
            ClusterLabels(self.items),
            self.bm25,
            self.efficiency,
            settings.model_copy(update={**self.recorded["in_cluster"]["weights"], "beam": self._beam or settings.beam}),
            OnnxTextEncoder(own, self._threads) if own.is_dir() else None,
        )

    @cached_property
    def ranker(self) -> RelevanceRanker:
        """Reorders fused lists; raises UserError if the shelf has none, or one that is damaged or not its own."""
        from shelfwalk.channels.pair_features import PairFeatures
        from shelfwalk.channels.relevance_ranker import RelevanceFeatures, RelevanceRanker

        saved = self._saved_ranker
        match = self._identifier_match(saved.settings) if saved.settings.match_feature else None
        reads = saved.settings.plain_features
        features = RelevanceFeatures(PairFeatures(self.items, self.vectors, self.bm25, self.dense, reads), match)
        return RelevanceRanker(saved.model, features, saved.settings.depth)

    @property
    def ranker_queries(self) -> tuple[str, ...]:
        """The queries that the ranker learnt from; raises as `ranker` does."""
        return self._saved_ranker.queries

    @cached_property
    def _saved_ranker(self) -> SavedRanker:
        from shelfwalk.shelf.ranker_files import SavedRanker, tokenizer_name

        if not self.has_ranker:
            raise UserError("This shelf has no ranker: build it with a recipe that has [ranker], as dsirm.")
        return SavedRanker.open(self.folder / layout.RANKER, tokenizer_name(self.folder / layout.TOKENIZER))

    def _identifier_match(self, settings: RankerSettings) -> IdentifierMatch:
        from shelfwalk.channels.relevance_ranker import IdentifierMatch
        from shelfwalk.ranking.query_identifiers import QueryCache

        path = self.folder / layout.QUERY_CACHE
        cache = QueryCache.open(path, self.generative.trie.levels) if path.exists() else None
        return IdentifierMatch(self.generative, settings, cache)


def _checked_items(items: pa.Table) -> pa.Table:
    """A table that was made in Python, held to the same contract as a file."""
    from shelfwalk.data.adapter import table_block
    from shelfwalk.data.tables import ITEM_CONTRACT
    from shelfwalk.data.validation import BadRows, conform

    name = "The table of items"
    return conform([table_block(items)], ITEM_CONTRACT, name, BadRows(name, None))


def _named(weights: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {weight:g}" for name, weight in weights.items())

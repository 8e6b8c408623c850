"""The generative channel: beam search over identifiers, their posting lists, in-cluster scores, the best items.

In: a generator, the trie of the catalogue's identifiers, the items' vectors and categories. Out: items, and for each
the identifier that brought it, its probability, and the words that its cluster stands for. A request's filter narrows
the walk itself: no beam is spent on a path whose items are all filtered out.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Literal, Protocol
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from shelfwalk.channels.channel import Evidence, Hits, Request, best_positions
from shelfwalk.constraints.any_codes import AnyCodes
from shelfwalk.constraints.constraint import Constraint, Identifiers
from shelfwalk.constraints.item_filter import ItemFilter
from shelfwalk.constraints.live_trie import LiveTrie
from shelfwalk.constraints.trie import Trie
from shelfwalk.errors import UserError
from shelfwalk.generators.beam_search import Beams, beam_search
from shelfwalk.generators.generator import Generator
from shelfwalk.generators.prompts import Prompts
from shelfwalk.ranking.in_cluster import Candidates, InClusterWeights, expand, in_cluster_scores
from shelfwalk.ranking.lookup_order import lookup_order, place_scores
from shelfwalk.settings import Settings

_LABEL_ITEMS = 50


class GenerativeSettings(Settings):
    """How a query is answered by generation."""

    beam: int = Field(default=500, ge=1, le=10_000)
    """Identifiers generated for a query."""
    most_items: int = Field(default=4_000, ge=1)
    """Items taken out of their clusters for scoring, at most (to the end of a cluster)."""
    path_weight: float | None = Field(default=None, ge=0)
    word_weight: float | None = Field(default=None, ge=0)
    """Weights of a path's probability and of shared words against the cosine; settled on held-out pseudo-queries where
    not given."""
    history_weight: float | None = Field(default=None, ge=0)
    """What an item that the shopper chose before gains; nothing where not given."""
    in_cluster_order: Literal["efficiency"] | None = None
    """"efficiency": the published order, clusters by the beam and their items by efficiency, at most `most_items` of
    them; none: one score for all."""


class WordShares(Protocol):
    """Words that a query and items have in common."""

    def word_shares(self, query: str, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """The share of the query's words that each catalogue row holds: float32 [rows], from 0 to 1."""
        ...


class TextEncoder(Protocol):
    """Texts to unit vectors."""

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Unit vectors [texts, dimensions]."""
        ...


@dataclass(frozen=True)
class ClusterLabels:
    """What the items of a cluster say of themselves: their commonest category or brand, in words."""

    items: pa.Table

    def of(self, rows: npt.NDArray[np.int64]) -> str:
        """The label of a cluster of these catalogue rows."""
        taken = self.items.select(["category", "brand"]).take(pa.array(rows[:_LABEL_ITEMS]))
        categories = Counter(path[-1] for path in taken["category"].to_pylist() if path)
        brands = Counter(brand for brand in taken["brand"].to_pylist() if brand)
        words = [counted.most_common(1)[0][0] for counted in (categories, brands) if counted]
        return ", ".join(words) if words else "no category"


@dataclass(frozen=True)
class _Moment:
    """The identifiers at one moment, and what of them each filter that was asked for leaves."""

    identifiers: Identifiers
    narrowed: WeakKeyDictionary[ItemFilter, Identifiers]

    def behind(self, item_filter: ItemFilter | None) -> Identifiers:
        """The identifiers that a request with this filter may be given."""
        if item_filter is None:
            return self.identifiers
        found = self.narrowed.get(item_filter)
        if found is None:
            found = self.narrowed[item_filter] = self.identifiers.narrowed(item_filter)
        return found


class GenerativeChannel:
    """Generates identifiers for a request and ranks the items that carry them."""

    name = "generative"

    def __init__(
        self,
        generator: Generator[Prompts],
        trie: Trie,
        vectors: npt.NDArray[np.float32],
        labels: ClusterLabels,
        words: WordShares,
        efficiency: npt.NDArray[np.float32],
        settings: GenerativeSettings,
        encoder: TextEncoder | None = None,
        live: LiveTrie | None = None,
    ) -> None:
        """`vectors` [items, dimensions]; `encoder` gives the generator's query vectors if it was fine-tuned with it.

        `efficiency` [items]: what the published order inside a cluster goes by. `live`: identifiers that change, to be
        searched in place of `trie`. A weight that `settings` lack counts as 0. Raises UserError if the generator does
        not make such identifiers.
        """
        if trie.levels != len(generator.level_sizes):
            raise UserError(
                f"The generator makes identifiers of {len(generator.level_sizes)} levels, and those of the catalogue "
                f"have {trie.levels}: train it on this catalogue."
            )
        if any(map(operator.gt, trie.level_sizes, generator.level_sizes)):
            made, there = (" × ".join(map(str, sizes)) for sizes in (generator.level_sizes, trie.level_sizes))
            raise UserError(
                f"The generator makes identifiers of {made} codes, and those of the catalogue are of {there}, which "
                "another tokeniser has given: train it on this catalogue."
            )
        self._generator = generator
        self.trie = trie
        self._source = live or trie
        self._moment = _Moment(trie, WeakKeyDictionary())
        self._vectors = vectors
        self._labels = labels
        self._words = words
        self.settings = settings
        self._encoder = encoder
        self._efficiency = efficiency

    def identifiers(self, request: Request) -> Identifiers:
        """The identifiers of items that a request may be given, as they are now.

        What a filter leaves is worked out once, and kept while the filter lives and the catalogue does not change.
        """
        snapshot: Identifiers = self._source.snapshot()
        moment = self._moment
        if moment.identifiers is not snapshot:
            self._moment = moment = _Moment(snapshot, WeakKeyDictionary())
        return moment.behind(request.item_filter)

    def generate(self, requests: Sequence[Request], beam: int | None = None) -> Beams:
        """The most probable identifiers of every request, each of which some item that may be found has."""
        return self._generate(requests, [self.identifiers(request) for request in requests], beam)

    def generate_unconstrained(self, requests: Sequence[Request], beam: int) -> Beams:
        """The most probable identifiers of every request, whether any item has them or none; states say nothing."""
        return self._generate(requests, [AnyCodes(self._generator.level_sizes)] * len(requests), beam)

    def search(self, request: Request, k: int) -> Hits:
        """The best items of the generated clusters."""
        identifiers = self.identifiers(request)
        return self._hits(request, identifiers, self._generate([request], [identifiers]), k)

    def search_beams(self, request: Request, beams: Beams, k: int) -> Hits:
        """The best items of the clusters that `generate` found for this one request, as `search` ranks them."""
        return self._hits(request, self.identifiers(request), beams, k)

    def _hits(self, request: Request, identifiers: Identifiers, beams: Beams, k: int) -> Hits:
        candidates, places, scores = self._ranked(request, identifiers, beams, k)

        def evidence(position: int) -> Evidence:
            place = int(places[position])
            found = self._evidence(position + 1, float(scores[position]), candidates, place, beams)
            if not self.settings.history_weight or candidates.rows[place] not in request.history:
                return found
            return replace(found, reason=f"{found.reason}, chosen by this shopper before")

        return Hits(candidates.rows[places], scores, evidence)

    def with_settings(self, **changed: object) -> GenerativeChannel:
        """This channel with other values of settings; what it has worked out for filters is shared."""
        other = copy(self)
        other.settings = self.settings.model_copy(update=changed)
        return other

    def in_published_order(self, efficiency: npt.NDArray[np.float32], most_items: int) -> GenerativeChannel:
        """This channel with the published order inside clusters: by this efficiency [items], at most so many items."""
        other = self.with_settings(in_cluster_order="efficiency", most_items=most_items)
        other._efficiency = efficiency
        return other

    def candidates(self, request: Request) -> tuple[Candidates, npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """The items of the generated clusters; their cosines and word shares with the query, float32 [candidates]."""
        identifiers = self.identifiers(request)
        return self._scored(request, identifiers, self._generate([request], [identifiers]))

    def _generate(
        self, requests: Sequence[Request], constraints: Sequence[Constraint], beam: int | None = None
    ) -> Beams:
        if self._encoder is None:
            vectors = np.stack([request.vector for request in requests])
        else:
            vectors = self._encoder.encode([request.query for request in requests])
        texts = [request.query for request in requests]
        prompts = Prompts.of(texts, vectors, self._histories([request.history for request in requests]))
        return beam_search(self._generator, constraints, prompts, beam or self.settings.beam)

    def _ranked(
        self, request: Request, identifiers: Identifiers, beams: Beams, k: int
    ) -> tuple[Candidates, npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """The candidates, the places of the best of them, and the scores of these."""
        if self.settings.in_cluster_order is not None:
            candidates = expand(beams, 0, identifiers, self.settings.most_items)
            places = lookup_order(candidates, self._efficiency, min(k, self.settings.most_items))
            return candidates, places, place_scores(len(places))
        candidates, cosines, word_shares = self._scored(request, identifiers, beams)
        settings = self.settings
        weights = InClusterWeights(
            settings.path_weight or 0.0, settings.word_weight or 0.0, settings.history_weight or 0.0
        )
        scores = in_cluster_scores(candidates, cosines, word_shares, weights, request.history)
        places = best_positions(candidates.rows, scores, k)
        return candidates, places, scores[places]

    def _histories(self, histories: Sequence[npt.NDArray[np.integer]]) -> npt.NDArray[np.int32]:
        """The identifiers of what each shopper chose, int32 [requests, length, levels], −1 behind the end of each."""
        trie = self.trie
        if not any(map(len, histories)):
            return np.empty((len(histories), 0, trie.levels), np.int32)
        of_requests = []
        for history in histories:
            # What the generator has never learned of, such as an item that came later, tells it nothing.
            rows = history[(history >= 0) & (history < len(trie.leaf_of_item))].astype(np.int64)
            of_requests.append(trie.codes_of(rows[trie.leaf_of_item[rows] >= 0]))
        found = np.full((len(histories), max(map(len, of_requests)), trie.levels), -1, np.int32)
        for place, codes in zip(found, of_requests, strict=True):
            place[: len(codes)] = codes
        return found

    def _scored(
        self, request: Request, identifiers: Identifiers, beams: Beams
    ) -> tuple[Candidates, npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        candidates = expand(beams, 0, identifiers, self.settings.most_items)
        cosines = self._vectors[candidates.rows] @ request.vector
        return candidates, cosines, self._words.word_shares(request.query, candidates.rows)

    def _evidence(self, rank: int, score: float, candidates: Candidates, place: int, beams: Beams) -> Evidence:
        path = candidates.paths[place]
        codes = tuple(code for code in beams.codes[0, path].tolist() if code >= 0)
        probability = float(np.exp(candidates.log_probabilities[place]))
        # The items that may be found speak for the cluster; it is as large as it is.
        members, size = candidates.rows[candidates.paths == path], int(candidates.cluster_sizes[place])
        held = f"{self._labels.of(members)}; {size} item{'s' if size > 1 else ''}"
        reason = f"identifier {'-'.join(map(str, codes))} ({held}), probability {probability:.2g}"
        return Evidence(self.name, rank, score, reason, codes, probability)

"""The generative channel against scores of every item of the catalogue, worked out one by one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from types import SimpleNamespace
from typing import cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.channels.channel import Request
from shelfwalk.channels.generative import ClusterLabels, GenerativeChannel, GenerativeSettings
from shelfwalk.constraints.item_filter import ItemFilter
from shelfwalk.constraints.live_trie import LiveTrie
from shelfwalk.constraints.trie import Trie
from shelfwalk.data.tables import ITEMS
from shelfwalk.errors import UserError
from shelfwalk.evaluation.unconstrained import invalid_share
from shelfwalk.generators.prompts import Prompts
from shelfwalk.shelf.shelf import Shelf

Floats = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int32]
LEVEL_SIZES = (4, 3)
DIMENSIONS = 5
WIDE = 12
"""As many paths as there are."""


class TableGenerator:
    """A row of weights for every code after every prefix: its logit is their product with the query's vector."""

    level_sizes = LEVEL_SIZES
    end_column = None

    def __init__(self, seed: int) -> None:
        generator = np.random.default_rng(seed)
        self._weights = [
            2 * generator.normal(size=(*LEVEL_SIZES[:level], size, DIMENSIONS)).astype(np.float32)
            for level, size in enumerate(LEVEL_SIZES)
        ]

    def log_probabilities(self, vector: Floats, prefix: Sequence[int]) -> Floats:
        logits = self._weights[len(prefix)][tuple(prefix)] @ vector
        return logits - np.log(np.exp(logits).sum())

    def of_path(self, vector: Floats, path: Sequence[int]) -> float:
        return sum(float(self.log_probabilities(vector, path[:level])[code]) for level, code in enumerate(path))

    def encode(self, prompts: Prompts) -> Floats:
        return prompts.vectors

    def start(self, queries: int) -> Codes:
        return np.empty((queries, 1, 0), np.int32)

    def step(self, memory: Floats, cache: Codes, tokens: Codes | None, level: int) -> tuple[Floats, Codes]:
        if tokens is not None:
            cache = np.concatenate((cache, tokens[:, :, None]), axis=2)
        scores = [
            [self.log_probabilities(vector, beam) for beam in beams]
            for vector, beams in zip(memory, cache, strict=True)
        ]
        return np.array(scores, np.float32), cache

    def reorder(self, cache: Codes, parents: npt.NDArray[np.int64]) -> Codes:
        return np.stack([beams[order] for beams, order in zip(cache, parents, strict=True)])


class ImpossibleGenerator(TableGenerator):
    """Holds every code impossible."""

    def log_probabilities(self, vector: Floats, prefix: Sequence[int]) -> Floats:
        return np.full(LEVEL_SIZES[len(prefix)], -np.inf, np.float32)


class RowShares:
    """A share that depends on query and row only."""

    def word_shares(self, query: str, rows: npt.NDArray[np.int64]) -> Floats:
        return ((rows * 7 + len(query)) % 5 / 5).astype(np.float32)


@dataclass
class OtherEncoder:
    """Gives every text one vector and remembers what it was asked."""

    vector: Floats
    asked: list[str] = field(default_factory=list)

    def encode(self, texts: Sequence[str]) -> Floats:
        self.asked += texts
        return np.stack([self.vector] * len(texts))


@dataclass(frozen=True)
class Shop:
    """A random catalogue and its channel, whose parts a test may look at."""

    codes: Codes
    vectors: Floats
    generator: TableGenerator
    request: Request

    @classmethod
    def of(cls, seed: int, items: int, generator: type[TableGenerator] = TableGenerator) -> Shop:
        random = np.random.default_rng(seed)
        codes = np.stack([random.integers(0, size, items) for size in LEVEL_SIZES], axis=1).astype(np.int32)
        vectors = random.normal(size=(items + 1, DIMENSIONS)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return cls(codes, vectors[:-1], generator(seed), Request("usb hub", vectors[-1]))

    def channel(
        self, encoder: OtherEncoder | None = None, live: LiveTrie | None = None, **chosen: float | str
    ) -> GenerativeChannel:
        items = pa.Table.from_pylist(
            [{"brand": "", "category": [f"category {code}"]} for code in self.codes[:, 0].tolist()],
            pa.schema([ITEMS.field("brand"), ITEMS.field("category")]),
        )
        return GenerativeChannel(
            self.generator,
            Trie.build(self.codes),
            self.vectors,
            ClusterLabels(items),
            RowShares(),
            np.zeros(len(self.codes), np.float32),
            GenerativeSettings(**chosen),
            encoder,
            live,
        )

    def cluster(self, row: int) -> list[int]:
        return np.flatnonzero((self.codes == self.codes[row]).all(axis=1)).tolist()

    def slow_score(self, row: int, path_weight: float, word_weight: float) -> float:
        share = self.generator.of_path(self.request.vector, self.codes[row]) - math.log(len(self.cluster(row)))
        words = float(RowShares().word_shares(self.request.query, np.array([row]))[0])
        return float(self.vectors[row] @ self.request.vector) + path_weight * share + word_weight * words


@given(
    seed=st.integers(0, 2**32),
    items=st.integers(1, 40),
    k=st.integers(1, 50),
    path_weight=st.sampled_from([0.0, 0.05, 1.0]),
    word_weight=st.sampled_from([0.0, 0.3]),
)
def test_a_wide_beam_ranks_the_whole_catalogue(
    seed: int, items: int, k: int, path_weight: float, word_weight: float
) -> None:
    shop = Shop.of(seed, items)
    expected = [shop.slow_score(row, path_weight, word_weight) for row in range(items)]
    hits = shop.channel(beam=WIDE, path_weight=path_weight, word_weight=word_weight).search(shop.request, k)
    rows, scores = hits.rows.tolist(), hits.scores.tolist()
    assert len(set(rows)) == len(rows)
    assert scores == pytest.approx(sorted(expected, reverse=True)[:k], abs=1e-5)
    assert scores == pytest.approx([expected[row] for row in rows], abs=1e-5)


def test_of_equal_scores_the_smaller_row_comes_first() -> None:
    shop = Shop(
        np.zeros((6, 2), np.int32), np.ones((6, DIMENSIONS), np.float32), TableGenerator(0), Shop.of(0, 1).request
    )
    assert shop.channel(beam=WIDE).search(shop.request, 4).rows.tolist() == [0, 1, 2, 3]


@given(seed=st.integers(0, 2**32), items=st.integers(1, 40), beam=st.integers(1, WIDE))
def test_only_items_of_the_generated_clusters_are_found_and_all_of_them(seed: int, items: int, beam: int) -> None:
    shop = Shop.of(seed, items)
    channel = shop.channel(beam=beam)
    generated = {tuple(codes) for codes in channel.generate([shop.request]).codes[0].tolist()}
    hits = channel.search(shop.request, items)
    assert sorted(hits.rows.tolist()) == [row for row in range(items) if tuple(shop.codes[row]) in generated]


def test_the_beam_asked_for_takes_the_place_of_the_settings() -> None:
    shop = Shop.of(3, 40)
    channel = shop.channel(beam=2)
    assert channel.generate([shop.request, shop.request]).codes.shape == (2, 2, 2)
    assert channel.generate([shop.request], 5).codes.shape == (1, 5, 2)


@given(seed=st.integers(0, 2**32), items=st.integers(1, 40), beam=st.integers(1, WIDE))
def test_without_a_constraint_the_most_probable_paths_are_found_whether_items_have_them(
    seed: int, items: int, beam: int
) -> None:
    """And their share that no item has is that of a count by hand."""
    shop = Shop.of(seed, items)
    channel = shop.channel()
    paths = list(product(*map(range, LEVEL_SIZES)))
    scores = {path: shop.generator.of_path(shop.request.vector, path) for path in paths}
    # A width as wide as the first level prunes no prefix here, so that the search is exhaustive.
    width = max(beam, LEVEL_SIZES[0])
    found = channel.generate_unconstrained([shop.request], width)
    assert found.scores[0] == pytest.approx(sorted(scores.values(), reverse=True)[:width], abs=1e-5)
    existing = set(map(tuple, shop.codes.tolist()))
    invented = sum(tuple(codes) not in existing for codes in found.codes[0].tolist())
    shelf = cast("Shelf", SimpleNamespace(generative=channel))
    assert invalid_share(shelf, [shop.request] * 2, width) == pytest.approx(invented / width)


def test_items_are_taken_to_the_end_of_the_cluster_that_is_enough() -> None:
    shop = Shop.of(5, 40)
    best = shop.channel(beam=WIDE).generate([shop.request]).codes[0]
    clusters = [[row for row in range(40) if (shop.codes[row] == path).all()] for path in best]
    assert len(clusters[0]) > 1
    first = shop.channel(beam=WIDE, most_items=len(clusters[0])).search(shop.request, 100)
    assert sorted(first.rows.tolist()) == clusters[0]
    second = shop.channel(beam=WIDE, most_items=len(clusters[0]) + 1).search(shop.request, 100)
    assert sorted(second.rows.tolist()) == sorted(clusters[0] + clusters[1])


@given(seed=st.integers(0, 2**32), items=st.integers(1, 40), share=st.sampled_from([0.0, 0.1, 0.5, 1.0]))
def test_a_filter_takes_items_away_and_changes_no_score(seed: int, items: int, share: float) -> None:
    shop = Shop.of(seed, items)
    channel = shop.channel(beam=WIDE, path_weight=0.3, word_weight=0.2)
    allowed = np.random.default_rng(seed).random(items) < share
    everything = channel.search(shop.request, items)
    kept = allowed[everything.rows]
    hits = channel.search(replace(shop.request, item_filter=ItemFilter(allowed)), items)
    assert hits.rows.tolist() == everything.rows[kept].tolist()
    assert hits.scores == pytest.approx(everything.scores[kept], abs=1e-6)


@given(seed=st.integers(0, 2**32), beam=st.integers(1, 4))
def test_no_beam_is_spent_on_a_path_that_a_filter_empties(seed: int, beam: int) -> None:
    shop = Shop.of(seed, 40)
    allowed = np.random.default_rng(seed).random(40) < 0.2
    request = replace(shop.request, item_filter=ItemFilter(allowed))
    found = shop.channel(beam=beam).generate([request, shop.request])
    alone = Shop(shop.codes[allowed], shop.vectors[allowed], shop.generator, shop.request)
    expected = alone.channel(beam=beam).generate([shop.request]) if allowed.any() else None
    paths = found.codes[0, : found.found(0)].tolist()
    assert paths == ([] if expected is None else expected.codes[0, : expected.found(0)].tolist())
    # The other request of the batch has no filter.
    assert found.codes[1].tolist() == shop.channel(beam=beam).generate([shop.request]).codes[0].tolist()


def test_what_a_filter_leaves_is_worked_out_once_until_the_catalogue_changes() -> None:
    shop = Shop.of(1, 20)
    live = LiveTrie(Trie.build(shop.codes))
    channel = shop.channel(live=live)
    request = replace(shop.request, item_filter=ItemFilter(np.arange(20) < 10))
    first = channel.identifiers(request)
    assert channel.identifiers(request) is first
    live.change(remove=[0])
    assert channel.identifiers(request) is not first
    assert 0 not in channel.search(request, 20).rows
    assert 0 not in channel.search(shop.request, 20).rows


def test_an_item_of_a_live_catalogue_is_found_by_its_new_identifier() -> None:
    shop = Shop.of(2, 20)
    live = LiveTrie(Trie.build(shop.codes, level_sizes=LEVEL_SIZES))
    moved = (shop.codes[5] + 1) % np.array(LEVEL_SIZES, np.int32)
    live.change(add=[5], codes=moved[None])
    hits = shop.channel(live=live, beam=WIDE).search(shop.request, 20)
    assert sorted(hits.rows.tolist()) == list(range(20))
    assert hits.evidence(hits.rows.tolist().index(5)).identifier == tuple(moved.tolist())


def test_refuses_identifiers_that_the_generator_does_not_make() -> None:
    shop = replace(Shop.of(0, 3), codes=np.zeros((3, 3), np.int32))
    with pytest.raises(UserError, match="identifiers of 2 levels"):
        shop.channel()


def test_refuses_identifiers_with_codes_that_the_generator_lacks() -> None:
    shop = Shop.of(0, 3)
    with pytest.raises(
        UserError, match="4 × 3 codes, and those of the catalogue are of 4 × 5, which another tokeniser"
    ):
        replace(shop, codes=np.array([[0, 0], [3, 4], [1, 2]], np.int32)).channel()


class ListeningGenerator(TableGenerator):
    """Remembers what it was asked with."""

    def encode(self, prompts: Prompts) -> Floats:
        self.asked = prompts
        return super().encode(prompts)


@given(
    histories=st.lists(st.lists(st.integers(-1, 25), max_size=6), min_size=1, max_size=4),
    missing=st.integers(0, 18),
    seed=st.integers(0, 99),
)
def test_the_generator_is_told_the_identifiers_of_each_shoppers_history(
    histories: list[list[int]], missing: int, seed: int
) -> None:
    """Rows that have no identifier are passed over, be they none, too new or gone."""
    shop = Shop.of(seed, 20, ListeningGenerator)
    there = np.delete(np.arange(20), missing)
    channel = shop.channel()
    channel.trie = Trie.build(shop.codes[there], there)
    channel.generate([replace(shop.request, history=np.array(rows, np.int32)) for rows in histories])
    told = shop.generator.asked.histories
    expected = [[shop.codes[row].tolist() for row in rows if row in there] for rows in histories]
    assert told.shape[0] == len(histories)
    for found, codes in zip(told.tolist(), expected, strict=True):
        assert found[: len(codes)] == codes
        assert all(code == [-1, -1] for code in found[len(codes) :])
    assert told.shape[1] == max(map(len, expected))
    assert told.dtype == np.int32


@given(seed=st.integers(0, 2**32), history=st.lists(st.integers(0, 25), max_size=6), weight=st.floats(0.01, 2))
def test_what_the_shopper_chose_before_gains_the_weight_and_nothing_else_does(
    seed: int, history: list[int], weight: float
) -> None:
    """With a generator that hears of no history, so that the same paths are found."""
    shop = Shop.of(seed, 20)
    known = replace(shop.request, history=np.array(history, np.int32))

    def scores_of(request: Request, **chosen: float) -> dict[int, float]:
        hits = shop.channel(beam=WIDE, **chosen).search(request, 20)
        told = [row for place, row in enumerate(hits.rows.tolist()) if "before" in hits.evidence(place).reason]
        assert sorted(told) == sorted(row for row in set(request.history.tolist()) if chosen and row < 20)
        return dict(zip(hits.rows.tolist(), hits.scores.tolist(), strict=True))

    plain = scores_of(known)
    assert plain == scores_of(shop.request, history_weight=weight)
    gained = scores_of(known, history_weight=weight)
    assert gained == pytest.approx({row: score + weight * (row in history) for row, score in plain.items()}, abs=1e-5)


def test_a_generator_that_holds_everything_impossible_finds_nothing() -> None:
    shop = Shop.of(0, 20, ImpossibleGenerator)
    assert len(shop.channel(beam=WIDE).search(shop.request, 10)) == 0


@pytest.mark.parametrize("beam", [3, WIDE])
def test_evidence_is_the_identifier_its_probability_and_what_its_cluster_stands_for(beam: int) -> None:
    shop = Shop.of(7, 30)
    hits = shop.channel(beam=beam, path_weight=0.02, word_weight=0.1).search(shop.request, 30)
    sizes = set()
    for place, row in enumerate(hits.rows.tolist()):
        evidence = hits.evidence(place)
        codes = tuple(shop.codes[row].tolist())
        size = len(shop.cluster(row))
        sizes.add(size)
        assert (evidence.channel, evidence.rank, evidence.score) == ("generative", place + 1, hits.scores[place])
        assert evidence.identifier == codes
        assert evidence.probability == pytest.approx(
            math.exp(shop.generator.of_path(shop.request.vector, codes)), rel=1e-4
        )
        assert evidence.reason == (
            f"identifier {codes[0]}-{codes[1]} (category {codes[0]}; {size} item{'s' if size > 1 else ''}), "
            f"probability {evidence.probability:.2g}"
        )
    assert len(sizes) > 1


def test_an_encoder_of_its_own_gives_the_generators_vectors_and_nothing_else() -> None:
    shop = Shop.of(11, 40)
    own = OtherEncoder(-shop.request.vector)
    channel = shop.channel(own, beam=2)
    opposite = shop.channel(beam=2).generate([Request("", own.vector)])
    hits = channel.search(shop.request, 40)
    assert own.asked == ["usb hub"]
    assert {tuple(shop.codes[row]) for row in hits.rows} == {tuple(codes) for codes in opposite.codes[0].tolist()}
    # Items are still compared with the vector that their own were made with.
    assert hits.scores == pytest.approx(shop.vectors[hits.rows] @ shop.request.vector, abs=1e-6)


@pytest.mark.parametrize(
    ("rows", "label"),
    [
        ([0, 1, 2], "hubs, Altomar"),
        ([0, 2, 2], "lamps, Altomar"),
        ([3], "Brennik"),
        ([4], "no category"),
        ([5], "cables"),
    ],
)
def test_a_cluster_is_named_by_its_commonest_leaf_category_and_brand(rows: list[int], label: str) -> None:
    items = pa.table(
        {
            "category": pa.array(
                [["it", "hubs"], ["hubs"], ["home", "lamps"], [], [], ["cables"]], pa.list_(pa.string())
            ),
            "brand": ["Altomar", "Brennik", "Altomar", "Brennik", "", ""],
        }
    )
    assert ClusterLabels(items).of(np.array(rows)) == label


@given(seed=st.integers(0, 2**32), items=st.integers(1, 40), beam=st.integers(1, WIDE), budget=st.integers(1, 50))
def test_the_published_order_is_the_beam_and_then_efficiency_up_to_the_budget(
    seed: int, items: int, beam: int, budget: int
) -> None:
    shop = Shop.of(seed, items)
    efficiency = np.random.default_rng(seed).random(items).astype(np.float32)
    channel = shop.channel(beam=beam).in_published_order(efficiency, budget)
    beams = channel.generate([shop.request])
    expected = [
        row
        for path in beams.codes[0, : beams.found(0)]
        for row in sorted(np.flatnonzero((shop.codes == path).all(axis=1)).tolist(), key=lambda row: -efficiency[row])
    ]
    hits = channel.search(shop.request, 100)
    assert hits.rows.tolist() == expected[:budget]
    assert (np.diff(hits.scores) < 0).all()
    assert channel.search_beams(shop.request, beams, 100).rows.tolist() == hits.rows.tolist()
    assert [hits.evidence(place).score for place in range(len(hits))] == hits.scores.tolist()
    assert shop.channel(beam=beam).search(shop.request, 100).rows.tolist() != [] and channel.settings.beam == beam

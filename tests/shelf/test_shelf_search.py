"""A shelf opened for searching: every channel by itself, their fusion, evidence, and how much is asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from shelfwalk import Shelf, UserError
from shelfwalk.channels.fusion import RANK_CONSTANT
from shelfwalk.channels.names import BASE_CHANNELS, BASELINE, CHANNELS, FUSED
from shelfwalk.generators.time_budget import WIDTHS, CostModel
from shelfwalk.shelf.generations import generations
from small_shop import Ran, SmallShop

QUERIES = ("usb hub", "Dunlo", "something warm to read by", "grinder steel", "笔记本电脑")


@pytest.fixture(scope="module")
def shelf(small_shop: SmallShop) -> Shelf:
    return Shelf.open(small_shop.shelf)


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("query", QUERIES)
def test_a_shorter_answer_is_the_head_of_a_longer_one(shelf: Shelf, channel: str, query: str) -> None:
    longest = shelf.search(query, 120, channel).results
    assert [result.rank for result in longest] == list(range(1, len(longest) + 1))
    assert [result.score for result in longest] == sorted((result.score for result in longest), reverse=True)
    for k in (1, 7, 50):
        assert shelf.search(query, k, channel).results == longest[:k]


@pytest.mark.parametrize("query", QUERIES)
def test_dense_is_every_item_by_its_cosine(shelf: Shelf, query: str) -> None:
    cosines = np.asarray(shelf.vectors) @ shelf.encoder.encode([query])[0]
    results = shelf.search(query, 120, "dense").results
    ids = shelf.items["item_id"].to_pylist()
    assert sorted(result.item_id for result in results) == sorted(ids)
    found = [cosines[ids.index(result.item_id)] for result in results]
    np.testing.assert_allclose([result.score for result in results], found, rtol=0, atol=1e-6)
    assert np.all(np.diff(found) <= 1e-6)


@pytest.mark.parametrize("name", [BASELINE, FUSED])
@pytest.mark.parametrize("query", QUERIES)
def test_a_fused_answer_is_the_weighted_reciprocal_ranks_of_its_parts(shelf: Shelf, name: str, query: str) -> None:
    weights = shelf.fusion_weights(name)
    assert set(weights) == ({"bm25", "dense"} if name == BASELINE else set(BASE_CHANNELS))
    points: dict[str, float] = {}
    for part, weight in weights.items():
        for result in shelf.search(query, 300, part).results:
            points[result.item_id] = points.get(result.item_id, 0.0) + weight / (RANK_CONSTANT + result.rank)
    results = shelf.search(query, 300, name).results
    assert {result.item_id: result.score for result in results} == pytest.approx(points)


def test_evidence_says_what_each_channel_thought(shelf: Shelf) -> None:
    trie = shelf.generative.trie
    codes = dict(zip(shelf.items["item_id"].to_pylist(), trie.paths()[trie.leaf_of_item].tolist(), strict=True))
    ranks = {
        name: {result.item_id: result.rank for result in shelf.search("desk lamp", 300, name).results}
        for name in BASE_CHANNELS
    }
    for result in shelf.search("desk lamp", 30, explain=True).results:
        told = {part.channel: part.rank for part in result.evidence}
        assert told == {name: found[result.item_id] for name, found in ranks.items() if result.item_id in found}
        for part in result.evidence:
            assert part.reason
            identifier = tuple(codes[result.item_id]) if part.channel == "generative" else None
            assert part.identifier == identifier
            assert (part.probability is None) == (identifier is None)
            assert identifier is None or 0 < part.probability <= 1


@pytest.mark.parametrize("channel", CHANNELS)
def test_evidence_is_there_only_where_it_was_asked_for(shelf: Shelf, channel: str) -> None:
    plain, explained = (shelf.search("ink", 5, channel, explain=explain).results for explain in (False, True))
    assert all(result.evidence == () for result in plain)
    assert all(result.evidence for result in explained)
    assert [result.item_id for result in plain] == [result.item_id for result in explained]


def test_a_wider_beam_brings_more_items(shelf: Shelf) -> None:
    beams = (1, 5, 20, 64)
    found = [len(shelf.with_beam(beam).search("usb c charger", 120, "generative").results) for beam in beams]
    assert found == sorted(set(found))
    assert found[-1] == 120
    # The shelf itself is as it was.
    assert shelf.generative.settings.beam == 10
    assert Shelf.open(shelf.folder.parents[1], beam=3).generative.settings.beam == 3


def test_a_time_for_a_search_chooses_the_beam_and_says_which(shelf: Shelf) -> None:
    own = Shelf.open(shelf.folder.parents[1])
    own._costs = CostModel((1, 5, 20), (1.0, 2.0, 5.0))
    for milliseconds, width, fits in ((0.5, 1, False), (1.0, 1, True), (4.9, 5, True), (60.0, 20, True)):
        chosen, choice = own.within(milliseconds)
        assert (choice.width, choice.fits) == (width, fits)
        answers = (of.search("usb c charger", 50, "generative").results for of in (chosen, shelf.with_beam(width)))
        assert len({tuple(result.item_id for result in results) for results in answers}) == 1


def test_costs_are_measured_on_the_shelf_and_leave_it_as_it_is(shelf: Shelf) -> None:
    own = Shelf.open(shelf.folder.parents[1])
    _, choice = own.within(1e9)
    assert (choice.width, choice.fits) == (WIDTHS[-1], True)
    assert 0 < own._costs.milliseconds[0] <= own._costs.milliseconds[-1] == choice.milliseconds
    assert own.generative.settings.beam == shelf.generative.settings.beam
    with pytest.raises(UserError, match="The time for a search is 0 ms: give more than 0"):
        own.within(0)


def test_only_the_channels_that_are_asked_for_are_searched(small_shop: SmallShop) -> None:
    shelf = Shelf.open(small_shop.shelf)
    assert list(shelf.hits("ink", 5, ("bm25",))) == ["bm25"]
    assert not {"encoder", "dense", "generative"} & set(vars(shelf))
    assert set(shelf.hits("ink", 5, (BASELINE,))) == {"bm25", "dense", BASELINE}
    assert "generative" not in vars(shelf)


def test_two_openings_and_more_threads_answer_alike(small_shop: SmallShop, shelf: Shelf) -> None:
    other = Shelf.open(str(small_shop.shelf), threads=2)
    for query in QUERIES:
        assert other.search(query, 40, explain=True).results == shelf.search(query, 40, explain=True).results


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("",), "The query is empty"),
        (("ink", 0), "k is 0"),
        (("ink", 1_001), "k is 1001"),
        (("ink", 10, "lexical"), 'no channel "lexical"'),
    ],
)
def test_a_call_that_means_nothing(shelf: Shelf, arguments: tuple[object, ...], words: str) -> None:
    with pytest.raises(UserError, match=words):
        shelf.search(*arguments)


def test_a_place_or_a_beam_that_means_nothing(small_shop: SmallShop, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no shelf here"):
        Shelf.open(tmp_path / "nowhere")
    with pytest.raises(UserError, match="The beam is 0"):
        Shelf.open(small_shop.shelf, beam=0)


def test_an_opened_shelf_keeps_its_generation(small_shop: SmallShop, tmp_path: Path) -> None:
    """What is published meanwhile is seen by those who open the shelf afterwards."""
    from shelfwalk.shelf.building import build_shelf

    own = small_shop.copy_of_shelf(tmp_path)
    opened = Shelf.open(own)
    build_shelf(small_shop.items(), small_shop.recipe, own, threads=1)
    assert generations(own) == ["000001", "000002"]
    assert opened.folder.name == "000001"
    assert Shelf.open(own).folder.name == "000002"
    assert opened.search("ink").results == Shelf.open(own).search("ink").results


def test_facts_at_a_glance(small_shop: SmallShop, shelf: Shelf) -> None:
    facts = dict(shelf.facts())
    assert facts["recipe"] == f"small ({small_shop.recipe.hash})"
    assert (facts["items"], facts["seed"], facts["identifiers"]) == ("120", "0", "8 × 8")
    assert shelf.recorded["training"]["steps"] == 40
    assert all(facts.values())


def test_a_table_made_in_python_is_held_to_the_contract(small_shop: SmallShop, tmp_path: Path) -> None:
    good = {"item_id": ["a", "b"], "title": ["USB hub", "Desk lamp"]}
    for change, words in (
        ({"title": ["USB hub", " "]}, "row 2, column 'title': is empty"),
        ({"item_id": ["a", "a"]}, "stands in row 1 already"),
        ({"price": ["cheap", "1"]}, "'cheap' is no number"),
        ({"title": [[1.5], [2.5]]}, "not text"),
    ):
        with pytest.raises(UserError, match=words):
            Shelf.build(pa.table({**good, **change}), tmp_path / "x.shelf", small_shop.recipe)
    with pytest.raises(UserError, match="column 'title': is empty"):
        Shelf.build(pa.table({"item_id": ["a"]}), tmp_path / "x.shelf", small_shop.recipe)
    with pytest.raises(UserError, match="no rows"):
        Shelf.build(pa.table(good).slice(0, 0), tmp_path / "x.shelf", small_shop.recipe)
    assert not (tmp_path / "x.shelf").exists()


def test_a_filter_is_honoured_by_every_channel_and_the_command(
    small_shop: SmallShop, run_command: Callable[..., Ran]
) -> None:
    shelf = Shelf.open(small_shop.shelf)
    of_item = {row["item_id"]: row for row in small_shop.items().to_pylist()}
    fitting = {
        name
        for name, row in of_item.items()
        if row["brand"] in ("Dunlo", "Evanta") and row["category"][0] == "Home" and row["price"] <= 11
    }
    item_filter = shelf.filters.matching(True, ["Home"], ["Dunlo", "Evanta"], None, 11)
    assert item_filter is not None
    assert item_filter.count == len(fitting) == 8
    for channel in shelf.channels:
        found = [item.item_id for item in shelf.search("lamp", 120, channel, item_filter=item_filter).results]
        assert found and set(found) <= fitting, channel
    options = ("--brand", "Dunlo", "--brand", "Evanta", "--category", "Home", "--price-to", "11", "--json")
    ran = run_command("search", small_shop.shelf, "lamp", "-k", 50, *options)
    assert {result["item_id"] for result in json.loads(ran.out)["results"]} <= fitting
    run_command("search", small_shop.shelf, "lamp", "--brand", "Nobody").refused("No item", "brand")
    assert shelf.filters.matching() is None


def test_a_build_takes_a_path_to_its_recipe_and_no_seed_that_a_library_refuses(
    small_shop: SmallShop, shop_cache: Path, tmp_path: Path
) -> None:
    own = small_shop.copy_of_shelf(tmp_path)
    for seed in (-1, 2**31):
        with pytest.raises(UserError, match=f"The seed is {seed}: give a whole number from 0 to"):
            Shelf.build(small_shop.items_file, own, small_shop.recipe_file, seed=seed)
    built = Shelf.build(small_shop.items_file, own, small_shop.recipe_file, threads=1)
    assert built.manifest.files == Shelf.open(small_shop.shelf).manifest.files


@pytest.mark.parametrize(
    ("recipe", "reads"),
    [
        ({}, False),
        ({"shopper_tower": None, "generator": {"history_length": None}, "generative": {"history_weight": 0.0}}, False),
        ({"shopper_tower": {"history_length": 0}}, False),
        ({"shopper_tower": {"history_length": 20}}, True),
        ({"generator": {"history_length": 5}}, True),
        ({"generative": {"history_weight": 0.1}}, True),
    ],
)
def test_which_recipes_read_a_history(recipe: dict[str, object], reads: bool) -> None:
    manifest = SimpleNamespace(recipe=recipe, facts={})
    assert Shelf(Path(), manifest, 1).reads_history is reads  # type: ignore[arg-type]

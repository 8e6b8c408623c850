"""Shelves whose query tower knows the shopper: what it learns from, what a search makes of a history, and refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk import Shelf, UserError
from shelfwalk.channels.channel import Request
from shelfwalk.channels.dense import DenseChannel
from shelfwalk.constraints.item_filter import ItemFilter
from shelfwalk.data.query_item_pairs import QueryItemPairs, pairs_from_events
from shelfwalk.data.readers import read_events
from shelfwalk.encoders.shopper_tower import ShopperTextEncoder
from shelfwalk.recipes.recipe import Recipe, parse_recipe
from shelfwalk.shelf import pair_step
from shelfwalk.shelf.building import build_shelf
from shelfwalk.shelf.pair_step import TrainingPairs
from shelfwalk.shelf.shopper_tower_step import asked_by_shoppers
from shelfwalk.shelf.training_tables import TrainingTables
from small_shop import BRANDS, KINDS, Ran, SmallShop, write_csv

HEADER = ("timestamp", "session_id", "client_id", "user_query", "action_name", "object_id")


def loyal_shoppers(shop: SmallShop, folder: Path, clients: bool = True) -> pa.Table:
    """A log of 40 shoppers who each want one brand and ask for it by no more than "kit" and a number."""
    random = np.random.default_rng(0)
    ids = shop.items()["item_id"].to_pylist()
    of_brand = {brand: [item for item in ids if f"-{brand.lower()}-" in item] for brand in BRANDS}
    rows = []
    for shopper in range(40):
        for visit in range(8):
            item = of_brand[BRANDS[shopper % len(BRANDS)]][random.integers(0, len(KINDS) * 3)]
            time = f"2026-01-{visit + 1:02}T12:00:00Z"
            rows.append(
                (
                    time,
                    f"s{shopper}-{visit}",
                    f"c{shopper}" if clients else "",
                    f"kit {(shopper + visit) % 20}",
                    "click",
                    item,
                )
            )
    return read_events(write_csv(folder / "events.csv", HEADER, rows)).table


def recipe(shop: SmallShop) -> Recipe:
    return parse_recipe(
        f"""name = "small shoppers"
        [encoder]
        model = "{shop.recipe.encoder.model}"
        [two_tower]
        buckets = 512
        piece_width = 16
        hidden_width = 32
        steps = 250
        batch = 64
        random_items = 16
        validate_every = 30
        learning_rate = 0.01
        logged_share = 0.9
        [shopper_tower]
        heads = 2
        history_length = 3
        history_pooling = "mean"
        """,
        "here",
    )


@pytest.fixture(scope="module")
def shelf(small_shop: SmallShop, tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    folder = tmp_path_factory.mktemp("shoppers")
    tables = TrainingTables(events=loyal_shoppers(small_shop, folder))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHELFWALK_CACHE", str(small_shop.cache))
        # Two of the twenty logged queries are held out, so that the best towers are those that know the shoppers best.
        patch.setattr(pair_step, "ENOUGH_LOGGED", 20)
        build_shelf(small_shop.items(), recipe(small_shop), folder / "own.shelf", tables=tables, threads=1)
    return Shelf.open(folder / "own.shelf")


def bought(shop: SmallShop, brand: str, count: int = 3) -> list[str]:
    return [item for item in shop.items()["item_id"].to_pylist() if f"-{brand.lower()}-" in item][:count]


def test_a_shopper_finds_what_they_had_wanted_before(small_shop: SmallShop, shelf: Shelf) -> None:
    shares = []
    for brand in BRANDS:
        found = shelf.search("kit", 20, "dense", shopper=bought(small_shop, brand)).results
        shares.append(np.mean([f"-{brand.lower()}-" in result.item_id for result in found]))
    # Of five brands each has a fifth.
    assert np.mean(shares) > 0.5


def test_only_the_dense_channel_and_what_is_made_of_it_look_at_the_history(small_shop: SmallShop, shelf: Shelf) -> None:
    history = bought(small_shop, "Dunlo")
    for channel in shelf.channels:
        plain, personal = (
            [(item.item_id, item.score) for item in shelf.search("kit lamp", 30, channel, shopper=shopper).results]
            for shopper in ((), history)
        )
        assert (plain == personal) == (channel == "bm25"), channel


def test_items_beyond_the_recipes_length_are_known_but_not_looked_at(small_shop: SmallShop, shelf: Shelf) -> None:
    history = bought(small_shop, "Dunlo", 3)
    further = bought(small_shop, "Altomar", 5)
    answers = [shelf.search("kit", 30, "dense", shopper=[*history, *more]).results for more in ((), further)]
    assert answers[0] == answers[1]
    with pytest.raises(UserError, match='"no such item"'):
        shelf.search("kit", shopper=[*history, *further, "no such item"])


def test_a_request_has_the_heads_and_the_vector_between_them(small_shop: SmallShop, shelf: Shelf) -> None:
    assert isinstance(shelf.encoder, ShopperTextEncoder)
    request = shelf.request("desk lamp", shopper=bought(small_shop, "Dunlo"))
    assert request.heads is not None
    assert request.heads.shape == (2, len(request.vector))
    middle = request.heads.sum(axis=0)
    np.testing.assert_allclose(request.vector, middle / np.linalg.norm(middle), atol=1e-6)
    scores = (np.asarray(shelf.vectors) @ request.heads.T).max(axis=1)
    hits = shelf.dense.search(request, 120)
    np.testing.assert_allclose(hits.scores, np.sort(scores)[::-1], atol=1e-5)
    np.testing.assert_allclose(scores[hits.rows], hits.scores, atol=1e-5)
    nobody = shelf.request("desk lamp")
    np.testing.assert_allclose(nobody.vector, shelf.encoder.encode(["desk lamp"])[0], atol=1e-6)
    # Every head of a search is told of in the shelf's own words.
    assert shelf.recorded["shoppers"] == {"visits": 320, "with_history": 280}


def test_the_command_searches_with_a_history(
    small_shop: SmallShop, shelf: Shelf, run_command: Callable[..., Ran]
) -> None:
    history = bought(small_shop, "Evanta")
    options = [part for item in history for part in ("--shopper-history", item)]
    ran = run_command("search", shelf.folder.parents[1], "kit", "--channel", "dense", "--json", *options)
    expected = [result.item_id for result in shelf.search("kit", 10, "dense", shopper=history).results]
    assert [result["item_id"] for result in json.loads(ran.out)["results"]] == expected


def test_a_log_that_knows_no_shopper_is_refused_before_anything_is_made(small_shop: SmallShop, tmp_path: Path) -> None:
    tables = TrainingTables(events=loyal_shoppers(small_shop, tmp_path, clients=False))
    with pytest.raises(UserError, match="No event of the log has a client_id"):
        build_shelf(small_shop.items(), recipe(small_shop), tmp_path / "x.shelf", tables=tables, threads=1)
    assert not (tmp_path / "x.shelf").exists()


def test_a_log_of_the_future_is_refused_before_anything_is_made(small_shop: SmallShop, tmp_path: Path) -> None:
    events = loyal_shoppers(small_shop, tmp_path)
    later = pc.add(events["timestamp"], pa.scalar(timedelta(days=36_500), pa.duration("us")))
    events = events.set_column(events.column_names.index("timestamp"), "timestamp", later)
    with pytest.raises(UserError, match="Event 1 of the log is in the future"):
        build_shelf(small_shop.items(), recipe(small_shop), tmp_path / "x.shelf", tables=TrainingTables(events=events))
    assert not (tmp_path / "x.shelf").exists()


def test_what_is_learned_from_are_visits_and_pairs_that_no_visit_has(small_shop: SmallShop, tmp_path: Path) -> None:
    items, events = small_shop.items(), loyal_shoppers(small_shop, tmp_path)
    ids = items["item_id"].to_pylist()
    logged = pairs_from_events(items, events)
    judged = QueryItemPairs.of([("kit 3", 3), ("ink", 5), ("lamp", 7)])
    joined = QueryItemPairs.join([logged, judged])
    held = np.array([query == "ink" for query in joined.queries])[joined.query_rows]
    pairs = TrainingPairs(joined.queries, np.ones(22, bool), joined.where(~held), joined.where(held))
    asks, train, chosen = asked_by_shoppers(pairs, items, events, 3)
    assert asks.query_rows[:22].tolist() == [*range(22)]
    assert (asks.histories[:22] == -1).all()
    assert len(asks.query_rows) == 22 + 320
    found = {(joined.queries[asks.query_rows[ask]], item, tuple(asks.histories[ask])) for ask, item in zip(
        train.query_rows.tolist(), train.item_rows.tolist(), strict=True)}  # fmt: skip
    plain = events.to_pylist()
    expected = {("lamp", 7, (-1, -1, -1))}
    for row in plain:
        past = [e for e in plain if e["client_id"] == row["client_id"] and e["timestamp"] < row["timestamp"]]
        recent = dict.fromkeys(ids.index(e["object_id"]) for e in sorted(past, key=lambda e: e["timestamp"])[::-1])
        history = ([*recent] + [-1] * 3)[:3]
        expected.add((row["user_query"], ids.index(row["object_id"]), tuple(history)))
    if ("kit 3", ids[3]) not in {(row["user_query"], row["object_id"]) for row in plain}:
        expected.add(("kit 3", 3, (-1, -1, -1)))
    assert found == expected
    assert [
        (int(asks.query_rows[ask]), item) for ask, item in zip(chosen.query_rows, chosen.item_rows, strict=True)
    ] == [(joined.queries.index("ink"), 5)]
    alone = asked_by_shoppers(pairs, items, None, 3)
    np.testing.assert_array_equal(alone[1].query_rows, pairs.train.query_rows)
    assert (alone[0].histories == -1).all()


@given(seed=st.integers(0, 2**32), k=st.sampled_from([1, 7, 100]), share=st.sampled_from([0.1, 0.6, 1.0]))
def test_a_filter_leaves_the_nearest_to_any_head(seed: int, k: int, share: float) -> None:
    random = np.random.default_rng(seed)
    vectors, heads = (random.integers(-2, 3, shape).astype(np.float32) for shape in ((150, 5), (3, 5)))
    allowed = random.random(150) < share
    products = (vectors @ heads.T).max(axis=1)
    hits = DenseChannel(vectors).search(Request("", heads[0], ItemFilter(allowed), heads=heads), k)
    assert hits.scores.tolist() == sorted(products[allowed], reverse=True)[:k] == products[hits.rows].tolist()
    assert allowed[hits.rows].all()
    assert len(set(hits.rows.tolist())) == len(hits)

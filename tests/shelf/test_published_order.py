"""A shelf with swapped levels and the published order inside clusters, built from a log."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from shelfwalk.channels.channel import Request
from shelfwalk.data.tables import EVENTS
from shelfwalk.evaluation.shelf_codes import codes_by_level
from shelfwalk.ranking.efficiency import efficiency_of
from shelfwalk.recipes.recipe import Recipe
from shelfwalk.shelf.building import build_shelf
from shelfwalk.shelf.shelf import Shelf
from shelfwalk.shelf.training_tables import TrainingTables
from small_shop import SmallShop

QUERY = "usb hub"


def log_of(items: pa.Table) -> pa.Table:
    """Every item was shown ten times for a query of its own kind, and clicked more often the later it stands."""
    rows = [
        {
            **dict.fromkeys(EVENTS.names), "timestamp": datetime(2020, 1, 1, tzinfo=UTC), "session_id": f"s{row}",
            "client_id": "", "query_id": "q", "user_query": f"{title} please", "object_id": item, "action_name": action,
        }
        for row, (item, title) in enumerate(zip(items["item_id"].to_pylist(), items["title"].to_pylist(), strict=True))
        for action in ["impression"] * 10 + ["click"] * (1 + row % 7)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=EVENTS)


@pytest.fixture(scope="module")
def built(small_shop: SmallShop, tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    inner = {"kind": "residual_kmeans", "level_sizes": (8, 4, 2)}
    changed = {
        "tokenizer": {"kind": "swapped", "levels": (1, 3), "inner": inner},
        "generative": {"beam": 10, "most_items": 30, "in_cluster_order": "efficiency"},
    }
    recipe = Recipe.model_validate({**small_shop.recipe.model_dump(), **changed})
    folder = tmp_path_factory.mktemp("built")
    place = folder / "own.shelf"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHELFWALK_CACHE", str(shutil.copytree(small_shop.cache, folder / "cache")))
        build_shelf(small_shop.items(), recipe, place, tables=TrainingTables(events=log_of(small_shop.items())))
    return Shelf.open(place)


def test_the_efficiency_is_that_of_the_log_and_is_kept(built: Shelf, small_shop: SmallShop) -> None:
    items = small_shop.items()
    assert built.efficiency.tolist() == efficiency_of(items, log_of(items)).tolist()
    assert len(set(built.efficiency.tolist())) == 7


def test_a_search_follows_the_beam_and_then_the_efficiency(built: Shelf) -> None:
    trie, efficiency = built.generative.trie, built.efficiency
    request = Request(QUERY, built.encoder.encode([QUERY])[0])
    beams = built.generative.generate([request])
    expected: list[int] = []
    for state in beams.states[0, : beams.found(0), 0].tolist():
        members = trie.items_of(state - trie.first_leaf)
        expected += members[np.lexsort((members, -efficiency[members]))].tolist()
    assert len(expected) >= 30
    assert built.hits(QUERY, 100, ("generative",))["generative"].rows.tolist() == expected[:30]
    assert len(built.search(QUERY, 5).results) == 5


def test_the_levels_stand_in_the_order_in_which_they_are_said(built: Shelf) -> None:
    codes, sizes = codes_by_level(built)
    assert sizes == (2, 4, 8)
    assert [len(set(codes[:, level].tolist())) for level in range(3)] == [2, 4, 8]

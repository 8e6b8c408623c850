"""The pages of a shelf in a market: one search a query, nothing shown that cannot be bought, and who recalled it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest

from shelfwalk.channels.channel import Hits
from shelfwalk.channels.fusion import fuse
from shelfwalk.errors import UserError
from shelfwalk.evaluation.served_pages import RankedQueries, market_rows, rank_queries, serve_pages

ITEM_IDS = [f"i{number}" for number in range(8)]


class StandInShelf:
    """Two channels with fixed answers; the third has no weight in the fusion."""

    answers: ClassVar = {
        "bm25": {"lamp": [0, 1, 2], "mouse": [3]},
        "dense": {"lamp": [2, 5], "mouse": []},
        "generative": {"lamp": [7, 2], "mouse": [6]},
    }

    def __init__(self, item_ids: Sequence[str] = ITEM_IDS) -> None:
        self.items = pa.table({"item_id": pa.chunked_array([item_ids[:3], item_ids[3:]], pa.string())})
        self.asked: list[str] = []

    def fusion_weights(self, name: str) -> dict[str, float]:
        return {"bm25": 1.0, "dense": 1.0, "generative": 0.0}

    def hits(self, query: str, k: int, channels: Sequence[str]) -> dict[str, Hits]:
        self.asked.append(query)
        found = {
            name: Hits(
                np.array(rows[query], np.int64), -np.arange(len(rows[query]), dtype=np.float32), lambda place: None
            )
            for name, rows in self.answers.items()
        }
        return {**found, "fused": fuse(found, self.fusion_weights("fused"), k)}


def ranked(shelf: Any, channels: Sequence[str], rows: np.ndarray | None = None) -> dict[str, RankedQueries]:
    rows = np.arange(8, dtype=np.int32) if rows is None else rows
    return rank_queries(shelf, ["lamp", "mouse"], channels, rows, lambda done: None)


def page_of(items: Sequence[int], at: int = 5, unavailable: Sequence[int] = (), late: Sequence[int] = ()) -> list[int]:
    """The page of three places of one visit to a list of items."""
    answers = RankedQueries(("bm25",), np.array([items], np.int32), np.arange(1, len(items) + 1, dtype=np.uint8)[None])
    available, appears = np.ones(10, bool), np.zeros(10, np.int64)
    available[list(unavailable)] = False
    appears[list(late)] = 6
    pages = serve_pages(answers, np.array([0]), np.array([at]), available, appears, 3)
    recalled = {item: number + 1 for number, item in enumerate(items)} | {-1: 0}
    assert pages.recalled[0].tolist() == [recalled[item] for item in pages.items[0].tolist()]
    return pages.items[0].tolist()


def test_a_page_is_the_top_of_the_list() -> None:
    assert page_of([4, 2, 9, 1]) == [4, 2, 9]
    assert page_of([4, 2]) == [4, 2, -1]
    assert page_of([4, -1, -1]) == [4, -1, -1]


def test_what_is_out_of_stock_is_not_shown() -> None:
    assert page_of([4, 2, 9, 1], unavailable=[2, 9]) == [4, 1, -1]
    # Item 9 is where padding would look, were it taken for a row.
    assert page_of([4, -1, -1], unavailable=[9]) == [4, -1, -1]


def test_an_item_is_shown_from_the_moment_it_appears() -> None:
    assert page_of([4, 2, 9, 1], late=[4]) == [2, 9, 1]
    assert page_of([4, 2, 9, 1], late=[4], at=6) == [4, 2, 9]


def test_every_visit_gets_its_own_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shelfwalk.evaluation.served_pages._VISITS_AT_ONCE", 7)
    rng = np.random.default_rng(0)
    items = np.stack([rng.permutation(12) for _ in range(5)]).astype(np.int32)
    items[:, 10:] = -1
    available, appears = rng.random(12) < 0.7, rng.integers(0, 100, 12)
    query, at = rng.integers(0, 5, 60), rng.integers(0, 100, 60)
    pages = serve_pages(RankedQueries(("bm25",), items, items.astype(np.uint8)), query, at, available, appears, 4)
    for visit in range(60):
        fit = [item for item in items[query[visit]] if item >= 0 and available[item] and appears[item] <= at[visit]][:4]
        assert pages.items[visit].tolist() == fit + [-1] * (4 - len(fit))


def test_each_query_is_searched_once_for_all_channels() -> None:
    shelf, done = StandInShelf(), []
    found = rank_queries(shelf, ["lamp", "mouse"], ("bm25", "fused"), np.arange(8, dtype=np.int32), done.append)
    assert shelf.asked == ["lamp", "mouse"]
    assert done == [1, 2]
    assert found["bm25"].items[:, :4].tolist() == [[0, 1, 2, -1], [3, -1, -1, -1]]
    assert found["bm25"].channels == ("bm25",)


def test_a_fusion_knows_who_recalled_what_and_leaves_out_a_channel_without_weight() -> None:
    found = ranked(StandInShelf(), ["fused"])["fused"]
    assert found.channels == ("bm25", "dense")
    assert found.items[0, :5].tolist() == [2, 0, 1, 5, -1]
    assert found.recalled[0, :5].tolist() == [3, 1, 1, 2, 0]
    assert found.recalled[1, :2].tolist() == [1, 0]


def test_rows_are_those_of_the_market() -> None:
    shelf = StandInShelf()
    market_ids = pa.chunked_array([["x", *reversed(ITEM_IDS[4:])], ["y", *ITEM_IDS[:4]]], pa.string())
    rows = market_rows(shelf, market_ids, "A")
    assert market_ids.take(pa.array(rows)).to_pylist() == ITEM_IDS
    assert ranked(shelf, ["bm25"], rows)["bm25"].items[0, :3].tolist() == [6, 7, 8]


def test_a_shelf_of_other_items_is_refused() -> None:
    with pytest.raises(UserError, match=r"shelf my\.shelf holds 2 items.*such as i6: .*items\.parquet"):
        market_rows(StandInShelf(), pa.chunked_array([ITEM_IDS[:6]], pa.string()), "my.shelf")

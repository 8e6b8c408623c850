"""Searching with a shopper's history: what becomes of it, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from shelfwalk import Shelf, UserError
from shelfwalk.channels.channel import Hits, Request
from shelfwalk.data.shopper_history import history_rows
from small_shop import Ran, SmallShop

IDS = pa.chunked_array([["d", "a"], [], ["c", "b"]], pa.string())


@pytest.mark.parametrize(
    ("history", "rows"), [([], []), (["a"], [1]), (["b", "d", "a"], [3, 0, 1]), (["c", "b", "c", "b"], [2, 3])]
)
def test_ids_become_rows_in_their_order_and_each_once(history: list[str], rows: list[int]) -> None:
    found = history_rows(IDS, history)
    assert found.dtype == np.int32
    assert found.tolist() == rows


def test_the_first_unknown_item_is_named() -> None:
    with pytest.raises(UserError, match='not in the catalogue, "x"'):
        history_rows(IDS, ["a", "x", "", "y"])


def test_every_channel_is_told_the_history(small_shop: SmallShop, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf.open(small_shop.shelf)
    told: list[list[int]] = []

    class Listening:
        name = "bm25"

        def search(self, request: Request, k: int) -> Hits:
            told.append(request.history.tolist())
            return Hits(np.empty(0, np.int64), np.empty(0, np.float32), lambda place: None)

    monkeypatch.setattr(Shelf, "channel", lambda self, name: Listening())
    ids = shelf.items["item_id"].to_pylist()
    shelf.search("ink", shopper=[ids[7], ids[3]])
    shelf.search("ink")
    assert told == [[7, 3]] * 3 + [[]] * 3


def test_a_recipe_without_shoppers_answers_all_alike_and_still_knows_its_items(
    small_shop: SmallShop, run_command: Callable[..., Ran]
) -> None:
    item = small_shop.items()["item_id"][5].as_py()
    plain, personal = (
        run_command("search", small_shop.shelf, "ink", "--json", *more) for more in ((), ("--shopper-history", item))
    )
    assert json.loads(personal.out)["results"] == json.loads(plain.out)["results"]
    arguments = ("--shopper-history", item, "--shopper-history", "no such item")
    run_command("search", small_shop.shelf, "ink", *arguments).refused("history", "no such item")

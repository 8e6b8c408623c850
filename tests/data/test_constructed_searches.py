"""A dataset of constructed queries: nothing of the time after the split is in its log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from shelfwalk.data.adapter import Dataset
from shelfwalk.data.constructed_examples import ConstructedExampleSettings
from shelfwalk.data.constructed_searches import constructed_searches
from shelfwalk.data.tables import EVALUATION_QUERIES, EVENTS, ITEMS, JUDGEMENTS
from shelfwalk.errors import UserError

TITLES = ("red paper lantern", "recipe box with metal heart", "wooden photo frame", "glass candle holder", "tea towel")
START = datetime(2020, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def shop() -> Dataset:
    """Six customers, each buys one item every ten days for 300 days."""
    items = pa.Table.from_pylist(
        [{**dict.fromkeys(ITEMS.names), "item_id": f"i{n}", "title": title} for n, title in enumerate(TITLES)], ITEMS
    )
    purchases = [
        {
            **dict.fromkeys(EVENTS.names), "timestamp": START + timedelta(days=10 * visit, minutes=customer),
            "session_id": f"{customer}-{visit}", "client_id": f"c{customer}", "user_query": "",
            "action_name": "purchase", "object_id": f"i{(customer + visit) % 5}",
        }
        for customer in range(6)
        for visit in range(30)
    ]  # fmt: skip
    return Dataset("shop", items, None, None, pa.Table.from_pylist(purchases, EVENTS), ("real purchases",))


def test_it_is_a_dataset_to_build_and_evaluate_with_and_says_what_it_is(shop: Dataset) -> None:
    made = constructed_searches(shop, 0)
    assert made.queries.schema == EVALUATION_QUERIES
    assert made.judgements.schema == JUDGEMENTS
    assert made.searches is not None and made.searches.num_rows == made.events.num_rows > 0
    assert "constructed" in made.name and "nobody typed them" in made.notes[-1]
    titles = dict(zip(shop.items["item_id"].to_pylist(), TITLES, strict=True))
    text_of = dict(zip(made.queries["query_id"].to_pylist(), made.queries["query"].to_pylist(), strict=True))
    assert made.judgements.num_rows >= made.queries.num_rows > 0
    for query_id, item in zip(*(made.judgements[name].to_pylist() for name in ("query_id", "item_id")), strict=True):
        assert set(text_of[query_id].split()) <= set(titles[item].split())


def test_nothing_of_the_evaluated_time_is_in_the_log_or_the_popularity(shop: Dataset) -> None:
    made = constructed_searches(shop, 0, settings=ConstructedExampleSettings(test_days=100))
    last = pc.max(shop.events["timestamp"]).as_py()
    assert pc.max(made.events["timestamp"]).as_py() < last - timedelta(days=99)
    everything = constructed_searches(shop, 0, settings=ConstructedExampleSettings(test_days=10))
    assert pc.sum(made.items["popularity"]).as_py() <= pc.sum(everything.items["popularity"]).as_py()
    early = constructed_searches(shop, 0, settings=ConstructedExampleSettings(test_days=270))
    assert pc.sum(early.items["popularity"]).as_py() < pc.sum(made.items["popularity"]).as_py()


def test_a_query_of_the_log_is_marked_as_seen_and_no_other(shop: Dataset) -> None:
    made = constructed_searches(shop, 0)
    logged = set(made.events["user_query"].to_pylist())
    for text, seen in zip(made.queries["query"].to_pylist(), made.queries["seen"].to_pylist(), strict=True):
        assert seen == (text in logged)


def test_so_many_queries_at_most_and_the_same_ones_by_seed(shop: Dataset) -> None:
    few, again = (constructed_searches(shop, 3, queries=4) for _ in range(2))
    assert few.queries.num_rows == 4
    assert few.queries.equals(again.queries) and few.judgements.equals(again.judgements)
    assert set(few.judgements["query_id"].to_pylist()) == set(few.queries["query_id"].to_pylist())


def test_data_without_purchases_is_refused(shop: Dataset) -> None:
    with pytest.raises(UserError, match="no purchases to construct queries from"):
        constructed_searches(Dataset("shop", shop.items, None, None, None, ()), 0)

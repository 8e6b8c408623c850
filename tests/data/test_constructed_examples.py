"""Constructed examples: no history from the future, queries of the title's words, parts by time, the same by seed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfwalk.data.constructed_examples import (
    CONSTRUCTED_EXAMPLES,
    ConstructedExampleSettings,
    constructed_examples,
    constructed_query,
    first_test_moment,
)
from shelfwalk.data.dataset import Dataset, open_dataset
from shelfwalk.data.tables import EVENTS, ITEMS
from shelfwalk.errors import UserError

ONLINE_RETAIL = Path(__file__).resolve().parents[3] / "shared" / "data" / "online_retail"
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "data" / "online_retail.md"
START = datetime(2011, 1, 1, 9, 0, tzinfo=UTC)
ALL = ConstructedExampleSettings(test_days=2, fewest_before=0, most_of_an_invoice=99)
# invoice, customer, hours after the start, items
Invoice = tuple[str, str, float, list[str]]


def items_table(titles: dict[str, str]) -> pa.Table:
    defaults = {"description": "", "brand": "", "category": [], "attributes": [], "price": 1.0, "popularity": 0.0}
    rows = [{"item_id": item, "title": title, "available": True, **defaults} for item, title in titles.items()]
    return pa.Table.from_pylist(rows, ITEMS)


ITEM_IDS = ["a", "b", "c", "d"]
SHOP = items_table({"a": "RED DESK LAMP", "b": "RECIPE BOX WITH METAL HEART", "c": "SET OF 6 TEA SPOONS", "d": "MUG"})


def log(invoices: list[Invoice], **changes: Any) -> pa.Table:
    rows = [
        {
            "timestamp": START + timedelta(hours=hours),
            "session_id": invoice,
            "client_id": customer,
            "query_id": "",
            "user_query": "",
            "action_name": "purchase",
            "object_id": item,
        }
        | changes
        for invoice, customer, hours, bought in invoices
        for item in bought
    ]
    return pa.Table.from_pylist(rows, EVENTS)


# Two days without customers' purchases in between make sure that both parts have something in them.
ENDS: list[Invoice] = [("first", "z", 0, ["d"]), ("last", "z", 24 * 9, ["d"])]


def made(invoices: list[Invoice], changed: ConstructedExampleSettings = ALL, seed: int = 1) -> list[dict[str, Any]]:
    examples: list[dict[str, Any]] = constructed_examples(SHOP, log([*invoices, *ENDS]), changed, seed).to_pylist()
    return [row for row in examples if row["customer"] != "z"]


INVOICES = st.lists(
    st.tuples(
        st.sampled_from(["x", "y"]),
        st.sampled_from([1, 2, 3, 100, 200, 210]),
        st.lists(st.sampled_from(ITEM_IDS), min_size=1, max_size=4, unique=True),
    ),
    max_size=8,
)


@settings(max_examples=60)
@given(drawn=INVOICES, longest=st.integers(1, 6), fewest=st.integers(0, 3))
def test_a_history_is_what_was_bought_strictly_before(
    drawn: list[tuple[str, int, list[str]]], longest: int, fewest: int
) -> None:
    """Against the obvious way: go through all invoices and take those of the customer with an earlier time."""
    invoices = [(f"i{number}", *invoice) for number, invoice in enumerate(drawn)]
    by_time = sorted(invoices, key=lambda invoice: invoice[2])
    wanted = []
    for _, customer, hours, bought in by_time:
        before = [item for _, who, when, items in by_time if who == customer and when < hours for item in items]
        if len(before) >= fewest:
            wanted += [(customer, START + timedelta(hours=hours), before[-longest:], item) for item in bought]
    # The frame's last purchase has one before it at most.
    frame = [("first", "z", -9.0, ITEM_IDS), ("mid", "z", 0.5, ["d"]), ("last", "z", 24.0 * 9, ["d"])]
    limits = ALL.model_copy(update={"longest_history": longest, "fewest_before": fewest})
    examples = constructed_examples(SHOP, log([*invoices, *frame]), limits, 1)
    rows = [row for row in examples.to_pylist() if row["customer"] != "z"]
    found = [(row["customer"], row["at"], row["history"], row["item_id"]) for row in rows]

    def order(row: tuple[Any, ...]) -> Any:
        return row[1], row[0], row[3]

    assert sorted(found, key=order) == sorted(wanted, key=order)


def test_nothing_of_the_same_invoice_or_later_is_in_a_history() -> None:
    rows = made([("1", "x", 1, ["a"]), ("2", "x", 2, ["b", "c"]), ("3", "x", 2, ["d"]), ("4", "x", 3, ["a"])])
    assert [(row["item_id"], row["history"]) for row in rows] == [
        ("a", []),
        ("b", ["a"]),
        ("c", ["a"]),
        ("d", ["a"]),
        ("a", ["a", "b", "c", "d"]),
    ]


def test_the_later_log_changes_no_earlier_history() -> None:
    earlier: list[Invoice] = [("1", "x", 1, ["a"]), ("2", "x", 2, ["b"])]
    later: list[Invoice] = [("3", "x", 3, ["c", "d"]), ("4", "y", 4, ["a"])]
    histories = [(row["at"], row["history"]) for row in made(earlier)]
    assert [(row["at"], row["history"]) for row in made([*later, *earlier])][:2] == histories


def test_parts_are_split_at_a_midnight() -> None:
    events = log([("1", "x", 0, ["a"]), ("2", "x", 38.9, ["b"]), ("3", "x", 39, ["c"]), ("4", "x", 80, ["d"])])
    # 80 hours after nine o'clock of the first are in the fourth: its day and the one before are two days.
    assert first_test_moment(events, ALL) == datetime(2011, 1, 3, tzinfo=UTC)
    examples = constructed_examples(SHOP, events, ALL, 1)
    assert examples["part"].to_pylist() == ["train", "train", "test", "test"]
    assert examples["at"].to_pylist() == sorted(examples["at"].to_pylist())


def test_only_purchases_with_a_customer_and_a_known_item_count() -> None:
    noise = [log([("5", "", 1, ["a"])]), log([("6", "x", 1, ["gone"])])]
    noise.append(log([("7", "x", 1, ["c"])], action_name="click"))
    events = pa.concat_tables([*noise, log([("1", "x", 2, ["a"]), ("2", "x", 200, ["b"])])])
    examples = constructed_examples(SHOP, events, ALL, 1)
    assert examples["history"].to_pylist() == [[], ["a"]]
    assert examples["item_id"].to_pylist() == ["a", "b"]


def test_a_long_invoice_gives_so_many_and_not_always_the_same() -> None:
    invoices: list[Invoice] = [("1", "x", 1, ITEM_IDS), ("2", "y", 2, ["a"])]
    limits = ALL.model_copy(update={"most_of_an_invoice": 2})
    seen = set()
    for seed in range(12):
        rows = made(invoices, limits, seed)
        drawn = [row["item_id"] for row in rows if row["customer"] == "x"]
        assert len(set(drawn)) == 2
        assert [row["item_id"] for row in rows if row["customer"] == "y"] == ["a"]
        seen |= set(drawn)
    assert seen == set(ITEM_IDS)


def test_the_same_seed_gives_the_same_and_the_table_says_constructed() -> None:
    invoices = [(str(hour), "x", float(hour), ITEM_IDS) for hour in range(1, 30)]
    events = log([*invoices, *ENDS])
    first, again, other = (constructed_examples(SHOP, events, ALL, seed) for seed in (3, 3, 4))
    assert first.equals(again)
    assert first["query"].to_pylist() != other["query"].to_pylist()
    assert first.schema.equals(CONSTRUCTED_EXAMPLES, check_metadata=True)
    assert first.schema.metadata[b"note"].startswith(b"constructed")


def test_a_title_without_words_gives_no_example() -> None:
    shop = items_table({"a": "SET OF 6 / 12", "b": "LAMP"})
    events = log([("1", "x", 1, ["a", "b"]), ("2", "x", 200, ["b"])])
    assert constructed_examples(shop, events, ALL, 1)["item_id"].to_pylist() == ["b", "b"]


def test_logs_that_give_no_examples_are_refused() -> None:
    with pytest.raises(UserError, match="No purchase of the log has a customer and an item"):
        constructed_examples(SHOP, log([("1", "", 1, ["a"])]), ALL, 1)
    with pytest.raises(UserError, match="No constructed example is of the time before 2010-12-31"):
        constructed_examples(SHOP, log([("1", "x", 1, ["a"])]), ALL, 1)
    twice = ALL.model_copy(update={"fewest_before": 1})
    with pytest.raises(UserError, match="No constructed example is of the time from"):
        constructed_examples(SHOP, log([("1", "x", 1, ["a"]), ("2", "x", 2, ["a"]), ("3", "y", 99, ["a"])]), twice, 1)


def queries_of(title: str, dropped: float = 0.7, draws: int = 80) -> set[str]:
    generator = np.random.default_rng(5)
    return {constructed_query(title, dropped, generator) for _ in range(draws)}


@pytest.mark.parametrize(
    ("title", "dropped", "wanted"),
    [
        ("DESK LAMP", 1.0, {"desk", "lamp", "desk lamp"}),
        ("SET/6 RED TEA SPOONS", 1.0, {"tea", "spoons", "tea spoons"}),
        ("SET OF4 MUGS", 1.0, {"mugs"}),
        ("PACK OF 12 LARGE MUGS,pack/12", 1.0, {"mugs"}),
        ("RED LAMP", 0.0, {"lamp", "red lamp"}),
        ("SMALL PINK", 1.0, {"small pink"}),
        ("BOX OF I & JIGSAW", 1.0, {"box", "jigsaw", "box jigsaw"}),
        ("WITH LOVE", 1.0, {"love"}),
        ("6 / 12 X", 1.0, {""}),
    ],
)
def test_constructed_queries_of_a_title(title: str, dropped: float, wanted: set[str]) -> None:
    assert queries_of(title, dropped) == wanted


def test_the_words_after_with_come_only_in_pieces_from_anywhere() -> None:
    queries = queries_of("RECIPE BOX WITH METAL HEART", draws=400)
    assert {"recipe box", "box", "metal heart", "heart"} <= queries
    generator = np.random.default_rng(6)
    drawn = [constructed_query("RECIPE BOX WITH METAL HEART", 0.7, generator) for _ in range(400)]
    assert sum(set(query.split()) <= {"recipe", "box"} for query in drawn) > 200


@given(title=st.text(max_size=60), seed=st.integers(0, 99))
def test_a_constructed_query_is_made_of_the_titles_words(title: str, seed: int) -> None:
    query = constructed_query(title, 0.5, np.random.default_rng(seed))
    assert all(word in title.lower() for word in query.split())
    assert query == " ".join(query.split()).lower()


def shown_share(mask: list[bool]) -> str:
    return f"{sum(mask) / len(mask):.1%}".replace("%", " %")


def documented_figures(dataset: Dataset, examples: pa.Table) -> list[str]:
    """The rows of the table in docs/data/online_retail.md."""
    assert dataset.events is not None
    parts = [[row for row in examples.to_pylist() if row["part"] == part] for part in ("train", "test")]
    train, test = parts
    queries, items, customers = ({row[name] for row in train} for name in ("query", "item_id", "customer"))

    def distinct(name: str) -> str:
        return " / ".join(f"{len({row[name] for row in part}):,}" for part in parts)

    repeats = (shown_share([row["item_id"] in row["history"] for row in part]) for part in parts)
    return [
        f"| items | {dataset.items.num_rows:,} |",
        f"| purchases | {dataset.events.num_rows:,} |",
        f"| customers | {len(set(dataset.events['client_id'].to_pylist()) - {''}):,} |",
        f"| constructed examples, train / test | {len(train):,} / {len(test):,} |",
        f"| customers in them | {distinct('customer')} |",
        f"| bought items in them | {distinct('item_id')} |",
        f"| constructed queries in them | {distinct('query')} |",
        "| bought item already in the history | " + " / ".join(repeats) + " |",
        f"| test examples whose query train has | {shown_share([row['query'] in queries for row in test])} |",
        f"| test examples whose item train has | {shown_share([row['item_id'] in items for row in test])} |",
        f"| test examples whose customer train has | {shown_share([row['customer'] in customers for row in test])} |",
    ]


@pytest.mark.skipif(not ONLINE_RETAIL.is_dir(), reason="the transactions are not beside the repository")
def test_the_real_folder_has_no_leak_and_the_figures_of_the_docs() -> None:
    dataset = open_dataset(ONLINE_RETAIL)
    assert dataset.events is not None
    examples = constructed_examples(dataset.items, dataset.events, ConstructedExampleSettings(), 0)
    cut = first_test_moment(dataset.events, ConstructedExampleSettings())
    assert cut == datetime(2011, 10, 1, tzinfo=UTC)
    is_test = pc.greater_equal(examples["at"], pa.scalar(cut, examples.schema.field("at").type))
    assert pc.all(pc.equal(pc.equal(examples["part"], "test"), is_test)).as_py()
    of_customer: dict[str, list[tuple[datetime, str]]] = {}
    columns = (dataset.events[name].to_pylist() for name in ("client_id", "timestamp", "object_id"))
    for customer, at, item in zip(*columns, strict=True):
        of_customer.setdefault(customer, []).append((at, item))
    sample = examples.take(np.random.default_rng(1).choice(len(examples), 500, replace=False))
    for row in sample.to_pylist():
        before = [item for at, item in of_customer[row["customer"]] if at < row["at"]]
        assert row["history"] == before[-50:]
        assert (row["at"], row["item_id"]) in of_customer[row["customer"]]
    documented = DOCUMENT.read_text(encoding="utf-8")
    assert [figure for figure in documented_figures(dataset, examples) if figure not in documented] == []

"""The layout online_retail, on tiny files of made-up transactions and on the real folder where it is at hand."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.data.adapter import Dataset
from shelfwalk.data.dataset import open_dataset
from shelfwalk.data.online_retail import with_buyers
from shelfwalk.data.tables import EVENTS, ITEMS
from shelfwalk.errors import UserError

ONLINE_RETAIL = Path(__file__).resolve().parents[3] / "shared" / "data" / "online_retail"
START = datetime(2010, 12, 1, 9, 0)
SCHEMA = pa.schema(
    [
        ("invoice_no", pa.large_string()),
        ("stock_code", pa.large_string()),
        ("description", pa.large_string()),
        ("quantity", pa.int32()),
        ("invoice_date", pa.timestamp("ms")),
        ("unit_price", pa.float64()),
        ("customer_id", pa.int32()),
        ("country", pa.large_string()),
    ]
)


def line(invoice: str, code: str, quantity: int = 1, hours: float = 0, **changes: Any) -> dict[str, Any]:
    base = {
        "invoice_no": invoice,
        "stock_code": code,
        "description": f"LAMP {code} ",
        "quantity": quantity,
        "invoice_date": START + timedelta(hours=hours),
        "unit_price": 2.5,
        "customer_id": 17,
        "country": "France",
    }
    return base | changes


def opened(folder: Path, *lines: dict[str, Any], **options: Any) -> Dataset:
    pq.write_table(pa.Table.from_pylist(list(lines), SCHEMA), folder / "transactions.parquet")
    return open_dataset(folder, **options)


def purchases(dataset: Dataset) -> list[tuple[str, str]]:
    assert dataset.events is not None
    return list(zip(*(dataset.events[name].to_pylist() for name in ("session_id", "object_id")), strict=True))


def note_with(dataset: Dataset, words: str) -> str:
    [note] = [note for note in dataset.notes if words in note]
    return note


def test_items_and_events(tmp_path: Path) -> None:
    dataset = opened(
        tmp_path,
        line("2", "10002B", 5, 3, customer_id=None, unit_price=4.0),
        line("1", "10001", 6, description="  RED   LAMP. "),
        line("1", "10002b", 2, unit_price=1.0),
    )
    assert dataset.name == "online_retail"
    assert dataset.queries is None
    assert dataset.judgements is None
    assert dataset.items.schema == ITEMS
    assert dataset.events is not None
    assert dataset.events.schema == EVENTS
    first, second = dataset.items.to_pylist()
    assert (first["item_id"], first["title"], first["price"], first["popularity"]) == ("10001", "RED LAMP", 2.5, 1.0)
    assert (first["category"], first["attributes"], first["brand"], first["available"]) == ([], [], "", True)
    assert (second["item_id"], second["price"], second["popularity"]) == ("10002B", 2.5, 2.0)
    assert dataset.events.to_pylist()[0] == {
        "timestamp": START.replace(tzinfo=UTC),
        "session_id": "1",
        "client_id": "17",
        "query_id": "",
        "user_query": "",
        "action_name": "purchase",
        "object_id": "10001",
        "ordinal": None,
    }
    assert purchases(dataset) == [("1", "10001"), ("1", "10002B"), ("2", "10002B")]
    assert note_with(dataset, "no customer").startswith("1 of 3 purchases")


def test_the_title_is_the_description_of_most_sale_lines(tmp_path: Path) -> None:
    texts = ["OLD LAMP", "NEW LAMP", "NEW  LAMP", "*", "*", "*"]
    sold = [line(str(number), "10001", description=text) for number, text in enumerate(texts)]
    damaged = [line(f"9{number}", "10001", -3, description="damaged", unit_price=0.0) for number in range(4)]
    equal = [line("5", "10002", description="B LAMP"), line("6", "10002", description="A LAMP")]
    dataset = opened(tmp_path, *sold, *damaged, *equal)
    assert dataset.items["title"].to_pylist() == ["NEW LAMP", "A LAMP"]


@given(prices=st.lists(st.integers(1, 50), min_size=1, max_size=9), others=st.lists(st.integers(1, 50), max_size=4))
def test_the_price_is_the_median(
    tmp_path_factory: pytest.TempPathFactory, prices: list[int], others: list[int]
) -> None:
    lines = [line(str(number), "10001", unit_price=float(price)) for number, price in enumerate(prices)]
    lines += [line(str(number), "10000", unit_price=float(price)) for number, price in enumerate(others)]
    items = opened(tmp_path_factory.mktemp("shop"), *lines).items
    ordered = sorted(prices)
    middle = len(ordered) // 2
    wanted = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    assert items.filter(pc.equal(items["item_id"], "10001"))["price"].to_pylist() == [wanted]


def test_what_is_no_sale_of_a_product_is_left_out_and_counted(tmp_path: Path) -> None:
    dataset = opened(
        tmp_path,
        line("1", "10001"),
        line("1", "POST", unit_price=18.0),
        line("2", "POST", unit_price=18.0),
        line("2", "m"),
        line("3", "23444", description="Next Day Carriage"),
        line("A4", "B", unit_price=-11062.06, description="Adjust bad debt"),
        line("5", "10001", -7, unit_price=0.0, customer_id=None),
        line("6", "10003", unit_price=0.0),
        line("7", "DCGS0003", customer_id=None),
    )
    assert dataset.items["item_id"].to_pylist() == ["10001", "DCGS0003"]
    assert purchases(dataset) == [("1", "10001"), ("7", "DCGS0003")]
    assert note_with(dataset, "no products") == (
        "5 lines of 4 codes that are no products are left out (POST 2, M 1, 23444 1, B 1)."
    )
    assert note_with(dataset, "change the stock").startswith(
        "1 lines that change the stock and 1 lines without a price"
    )
    assert "1 product codes that were never sold" in note_with(dataset, "change the stock")


def test_an_item_twice_in_an_invoice_is_one_purchase_at_the_first_time(tmp_path: Path) -> None:
    late = line("1", "10001", 2, 0.1)
    dataset = opened(tmp_path, late, line("1", "10002", hours=0), line("1", "10001", 4, 0.1))
    assert purchases(dataset) == [("1", "10001"), ("1", "10002")]
    assert dataset.events is not None
    assert dataset.events["timestamp"].to_pylist() == [START.replace(tzinfo=UTC)] * 2
    assert note_with(dataset, "joined").startswith("1 of 3 sale lines")


RETURN_CASES = {
    "the latest purchase of the same quantity": ([(1, 6), (2, 6), (3, 4)], [(5, 6)], [1, 3], (1, 0, 0, 1)),
    "a part of a purchase": ([(1, 6)], [(5, 2)], [1], (0, 1, 0, 0)),
    "the rest of a purchase": ([(1, 6)], [(5, 2), (6, 4)], [], (1, 1, 0, 1)),
    "several purchases, the latest first": ([(1, 3), (2, 3), (3, 2)], [(5, 4)], [1, 2], (0, 1, 0, 1)),
    "more than was bought": ([(1, 3)], [(5, 4)], [], (0, 0, 1, 1)),
    "before the purchase": ([(5, 3)], [(1, 3)], [5], (0, 0, 1, 0)),
    "in the minute of the purchase": ([(5, 3)], [(5, 3)], [], (1, 0, 0, 1)),
    "returns in the order of time": ([(1, 2), (3, 2)], [(4, 2), (2, 2)], [], (2, 0, 0, 2)),
}


@pytest.mark.parametrize("case", RETURN_CASES)
def test_returns_are_taken_from_purchases(case: str, tmp_path: Path) -> None:
    bought, returned, left, (paired, spread, unmatched, removed) = RETURN_CASES[case]
    # Another customer and another item, whom the returns must not touch.
    others = [line("x", "10001", 3, 0.5, customer_id=18), line("y", "10009", 3, 0.5)]
    sales = [line(str(hour), "10001", quantity, hour) for hour, quantity in bought]
    cancelled = [line(f"C{hour}", "10001", -quantity, hour) for hour, quantity in returned]
    dataset = opened(tmp_path, *cancelled, *sales, *others)
    assert purchases(dataset) == [("x", "10001"), ("y", "10009"), *((str(hour), "10001") for hour in left)]
    note = note_with(dataset, "returned lines")
    assert note.startswith(f"Of {len(returned)} returned lines {paired} have a purchase of the same")
    assert f"{spread} were taken from purchases of other quantities, {unmatched} have no purchases" in note
    assert f"; {removed} purchases of which nothing was left" in note


def test_a_return_without_a_customer_is_matched_with_nothing(tmp_path: Path) -> None:
    lines = [line("1", "10001", 2, customer_id=None), line("C2", "10001", -2, 1, customer_id=None)]
    dataset = opened(tmp_path, *lines)
    assert purchases(dataset) == [("1", "10001")]
    assert "1 have no purchases to cover them" in note_with(dataset, "returned lines")


def test_an_item_that_came_back_from_everybody_stays_without_buyers(tmp_path: Path) -> None:
    dataset = opened(tmp_path, line("1", "10001"), line("C2", "10001", -1, 1), line("3", "10002"))
    assert dataset.items["item_id"].to_pylist() == ["10001", "10002"]
    assert dataset.items["popularity"].to_pylist() == [0.0, 1.0]


def test_buyers_are_customers_and_invoices_without_one(tmp_path: Path) -> None:
    same = [line("1", "10001"), line("2", "10001", hours=1)]
    unknown = [line("17", "10001", hours=2, customer_id=None), line("4", "10001", hours=3, customer_id=None)]
    dataset = opened(tmp_path, *same, *unknown, line("5", "10002", hours=4))
    assert dataset.events is not None
    assert dataset.items["popularity"].to_pylist() == [3.0, 1.0]
    early = with_buyers(dataset.items, dataset.events.slice(0, 3))
    assert early.schema == ITEMS
    assert early["popularity"].to_pylist() == [2.0, 0.0]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"stock_code": " "}, "row 2, column 'object_id': is empty"),
        ({"stock_code": None}, "row 2, column 'object_id': is empty"),
        ({"invoice_date": None}, "row 2, column 'timestamp': is empty"),
        ({"unit_price": -1.0}, "row 2, column 'price': -1 is negative"),
        ({"quantity": None}, "row 2, column 'quantity': is empty"),
    ],
)
def test_bad_lines_are_refused_or_set_aside(changes: dict[str, Any], reason: str, tmp_path: Path) -> None:
    # The first row is no product: row numbers are those of the file in spite of it.
    lines = [line("0", "POST"), line("1", "10001", **changes), line("1", "10002")]
    with pytest.raises(UserError, match=rf"transactions\.parquet, {reason}"):
        opened(tmp_path, *lines)
    dataset = opened(tmp_path, *lines, skip_bad_rows=True, bad_rows_folder=tmp_path / "aside")
    assert dataset.items["item_id"].to_pylist() == ["10002"]
    assert note_with(dataset, "set aside").startswith("1 bad row was")
    aside = (tmp_path / "aside" / "transactions.parquet.bad-rows.jsonl").read_text().splitlines()
    assert [json.loads(entry)["row"] for entry in aside] == [2]


@pytest.mark.parametrize(
    ("column", "kind", "message"),
    [
        ("quantity", pa.string(), "the column 'quantity' holds values of type string, not whole numbers"),
        ("stock_code", pa.float64(), "the column 'stock_code' holds values of type double, not text"),
        ("customer_id", pa.float64(), "the column for 'client_id' holds values of type double, not text"),
    ],
)
def test_a_column_of_a_wrong_type(column: str, kind: pa.DataType, message: str, tmp_path: Path) -> None:
    table = pa.Table.from_pylist([line("1", "10001")], SCHEMA)
    place = SCHEMA.get_field_index(column)
    pq.write_table(table.set_column(place, column, pa.array([1]).cast(kind)), tmp_path / "transactions.parquet")
    with pytest.raises(UserError, match=message):
        open_dataset(tmp_path)


def test_a_file_without_a_sale(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing was sold"):
        opened(tmp_path, line("C1", "10001", -1))
    with pytest.raises(UserError, match="has no rows, so there are no transactions"):
        opened(tmp_path, line("1", "POST"))


@pytest.mark.skipif(not ONLINE_RETAIL.is_dir(), reason="the transactions are not beside the repository")
def test_the_real_folder() -> None:
    dataset = open_dataset(ONLINE_RETAIL)
    raw = pq.read_table(ONLINE_RETAIL / "transactions.parquet")
    assert dataset.events is not None
    customers = set(dataset.events["client_id"].to_pylist()) - {""}
    assert customers <= {str(customer) for customer in raw["customer_id"].to_pylist()}
    sold = set(pc.utf8_upper(raw["stock_code"]).to_pylist())
    assert set(dataset.items["item_id"].to_pylist()) <= sold
    assert set(dataset.events["object_id"].to_pylist()) <= set(dataset.items["item_id"].to_pylist())
    assert pc.min(dataset.items["price"]).as_py() > 0
    # More than nine lines of ten are sales; a rule that took too much out would show here.
    assert dataset.items.num_rows == 3_795
    assert dataset.events.num_rows / raw.num_rows > 0.9

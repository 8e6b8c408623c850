"""The public ESCI layout and the small sample's, on tiny files of made-up products."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shelfwalk.data.dataset import open_dataset
from shelfwalk.data.esci import open_esci
from shelfwalk.errors import UserError

SAMPLE = Path(__file__).resolve().parents[3] / "shared" / "data" / "esci_sample"


def product(item: str, locale: str = "us", **changes: Any) -> dict[str, Any]:
    base = {
        "product_id": item,
        "product_title": f"{item} lamp",
        "product_description": "Bright.",
        "product_bullet_point": "Steel\nRed",
        "product_brand": "Acme",
        "product_color": "Red",
        "product_locale": locale,
    }
    return base | changes


def example(query_id: int, query: str, item: str, label: str, locale: str = "us") -> dict[str, Any]:
    fields = {"query": query, "query_id": query_id, "product_id": item, "product_locale": locale, "esci_label": label}
    return {"example_id": 0, **fields, "small_version": 1, "large_version": 1, "split": "train"}


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    pq.write_table(pa.table({name: [row[name] for row in rows] for name in rows[0]}), path)


def write_folder(folder: Path, products: list[dict[str, Any]], examples: list[dict[str, Any]]) -> Path:
    write_rows(folder / "shopping_queries_dataset_products.parquet", products)
    write_rows(folder / "shopping_queries_dataset_examples.parquet", examples)
    return folder


PRODUCTS = [
    product("a"),
    product("a", "es", product_title="lámpara"),
    product("b", product_description=None, product_bullet_point=None, product_brand=None, product_color=None),
    product("c", product_description=None, product_color=" "),
]
EXAMPLES = [
    example(7, "lamp", "a", "E"),
    example(7, "lamp", "b", "I"),
    example(8, "lámpara", "a", "E", "es"),
    example(9, "red lamp", "a", "S"),
    example(9, "red lamp", "c", "C"),
]


def test_one_locale_of_the_public_layout(tmp_path: Path) -> None:
    dataset = open_dataset(write_folder(tmp_path, PRODUCTS, EXAMPLES))
    assert dataset.name == "esci"
    items = dataset.items.to_pylist()
    assert [row["title"] for row in items] == ["a lamp", "b lamp", "c lamp"]
    assert [row["description"] for row in items] == ["Bright.\nSteel\nRed", "", "Steel\nRed"]
    assert [row["attributes"] for row in items] == [[("color", "Red")], [], []]
    assert [row["brand"] for row in items] == ["Acme", "", "Acme"]
    assert dataset.queries is not None
    assert dataset.queries.to_pylist() == [{"query_id": "7", "query": "lamp"}, {"query_id": "9", "query": "red lamp"}]
    assert dataset.judgements is not None
    assert [tuple(row.values()) for row in dataset.judgements.to_pylist()] == [
        ("7", "a", 3),
        ("7", "b", 0),
        ("9", "a", 2),
        ("9", "c", 1),
    ]
    assert any("locale us" in note for note in dataset.notes)


def test_another_locale(tmp_path: Path) -> None:
    dataset = open_esci(write_folder(tmp_path, PRODUCTS, EXAMPLES), locale="es")
    assert dataset.items["title"].to_pylist() == ["lámpara"]
    assert dataset.queries is not None
    assert dataset.queries["query"].to_pylist() == ["lámpara"]


def test_a_locale_that_is_not_there_has_no_rows(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no rows, so there are no items"):
        open_esci(write_folder(tmp_path, PRODUCTS, EXAMPLES), locale="jp")


def test_row_numbers_are_those_of_the_file_in_spite_of_the_locale(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, [product("x", "es"), product("a"), product("b", product_title=" ")], EXAMPLES)
    with pytest.raises(UserError, match=r"products\.parquet, row 3, column 'title': is empty"):
        open_dataset(folder)


def test_an_unknown_label_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, PRODUCTS, [*EXAMPLES, example(9, "red lamp", "b", "Z")])
    with pytest.raises(UserError, match=r"examples\.parquet, row 6, column 'grade': 'Z' is no whole number"):
        open_dataset(folder)


def test_a_query_id_with_two_texts_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, PRODUCTS, [*EXAMPLES, example(7, "another", "c", "E")])
    with pytest.raises(UserError, match="query_id '7' stands in row 1 already"):
        open_dataset(folder)


def test_the_layout_of_the_sample(tmp_path: Path) -> None:
    write_rows(tmp_path / "products.parquet", PRODUCTS)
    rows = [
        {"query": "lamp", "query_id": 7, "product_id": "a", "product_locale": "us", "esci_label": "E"},
        {"query": "lamp", "query_id": None, "product_id": "gone", "product_locale": "us", "esci_label": "E"},
        {"query": "red lamp", "query_id": None, "product_id": "b", "product_locale": "us", "esci_label": "C"},
    ]
    write_rows(tmp_path / "judgments.parquet", rows)
    dataset = open_dataset(tmp_path)
    assert dataset.name == "esci_sample"
    assert dataset.queries is not None
    assert dataset.queries.to_pylist() == [{"query_id": "q0", "query": "lamp"}, {"query_id": "q1", "query": "red lamp"}]
    assert dataset.judgements is not None
    assert [tuple(row.values()) for row in dataset.judgements.to_pylist()] == [("q0", "a", 3), ("q1", "b", 1)]
    assert any(note.startswith("1 of 3 judgements are left out") for note in dataset.notes)


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="the ESCI sample is not beside the repository")
def test_the_real_sample() -> None:
    dataset = open_dataset(SAMPLE)
    assert dataset.items.num_rows == 730
    assert dataset.judgements is not None
    assert dataset.queries is not None
    assert set(dataset.judgements["item_id"].to_pylist()) <= set(dataset.items["item_id"].to_pylist())
    assert set(dataset.judgements["query_id"].to_pylist()) == set(dataset.queries["query_id"].to_pylist())

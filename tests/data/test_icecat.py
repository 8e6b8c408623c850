"""The icecat_chorus layout, on a tiny folder of made-up products and on the real one where it is at hand."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shelfwalk.data.dataset import open_dataset
from shelfwalk.data.icecat import attribute_name
from shelfwalk.data.tables import ITEMS, JUDGEMENTS, QUERIES
from shelfwalk.errors import UserError

ICECAT = Path(__file__).resolve().parents[3] / "shared" / "data" / "icecat_chorus"


def product(number: int, **changes: Any) -> dict[str, Any]:
    base = {
        "product_id": str(number),
        "title": f"Acme M{number} desk lamp 20 W",
        "name": f"M{number}",
        "short_description": "Bright lamp<br />of <b>steel</b>",
        "supplier": "Acme",
        "price_cents": 1999,
        "date_released": "2006-07-01T00:00:00Z",
        "ean": ["0000000000000"],
        "attributes": [("attr_t_product_colour", "Red"), ("attr_n_power", "20.0"), ("attr_b_dimmable", "true")],
    }
    return base | changes


def write_folder(folder: Path, products: list[dict[str, Any]], ratings: list[tuple[str, str, Any]]) -> Path:
    columns: dict[str, Any] = {name: [row[name] for row in products] for name in products[0]}
    columns["attributes"] = pa.array(columns["attributes"], pa.map_(pa.string(), pa.string()))
    pq.write_table(pa.table(columns), folder / "products.parquet")
    queries = pa.table({"query_id": ["q1", "q2"], "query": ["lamp", "red lamp"], "split": ["train", "dev"]})
    pq.write_table(queries, folder / "queries.parquet")
    query_ids, product_ids, grades = zip(*ratings, strict=True)
    table = {"query_id": query_ids, "query": ["lamp"] * len(ratings), "product_id": product_ids}
    pq.write_table(pa.table({**table, "rating": pa.array(grades)}), folder / "ratings.parquet")
    return folder


def test_products_queries_and_ratings(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, [product(number) for number in range(6)], [("q1", "0", 3), ("q2", "5", 0)])
    dataset = open_dataset(folder)
    assert dataset.name == "icecat_chorus"
    assert dataset.items.schema == ITEMS
    first = dataset.items.to_pylist()[0]
    assert first["item_id"] == "0"
    assert first["brand"] == "Acme"
    assert first["price"] == 19.99
    assert first["description"] == "Bright lamp of steel"
    assert first["attributes"] == [("product colour", "Red"), ("power", "20"), ("dimmable", "true")]
    assert first["category"] == ["lamp", "desk lamp"]
    assert dataset.queries is not None
    assert dataset.queries.schema == QUERIES
    assert dataset.queries["query"].to_pylist() == ["lamp", "red lamp"]
    assert dataset.judgements is not None
    assert dataset.judgements.schema == JUDGEMENTS
    assert dataset.judgements["grade"].to_pylist() == [3, 0]
    assert dataset.events is None
    assert any("6 from title" in note for note in dataset.notes)


@pytest.mark.parametrize(
    ("short", "name", "title", "wanted"),
    [
        ("Bright", "M1", "Acme M1 desk lamp", "Bright"),
        ("Bright", "Glowworm", "Acme M1 desk lamp", "Bright; Glowworm"),
        (None, "Glowworm", "Acme M1 desk lamp", "Glowworm"),
        (None, "m1", "Acme M1 desk lamp", ""),
        (None, None, "Acme M1 desk lamp", ""),
    ],
)
def test_the_model_name_joins_the_description_where_the_title_lacks_it(
    short: str | None, name: str | None, title: str, wanted: str, tmp_path: Path
) -> None:
    rows = [product(1, short_description=short, name=name, title=title), product(2)]
    folder = write_folder(tmp_path, rows, [("q1", "1", 1)])
    assert open_dataset(folder).items["description"][0].as_py() == wanted


def test_attributes_that_share_a_name_are_joined_and_noted(tmp_path: Path) -> None:
    both = [("attr_b_height_adjustment", "true"), ("attr_n_height_adjustment", "100.0"), ("attr_t_x", "1.0")]
    same = [("attr_n_slots", "4.0"), ("attr_t_slots", "4")]
    rows = [product(1, attributes=both), product(2, attributes=same)]
    dataset = open_dataset(write_folder(tmp_path, rows, [("q1", "1", 1)]))
    maps = dataset.items["attributes"].to_pylist()
    assert maps == [[("height adjustment", "true; 100"), ("x", "1.0")], [("slots", "4")]]
    assert any(note.startswith("2 attribute names") and "1 items" in note for note in dataset.notes)


def test_attribute_names() -> None:
    assert attribute_name("attr_t_product_colour") == "product colour"
    assert attribute_name("attr_b_power_over_ethernet__poe_") == "power over ethernet poe"
    assert attribute_name("attribute_of_its_own") == "attribute of its own"


def test_ratings_of_products_that_are_not_there_are_noted(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, [product(1)], [("q1", "1", 1), ("q1", "gone", 2), ("q9", "1", 1)])
    notes = open_dataset(folder).notes
    assert (
        '2 of 3 judgements are of an item or a query that is not there; the first has query "q1" and item "gone".'
        in notes
    )


def test_bad_products_are_refused_or_set_aside(tmp_path: Path) -> None:
    rows = [product(1), product(2, title=""), product(1, name="repeated"), product(3)]
    folder = write_folder(tmp_path, rows, [("q1", "1", 1)])
    with pytest.raises(UserError, match=r"products\.parquet, row 2, column 'title': is empty"):
        open_dataset(folder)
    aside = tmp_path / "aside"
    dataset = open_dataset(folder, skip_bad_rows=True, bad_rows_folder=aside)
    assert dataset.items["item_id"].to_pylist() == ["1", "3"]
    assert any("2 bad rows" in note for note in dataset.notes)
    lines = (aside / "products.parquet.bad-rows.jsonl").read_text().splitlines()
    assert [json.loads(line)["row"] for line in lines] == [2, 3]


def test_a_rating_that_is_no_whole_number(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, [product(1)], [("q1", "1", 2.5)])
    with pytest.raises(UserError, match=r"ratings\.parquet, row 1, column 'grade': 2\.5 is no whole number"):
        open_dataset(folder)


def test_a_lacking_column_is_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, [product(1)], [("q1", "1", 1)])
    pq.write_table(pa.table({"query_id": ["q1"], "text": ["lamp"]}), folder / "queries.parquet")
    with pytest.raises(UserError, match=r"queries\.parquet has the file name of a known layout but no column 'query'"):
        open_dataset(folder)


@pytest.mark.skipif(not ICECAT.is_dir(), reason=f"the Icecat catalogue is not at {os.path.relpath(ICECAT)}")
def test_the_real_folder() -> None:
    dataset = open_dataset(ICECAT)
    raw = pq.read_table(ICECAT / "products.parquet")
    assert dataset.items.num_rows == raw.num_rows == 19_406
    assert dataset.queries is not None
    assert dataset.judgements is not None
    assert (dataset.queries.num_rows, dataset.judgements.num_rows) == (101, 2_876)
    assert not any("judgements name" in note for note in dataset.notes)
    kept = [
        {" ".join(name[len("attr_t_") :].replace("_", " ").split()) for name, _ in pairs}
        for pairs in raw["attributes"].to_pylist()
    ]
    assert [{name for name, _ in pairs} for pairs in dataset.items["attributes"].to_pylist()] == kept
    assert dataset.items["brand"].to_pylist() == raw["supplier"].to_pylist()
    covered = sum(bool(path) for path in dataset.items["category"].to_pylist())
    assert covered / raw.num_rows >= 0.93

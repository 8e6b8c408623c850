"""The layout of WANDS (Wayfair annotation data set): furniture with products, queries and human labels.

In: a folder with product.csv, query.csv and label.csv (or one with a folder `dataset` that has them), tab separated in
spite of their suffix. Out: a `Dataset`. Labels Exact, Partial and Irrelevant become grades 2, 1 and 0; "category
hierarchy" is split at "/", "product_features" ("name:value|name:value") become attributes, with the product class as
attribute "product class"; the number of ratings is the popularity.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from shelfwalk.data.adapter import Dataset, LayoutFile, attributes_of, changed, grades_of, read_layout
from shelfwalk.data.tables import CATEGORY_TYPE, ITEM_CONTRACT, JUDGEMENT_CONTRACT, QUERY_CONTRACT
from shelfwalk.data.unknown_ids import notes_on_judgements
from shelfwalk.data.validation import Block

FILES = ("product.csv", "query.csv", "label.csv")

_LABELS = pa.array(["Irrelevant", "Partial", "Exact"])
_PRODUCT_COLUMNS = {
    "item_id": "product_id",
    "title": "product_name",
    "class": "product_class",
    "hierarchy": "category hierarchy",
    "description": "product_description",
    "features": "product_features",
    "popularity": "rating_count",
}


def _item_columns(block: Block) -> Block:
    # Broken UTF-8 outside item_id, title and description is replaced: those three stay raw and are checked at the door.
    classes, features, hierarchies = (_lenient(block.columns[name]) for name in ("class", "features", "hierarchy"))
    rows = zip(classes, features, strict=True)
    attributes, _ = attributes_of(_pairs(product_class, features_text) for product_class, features_text in rows)
    categories = [[level.strip() for level in hierarchy.split(" / ") if level.strip()] for hierarchy in hierarchies]
    return changed(block, {"attributes": attributes, "category": pa.array(categories, CATEGORY_TYPE)})


def _lenient(array: pa.Array) -> list[str]:
    return [(value or b"").decode("utf-8", "replace") for value in array.to_pylist()]


def _pairs(product_class: str, features: str) -> list[tuple[str, str]]:
    pairs = [("product class", product_class)] if product_class else []
    for feature in filter(str.strip, features.split("|")):
        name, _, value = feature.partition(":")
        if name.strip():
            pairs.append((name.strip(), value.strip()))
    return pairs


def _grades(block: Block) -> Block:
    return changed(block, {"grade": grades_of(block.columns["label"], _LABELS)})


def open_wands(folder: Path, bad_rows_folder: Path | None = None) -> Dataset:
    """Open a folder in this layout; bad rows are refused, or set aside if there is a folder for them."""
    products, queries_path, labels = (folder / name for name in FILES)
    items, item_notes = read_layout(
        LayoutFile(products, _PRODUCT_COLUMNS, _item_columns, "\t"), ITEM_CONTRACT, bad_rows_folder
    )
    queries, query_notes = read_layout(
        LayoutFile(queries_path, {"query_id": "query_id", "query": "query"}, delimiter="\t"),
        QUERY_CONTRACT,
        bad_rows_folder,
    )
    label_columns = {"query_id": "query_id", "item_id": "product_id", "label": "label"}
    judgements, label_notes = read_layout(
        LayoutFile(labels, label_columns, _grades, "\t"), JUDGEMENT_CONTRACT, bad_rows_folder
    )
    notes = (
        "The columns average_rating, review_count and query_class are not used.",
        *item_notes,
        *query_notes,
        *label_notes,
        *notes_on_judgements(items, queries, judgements),
    )
    return Dataset("wands", items, queries, judgements, None, notes)

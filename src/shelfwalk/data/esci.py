"""The layout of ESCI (the Shopping Queries data set): products and graded query-product examples in several locales.

In: a folder with shopping_queries_dataset_products.parquet and shopping_queries_dataset_examples.parquet, or the small
sample with products.parquet and judgments.parquet. Out: a `Dataset` of one locale, since product ids repeat over
locales. Labels E (exact), S (substitute), C (complement) and I (irrelevant) become grades 3, 2, 1 and 0; the bullet
points follow the description; the colour is an attribute.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shelfwalk.data.adapter import (
    Dataset,
    LayoutFile,
    changed,
    filtered,
    grades_of,
    read_blocks,
    read_layout,
    table_block,
)
from shelfwalk.data.tables import ATTRIBUTES_TYPE, ITEM_CONTRACT, JUDGEMENT_CONTRACT, QUERY_CONTRACT
from shelfwalk.data.unknown_ids import notes_on_judgements
from shelfwalk.data.validation import Block

FILES = ("shopping_queries_dataset_products.parquet", "shopping_queries_dataset_examples.parquet")
SAMPLE_FILES = ("products.parquet", "judgments.parquet")
DEFAULT_LOCALE = "us"

_LABELS = pa.array(["I", "C", "S", "E"])
_PRODUCT_COLUMNS = {
    "item_id": "product_id",
    "title": "product_title",
    "text": "product_description",
    "bullets": "product_bullet_point",
    "brand": "product_brand",
    "color": "product_color",
    "locale": "product_locale",
}


def open_esci(folder: Path, bad_rows_folder: Path | None = None, *, locale: str = DEFAULT_LOCALE) -> Dataset:
    """Open a folder in the public layout; bad rows are refused, or set aside if there is a folder for them."""
    items, item_notes = _read_items(folder / FILES[0], locale, bad_rows_folder)
    path = folder / FILES[1]

    def grades(block: Block) -> Block:
        return _of_locale(changed(block, {"grade": grades_of(block.columns["label"], _LABELS)}), locale)

    columns = {"query_id": "query_id", "item_id": "product_id", "label": "esci_label", "locale": "product_locale"}
    judgements, label_notes = read_layout(LayoutFile(path, columns, grades), JUDGEMENT_CONTRACT, bad_rows_folder)
    queries, query_notes = _read_queries(path, locale, bad_rows_folder)
    notes = (
        f"Only the locale {locale} is used: product ids repeat over locales.",
        *item_notes,
        *query_notes,
        *label_notes,
        *notes_on_judgements(items, queries, judgements),
    )
    return Dataset("esci", items, queries, judgements, None, notes)


def _read_items(path: Path, locale: str, bad_rows_folder: Path | None) -> tuple[pa.Table, tuple[str, ...]]:
    def change(block: Block) -> Block:
        return _of_locale(changed(block, _item_columns(block)), locale)

    return read_layout(LayoutFile(path, _PRODUCT_COLUMNS, change), ITEM_CONTRACT, bad_rows_folder)


def _of_locale(block: Block, locale: str) -> Block:
    return filtered(block, pc.equal(block.columns["locale"], locale))


def _item_columns(block: Block) -> dict[str, pa.Array]:
    texts = [pc.fill_null(block.columns[name].cast(pa.string()), "") for name in ("text", "bullets", "color")]
    text, bullets, color = map(pc.utf8_trim_whitespace, texts)
    description = pc.utf8_trim_whitespace(pc.binary_join_element_wise(text, bullets, "\n"))
    has_color = pc.not_equal(color, "").to_numpy(zero_copy_only=False)
    offsets = pa.array(np.concatenate([[0], np.cumsum(has_color)]).astype(np.int32))
    colors = color.filter(pa.array(has_color))
    attributes = pa.MapArray.from_arrays(offsets, pa.array(["color"] * len(colors), pa.string()), colors)
    return {"description": description, "attributes": attributes.cast(ATTRIBUTES_TYPE)}


def _read_queries(path: Path, locale: str, bad_rows_folder: Path | None) -> tuple[pa.Table, tuple[str, ...]]:
    """The distinct queries of the examples, in file order."""
    columns = {"query_id": "query_id", "query": "query", "locale": "product_locale"}
    file = LayoutFile(path, columns, lambda block: _of_locale(block, locale))
    batches = [pa.table({name: block.columns[name] for name in ("query_id", "query")}) for block in file.blocks()]
    distinct = pa.concat_tables(batches).group_by(["query_id", "query"], use_threads=False).aggregate([])
    return read_blocks([table_block(distinct)], path, QUERY_CONTRACT, bad_rows_folder)


def open_esci_sample(folder: Path, bad_rows_folder: Path | None = None) -> Dataset:
    """Open a folder in the layout of the sample.

    Most judgements there have no product text, so only those on products of the folder are kept. Queries are numbered,
    since many have no id.
    """
    items, item_notes = _read_items(folder / SAMPLE_FILES[0], DEFAULT_LOCALE, bad_rows_folder)
    ids = items["item_id"].combine_chunks()
    numbers: dict[str, str] = {}
    total = 0

    def change(block: Block) -> Block:
        nonlocal total
        total += len(block.rows)
        kept = filtered(block, pc.is_in(block.columns["item_id"].cast(pa.string()), ids))
        query_ids = [numbers.setdefault(query, f"q{len(numbers)}") for query in kept.columns["query"].to_pylist()]
        grades = grades_of(kept.columns["label"], _LABELS)
        return changed(kept, {"query_id": pa.array(query_ids, pa.string()), "grade": grades})

    columns = {"query": "query", "item_id": "product_id", "label": "esci_label"}
    path = folder / SAMPLE_FILES[1]
    judgements, label_notes = read_layout(LayoutFile(path, columns, change), JUDGEMENT_CONTRACT, bad_rows_folder)
    texts = pa.table({"query_id": list(numbers.values()), "query": list(numbers)})
    queries, query_notes = read_blocks([table_block(texts)], path, QUERY_CONTRACT, bad_rows_folder)
    notes = (
        f"Only the locale {DEFAULT_LOCALE} is used: product ids repeat over locales.",
        f"{total - judgements.num_rows} of {total} judgements are left out: their product is not among the items.",
        "The simulated click log is left out.",
        *item_notes,
        *query_notes,
        *label_notes,
    )
    return Dataset("esci_sample", items, queries, judgements, None, notes)

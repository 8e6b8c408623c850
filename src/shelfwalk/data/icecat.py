"""The layout icecat_chorus: an electronics catalogue from Icecat with the human relevance ratings of Chorus.

In: a folder with products.parquet (product_id, title, name, short_description, supplier, price_cents, attributes),
queries.parquet (query_id, query) and ratings.parquet (query_id, product_id, rating 0 to 3). Out: a `Dataset`.

`supplier` is the brand; the description is the short description without markup, with the maker's model name behind it
where the title lacks that. Attribute names lose their prefix ("attr_t_product_colour" becomes "product colour") and
whole numbers their ".0". The catalogue has no categories: they are derived (categories.py).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from shelfwalk.data.adapter import Dataset, LayoutFile, attributes_of, changed, read_layout
from shelfwalk.data.categories import SOURCES, derive_categories
from shelfwalk.data.tables import CATEGORY_TYPE, ITEM_CONTRACT, JUDGEMENT_CONTRACT, QUERY_CONTRACT
from shelfwalk.data.unknown_ids import notes_on_judgements
from shelfwalk.data.validation import Block

FILES = ("products.parquet", "queries.parquet", "ratings.parquet")

_PREFIX = re.compile(r"^attr_[tnb]_")
_WHOLE_NUMBER = re.compile(r"(-?\d+)\.0")
_MARKUP = r"<[^>]*>"


def attribute_name(raw: str) -> str:
    """Readable name of an attribute: no type prefix, spaces for underscores."""
    return " ".join(_PREFIX.sub("", raw).replace("_", " ").split())


@dataclass
class _ProductReader:
    """Turns blocks of products.parquet into item columns, and gathers what the notes and the derivation need."""

    model_names: dict[str, str] = field(default_factory=dict)
    raw_names: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    joined_items: int = 0

    def change(self, block: Block) -> Block:
        columns = block.columns
        for item, name in zip(columns["item_id"].to_pylist(), columns["name"].to_pylist(), strict=True):
            self.model_names.setdefault(item, name or "")
        attributes, joined = attributes_of(map(self._pairs, columns["attributes"].to_pylist()))
        self.joined_items += joined
        prices = pc.divide(columns["price_cents"].cast(pa.float64()), 100.0)
        return changed(block, {"description": _descriptions(columns), "price": prices, "attributes": attributes})

    def _pairs(self, raw: Iterable[tuple[str, str]] | None) -> list[tuple[str, str]]:
        pairs = [(attribute_name(name), name, value) for name, value in raw or () if value is not None]
        for name, raw_name, _ in pairs:
            self.raw_names[name].add(raw_name)
        return [(name, _plain_value(raw_name, value)) for name, raw_name, value in pairs]

    def notes(self) -> tuple[str, ...]:
        shared = sum(len(raw) > 1 for raw in self.raw_names.values())
        if not shared:
            return ()
        return (
            f"{shared} attribute names stand for more than one attribute of the source; {self.joined_items} items have"
            " several values under one name, joined with a semicolon.",
        )


def _plain_value(raw_name: str, value: str) -> str:
    number = _WHOLE_NUMBER.fullmatch(value) if raw_name.startswith("attr_n_") else None
    return number.group(1) if number else value


def _descriptions(columns: Mapping[str, pa.Array]) -> pa.Array:
    """Short description without markup, then the model name if the title does not hold it; "; " between the two."""
    short = pc.replace_substring_regex(pc.fill_null(columns["short_description"], ""), _MARKUP, " ")
    rows = zip(short.to_pylist(), columns["name"].to_pylist(), columns["title"].to_pylist(), strict=True)
    return pa.array(["; ".join(_description_parts(*row)) for row in rows], pa.string())


def _description_parts(short: str, name: str | None, title: str | None) -> list[str]:
    extra = name if name and name.lower() not in (title or "").lower() else ""
    return [part for part in (" ".join(short.split()), extra) if part]


def open_icecat(folder: Path, bad_rows_folder: Path | None = None) -> Dataset:
    """Open a folder in this layout; bad rows are refused, or set aside if there is a folder for them."""
    items, notes = read_icecat_items(folder, bad_rows_folder)
    queries, query_notes = read_layout(
        LayoutFile(folder / FILES[1], {"query_id": "query_id", "query": "query"}), QUERY_CONTRACT, bad_rows_folder
    )
    rating_columns = {"query_id": "query_id", "item_id": "product_id", "grade": "rating"}
    judgements, judgement_notes = read_layout(
        LayoutFile(folder / FILES[2], rating_columns), JUDGEMENT_CONTRACT, bad_rows_folder
    )
    notes += query_notes + judgement_notes + notes_on_judgements(items, queries, judgements)
    return Dataset("icecat_chorus", items, queries, judgements, None, notes)


def read_icecat_items(folder: Path, bad_rows_folder: Path | None = None) -> tuple[pa.Table, tuple[str, ...]]:
    """The items of the layout with derived categories, and the notes on them."""
    items, names, notes = read_icecat_products(folder, bad_rows_folder)
    derived = derive_categories(items, names)
    place = items.schema.get_field_index("category")
    items = items.set_column(place, "category", pa.array(derived.categories, CATEGORY_TYPE))
    shares = ", ".join(f"{derived.sources.count(source)} from {source}" for source in SOURCES)
    return items, (*notes, f"Categories are derived, not given: {shares}.")


def read_icecat_products(
    folder: Path, bad_rows_folder: Path | None = None
) -> tuple[pa.Table, list[str], tuple[str, ...]]:
    """The items of the layout before categories are derived, the maker's model name of each, and the notes."""
    reader = _ProductReader()
    columns = {
        "item_id": "product_id",
        "title": "title",
        "name": "name",
        "short_description": "short_description",
        "brand": "supplier",
        "price_cents": "price_cents",
        "attributes": "attributes",
    }
    file = LayoutFile(folder / FILES[0], columns, reader.change)
    items, bad_notes = read_layout(file, ITEM_CONTRACT, bad_rows_folder)
    names = [reader.model_names[item] for item in items["item_id"].to_pylist()]
    return items, names, reader.notes() + bad_notes

"""The hidden truth of a market on disk: what nothing that is built or trained may read.

In: a catalogue's features, tree and lexicon, shoppers, visits. Out: npy, JSON and Parquet files in the folder `truth`
of a market, and the same objects again, their arrays memory-mapped.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from shelfwalk.market.catalogue import Catalogue
from shelfwalk.market.item_features import CategoryTree, ItemFeatures, Lexicon
from shelfwalk.market.log import visit_ids
from shelfwalk.market.needs import Visits
from shelfwalk.market.shoppers import Shoppers
from shelfwalk.market.wishes import MOST_VALUES, Wishes

_Arrays = TypeVar("_Arrays", ItemFeatures, Shoppers)

_FEATURES = "item_features"
_SHOPPERS = "shoppers"
_WORDS = "words.json"

_WISH = [
    ("category", pa.int32()),
    ("brand", pa.int32()),
    ("values", pa.list_(pa.int32(), MOST_VALUES)),
    ("price_low", pa.float32()),
    ("price_high", pa.float32()),
]
NEEDS = pa.schema(
    [
        ("query_id", pa.string()),
        ("session_id", pa.string()),
        ("query", pa.string()),
        ("shopper", pa.int32()),
        ("target", pa.int32()),
        *((f"need_{name}", kind) for name, kind in _WISH),
        *((f"intent_{name}", kind) for name, kind in _WISH),
    ]
)
"""One row a visit: what was typed and by whom, the item (row of the catalogue) that the need was made of, need and
intent."""


def write_truth(folder: Path, catalogue: Catalogue, shoppers: Shoppers) -> None:
    """Write all that a simulation needs into `folder`."""
    _write_arrays(folder / _FEATURES, catalogue.features)
    _write_arrays(folder / _SHOPPERS, shoppers)
    words = {"paths": catalogue.tree.paths, "parent": catalogue.tree.parent.tolist(), **asdict(catalogue.lexicon)}
    (folder / _WORDS).write_text(json.dumps(words, ensure_ascii=False) + "\n", encoding="utf-8")


def read_truth(folder: Path) -> tuple[Catalogue, Shoppers]:
    """Open what `write_truth` wrote."""
    words = json.loads((folder / _WORDS).read_bytes())
    tree = CategoryTree(np.array(words["parent"], np.int32), _tuples(words["paths"]))
    categories, brands, values = (_tuples(words[name]) for name in ("categories", "brands", "values"))
    lexicon = Lexicon(categories, brands, values, tuple(words["value_attributes"]))
    features = _read_arrays(folder / _FEATURES, ItemFeatures)
    return Catalogue(tree, lexicon, features), _read_arrays(folder / _SHOPPERS, Shoppers)


def needs_of(visits: Visits, first: int) -> pa.Table:
    """Return the NEEDS rows of a chunk of visits, of which the first has the number `first`."""
    columns = [
        *visit_ids(first, len(visits)),
        pa.array(visits.queries, pa.string()),
        pa.array(visits.shopper),
        pa.array(visits.targets.astype(np.int32)),
        *_wish_columns(visits.needs),
        *_wish_columns(visits.intents),
    ]
    return pa.table(columns, schema=NEEDS)


def _wish_columns(wishes: Wishes) -> list[pa.Array]:
    values = pa.FixedSizeListArray.from_arrays(pa.array(wishes.values.reshape(-1)), MOST_VALUES)
    return [
        pa.array(wishes.category),
        pa.array(wishes.brand),
        values,
        pa.array(wishes.price_low),
        pa.array(wishes.price_high),
    ]


def _write_arrays(folder: Path, arrays: ItemFeatures | Shoppers) -> None:
    folder.mkdir()
    for field in fields(arrays):
        np.save(folder / f"{field.name}.npy", getattr(arrays, field.name), allow_pickle=False)


def _read_arrays(folder: Path, kind: type[_Arrays]) -> _Arrays:
    return kind(**{field.name: _mapped(folder / f"{field.name}.npy") for field in fields(kind)})


def _mapped(path: Path) -> Any:
    # As a plain array: the subclass that maps memory slows every later operation down.
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def _tuples(lists: list[list[str]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(entry) for entry in lists)

"""The four tables that all data comes in, and the contract of each.

`ITEMS`, `QUERIES`, `JUDGEMENTS` and `EVENTS` are the Arrow schemas; the contracts add which columns a file must bring,
what a missing column or an empty cell becomes, which columns may not be blank and which identify a row. validation.py
enforces them; events use the columns of the User Behavior Insights (UBI) schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pyarrow as pa

ACTIONS = ("impression", "click", "add_to_cart", "purchase")

ATTRIBUTES_TYPE = pa.map_(pa.string(), pa.string())
CATEGORY_TYPE = pa.list_(pa.string())
TIMESTAMP_TYPE = pa.timestamp("us", tz="UTC")

ITEMS = pa.schema(
    [
        ("item_id", pa.string()),
        ("title", pa.string()),
        ("description", pa.string()),
        ("brand", pa.string()),
        ("category", CATEGORY_TYPE),
        ("attributes", ATTRIBUTES_TYPE),
        ("price", pa.float64()),
        ("popularity", pa.float64()),
        ("available", pa.bool_()),
    ]
)
QUERIES = pa.schema([("query_id", pa.string()), ("query", pa.string())])
EVALUATION_QUERIES = pa.schema(
    [*QUERIES, ("frequency", pa.float64()), ("band", pa.string()), ("seen", pa.bool_()), ("cold", pa.bool_())]
)
"""Queries with what is known of each, null if unknown: how often it was asked before the evaluation, its popularity
band (head, middle or tail), whether the training log holds it, and whether it asks for an item that came after it."""
HISTORY_TYPE = pa.list_(pa.string())
PERSONAL_QUERIES = pa.schema(
    [*EVALUATION_QUERIES, ("asked_at", TIMESTAMP_TYPE), ("history", HISTORY_TYPE), ("history_at", TIMESTAMP_TYPE)]
)
"""Queries with what their shoppers had wanted before, `history`: item ids, most recent first; null or empty if nothing
is known. `history_at` is when the most recent of it was, which must be before `asked_at`; both null if unknown."""
JUDGEMENTS = pa.schema([("query_id", pa.string()), ("item_id", pa.string()), ("grade", pa.int32())])
EVENTS = pa.schema(
    [
        ("timestamp", TIMESTAMP_TYPE),
        ("session_id", pa.string()),
        ("client_id", pa.string()),
        ("query_id", pa.string()),
        ("user_query", pa.string()),
        ("action_name", pa.string()),
        ("object_id", pa.string()),
        ("ordinal", pa.int32()),
    ]
)


@dataclass(frozen=True)
class Contract:
    """What a file must bring to become one of the tables.

    `obligatory` columns must be in the file and filled in every row, `not_blank` ones must hold more than spaces, and
    `unique` ones together identify a row. `defaults` are the values of the other columns where the file lacks them or
    leaves a cell empty; a column without one becomes null.
    """

    name: str
    schema: pa.Schema
    obligatory: tuple[str, ...]
    not_blank: tuple[str, ...]
    unique: tuple[str, ...]
    defaults: Mapping[str, object] = field(default_factory=dict)


ITEM_CONTRACT = Contract(
    "items",
    ITEMS,
    obligatory=("item_id", "title"),
    not_blank=("item_id", "title"),
    unique=("item_id",),
    defaults={"description": "", "brand": "", "category": [], "attributes": [], "popularity": 0.0, "available": True},
)
QUERY_CONTRACT = Contract(
    "queries", QUERIES, obligatory=("query_id", "query"), not_blank=("query_id", "query"), unique=("query_id",)
)
EVALUATION_QUERY_CONTRACT = Contract(
    "queries",
    EVALUATION_QUERIES,
    obligatory=("query_id", "query"),
    not_blank=("query_id", "query"),
    unique=("query_id",),
)
PERSONAL_QUERY_CONTRACT = replace(EVALUATION_QUERY_CONTRACT, schema=PERSONAL_QUERIES)
JUDGEMENT_CONTRACT = Contract(
    "judgements",
    JUDGEMENTS,
    obligatory=("query_id", "item_id", "grade"),
    not_blank=("query_id", "item_id"),
    unique=("query_id", "item_id"),
)
EVENT_CONTRACT = Contract(
    "events",
    EVENTS,
    obligatory=("timestamp", "session_id", "user_query", "action_name", "object_id"),
    not_blank=("session_id", "action_name", "object_id"),
    unique=(),
    defaults={"client_id": "", "query_id": ""},
)

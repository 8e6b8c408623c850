"""What a shop may have beside its catalogue to train a shelf on."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True)
class TrainingTables:
    """What a shop has beside its catalogue to train on, and the queries that must not be among it."""

    queries: pa.Table | None = None
    judgements: pa.Table | None = None
    events: pa.Table | None = None
    evaluation_queries: pa.Table | None = None

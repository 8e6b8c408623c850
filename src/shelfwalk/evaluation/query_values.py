"""The values per query of one evaluation, as a Parquet file beside the results file.

A paired comparison needs every query's value, and a line of a results file is no place for thousands of them. In: an
`Evaluation`. Out: `QueryValues`, and a file `values/<id>.parquet` whose name is the start of the sha256 of its bytes: a
line names its file by that id, and a file that was changed or swapped is noticed.

One row a channel and query: channel, query_id, query, one column a kind of part (band, seen, cold, length; null where
unknown) and one a measure (null where the channel has none, or none for this query).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from shelfwalk.data.hashing import content_hash
from shelfwalk.errors import UserError
from shelfwalk.evaluation.evaluate import Evaluation
from shelfwalk.evaluation.strata import PARTS, Labels

FOLDER = "values"
_KEYS = ("channel", "query_id", "query")
_ID_DIGITS = 16


@dataclass(frozen=True)
class QueryValues:
    """Every query's values, aligned with `query_ids` and `texts`.

    `values[channel][measure]` float64 [queries], NaN where undefined; `labels[kind]` str [queries], "" where unknown.
    """

    query_ids: tuple[str, ...]
    texts: tuple[str, ...]
    labels: Mapping[str, Labels]
    values: Mapping[str, Mapping[str, NDArray[np.float64]]]

    @property
    def queries_hash(self) -> str:
        """What must be equal for two sets of values to be paired: the ids and texts of the queries, in order."""
        return content_hash(pa.table({"query_id": self.query_ids, "query": self.texts}))


def query_values(evaluation: Evaluation) -> QueryValues:
    """Return the values per query of an evaluation."""
    values = {channel: dict(scored.values) for channel, scored in evaluation.per_query.items()}
    return QueryValues(evaluation.query_ids, evaluation.texts, evaluation.labels, values)


def encode_query_values(values: QueryValues) -> bytes:
    """Return the values as the bytes of a Parquet file; the same values give the same bytes."""
    sink = io.BytesIO()
    pq.write_table(_table(values), sink, compression="zstd")
    return sink.getvalue()


def values_id(content: bytes) -> str:
    """Return the id of a file of values: sixteen hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()[:_ID_DIGITS]


def values_path(folder: Path, name: str) -> Path:
    """Where the values of the id `name` are, for results files in `folder`."""
    return folder / FOLDER / f"{name}.parquet"


def read_query_values(folder: Path, name: str) -> QueryValues:
    """Read the values of the id `name`; raises UserError where their file is missing or not the one written."""
    path = values_path(folder, name)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"Cannot read the values per query {path}: {error.strerror}; keep the folder {FOLDER} beside its results."
        ) from None
    if values_id(content) != name:
        raise UserError(f"{path} is not the file that was written (its checksum differs); evaluate again.")
    return _from_table(pq.read_table(io.BytesIO(content)))


def _table(values: QueryValues) -> pa.Table:
    measures = list(dict.fromkeys(measure for measured in values.values.values() for measure in measured))
    absent = np.full(len(values.query_ids), np.nan)
    keys = {"query_id": pa.array(values.query_ids, pa.string()), "query": pa.array(values.texts, pa.string())}
    labels = {
        kind: pa.array([label or None for label in found.tolist()], pa.string())
        for kind, found in values.labels.items()
    }
    parts = []
    for channel, measured in values.values.items():
        columns = {
            measure: pa.array(measured.get(measure, absent), pa.float64(), from_pandas=True) for measure in measures
        }
        name = pa.array([channel] * len(values.query_ids), pa.string())
        parts.append(pa.table({"channel": name, **keys, **labels, **columns}))
    return pa.concat_tables(parts)


def _from_table(table: pa.Table) -> QueryValues:
    kinds = [kind for kind in PARTS if kind in table.column_names]
    measures = [name for name in table.column_names if name not in (*_KEYS, *kinds)]
    channels = table["channel"].unique().to_pylist()
    parts = {channel: table.filter(pc.equal(table["channel"], channel)) for channel in channels}
    first = parts[channels[0]]
    labels = {kind: np.array([label or "" for label in first[kind].to_pylist()], dtype=np.str_) for kind in kinds}
    values = {
        channel: {
            measure: part[measure].to_numpy(zero_copy_only=False).astype(np.float64)
            for measure in measures
            if part[measure].null_count < len(part)
        }
        for channel, part in parts.items()
    }
    return QueryValues(tuple(first["query_id"].to_pylist()), tuple(first["query"].to_pylist()), labels, values)

"""The identifiers predicted for queries, and a cache of those of frequent ones.

In: the beams of queries. Out: `QueryIdentifiers` of one query, from the cache, or nothing where it has to be predicted
live. DSIRM (arXiv 2606.04374) answers 88 % of its traffic from such a cache.

On disk: one Parquet file with a row a query, sorted by the text that it is found under (lower case, spaces folded):
query, codes int32 [K · levels] and log_probabilities float32 [K]. In memory these stay columns, not an object a query.
It holds at most as many queries as it was made for, the most frequent ones.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shelfwalk.errors import UserError
from shelfwalk.files import write_whole
from shelfwalk.generators.beam_search import Beams

_COLUMNS = ("query", "codes", "log_probabilities")


@dataclass(frozen=True)
class QueryIdentifiers:
    """The identifiers of one query or more, most probable first.

    `codes` int32 [..., K, levels], −1 where there are fewer; `log_probabilities` float32 [..., K], −inf there.
    """

    codes: npt.NDArray[np.int32]
    log_probabilities: npt.NDArray[np.float32]

    @classmethod
    def of(cls, beams: Beams, candidates: int) -> QueryIdentifiers:
        """The best `candidates` paths of every query of a beam search, padded where there are fewer."""
        missing = max(candidates - beams.scores.shape[1], 0)
        codes = np.pad(beams.codes[:, :candidates], ((0, 0), (0, missing), (0, 0)), constant_values=-1)
        scores = np.pad(beams.scores[:, :candidates], ((0, 0), (0, missing)), constant_values=-np.inf)
        return cls(codes.astype(np.int32), scores.astype(np.float32))


def cache_key(query: str) -> str:
    """What a query is found under: lower case, one space between words."""
    return " ".join(query.lower().split())


def cache_keys(queries: pa.ChunkedArray) -> pa.ChunkedArray:
    """The cache key of every query of a column."""
    return pc.utf8_trim_whitespace(pc.replace_substring_regex(pc.utf8_lower(queries), r"\s+", " "))


def most_frequent(queries: pa.ChunkedArray, capacity: int) -> list[str]:
    """The `capacity` most frequent cache keys of a column of queries, one entry a visit; ties follow the alphabet."""
    counts = pa.table({"query": cache_keys(queries)}).group_by("query").aggregate([("query", "count")])
    counts = counts.filter(pc.and_(pc.is_valid(counts["query"]), pc.not_equal(counts["query"], "")))
    ordered = counts.sort_by([("query_count", "descending"), ("query", "ascending")])
    frequent: list[str] = ordered["query"].slice(0, capacity).to_pylist()
    return frequent


class QueryCache:
    """Queries and their identifiers: keys ascending, codes int32 [queries, K, levels], float32 [queries, K]."""

    def __init__(self, keys: pa.StringArray, identifiers: QueryIdentifiers) -> None:
        self._keys = keys
        self._identifiers = identifiers

    @classmethod
    def of(cls, queries: Sequence[str], identifiers: QueryIdentifiers) -> QueryCache:
        """Keep the identifiers of these queries; of those with one key the first counts."""
        keys, first = np.unique(np.array([cache_key(query) for query in queries], dtype=object), return_index=True)
        kept = QueryIdentifiers(identifiers.codes[first], identifiers.log_probabilities[first])
        return cls(pa.array(keys.tolist(), pa.string()), kept)

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def candidates(self) -> int:
        """Identifiers kept for a query."""
        return int(self._identifiers.codes.shape[1])

    def find(self, query: str) -> QueryIdentifiers | None:
        """The identifiers of a query, [K, levels] and [K]; None if it is not kept."""
        key = cache_key(query)
        place = bisect_left(range(len(self)), key, key=lambda row: self._keys[row].as_py())
        if place == len(self) or self._keys[place].as_py() != key:
            return None
        return QueryIdentifiers(self._identifiers.codes[place], self._identifiers.log_probabilities[place])

    def save(self, path: Path) -> None:
        """Write the Parquet file, whole or not at all."""
        found = self._identifiers
        candidates, levels = found.codes.shape[1:]
        codes = pa.FixedSizeListArray.from_arrays(pa.array(found.codes.reshape(-1)), candidates * levels)
        scores = pa.FixedSizeListArray.from_arrays(pa.array(found.log_probabilities.reshape(-1)), candidates)
        sink = BytesIO()
        pq.write_table(pa.table(dict(zip(_COLUMNS, (self._keys, codes, scores), strict=True))), sink)
        write_whole(path, sink.getvalue())

    @classmethod
    def open(cls, path: Path, levels: int) -> QueryCache:
        """Read what `save` wrote of identifiers of so many levels; raises UserError if it is damaged or of others."""
        try:
            table = pq.read_table(path, columns=list(_COLUMNS), memory_map=True).combine_chunks()
            keys, codes, scores = (_joined(table[name]) for name in _COLUMNS)
            candidates, width = scores.type.list_size, codes.type.list_size
            flat, probabilities = (column.flatten().to_numpy(zero_copy_only=False) for column in (codes, scores))
        except (OSError, pa.ArrowException, AttributeError):
            raise UserError(f"The cache of queries {path} is missing or damaged: build the shelf again.") from None
        if width != candidates * levels:
            raise UserError(
                f"The cache of queries {path} is of identifiers of {width // max(candidates, 1)} levels, and those of"
                f" this shelf have {levels}: build the shelf again."
            )
        shaped = QueryIdentifiers(flat.reshape(-1, candidates, levels), probabilities.reshape(-1, candidates))
        return cls(keys, shaped)


def _joined(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)

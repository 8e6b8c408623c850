"""What a relevance model reads of a query and an item, beside the agreement of their identifiers.

In: a request and rows of the catalogue, with what the lexical and the dense channel know. Out: features, float32 [rows,
features], in the order of `names`. They are what any shop has: words, cosine, popularity, price, stock, and
how many of the items nearest to the query share the item's category. None is fixed by DSIRM (arXiv 2606.04374), which
adds its feature to those of a model that is not described.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shelfwalk.channels.bm25 import Bm25Channel
from shelfwalk.channels.channel import Request
from shelfwalk.channels.dense import DenseChannel
from shelfwalk.ranking.ranker_settings import PLAIN_FEATURES, PlainFeature

MATCH_FEATURE = "identifier match"
NEAREST = 50
"""Items nearest to a query, whose categories stand for the query's."""
_BETWEEN = "\x1f"

FloatArray = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PairFeatures:
    """Makes the features of requests and catalogue rows; `vectors` float32 [items, dimensions] are unit length.

    `names`: which of the features, in their order.
    """

    items: pa.Table
    vectors: FloatArray
    bm25: Bm25Channel
    dense: DenseChannel
    names: tuple[PlainFeature, ...] = PLAIN_FEATURES

    def of(self, request: Request, rows: Rows) -> FloatArray:
        """The plain features of these rows for one request: float32 [rows, features]."""
        scores = self.bm25.item_scores(request.query)
        nearest = self.dense.search(Request(request.query, request.vector), NEAREST)
        cosines = self.vectors[rows] @ request.vector
        price = self._prices[rows]
        best = float(scores.max(initial=0)) or 1.0
        columns = (
            scores[rows],
            scores[rows] / best,
            cosines,
            cosines - nearest.scores.max(initial=-1.0),
            self.bm25.word_shares(request.query, rows),
            np.full(len(rows), len(request.query.split())),
            self._popularity[rows],
            np.log1p(np.nan_to_num(price)),
            np.isfinite(price),
            self._available[rows],
            *(_shares(codes, nearest.rows, rows) for codes in self._categories),
        )
        named = dict(zip(PLAIN_FEATURES, columns, strict=True))
        return np.stack([np.asarray(named[name], np.float32) for name in self.names], axis=1)

    @cached_property
    def _prices(self) -> FloatArray:
        """NaN where there is none."""
        prices: FloatArray = self.items["price"].to_numpy().astype(np.float32)
        return prices

    @cached_property
    def _popularity(self) -> FloatArray:
        popularity: FloatArray = np.log1p(self.items["popularity"].to_numpy()).astype(np.float32)
        return popularity

    @cached_property
    def _available(self) -> npt.NDArray[np.bool_]:
        available: npt.NDArray[np.bool_] = self.items["available"].to_numpy(zero_copy_only=False).astype(bool)
        return available

    @cached_property
    def _categories(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Which category each item has, and which top category: int32 [items], −1 for none."""
        column = self.items["category"].combine_chunks()
        column = pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column
        return _numbered(column), _numbered(pc.list_slice(column, 0, 1))


def _numbered(paths: pa.ListArray) -> npt.NDArray[np.int32]:
    joined = pc.fill_null(pc.binary_join(paths, _BETWEEN), "")
    known = pc.if_else(pc.equal(joined, ""), None, joined).dictionary_encode()
    numbers: npt.NDArray[np.int32] = pc.fill_null(known.indices, -1).to_numpy(zero_copy_only=False).astype(np.int32)
    return numbers


def _shares(codes: npt.NDArray[np.int32], nearest: Rows, rows: Rows) -> FloatArray:
    """The share of the nearest items that have the category of each row; 0 for a row without one."""
    of_nearest, counts = np.unique(codes[nearest], return_counts=True)
    wanted = codes[rows]
    if len(of_nearest) == 0:
        return np.zeros(len(rows), np.float32)
    place = np.minimum(np.searchsorted(of_nearest, wanted), len(of_nearest) - 1)
    found = (of_nearest[place] == wanted) & (wanted >= 0)
    shares: FloatArray = np.where(found, counts[place] / len(nearest), 0).astype(np.float32)
    return shares

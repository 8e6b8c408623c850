"""The pages that a shelf serves in visits of a market: searched once a distinct query, cut to what can be bought then.

In: shelves, the texts that are asked, and the market's items. Out: for each visit the best items of a channel that are
in stock and have appeared by then, and which channels recalled each. No shopper's history is given to a shelf, so
that a page depends on the query and the time alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shelfwalk.channels.channel import Hits
from shelfwalk.channels.names import BASELINE, FUSED
from shelfwalk.errors import UserError
from shelfwalk.shelf.shelf import DEPTH, Shelf

_VISITS_AT_ONCE = 8_192


@dataclass(frozen=True)
class RankedQueries:
    """The answers of one channel of a shelf: one row a distinct query, best item first.

    `items` int32 [queries, `DEPTH`]: rows of the market's catalogue, padded with −1. `recalled` uint8 [queries,
    `DEPTH`]: bit n is set where `channels[n]` had the item in the list that it handed over.
    """

    channels: tuple[str, ...]
    items: npt.NDArray[np.int32]
    recalled: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Pages:
    """One page a visit: items int64 [visits, places], padded with −1, and `recalled` of each as in RankedQueries."""

    items: npt.NDArray[np.int64]
    recalled: npt.NDArray[np.uint8]


def market_rows(shelf: Shelf, item_ids: pa.ChunkedArray, name: str) -> npt.NDArray[np.int32]:
    """Return the row in the market's catalogue of every item of a shelf, int32 [items of the shelf].

    Raises UserError if the market does not know an item.
    """
    rows = pa.compute.index_in(shelf.items["item_id"], value_set=item_ids.combine_chunks()).combine_chunks()
    if rows.null_count:
        unknown = shelf.items["item_id"].filter(pa.compute.is_null(rows))
        raise UserError(
            f"The shelf {name} holds {rows.null_count:,} items that are not in the market, such as {unknown[0]}: build "
            "it from the market's own items.parquet."
        )
    found: npt.NDArray[np.int32] = rows.to_numpy().astype(np.int32)
    return found


def rank_queries(
    shelf: Shelf,
    queries: Sequence[str],
    channels: Sequence[str],
    rows: npt.NDArray[np.int32],
    tell: Callable[[int], None],
) -> dict[str, RankedQueries]:
    """Search every query once for all `channels`; `rows` as from `market_rows`; `tell` hears how many are done."""
    parts = {name: _parts(shelf, name) for name in channels}
    items = {name: np.full((len(queries), DEPTH), -1, np.int32) for name in parts}
    recalled = {name: np.zeros((len(queries), DEPTH), np.uint8) for name in parts}
    for number, query in enumerate(queries):
        # Not deeper than a search is by itself, as a fusion of longer lists is another ranking.
        hits = shelf.hits(query, DEPTH, tuple(parts))
        for name, sources in parts.items():
            found = hits[name].rows[:DEPTH]
            items[name][number, : len(found)] = rows[found]
            recalled[name][number, : len(found)] = _recalled(found, hits, sources)
        tell(number + 1)
    return {name: RankedQueries(sources, items[name], recalled[name]) for name, sources in parts.items()}


def serve_pages(
    ranked: RankedQueries,
    query: npt.NDArray[np.int64],
    at: npt.NDArray[np.int64],
    available: npt.NDArray[np.bool_],
    appears: npt.NDArray[np.int64],
    places: int,
) -> Pages:
    """Return the page of every visit.

    `query` [visits]: rows of `ranked`; `at` [visits] and `appears` [items]: microseconds; `available` [items].
    """
    pages = Pages(np.full((len(query), places), -1, np.int64), np.zeros((len(query), places), np.uint8))
    for start in range(0, len(query), _VISITS_AT_ONCE):
        stop = start + _VISITS_AT_ONCE
        items = ranked.items[query[start:stop]]
        shown = (items >= 0) & available[items] & (appears[items] <= at[start:stop, None])
        place = np.cumsum(shown, axis=1) - 1
        visit, rank = np.nonzero(shown & (place < places))
        pages.items[start + visit, place[visit, rank]] = items[visit, rank]
        pages.recalled[start + visit, place[visit, rank]] = ranked.recalled[query[start:stop]][visit, rank]
    return pages


def _parts(shelf: Shelf, channel: str) -> tuple[str, ...]:
    """The channels whose lists an answer is made of; one without a weight takes no part."""
    if channel not in (BASELINE, FUSED):
        return (channel,)
    return tuple(name for name, weight in shelf.fusion_weights(channel).items() if weight > 0)


def _recalled(found: npt.NDArray[np.int64], hits: Mapping[str, Hits], sources: Sequence[str]) -> npt.NDArray[np.uint8]:
    mask = np.zeros(len(found), np.uint8)
    for number, name in enumerate(sources):
        mask |= np.isin(found, hits[name].rows).astype(np.uint8) << np.uint8(number)
    return mask

"""Pairs put in order in files, a block at a time: what that holds in memory does not grow with the pairs.

In: pairs of queries and items, int32 [2, pairs], which may be memory-mapped. Out: files of their own, memory-mapped as
well: the pairs of each part, and of every query the different identifiers that were chosen after it. Held are a block,
one number a query, and of one query its different identifiers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shelfwalk.generators.pairs import QueryTargets, Rows, StoredPairs

BLOCK = 1 << 20
"""Pairs that are looked at together."""

_Numbers = npt.NDArray[np.int64]


def divided(pairs: StoredPairs, part_of_query: npt.NDArray[np.int8], files: Sequence[Path]) -> list[StoredPairs]:
    """The pairs of each part, in their order, in the npy file of that part.

    `part_of_query` int8 [queries]: the part that each query's pairs belong to, −1 for none.
    """
    sizes = np.zeros(len(files), np.int64)
    for block in _blocks(len(pairs)):
        parts = part_of_query[pairs.query_rows[block]]
        sizes += np.bincount(parts[parts >= 0], minlength=len(files))
    written = [_new(file, np.int32, (2, size)) for file, size in zip(files, sizes.tolist(), strict=True)]
    ends = np.zeros(len(files), np.int64)
    for block in _blocks(len(pairs)):
        rows = pairs.rows[:, block]
        parts = part_of_query[rows[0]]
        for part, array in enumerate(written):
            chosen = rows[:, parts == part]
            array[:, ends[part] : ends[part] + chosen.shape[1]] = chosen
            ends[part] += chosen.shape[1]
    return [StoredPairs(mapped(file)) for file in files]


def stored_targets(sources: Sequence[StoredPairs], queries: int, leaf_of_item: Rows, folder: Path) -> QueryTargets:
    """Of each query the different identifiers of its pairs in all sources, in two npy files in `folder`.

    `leaf_of_item` int32 [items] numbers the identifiers of the catalogue. A query's identifiers stand in the order of
    these numbers, each as the item of the first of its pairs.
    """
    begins = np.zeros(queries + 1, np.int64)
    for pairs, block in _blocks_of(sources):
        np.add.at(begins, pairs.query_rows[block] + 1, 1)
    np.cumsum(begins, out=begins)
    file = folder / "targets.npy"
    items = _new(file, np.int32, (int(begins[-1]),))
    _write_by_query(sources, begins, items)
    begins = _keep_different(items, begins, leaf_of_item)
    kept = _new(folder / "target_begins.npy", np.int64, begins.shape)
    kept[:] = begins
    return QueryTargets(mapped(folder / "target_begins.npy"), mapped(file)[: begins[-1]])


def mapped(file: Path) -> npt.NDArray[Any]:
    """The array in an npy file, memory-mapped, not to be written to."""
    array: npt.NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
    return array


def _write_by_query(sources: Sequence[StoredPairs], begins: _Numbers, items: Rows) -> None:
    """Fill `items` with those of each query from its place in `begins` on, in the order of the pairs."""
    places = begins[:-1].copy()
    for pairs, block in _blocks_of(sources):
        order = np.argsort(pairs.query_rows[block], kind="stable")
        asked = pairs.query_rows[block][order]
        before = np.arange(len(asked)) - np.searchsorted(asked, asked)
        items[places[asked] + before] = pairs.item_rows[block][order]
        np.add.at(places, asked, 1)


def _keep_different(items: Rows, begins: _Numbers, leaf_of_item: Rows) -> _Numbers:
    """Move the first item of each different identifier of a query to the front of `items`, and tell their places.

    What comes back is like `begins`, int64 [queries + 1]; what stands behind its last place is of no use.
    """
    leaves = int(leaf_of_item.max(initial=0)) + 1
    counts = np.zeros(len(begins), np.int64)
    # The identifiers of a block's last query, of which the next block may have more.
    open_keys, open_items, end = np.empty(0, np.int64), np.empty(0, np.int32), 0
    for block in _blocks(len(items)):
        asked = np.searchsorted(begins, np.arange(block.start, block.stop), side="right") - 1
        here = np.concatenate((open_items, items[block]))
        keys, first = np.unique(
            np.concatenate((open_keys, asked * leaves + leaf_of_item[items[block]])), return_index=True
        )
        done = int(np.searchsorted(keys, asked[-1] * leaves))
        items[end : end + done] = here[first[:done]]
        np.add.at(counts, keys[:done] // leaves + 1, 1)
        open_keys, open_items, end = keys[done:], here[first[done:]], end + done
    items[end : end + len(open_items)] = open_items
    np.add.at(counts, open_keys // leaves + 1, 1)
    found: _Numbers = np.cumsum(counts)
    return found


def _blocks(count: int) -> Iterator[slice]:
    return (slice(start, min(start + BLOCK, count)) for start in range(0, count, BLOCK))


def _blocks_of(sources: Sequence[StoredPairs]) -> Iterator[tuple[StoredPairs, slice]]:
    return ((pairs, block) for pairs in sources for block in _blocks(len(pairs)))


def _new(file: Path, number: type[np.integer[Any]], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """An npy file to be filled, as an array."""
    array: npt.NDArray[Any] = np.lib.format.open_memmap(file, mode="w+", dtype=number, shape=shape)
    return array

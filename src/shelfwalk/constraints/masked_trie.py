"""A trie of which some items are not to be seen: per-request filters, and items that were taken out of a live index.

In: a trie and a filter. Out: a constraint with the same states that offers a node exactly if an allowed item lies under
it. Which nodes those are is worked out once, as one bit a node; a step then looks only at the bits of the children, 64
at a time where none lives. Where few items pass, only their paths are walked, from the leaf up; otherwise all items are
scanned once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfwalk.constraints import trie_kernels as kernels
from shelfwalk.constraints.constraint import Postings, TokenSets
from shelfwalk.constraints.flat_trie import FlatTrie, Words, checked
from shelfwalk.constraints.item_filter import ItemFilter
from shelfwalk.constraints.ranges import offsets_of

SCAN_FROM = 1 / 30
"""The share of items passing a filter from which scanning all items costs less than climbing from each of them."""


@dataclass(frozen=True, eq=False)
class MaskedTrie:
    """The paths of `trie` with an item that passes `item_filter`; `alive` uint64 [words] holds one bit a node.

    `present`: the items that are in the index at all, None for all; the others are not counted in cluster sizes.
    """

    trie: FlatTrie
    item_filter: ItemFilter
    alive: Words
    present: ItemFilter | None = None

    @classmethod
    def of(cls, trie: FlatTrie, item_filter: ItemFilter, present: ItemFilter | None = None) -> MaskedTrie:
        """Work out which nodes live."""
        return cls(trie, item_filter, alive_nodes(trie, item_filter), present)

    def initial(self, batch: int) -> npt.NDArray[np.int64]:
        """The root, once for each request: int64 [batch, 1]."""
        return self.trie.initial(batch)

    def allowed(self, states: npt.NDArray[np.int64]) -> TokenSets:
        """The tokens that may follow each node of `states` [states, 1]."""
        trie = self.trie
        return TokenSets(*kernels.children_of(trie.children, trie.tokens, self.alive, states[:, 0]))

    def advance(self, states: npt.NDArray[np.int64], tokens: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """The children of `states` [states, 1] by `tokens` [states]; raises ValueError for a token not allowed."""
        trie = self.trie
        return checked(kernels.moved(trie.children, trie.tokens, self.alive, states[:, 0], tokens)[:, None])

    def complete(self, states: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which of `states` [states, 1] are leaves with an item that passes: [states]."""
        return self.trie.complete(states) & self.lives(states[:, 0])

    def lives(self, nodes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which of `nodes` [nodes] have an item under them that passes; a node below 0 has none."""
        known = np.maximum(nodes, 0)
        bits = (self.alive[known >> 6] >> (known & 63).astype(np.uint64)) & np.uint64(1)
        lives: npt.NDArray[np.bool_] = (nodes >= 0) & (bits == 1)
        return lives

    def postings(self, states: npt.NDArray[np.int64]) -> Postings:
        """The items of each leaf of `states` [states, 1] that pass the filter."""
        return passing(self.trie.postings(states), self.item_filter)

    def cluster_sizes(self, states: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """How many items each leaf of `states` [states, 1] holds, whether they pass the filter or not: [states]."""
        if self.present is None:
            return self.trie.cluster_sizes(states)
        return np.diff(passing(self.trie.postings(states), self.present).offsets)

    def narrowed(self, item_filter: ItemFilter) -> MaskedTrie:
        """Only what passes `item_filter` as well."""
        return MaskedTrie.of(self.trie, self.item_filter & item_filter, self.present)


def alive_nodes(trie: FlatTrie, item_filter: ItemFilter) -> Words:
    """One bit a node, set if an item under it passes: uint64 [words]."""
    if item_filter.count < SCAN_FROM * len(trie.posting_items):
        leaf_of_item = trie.leaf_of_item
        rows = item_filter.rows
        words: Words = kernels.alive_by_climbing(trie.children, leaf_of_item[rows[rows < len(leaf_of_item)]])
    else:
        bits = _packed(item_filter.allowed, int(trie.posting_items.max()) + 1)
        words = kernels.alive_by_scan(trie.children, trie.posting_offsets, trie.posting_items, bits)
    return words


def _packed(allowed: npt.NDArray[np.bool_], rows: int) -> Words:
    """One bit a catalogue row, 0 for those behind the end: eight times as much of it stays near the processor."""
    octets = np.zeros((max(rows, len(allowed)) // 64 + 1) * 8, np.uint8)
    packed = np.packbits(allowed, bitorder="little")
    octets[: len(packed)] = packed
    return octets.view(np.uint64)


def passing(postings: Postings, item_filter: ItemFilter) -> Postings:
    """What is left of posting lists behind a filter."""
    kept = item_filter.passes(postings.rows)
    counts = np.diff(offsets_of(kept.astype(np.int64))[postings.offsets])
    return Postings(offsets_of(counts), postings.rows[kept])

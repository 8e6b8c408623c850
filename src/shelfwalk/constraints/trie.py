"""The trie of a catalogue's identifiers in flat arrays, and the posting lists under its leaves.

In: codes, int32 [items, levels]. Out: a `Constraint` over their prefixes, and for each complete path its items.

Nodes are numbered level by level, and within a level in the lexicographic order of their paths: the children of a node
are a range of nodes, the token of a node is one array look-up, and node numbers order paths (the beam breaks ties by
them). Node 0 is the root; `first_leaf + i` is the i-th complete path. There is no object per node.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shelfwalk.constraints.constraint import TokenSets

_ARRAYS = ("children", "tokens", "posting_offsets", "posting_items")


@dataclass(frozen=True)
class Trie:
    """Identifiers as flat arrays.

    `children` int64 [nodes + 1]: the children of node n are nodes `children[n]` up to `children[n + 1]`.
    `tokens` int32 [nodes]: the token that leads to a node (−1 for the root).
    `posting_offsets` int64 [leaves + 1] and `posting_items` int64 [items]: rows of the items of each leaf, ascending.
    """

    children: npt.NDArray[np.int64]
    tokens: npt.NDArray[np.int32]
    posting_offsets: npt.NDArray[np.int64]
    posting_items: npt.NDArray[np.int64]
    levels: int

    @classmethod
    def build(cls, codes: npt.NDArray[np.int32]) -> Trie:
        """Build the trie of codes [items, levels]; raises ValueError for no items, no levels or negative codes."""
        if codes.ndim != 2 or 0 in codes.shape:
            raise ValueError(f"codes must be [items, levels] with at least one of each, not {codes.shape}")
        if codes.min() < 0:
            raise ValueError("codes must not be negative")
        items, levels = codes.shape
        order = np.lexsort(codes.T[::-1])
        ordered = codes[order]
        # new[l, i]: the i-th item in path order is the first with its prefix of length l + 1.
        differs = ordered[1:] != ordered[:-1]
        new = np.ones((levels, items), bool)
        new[:, 1:] = np.logical_or.accumulate(differs, axis=1).T
        starts = [np.flatnonzero(row) for row in new]
        counts = np.array([1, *(len(start) for start in starts)])
        first_node = np.concatenate(([0], np.cumsum(counts)))
        tokens = np.concatenate([[-1], *(ordered[start, level] for level, start in enumerate(starts))]).astype(np.int32)
        children = np.full(first_node[-1] + 1, first_node[-1], np.int64)
        children[0] = 1
        for level in range(levels - 1):
            nodes = slice(first_node[level + 1], first_node[level + 2])
            children[nodes] = first_node[level + 2] + np.searchsorted(starts[level + 1], starts[level])
        offsets = np.append(starts[-1], items).astype(np.int64)
        return cls(children, tokens, offsets, order.astype(np.int64), levels)

    @property
    def leaves(self) -> int:
        """The number of complete paths."""
        return len(self.posting_offsets) - 1

    @property
    def first_leaf(self) -> int:
        """The node number of the first complete path."""
        return len(self.tokens) - self.leaves

    def initial(self, batch: int) -> npt.NDArray[np.int64]:
        """The root, once for each request: int64 [batch]."""
        return np.zeros(batch, np.int64)

    def allowed(self, state: npt.NDArray[np.int64]) -> TokenSets:
        """The tokens that may follow each node of `state` [states]; a leaf has none."""
        begin = self.children[state]
        counts = self.children[state + 1] - begin
        offsets = np.concatenate(([0], np.cumsum(counts)))
        # Node numbers of all children, end to end.
        nodes = np.arange(offsets[-1]) + np.repeat(begin - offsets[:-1], counts)
        return TokenSets(offsets, self.tokens[nodes])

    def advance(self, state: npt.NDArray[np.int64], tokens: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """The children of `state` [states] by `tokens` [states]; raises ValueError for a token that is not allowed."""
        low = self.children[state]
        end = self.children[state + 1]
        high = end.copy()
        # A binary search in every row at once: the range of a row halves until it is empty.
        while np.any(low < high):
            middle = (low + high) // 2
            searching = low < high
            below = searching & (self.tokens[np.minimum(middle, len(self.tokens) - 1)] < tokens)
            low = np.where(below, middle + 1, low)
            high = np.where(searching & ~below, middle, high)
        found = low < end
        if not found.all() or np.any(self.tokens[low] != tokens):
            raise ValueError("a token does not follow its prefix")
        return low

    def paths(self, nodes: npt.NDArray[np.int64] | None = None) -> npt.NDArray[np.int32]:
        """The codes of the given leaf nodes, or of all leaves in order: int32 [leaves, levels]."""
        current = np.arange(self.first_leaf, len(self.tokens)) if nodes is None else np.asarray(nodes, np.int64)
        codes = np.empty((len(current), self.levels), np.int32)
        for level in reversed(range(self.levels)):
            codes[:, level] = self.tokens[current]
            current = np.searchsorted(self.children[:-1], current, side="right") - 1
        return codes

    def items_of(self, leaf: int) -> npt.NDArray[np.int64]:
        """The rows of the items of leaf number `leaf` (0-based), ascending."""
        return self.posting_items[self.posting_offsets[leaf] : self.posting_offsets[leaf + 1]]

    def cluster_sizes(self) -> npt.NDArray[np.int64]:
        """How many items each leaf holds: [leaves]."""
        return np.diff(self.posting_offsets)

    def leaf_of_item(self) -> npt.NDArray[np.int64]:
        """The leaf number of every item row: [items]."""
        leaf = np.empty(len(self.posting_items), np.int64)
        leaf[self.posting_items] = np.repeat(np.arange(self.leaves), self.cluster_sizes())
        return leaf

    def save(self, folder: Path) -> None:
        """Write the arrays as npy files into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in _ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name), allow_pickle=False)

    @classmethod
    def open(cls, folder: Path, levels: int) -> Trie:
        """Memory-map a saved trie."""
        children, tokens, posting_offsets, posting_items = (
            np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _ARRAYS
        )
        return cls(children, tokens, posting_offsets, posting_items, levels)

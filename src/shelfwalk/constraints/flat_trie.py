"""The flat arrays of a trie and the walk over them.

Nodes are numbered level by level, and within a level in the lexicographic order of their paths: the children of a node
are a range of nodes, the token of a node is one array look-up, and node numbers order paths (the beam breaks ties by
them). Node 0 is the root; `first_leaf + i` is the i-th complete path. There is no object per node.

A path may end where others go on. It then takes the token `END` (−1, before every code) and a chain of `END` nodes
down to the last level, so that every complete path is a leaf and one search serves identifiers of every length; that
costs a short path one node for each level it lacks. Where all identifiers have one length there is no `END`.

A step is compiled (`trie_kernels`); tests hold it against the same in dictionaries.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from shelfwalk.constraints import trie_kernels as kernels
from shelfwalk.constraints.constraint import END, Postings, TokenRanges, TokenSets
from shelfwalk.constraints.ranges import offsets_of, ranges

Words = npt.NDArray[np.uint64]
ALL_ALIVE: Words = np.empty(0, np.uint64)


@dataclass(frozen=True, eq=False)
class FlatTrie:
    """Identifiers as flat arrays that nobody may write to; `Trie` can also be built, saved, opened and narrowed.

    `children` int32 [inner nodes + 1]: the children of inner node n are nodes `children[n]` up to `children[n + 1]`.
    `tokens` int16 or int32 [nodes]: the token that leads to a node (−1 for the root and for `END`).
    `posting_offsets` int32 [leaves + 1] and `posting_items` int32 [items]: rows of the items of each leaf, ascending.
    `level_sizes`: the number of codes of each level.
    """

    children: npt.NDArray[np.int32]
    tokens: npt.NDArray[np.int16] | npt.NDArray[np.int32]
    posting_offsets: npt.NDArray[np.int32]
    posting_items: npt.NDArray[np.int32]
    level_sizes: tuple[int, ...]

    @property
    def levels(self) -> int:
        """The most codes of an identifier."""
        return len(self.level_sizes)

    @property
    def leaves(self) -> int:
        """The number of complete paths."""
        return len(self.posting_offsets) - 1

    @property
    def first_leaf(self) -> int:
        """The node number of the first complete path."""
        return len(self.children) - 1

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays, on disk as in memory."""
        arrays = (self.children, self.tokens, self.posting_offsets, self.posting_items)
        return sum(array.nbytes for array in arrays)

    def initial(self, batch: int) -> npt.NDArray[np.int64]:
        """The root, once for each request: int64 [batch, 1]."""
        return np.zeros((batch, 1), np.int64)

    def allowed(self, states: npt.NDArray[np.int64]) -> TokenSets:
        """The tokens that may follow each node of `states` [states, 1]; a leaf has none."""
        return TokenSets(*kernels.children_of(self.children, self.tokens, ALL_ALIVE, states[:, 0]))

    def allowed_in_place(self, states: npt.NDArray[np.int64]) -> TokenRanges:
        """The same tokens as `allowed` gives, where they lie."""
        begins, ends = kernels.ranges_of(self.children, states[:, 0])
        return TokenRanges(begins, ends, self.tokens)

    def advance(self, states: npt.NDArray[np.int64], tokens: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """The children of `states` [states, 1] by `tokens` [states]; raises ValueError for a token not allowed."""
        return checked(self.moved(states[:, 0], tokens)[:, None])

    def moved(self, nodes: npt.NDArray[np.int64], tokens: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """The child of each of `nodes` [nodes] by its token, −1 where there is none or the node is below 0."""
        found: npt.NDArray[np.int64] = kernels.moved(self.children, self.tokens, ALL_ALIVE, nodes, tokens)
        return found

    def lives(self, nodes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which of `nodes` [nodes] are nodes and not below 0."""
        return nodes >= 0

    def complete(self, states: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which of `states` [states, 1] are leaves: [states]."""
        return states[:, 0] >= self.first_leaf

    def postings(self, states: npt.NDArray[np.int64]) -> Postings:
        """The items of each leaf of `states` [states, 1]; none for a state below 0."""
        nodes = states[:, 0]
        # Of no path: the empty range before the first leaf.
        leaves = np.maximum(nodes, self.first_leaf) - self.first_leaf
        begins = self.posting_offsets[leaves].astype(np.int64)
        counts = np.where(nodes < 0, 0, self.posting_offsets[leaves + 1] - begins)
        return Postings(offsets_of(counts), self.posting_items[ranges(begins, counts)].astype(np.int64))

    def cluster_sizes(self, states: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """How many items each leaf of `states` [states, 1] holds, 0 for a state below 0: [states]."""
        return np.diff(self.postings(states).offsets)

    def paths(self, nodes: npt.NDArray[np.int64] | None = None) -> npt.NDArray[np.int32]:
        """The codes of the given leaf nodes, or of all leaves in order: int32 [leaves, levels], −1 behind an end."""
        current = np.arange(self.first_leaf, len(self.tokens)) if nodes is None else np.asarray(nodes, np.int64)
        codes = np.empty((len(current), self.levels), np.int32)
        for level in reversed(range(self.levels)):
            codes[:, level] = self.tokens[current]
            current = np.searchsorted(self.children[:-1], current, side="right") - 1
        return codes

    def items_of(self, leaf: int) -> npt.NDArray[np.int64]:
        """The rows of the items of leaf number `leaf` (0-based), ascending."""
        begin, end = self.posting_offsets[leaf : leaf + 2]
        return self.posting_items[begin:end].astype(np.int64)

    def all_cluster_sizes(self) -> npt.NDArray[np.int64]:
        """How many items each leaf holds: [leaves]."""
        return np.diff(self.posting_offsets).astype(np.int64)

    @cached_property
    def leaf_of_item(self) -> npt.NDArray[np.int32]:
        """The leaf number of every catalogue row up to the largest, −1 for rows that are not in the trie."""
        leaf = np.full(int(self.posting_items.max()) + 1, -1, np.int32)
        leaf[self.posting_items] = np.repeat(np.arange(self.leaves, dtype=np.int32), np.diff(self.posting_offsets))
        return leaf

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """All catalogue rows in the trie, ascending."""
        return np.sort(self.posting_items).astype(np.int64)

    def codes_of(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
        """The identifiers of catalogue `rows` that are in the trie: int32 [rows, levels], −1 behind an end."""
        return self.paths(self.first_leaf + self.leaf_of_item[rows].astype(np.int64))

    @property
    def has_ends(self) -> bool:
        """Whether identifiers have several lengths, so that `END` is among the tokens."""
        return bool(np.any(self.tokens[1:] == END))


def checked(states: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The states after a step, which must be nodes; raises ValueError otherwise."""
    if np.any(states < 0):
        raise ValueError("a token does not follow its prefix")
    return states

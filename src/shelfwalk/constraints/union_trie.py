"""Two tries walked together: a large one and the few identifiers that came after it.

In: two tries, filtered or not. Out: one constraint, whose state is a node in each, −1 where the prefix is not in it.
What may follow a prefix is the union of what may follow in each. A catalogue row is in one of the two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfwalk.constraints import trie_kernels as kernels
from shelfwalk.constraints.constraint import Postings, TokenSets
from shelfwalk.constraints.item_filter import ItemFilter
from shelfwalk.constraints.masked_trie import MaskedTrie
from shelfwalk.constraints.ranges import offsets_of
from shelfwalk.constraints.trie import Trie


@dataclass(frozen=True, eq=False)
class UnionTrie:
    """The identifiers of `first` and of `second`."""

    first: Trie | MaskedTrie
    second: Trie | MaskedTrie

    def initial(self, batch: int) -> npt.NDArray[np.int64]:
        """Both roots, once for each request: int64 [batch, 2]."""
        return np.zeros((batch, 2), np.int64)

    def allowed(self, states: npt.NDArray[np.int64]) -> TokenSets:
        """The tokens that may follow either node of `states` [states, 2]."""
        first, second = (part.allowed(nodes[:, None]) for part, nodes in self._parts(states))
        return TokenSets(*kernels.merged_sets(first.offsets, first.tokens, second.offsets, second.tokens))

    def advance(self, states: npt.NDArray[np.int64], tokens: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """The children of `states` [states, 2] by `tokens` [states]; raises ValueError for a token not allowed."""
        moved, lives = np.empty_like(states), np.zeros(len(states), bool)
        for column, (part, nodes) in enumerate(self._parts(states)):
            # A state knows the whole cluster, also what a filter hides of it.
            whole = part if isinstance(part, Trie) else part.trie
            moved[:, column] = whole.moved(nodes, tokens)
            lives |= part.lives(moved[:, column])
        if not lives.all():
            raise ValueError("a token does not follow its prefix")
        return moved

    def complete(self, states: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which of `states` [states, 2] are leaves of either: [states]."""
        first, second = (part.complete(nodes[:, None]) for part, nodes in self._parts(states))
        return first | second

    def postings(self, states: npt.NDArray[np.int64]) -> Postings:
        """The items of each complete path of `states` [states, 2], from both."""
        lists = [part.postings(nodes[:, None]) for part, nodes in self._parts(states)]
        counts = [np.diff(part.offsets) for part in lists]
        paths = np.concatenate([np.repeat(np.arange(len(states)), count) for count in counts])
        rows = np.concatenate([part.rows for part in lists])
        return Postings(offsets_of(counts[0] + counts[1]), rows[np.lexsort((rows, paths))])

    def cluster_sizes(self, states: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """How many items each complete path of `states` [states, 2] holds, filtered out or not: [states]."""
        first, second = (part.cluster_sizes(nodes[:, None]) for part, nodes in self._parts(states))
        return first + second

    def narrowed(self, item_filter: ItemFilter) -> UnionTrie:
        """Only the paths of which some item passes the filter."""
        return UnionTrie(self.first.narrowed(item_filter), self.second.narrowed(item_filter))

    def _parts(
        self, states: npt.NDArray[np.int64]
    ) -> tuple[tuple[Trie | MaskedTrie, npt.NDArray[np.int64]], tuple[Trie | MaskedTrie, npt.NDArray[np.int64]]]:
        nodes = np.ascontiguousarray(states.T)
        return (self.first, nodes[0]), (self.second, nodes[1])

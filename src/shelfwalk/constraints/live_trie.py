"""A catalogue's identifiers while it changes: a large trie, what was added since and what was taken out since.

In: changes, each a set of rows to remove and of rows to add with their identifiers. Out: snapshots, which never change:
a search that holds one sees all of a change or nothing of it. A change costs time in proportion to what changed since
the last fold, and copies one bit a node; `fold` makes one trie of everything again, which a caller may do at leisure.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

import numpy as np
import numpy.typing as npt

from shelfwalk.constraints import trie_kernels as kernels
from shelfwalk.constraints.flat_trie import FlatTrie
from shelfwalk.constraints.item_filter import ItemFilter
from shelfwalk.constraints.masked_trie import MaskedTrie, alive_nodes
from shelfwalk.constraints.trie import Trie
from shelfwalk.constraints.union_trie import UnionTrie
from shelfwalk.errors import UserError

Snapshot = Trie | MaskedTrie | UnionTrie
Rows = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]
_NO_ROWS: Rows = np.empty(0, np.int64)


@dataclass(frozen=True)
class _Version:
    """One state of the catalogue; nothing in it is ever written to.

    `base` is masked once an item of it was removed; `rows` and `codes` are what was added, and `added` the trie of it.
    """

    base: Trie | MaskedTrie
    rows: Rows
    codes: Codes
    added: Trie | None

    @property
    def trie(self) -> FlatTrie:
        return self.base if isinstance(self.base, Trie) else self.base.trie

    def in_base(self, rows: Rows) -> npt.NDArray[np.bool_]:
        """Which of the rows are in the base and not removed from it."""
        leaf_of_item = self.trie.leaf_of_item
        known = (rows >= 0) & (rows < len(leaf_of_item))
        known[known] = leaf_of_item[rows[known]] >= 0
        return known if isinstance(self.base, Trie) else known & self.base.item_filter.passes(np.maximum(rows, 0))


class LiveTrie:
    """Identifiers that can be added and removed while others search.

    Any number of threads may take snapshots; changes wait for one another.
    """

    def __init__(self, base: Trie) -> None:
        self._writing = Lock()
        self._version = _Version(base, _NO_ROWS, np.empty((0, base.levels), np.int32), None)

    def snapshot(self) -> Snapshot:
        """The identifiers as they are now; what is changed later is not seen through it."""
        version = self._version
        return version.base if version.added is None else UnionTrie(version.base, version.added)

    def change(
        self, *, remove: npt.ArrayLike = (), add: npt.ArrayLike = (), codes: npt.NDArray[np.int32] | None = None
    ) -> None:
        """Remove the catalogue rows `remove` and add the rows `add` [n] with their `codes` [n, levels], all at once.

        A row that is added again gets the new identifier in place of its old one. Raises UserError, with nothing
        changed, for a row to remove that is not there, for a row added twice, and for codes that do not fit.
        """
        gone, come = np.unique(np.asarray(remove, np.int64)), np.asarray(add, np.int64)
        with self._writing:
            version = self._version
            given = version.codes[:0] if codes is None else np.asarray(codes, np.int32)
            _refuse_unfit(version, gone, come, given)
            touched = np.union1d(gone, come)
            kept = ~np.isin(version.rows, touched)
            rows = np.concatenate((version.rows[kept], come))
            of_rows = np.concatenate((version.codes[kept], given))
            added = Trie.build(of_rows, rows, version.trie.level_sizes) if len(rows) else None
            self._version = _Version(_without(version, touched[version.in_base(touched)]), rows, of_rows, added)

    def fold(self) -> Trie:
        """Make one trie of everything, go on from it, and return it; its rows are what they were.

        Raises UserError if nothing is left.
        """
        with self._writing:
            version = self._version
            base_rows = version.trie.rows
            base_rows = base_rows[version.in_base(base_rows)]
            rows = np.concatenate((base_rows, version.rows))
            codes = np.concatenate((version.trie.codes_of(base_rows), version.codes))
            folded = Trie.build(codes, rows, version.trie.level_sizes)
            self._version = _Version(folded, _NO_ROWS, version.codes[:0], None)
            return folded

    @property
    def unfolded(self) -> int:
        """How many items were added or removed since the last fold: the time for one."""
        version = self._version
        removed = 0
        if isinstance(version.base, MaskedTrie):
            removed = len(version.trie.posting_items) - int(
                np.count_nonzero(version.base.item_filter.passes(version.trie.rows))
            )
        return len(version.rows) + removed


def _refuse_unfit(version: _Version, gone: Rows, come: Rows, codes: Codes) -> None:
    unknown = gone[~(version.in_base(gone) | np.isin(gone, version.rows))]
    if len(unknown):
        raise UserError(f"Row {unknown[0]} is not in the index: only what is there can be removed.")
    levels = version.trie.levels
    if come.ndim != 1 or codes.shape != (len(come), levels):
        raise UserError(f"{len(come)} rows to add need as many identifiers of {levels} levels, not {codes.shape}.")


def _without(version: _Version, rows: Rows) -> Trie | MaskedTrie:
    """The base without the given rows of it."""
    base, trie = version.base, version.trie
    if not len(rows):
        return base
    if isinstance(base, Trie):
        items = np.ones(len(trie.leaf_of_item), bool)
        words = alive_nodes(trie, ItemFilter(items))
    else:
        items, words = base.item_filter.allowed.copy(), base.alive.copy()
    items[rows] = False
    kernels.without_dead(trie.children, trie.posting_offsets, trie.posting_items, words, items, trie.leaf_of_item[rows])
    items.flags.writeable = False
    present = ItemFilter(items)
    return MaskedTrie(trie, present, words, present)

"""The trie of a catalogue's identifiers: a `Constraint` over their prefixes, and the posting lists under its leaves.

In: codes, int32 [items, levels], −1 for the levels that a shorter identifier lacks. Out: a `Trie`. How it lies in
memory and is walked is in `flat_trie`; how it is made, kept and filtered in `trie_building`, `trie_files` and
`masked_trie`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shelfwalk.constraints.flat_trie import FlatTrie
from shelfwalk.constraints.item_filter import ItemFilter
from shelfwalk.constraints.masked_trie import MaskedTrie
from shelfwalk.constraints.trie_building import build_trie
from shelfwalk.constraints.trie_files import open_trie, save_trie


@dataclass(frozen=True, eq=False)
class Trie(FlatTrie):
    """Identifiers that can be built, saved, opened and narrowed to what a request may see."""

    @classmethod
    def build(
        cls,
        codes: npt.NDArray[np.int32],
        rows: npt.NDArray[np.int64] | None = None,
        level_sizes: Sequence[int] | None = None,
    ) -> Trie:
        """Build the trie of codes [items, levels] of catalogue `rows` [items], by default 0, 1, …

        Without `level_sizes` the largest code of each level tells them. Raises UserError for an empty catalogue, a code
        outside its level, or one behind an end.
        """
        return cls._of(build_trie(codes, rows, level_sizes))

    @classmethod
    def open(cls, folder: Path, *, verify: bool = False) -> Trie:
        """Memory-map a saved trie; `verify` compares every file with its checksum.

        Raises UserError for a file that is missing, truncated, damaged or of a newer version.
        """
        return cls._of(open_trie(folder, verify=verify))

    def save(self, folder: Path) -> None:
        """Write the arrays as npy files into `folder`, each whole or not at all, and last what is known of them."""
        save_trie(self, folder)

    def snapshot(self) -> Trie:
        """Itself: what a `LiveTrie` gives of the moment, for one that does not change."""
        return self

    def narrowed(self, item_filter: ItemFilter) -> MaskedTrie:
        """The same trie without the paths of which no item passes the filter."""
        return MaskedTrie.of(self, item_filter)

    @classmethod
    def _of(cls, flat: FlatTrie) -> Trie:
        return cls(flat.children, flat.tokens, flat.posting_offsets, flat.posting_items, flat.level_sizes)

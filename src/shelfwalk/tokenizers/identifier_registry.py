"""Which item has which identifier, for tokenisers whose identifiers depend on what was encoded before.

In: items' ids and codes. Out: what was given to them earlier, and a registry that holds the new ones as well; on disk
one Parquet file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shelfwalk.errors import UserError
from shelfwalk.files import write_whole
from shelfwalk.tokenizers.item_tokenizer import Codes

_FILE = "registry.parquet"


@dataclass(frozen=True, eq=False)
class IdentifierRegistry:
    """Which item has which identifier: `item_ids`, unique strings [items]; `codes` int32 [items, levels]."""

    item_ids: pa.StringArray
    codes: Codes

    @classmethod
    def empty(cls, levels: int) -> IdentifierRegistry:
        """A registry of no items."""
        return cls(pa.array([], pa.string()), np.empty((0, levels), np.int32))

    def rows_of(self, item_ids: pa.StringArray) -> npt.NDArray[np.int64]:
        """The row of each item, −1 for a new one: int64 [items]; raises ValueError if an item comes twice."""
        if pc.count_distinct(item_ids).as_py() != len(item_ids):
            raise ValueError("an item_id comes twice in the items to encode")
        rows = np.full(len(item_ids), -1, np.int64)
        positions = pc.index_in(self.item_ids, value_set=item_ids)
        found = np.flatnonzero(positions.is_valid().to_numpy(zero_copy_only=False))
        rows[positions.drop_null().to_numpy()] = found
        return rows

    def with_codes(
        self, item_ids: pa.StringArray, rows: npt.NDArray[np.int64], identifiers: Codes
    ) -> IdentifierRegistry:
        """The registry in which these items have these identifiers; `rows` are those that `rows_of` gave."""
        known = rows >= 0
        codes = np.concatenate([self.codes, identifiers[~known]])
        codes[rows[known]] = identifiers[known]
        return IdentifierRegistry(pa.concat_arrays([self.item_ids, item_ids.filter(pa.array(~known))]), codes)

    def save(self, folder: Path) -> None:
        """Write it into `folder`."""
        codes = pa.FixedSizeListArray.from_arrays(self.codes.ravel(), self.codes.shape[1])
        content = pa.BufferOutputStream()
        pq.write_table(pa.table({"item_id": self.item_ids, "identifier": codes}), content)
        write_whole(folder / _FILE, memoryview(content.getvalue()))

    @classmethod
    def open(cls, folder: Path, levels: int) -> IdentifierRegistry:
        """Read what `save` wrote; raises UserError if it is missing or damaged."""
        path = folder / _FILE
        try:
            table = pq.read_table(path).combine_chunks()
        except (OSError, pa.ArrowException) as error:
            raise UserError(f"{path} is missing or damaged: build the shelf again.") from error
        codes = table["identifier"].combine_chunks().flatten().to_numpy().reshape(-1, levels)
        return cls(table["item_id"].combine_chunks(), codes)


def ids_of(items: pa.Table) -> pa.StringArray:
    """The ids of items in one array."""
    return items["item_id"].cast(pa.string()).combine_chunks()


def path_keys(paths: Codes, sizes: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """One whole number for each path [items, levels], different for different ones; an absent code counts as one more.

    Raises ValueError where 64 bits cannot number all possible paths.
    """
    keys: npt.NDArray[np.int64] = np.ravel_multi_index(tuple((paths + 1).T), tuple(size + 1 for size in sizes))
    return keys

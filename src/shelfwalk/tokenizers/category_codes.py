"""Which code of the first level stands for which category (CQ-SID, arXiv 2605.14434, level 1).

In: the items' category paths, root to leaf, cut to a depth. Out: one code a category, int32 [items], −1 for an item
without a category or with one that was not there when the codes were given.

A path shorter than the depth is a category of its own. Codes follow the alphabet, so they depend on the set of
categories alone. Without a depth it is the deepest at which the categories still fit the level; the publication names
1,711 categories for 2,048 codes and no depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shelfwalk.errors import UserError

MOST_OF_ONE = 0.98
"""A category with this share of the items tells hardly any apart."""
_PATHS = pa.list_(pa.string())
_BETWEEN = "\x1f"
"""Between the names of a path; no name holds it."""


@dataclass(frozen=True)
class CategoryCodes:
    """The categories that have a code: `paths` in the order of their codes, each cut to `depth` names."""

    depth: int
    paths: tuple[tuple[str, ...], ...]
    deepest: int
    """Names in the longest path of the catalogue; what lies below `depth` has no part in the code."""

    @classmethod
    def of(cls, items: pa.Table, codes: int, depth: int | None = None) -> CategoryCodes:
        """Give every category of `items` one of `codes` codes.

        Raises UserError if no item has a category, nearly all have the same one, or there are more than codes.
        """
        column = _categories(items)
        deepest = pc.max(pc.list_value_length(column)).as_py() or 0
        if deepest == 0:
            raise UserError(
                "No item has a category, which level 1 of these identifiers is made of: give the items a category, or "
                "set force_category to false in the recipe's tokenizer."
            )
        depths = range(deepest, 0, -1) if depth is None else (depth,)
        for candidate in depths:
            counts = pc.value_counts(_joined(column, candidate)).to_pylist()
            found = {entry["values"]: entry["counts"] for entry in counts if entry["values"]}
            if len(found) <= codes:
                break
        if len(found) > codes:
            raise UserError(
                f"At depth {candidate} the category tree has {len(found):,} categories, but level 1 of the"
                f" identifiers has {codes:,} codes: raise the first of level_sizes, or lower category_depth."
            )
        if items.num_rows > 1:
            _refuse_one_for_all(found, candidate)
        return cls(candidate, tuple(tuple(path.split(_BETWEEN)) for path in sorted(found)), deepest)

    def __len__(self) -> int:
        return len(self.paths)

    def codes_of(self, items: pa.Table) -> npt.NDArray[np.int32]:
        """The code of each item's category, −1 where it has none or one without a code: int32 [items]."""
        known = pa.array([_BETWEEN.join(path) for path in self.paths], pa.string())
        places = pc.index_in(_joined(_categories(items), self.depth), value_set=known)
        codes: npt.NDArray[np.int32] = pc.fill_null(places, -1).to_numpy(zero_copy_only=False).astype(np.int32)
        return codes


def _categories(items: pa.Table) -> pa.ListArray:
    if "category" not in items.column_names:
        return pa.array([[]] * items.num_rows, _PATHS)
    return pa.concat_arrays(items["category"].cast(_PATHS).chunks or [pa.array([], _PATHS)])


def _joined(column: pa.ListArray, depth: int) -> pa.StringArray:
    """The first `depth` names of each path in one text, "" where there is none."""
    return pc.fill_null(pc.binary_join(pc.list_slice(column, 0, depth), _BETWEEN), "")


def _refuse_one_for_all(counts: dict[str, int], depth: int) -> None:
    # Items without a category count for none: they get the code of one that is there.
    largest, known = max(counts, key=lambda path: counts[path]), sum(counts.values())
    if counts[largest] >= MOST_OF_ONE * known:
        raise UserError(
            f"{counts[largest]:,} of {known:,} items with a category have the one category"
            f" {largest.replace(_BETWEEN, ' > ')} at depth {depth}, so level 1 of the identifiers would tell hardly any"
            " apart: raise category_depth if the categories go deeper, or set force_category to false in the recipe's"
            " tokenizer."
        )

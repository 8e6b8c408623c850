"""What all dataset adapters share: the `Dataset` they give, and reading one file of a known layout.

In: a file and the names of the columns that its layout has. Out: a table that keeps its contract.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shelfwalk.data.asked_queries import has_query
from shelfwalk.data.raw_files import blocks, column_names
from shelfwalk.data.tables import ATTRIBUTES_TYPE, Contract
from shelfwalk.data.validation import Block, bad_rows_of, bad_rows_path, conform, set_aside
from shelfwalk.errors import UserError


@dataclass(frozen=True)
class Dataset:
    """Tables in the schemas of tables.py; None for a kind of data that the dataset does not have.

    `notes` say in one sentence each what the adapter derived, left out or chose. `relevant_grade`: the lowest grade
    that is relevant, None for the usual one. `cold_items`: the ids of items that came after the events, None where that
    is not known; for an evaluation alone, as no build may know them.
    """

    name: str
    items: pa.Table
    queries: pa.Table | None
    judgements: pa.Table | None
    events: pa.Table | None
    notes: tuple[str, ...]
    relevant_grade: int | None = None
    cold_items: frozenset[str] | None = None

    @property
    def searches(self) -> pa.Table | None:
        """The events that belong to a query, which a build can learn from; None where there are none."""
        if self.events is None:
            return None
        searches = self.events.filter(has_query(self.events["user_query"]))
        return searches if searches.num_rows else None

    def with_fewer_queries(self, most: int | None) -> Dataset:
        """The dataset with at most so many queries, evenly spaced over all of them, and the judgements of these.

        None, or a dataset without queries and judgements: as it is.
        """
        if most is None or self.queries is None or self.judgements is None or self.queries.num_rows <= most:
            return self
        queries = self.queries.take(pa.array(np.linspace(0, self.queries.num_rows - 1, most).astype(int)))
        of_these = pc.is_in(self.judgements["query_id"], queries["query_id"].combine_chunks())
        return replace(self, queries=queries, judgements=self.judgements.filter(of_these))


@dataclass(frozen=True)
class LayoutFile:
    """One file of a known layout.

    `columns` maps names to the file's columns: our names, and names of the adapter's own that `change` turns into
    ours. `change` gets every raw block; `delimiter` overrides what the suffix says.
    """

    path: Path
    columns: Mapping[str, str]
    change: Callable[[Block], Block] = lambda block: block
    delimiter: str | None = None

    def blocks(self) -> Iterator[Block]:
        """The changed blocks. Raises UserError if the file lacks a column of the layout."""
        names = column_names(self.path, self.delimiter)
        if lacking := [name for name in self.columns.values() if name not in names]:
            raise UserError(
                f"{self.path} has the file name of a known layout but no column '{lacking[0]}'; its columns are"
                f" {', '.join(names)}."
            )
        return map(self.change, blocks(self.path, self.columns, self.delimiter))


def read_layout(file: LayoutFile, contract: Contract, bad_rows_folder: Path | None) -> tuple[pa.Table, tuple[str, ...]]:
    """Read a file into a table; the second part notes bad rows, which are refused if there is no folder for them."""
    return read_blocks(file.blocks(), file.path, contract, bad_rows_folder)


def read_blocks(
    raw: Iterable[Block], path: Path, contract: Contract, bad_rows_folder: Path | None
) -> tuple[pa.Table, tuple[str, ...]]:
    """As `read_layout`, from blocks that were made from the file at `path`."""
    with bad_rows_of(path, bad_rows_folder) as bad_rows:
        table = conform(raw, contract, str(path), bad_rows)
    if not bad_rows.count or bad_rows_folder is None:
        return table, ()
    return table, (set_aside(bad_rows.count, bad_rows_path(path, bad_rows_folder)),)


def table_block(table: pa.Table) -> Block:
    """A table in memory as one raw block with rows numbered from 1."""
    whole = table.combine_chunks()
    columns = {name: pa.concat_arrays(whole[name].chunks) for name in whole.column_names if whole.num_rows}
    return Block(columns, np.arange(1, whole.num_rows + 1))


def changed(block: Block, columns: Mapping[str, pa.Array]) -> Block:
    """A block with some columns added or replaced."""
    return Block({**block.columns, **columns}, block.rows, block.faults, block.broken_rows)


def filtered(block: Block, keep: pa.Array) -> Block:
    """The rows of a block for which `keep` is true, with their row numbers; null counts as false."""
    mask = pc.fill_null(keep, False)
    kept = {name: array.filter(mask) for name, array in block.columns.items()}
    return Block(kept, block.rows[mask.to_numpy(zero_copy_only=False)], block.faults, block.broken_rows)


def attributes_of(rows: Iterable[Iterable[tuple[str, str]]]) -> tuple[pa.Array, int]:
    """Attribute maps from (name, value) pairs; the values of a name that a row has more than once are joined with "; ".

    The second part counts the rows where different values had to be joined.
    """
    maps = []
    joined = 0
    for pairs in rows:
        values: dict[str, list[str]] = {}
        for name, value in pairs:
            seen = values.setdefault(name, [])
            if value not in seen:
                seen.append(value)
        joined += any(len(seen) > 1 for seen in values.values())
        maps.append([(name, "; ".join(seen)) for name, seen in values.items()])
    return pa.array(maps, ATTRIBUTES_TYPE), joined


def grades_of(labels: pa.Array, ordered: pa.Array) -> pa.Array:
    """The place of each label among the ordered ones, as text; an unknown label stays, and so is refused as a grade."""
    texts = pc.utf8_trim_whitespace(labels.cast(pa.string()))
    return pc.coalesce(pc.index_in(texts, ordered).cast(pa.string()), texts)

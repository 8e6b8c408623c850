"""From the files that a command names to the tables that the rooms take.

In: paths, the `--column` mapping, and what to do with bad rows. Out: tables, and notices for the terminal. A mapping
goes to every file of the command that has the column it names; one that no table or no file has is a mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from shelfwalk.data.dataset import open_dataset
from shelfwalk.data.raw_files import column_names
from shelfwalk.data.readers import (
    ReadResult,
    read_evaluation_queries,
    read_events,
    read_items,
    read_judgements,
    read_queries,
)
from shelfwalk.data.tables import (
    EVENT_CONTRACT,
    ITEM_CONTRACT,
    JUDGEMENT_CONTRACT,
    PERSONAL_QUERY_CONTRACT,
    QUERY_CONTRACT,
    Contract,
)
from shelfwalk.errors import UserError
from shelfwalk.shelf.training_tables import TrainingTables

_BUILD_CONTRACTS = (ITEM_CONTRACT, QUERY_CONTRACT, JUDGEMENT_CONTRACT, EVENT_CONTRACT, QUERY_CONTRACT)


@dataclass(frozen=True)
class BuildTables:
    """What a build takes."""

    items: pa.Table
    training: TrainingTables


@dataclass(frozen=True)
class EvaluationTables:
    """What an evaluation takes; `events` tell what was shown for a query."""

    queries: pa.Table
    judgements: pa.Table
    events: pa.Table | None


@dataclass
class TableFiles:
    """Reads the files of one command."""

    columns: Mapping[str, str]
    skip_bad_rows: bool
    bad_rows_folder: Path
    notices: list[str] = field(default_factory=list)
    _found: set[str] = field(default_factory=set)
    _read_names: set[str] = field(default_factory=set)

    def items_and_training(
        self, items: Path, queries: Path | None, judgements: Path | None, events: Path | None, evaluation: Path | None
    ) -> BuildTables:
        """Read what a build takes; `items` may be a folder of a known layout, of which only the items are taken."""
        own_items = None if items.is_dir() else items
        pairs = zip(_BUILD_CONTRACTS, (own_items, queries, judgements, events, evaluation), strict=True)
        self._look_for_columns([(path, contract) for contract, path in pairs if path is not None])
        if items.is_dir():
            dataset = open_dataset(items, skip_bad_rows=self.skip_bad_rows, bad_rows_folder=self.bad_rows_folder)
            self.notices += dataset.notes
            # A layout may lie in a folder of this name.
            self._read_names |= {path.name for place in (items, items / "dataset") for path in place.glob("*")}
            catalogue = dataset.items
        else:
            catalogue = self._read(read_items, items, ITEM_CONTRACT, "items")
        training = TrainingTables(
            queries=self._read_if(read_queries, queries, QUERY_CONTRACT, "queries"),
            judgements=self._read_if(read_judgements, judgements, JUDGEMENT_CONTRACT, "judgements"),
            events=self._read_if(read_events, events, EVENT_CONTRACT, "events"),
            evaluation_queries=self._read_if(read_queries, evaluation, QUERY_CONTRACT, "evaluation-queries"),
        )
        return BuildTables(catalogue, training)

    def queries_and_judgements(self, queries: Path, judgements: Path, events: Path | None = None) -> EvaluationTables:
        """Read what an evaluation takes."""
        pairs = ((queries, PERSONAL_QUERY_CONTRACT), (judgements, JUDGEMENT_CONTRACT), (events, EVENT_CONTRACT))
        self._look_for_columns([(path, contract) for path, contract in pairs if path is not None])
        return EvaluationTables(
            self._read(read_evaluation_queries, queries, PERSONAL_QUERY_CONTRACT, "queries"),
            self._read(read_judgements, judgements, JUDGEMENT_CONTRACT, "judgements"),
            self._read_if(read_events, events, EVENT_CONTRACT, "events"),
        )

    def _look_for_columns(self, files: list[tuple[Path, Contract]]) -> None:
        """Refuse a mapping that no table has a column for, and note which of its columns some file has."""
        known = {name for _, contract in files for name in contract.schema.names}
        for ours in self.columns if files else ():
            if ours not in known:
                raise UserError(
                    f'--column names "{ours}", which is no column of ours: take one of {", ".join(sorted(known))}.'
                )
        if self.columns and not files:
            raise UserError("--column maps columns of files, and a folder of a known layout needs none: leave it out.")
        for path, contract in files:
            names = column_names(path)
            self._found |= {ours for ours in contract.schema.names if self.columns.get(ours) in names}

    def _own_columns(self, path: Path, contract: Contract) -> dict[str, str]:
        """The part of the mapping that is for one file.

        Where several files have a column of ours, one may call it by its own name; a name that no file has is refused
        by the reader.
        """
        names = column_names(path)
        return {
            ours: theirs
            for ours, theirs in self.columns.items()
            if ours in contract.schema.names and (theirs in names or ours not in self._found)
        }

    def _bad_rows_folder(self, path: Path, option: str) -> Path | None:
        """Where a file's bad rows go: side files are named as the files, so the second of a name gets a folder."""
        if not self.skip_bad_rows:
            return None
        is_second = path.name in self._read_names
        self._read_names.add(path.name)
        return self.bad_rows_folder / option if is_second else self.bad_rows_folder

    def _read(self, reader: Callable[..., ReadResult], path: Path, contract: Contract, option: str) -> pa.Table:
        own = self._own_columns(path, contract)
        folder = self._bad_rows_folder(path, option)
        result = reader(path, own, skip_bad_rows=self.skip_bad_rows, bad_rows_folder=folder)
        self.notices += result.notices()
        return result.table

    def _read_if(
        self, reader: Callable[..., ReadResult], path: Path | None, contract: Contract, option: str
    ) -> pa.Table | None:
        return None if path is None else self._read(reader, path, contract, option)

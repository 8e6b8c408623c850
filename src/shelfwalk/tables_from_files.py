"""From the files that a command names to the tables that the rooms take.

In: paths, the `--column` mapping, and what to do with bad rows. Out: tables, and notices for the terminal. A mapping
goes to every table of the command that has such a column; one that no table has is a mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from shelfwalk.data.dataset import open_dataset
from shelfwalk.data.readers import ReadResult, read_events, read_items, read_judgements, read_queries
from shelfwalk.data.tables import (
    EVENT_CONTRACT,
    ITEM_CONTRACT,
    JUDGEMENT_CONTRACT,
    QUERY_CONTRACT,
    Contract,
)
from shelfwalk.errors import UserError
from shelfwalk.shelf.training_tables import TrainingTables


@dataclass(frozen=True)
class BuildTables:
    """What a build takes."""

    items: pa.Table
    training: TrainingTables


@dataclass(frozen=True)
class EvaluationTables:
    """What an evaluation takes."""

    queries: pa.Table
    judgements: pa.Table


@dataclass
class TableFiles:
    """Reads the files of one command."""

    columns: Mapping[str, str]
    skip_bad_rows: bool
    bad_rows_folder: Path
    notices: list[str] = field(default_factory=list)

    def items_and_training(
        self, items: Path, queries: Path | None, judgements: Path | None, events: Path | None, evaluation: Path | None
    ) -> BuildTables:
        """Read what a build takes; `items` may be a folder of a known layout, of which only the items are taken."""
        contracts = [ITEM_CONTRACT] if items.is_file() else []
        contracts += [QUERY_CONTRACT] if queries or evaluation else []
        contracts += [JUDGEMENT_CONTRACT] if judgements else []
        contracts += [EVENT_CONTRACT] if events else []
        self._refuse_stray_columns(contracts)
        if items.is_dir():
            dataset = open_dataset(items, skip_bad_rows=self.skip_bad_rows, bad_rows_folder=self.bad_rows_folder)
            self.notices += dataset.notes
            catalogue = dataset.items
        else:
            catalogue = self._read(read_items, items, ITEM_CONTRACT)
        training = TrainingTables(
            queries=self._read_if(read_queries, queries, QUERY_CONTRACT),
            judgements=self._read_if(read_judgements, judgements, JUDGEMENT_CONTRACT),
            events=self._read_if(read_events, events, EVENT_CONTRACT),
            evaluation_queries=self._read_if(read_queries, evaluation, QUERY_CONTRACT),
        )
        return BuildTables(catalogue, training)

    def queries_and_judgements(self, queries: Path, judgements: Path) -> EvaluationTables:
        """Read what an evaluation takes."""
        self._refuse_stray_columns([QUERY_CONTRACT, JUDGEMENT_CONTRACT])
        return EvaluationTables(
            self._read(read_queries, queries, QUERY_CONTRACT),
            self._read(read_judgements, judgements, JUDGEMENT_CONTRACT),
        )

    def _refuse_stray_columns(self, contracts: list[Contract]) -> None:
        known = {name for contract in contracts for name in contract.schema.names}
        for ours in self.columns:
            if ours not in known:
                raise UserError(
                    f'--column names "{ours}", which is no column of ours: take one of {", ".join(sorted(known))}.'
                )

    def _read(self, reader: Callable[..., ReadResult], path: Path, contract: Contract) -> pa.Table:
        own = {ours: theirs for ours, theirs in self.columns.items() if ours in contract.schema.names}
        folder = self.bad_rows_folder if self.skip_bad_rows else None
        result = reader(path, own, skip_bad_rows=self.skip_bad_rows, bad_rows_folder=folder)
        self.notices += result.notices()
        return result.table

    def _read_if(self, reader: Callable[..., ReadResult], path: Path | None, contract: Contract) -> pa.Table | None:
        return None if path is None else self._read(reader, path, contract)

"""A market: a folder with a simulated shop's catalogue and search log, and apart from them the truth behind both.

In: settings, a seed and, if wanted, a real catalogue. Out: a folder, the same bytes for the same input:

    market.json               simulated, version, settings, seed, counts, checksums; written last
    items.parquet             the catalogue
    events.parquet            the log before the split, with the price paid
    truth/                    never read by a build
      later_events.parquet    the log after the split
      queries.parquet         queries of later visits: frequency, band, seen, cold
      judgements.parquet      their true grades
      needs.parquet           one row a visit: what was needed and what was said
      exposures.parquet       one row a visit: the page and its propensities
      item_features/ shoppers/ words.json

All is written into a folder beside it and appears under its name by one rename.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shelfwalk.data.tables import EVALUATION_QUERIES, JUDGEMENTS
from shelfwalk.errors import UserError
from shelfwalk.files import sync_folder, sync_tree, write_whole
from shelfwalk.market.catalogue import Catalogue, generate_catalogue
from shelfwalk.market.judging import is_cold, judge
from shelfwalk.market.log_writing import EVENTS_FILE, EXPOSURES_FILE, LATER_EVENTS_FILE, write_log
from shelfwalk.market.manifest import MANIFEST, MarketManifest, entries_of, read_manifest, tables_hash, verify
from shelfwalk.market.needs import Visits
from shelfwalk.market.real_catalogue import describe_catalogue
from shelfwalk.market.settings import MARKET_VERSION, STANDARD, STANDARD_NAME, STANDARD_SEED, MarketSettings
from shelfwalk.market.shoppers import draw_shoppers
from shelfwalk.market.simulation import Simulation, seed_of
from shelfwalk.market.splits import draw_queries
from shelfwalk.market.truth_files import read_truth, write_truth
from shelfwalk.version import __version__

Progress = Callable[[str, int, int], None]

ITEMS_FILE = "items.parquet"
TRUTH = "truth"
QUERIES_FILE = "truth/queries.parquet"
JUDGEMENTS_FILE = "truth/judgements.parquet"

_HASHED = (ITEMS_FILE, EVENTS_FILE, LATER_EVENTS_FILE, QUERIES_FILE, JUDGEMENTS_FILE)
_READ_BY_POLICY = ["item_id", "title", "brand", "category", "attributes", "popularity", "available"]


def make_market(
    settings: MarketSettings,
    seed: int,
    out: Path,
    items: pa.Table | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> None:
    """Make a market at `out`, whole or not at all: of a generated catalogue, or of the ITEMS table `items`.

    Raises UserError where `out` is taken, and for a catalogue that cannot be simulated.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists already: name a new folder, or remove it first.")
    with _workplace(out) as folder:
        (folder / TRUTH).mkdir()
        catalogue, notes = _make_catalogue(settings, seed, folder / ITEMS_FILE, items, progress)
        shoppers = draw_shoppers(catalogue, settings.shoppers, seed_of(seed, "shoppers"))
        write_truth(folder / TRUTH, catalogue, shoppers)
        simulation = Simulation(catalogue, shoppers, settings, seed)
        counts = _write_sessions(folder, simulation, progress)
        manifest = MarketManifest(
            simulated=True,
            version=MARKET_VERSION,
            shelfwalk_version=__version__,
            name=STANDARD_NAME if (settings, seed, items) == (STANDARD, STANDARD_SEED, None) else None,
            catalogue="generated" if items is None else "given",
            settings=settings.model_dump(mode="json"),
            seed=seed,
            counts=counts,
            notes=list(notes),
            hash=tables_hash([folder / name for name in _HASHED]),
            files=entries_of(folder),
        )
        write_whole(folder / MANIFEST, manifest.text())


@contextmanager
def _workplace(out: Path) -> Iterator[Path]:
    """An empty folder beside `out` that gets its name where all goes well, and is removed where anything does not."""
    folder = out.with_name(f"{out.name}.unfinished")
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{out}: another command is making this market: wait until it ends.") from None
        try:
            # What a killed command left.
            _empty(folder)
            yield folder
            sync_tree(folder)
            folder.rename(out)
            sync_folder(out.parent)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    finally:
        os.close(descriptor)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _make_catalogue(
    settings: MarketSettings, seed: int, path: Path, items: pa.Table | None, progress: Progress
) -> tuple[Catalogue, tuple[str, ...]]:
    own_seed = seed_of(seed, "catalogue")
    times = (settings.start, settings.split, settings.end)
    if items is None:
        return generate_catalogue(settings.catalogue, own_seed, path, *times, progress), ()
    described = describe_catalogue(items, own_seed, *times)
    pq.write_table(items, path, compression="zstd", row_group_size=50_000)
    return described


def _write_sessions(folder: Path, simulation: Simulation, progress: Progress) -> dict[str, int]:
    """Write the log, the evaluation queries and their judgements; return how much there is of everything."""
    settings, appears = simulation.settings, simulation.catalogue.features.appears
    seed = seed_of(simulation.seed, "visits")
    progress("Drawing visits", 0, settings.sessions)
    visits = simulation.visits(settings.sessions, seed, settings.start, settings.end)
    progress("Drawing visits", len(visits), settings.sessions)
    items = pq.read_table(folder / ITEMS_FILE, columns=_READ_BY_POLICY if len(visits) else ["item_id"])
    return {
        "items": len(appears),
        "cold_items": int((appears >= settings.split).sum()),
        "shoppers": len(simulation.shoppers),
        **write_log(folder, simulation, visits, items, progress),
        **_write_evaluation(folder, simulation, visits, items["item_id"], progress),
    }


def _write_evaluation(
    folder: Path, simulation: Simulation, visits: Visits, item_ids: pa.ChunkedArray, progress: Progress
) -> dict[str, int]:
    """Write queries.parquet and judgements.parquet; return how many rows they have."""
    settings, catalogue = simulation.settings, simulation.catalogue
    seed = seed_of(simulation.seed, "queries")
    queries = draw_queries(visits, settings.split, settings.evaluation_queries, seed)
    judged = judge(queries.texts, visits, catalogue, settings.judgements_per_query, progress)
    query_ids = pa.array([f"e{number:05d}" for number in range(len(queries))], pa.string())
    cold = is_cold(judged, len(queries), catalogue.features.appears >= settings.split)
    columns = [query_ids, pa.array(queries.texts, pa.string()), queries.frequency.astype(np.float64)]
    table = pa.table([*columns, pa.array(queries.bands, pa.string()), queries.seen, cold], schema=EVALUATION_QUERIES)
    pq.write_table(table, folder / QUERIES_FILE, compression="zstd")
    columns = [query_ids.take(pa.array(judged.query)), item_ids.take(pa.array(judged.item)), pa.array(judged.grade)]
    pq.write_table(pa.table(columns, schema=JUDGEMENTS), folder / JUDGEMENTS_FILE, compression="zstd")
    return {"evaluation_queries": len(queries), "judgements": len(judged.grade)}


class Market:
    """A market that was made, opened to be read."""

    def __init__(self, path: Path, manifest: MarketManifest) -> None:
        self.path = path
        self.manifest = manifest
        self.settings = MarketSettings.model_validate(manifest.settings)
        self.seed = manifest.seed
        self.hash = manifest.hash

    @classmethod
    def open(cls, path: Path, *, check: bool = True) -> Self:
        """Open a market and, by default, compare every file with its checksum.

        Raises UserError where there is none, where it is damaged, and for one of another version.
        """
        manifest = read_manifest(path)
        if check:
            verify(path, manifest)
        return cls(path, manifest)

    @cached_property
    def simulation(self) -> Simulation:
        """The shop itself, from which further visits and responses can be drawn."""
        return Simulation(*read_truth(self.path / TRUTH), self.settings, self.seed)

    def items(self) -> pa.Table:
        """The catalogue, an ITEMS table."""
        return pq.read_table(self.path / ITEMS_FILE)

    def training_events(self) -> pa.Table:
        """The log before the split, a LOG table: EVENTS with `price`."""
        return pq.read_table(self.path / EVENTS_FILE)

    def later_events(self) -> pa.Table:
        """The log after the split, a LOG table."""
        return pq.read_table(self.path / LATER_EVENTS_FILE)

    def exposures(self) -> pa.Table:
        """The pages of all visits with their propensities, an EXPOSURES table."""
        return pq.read_table(self.path / EXPOSURES_FILE)

    def queries(self) -> pa.Table:
        """The queries for evaluation, an EVALUATION_QUERIES table.

        `frequency`: visits before the split with the same text; `cold`: many of its items appear after the split, see
        judging.is_cold.
        """
        return pq.read_table(self.path / QUERIES_FILE)

    def judgements(self) -> pa.Table:
        """The true grades of the queries for evaluation, a JUDGEMENTS table."""
        return pq.read_table(self.path / JUDGEMENTS_FILE)

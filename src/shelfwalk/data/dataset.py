"""Opening a folder as a dataset, by recognising the files in it.

In: a folder. Out: a `Dataset`. Layouts: icecat_chorus (icecat.py), WANDS (wands.py), ESCI in full or as a small sample
(esci.py), online_retail (online_retail.py), market (simulated_market.py), and plain: `items.*` with `queries.*`,
`judgements.*` and `events.*` if there are any, in our own columns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from shelfwalk.data import esci, icecat, online_retail, simulated_market, wands
from shelfwalk.data.adapter import Dataset
from shelfwalk.data.readers import ReadResult, read_events, read_items, read_judgements, read_queries
from shelfwalk.errors import UserError

__all__ = ["Dataset", "open_dataset"]

_SUFFIXES = (".parquet", ".csv", ".tsv", ".jsonl", ".ndjson")


@dataclass(frozen=True)
class _Layout:
    name: str
    files: tuple[str, ...]
    open: Callable[[Path, Path | None], Dataset]


_LAYOUTS = (
    _Layout("icecat_chorus", icecat.FILES, icecat.open_icecat),
    _Layout("WANDS", wands.FILES, wands.open_wands),
    _Layout("ESCI", esci.FILES, esci.open_esci),
    _Layout("ESCI sample", esci.SAMPLE_FILES, esci.open_esci_sample),
    _Layout("online_retail", online_retail.FILES, online_retail.open_online_retail),
    _Layout("market", simulated_market.FILES, simulated_market.open_simulated_market),
)


def open_dataset(folder: Path, *, skip_bad_rows: bool = False, bad_rows_folder: Path | None = None) -> Dataset:
    """Open a folder of a known layout.

    A folder named `dataset` inside is looked into as well, as WANDS is published that way. With `skip_bad_rows`, bad
    rows go to files in `bad_rows_folder` and are counted in the notes. Raises UserError for an unknown layout, and for
    a file, column or row that breaks its contract.
    """
    if skip_bad_rows and bad_rows_folder is None:
        raise ValueError("skip_bad_rows needs a bad_rows_folder to write the bad rows to")
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}.")
    aside = bad_rows_folder if skip_bad_rows else None
    for place in (folder, folder / "dataset"):
        for layout in _LAYOUTS:
            if all((place / name).is_file() for name in layout.files):
                return layout.open(place, aside)
    if items := _table_file(folder, "items"):
        return _open_plain(folder, items, aside)
    raise UserError(f"{folder} has no known layout; known are {_known_layouts()}.")


def _known_layouts() -> str:
    known = [f"{layout.name} ({', '.join(layout.files)})" for layout in _LAYOUTS]
    suffixes = ", ".join(_SUFFIXES)
    return "; ".join([*known, f"plain (items, and queries, judgements, events if wanted, each as one of {suffixes})"])


def _table_file(folder: Path, name: str) -> Path | None:
    found = [folder / f"{name}{suffix}" for suffix in _SUFFIXES if (folder / f"{name}{suffix}").is_file()]
    if len(found) > 1:
        raise UserError(f"{folder} has both {found[0].name} and {found[1].name}; keep one of them.")
    return found[0] if found else None


def _open_plain(folder: Path, items_file: Path, aside: Path | None) -> Dataset:
    notes: list[str] = []

    def read(reader: Callable[..., ReadResult], path: Path | None) -> ReadResult | None:
        if path is None:
            return None
        result = reader(path, skip_bad_rows=aside is not None, bad_rows_folder=aside)
        notes.extend(result.notices())
        return result

    items = read(read_items, items_file)
    queries = read(read_queries, _table_file(folder, "queries"))
    judgements = read(read_judgements, _table_file(folder, "judgements"))
    events = read(read_events, _table_file(folder, "events"))
    assert items is not None
    return Dataset(
        folder.resolve().name,
        items.table,
        queries.table if queries else None,
        judgements.table if judgements else None,
        events.table if events else None,
        tuple(notes),
    )

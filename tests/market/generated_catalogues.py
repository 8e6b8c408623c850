"""Generated catalogues for tests: one call, the file read back and what the simulation knows of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from shelfwalk.market.assortment import Assortment, draw_assortment
from shelfwalk.market.catalogue import Catalogue, CatalogueSettings, generate_catalogue

DAY = 86_400_000_000
START = 20_000 * DAY
SPLIT = START + 72 * DAY
END = START + 90 * DAY


@dataclass(frozen=True)
class Generated:
    path: Path
    items: pa.Table
    catalogue: Catalogue
    assortment: Assortment


def generated(folder: Path, items: int, seed: int = 3) -> Generated:
    path = folder / f"items-{items}-{seed}.parquet"
    catalogue = generate_catalogue(CatalogueSettings(items=items), seed, path, START, SPLIT, END)
    return Generated(path, pq.read_table(path), catalogue, draw_assortment(items, seed))

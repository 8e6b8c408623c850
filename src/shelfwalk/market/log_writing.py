"""Writes the log of a market: every visit is shown the logging policy's page and answers it.

In: a simulation, visits and the items table. Out: `events.parquet` before the split, and in `truth/` the later events,
needs and exposures, a chunk of visits at a time, so that memory holds one chunk's rows whatever the length of the log.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shelfwalk.data.tables import ACTIONS
from shelfwalk.market.log import CHUNK, EXPOSURES, LOG, ParquetStream, events_of, exposures_of, moments
from shelfwalk.market.logging_policy import LoggingPolicy, explore, first_pages
from shelfwalk.market.needs import Visits
from shelfwalk.market.simulation import Simulation, seed_of
from shelfwalk.market.splits import visits_before
from shelfwalk.market.truth_files import NEEDS, needs_of

EVENTS_FILE = "events.parquet"
LATER_EVENTS_FILE = "truth/later_events.parquet"
NEEDS_FILE = "truth/needs.parquet"
EXPOSURES_FILE = "truth/exposures.parquet"
_FILES = ((EVENTS_FILE, LOG), (LATER_EVENTS_FILE, LOG), (NEEDS_FILE, NEEDS), (EXPOSURES_FILE, EXPOSURES))

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class _Ranked:
    """The policy's ranking of each distinct text, and the text of each visit."""

    rows: npt.NDArray[np.int32]
    text_of_visit: npt.NDArray[np.int64]


def write_log(
    folder: Path, simulation: Simulation, visits: Visits, items: pa.Table, progress: Progress
) -> dict[str, int]:
    """Write the log of `visits` into `folder`, which has a folder `truth`; return how many rows of each kind it holds.

    `items`: the catalogue in the columns that the logging policy reads, and item_id. Without visits all files are
    empty.
    """
    ranked = _rank(visits, items, simulation, progress)
    split_visit = visits_before(visits, simulation.settings.split)
    item_ids = items["item_id"].combine_chunks()
    counts: Counter[str] = Counter(visits_before_split=split_visit, visits_after_split=len(visits) - split_visit)
    with ExitStack() as stack:
        before, later, needs, exposures = (
            stack.enter_context(ParquetStream(folder / name, schema)) for name, schema in _FILES
        )
        for number, (first, last) in enumerate(_chunks(split_visit, len(visits))):
            part = visits.take(np.arange(first, last))
            is_before = first < split_visit
            events, shown = _events(simulation, ranked, part, first, number, is_before, item_ids)
            (before if is_before else later).write(events)
            needs.write(needs_of(part, first))
            exposures.write(shown)
            counts.update(_counted(events, shown))
            progress("Writing the log", last, len(visits))
    return {"distinct_queries": len(ranked.rows), **counts}


def _chunks(split: int, count: int) -> list[tuple[int, int]]:
    """First and end of every chunk of visits; none lies on both sides of the split."""
    return list(pairwise([*range(0, split, CHUNK), *range(split, count, CHUNK), count]))


def _rank(visits: Visits, items: pa.Table, simulation: Simulation, progress: Progress) -> _Ranked:
    if not len(visits):
        return _Ranked(np.empty((0, 0), np.int32), np.empty(0, np.int64))
    policy = LoggingPolicy.build(items, simulation.settings.policy, progress)
    number_of: dict[str, int] = {}
    text_of_visit = np.array([number_of.setdefault(text, len(number_of)) for text in visits.queries], np.int64)
    return _Ranked(policy.rank(list(number_of), progress), text_of_visit)


def _events(
    simulation: Simulation, ranked: _Ranked, visits: Visits, first: int, chunk: int, is_before: bool, item_ids: pa.Array
) -> tuple[pa.Table, pa.Table]:
    """The LOG and the EXPOSURES rows of one chunk."""
    settings, seed = simulation.settings, simulation.seed
    texts = ranked.text_of_visit[first : first + len(visits)]
    features = simulation.catalogue.features
    pages = first_pages(ranked.rows[texts], visits.at, features.appears, settings.page_size)
    random = np.random.default_rng(seed_of(seed, "exploration", chunk))
    shown = explore(pages, settings.policy.exploration, random)
    responses = simulation.respond(visits, shown.pages, seed_of(seed, "responses", chunk))
    until = settings.split if is_before else settings.end
    when = moments(visits.at, responses, until, np.random.default_rng(seed_of(seed, "moments", chunk)))
    return events_of(visits, first, shown.pages, responses, when, item_ids), exposures_of(visits, first, shown)


def _counted(events: pa.Table, exposures: pa.Table) -> dict[str, Any]:
    counted = {f"{name}_events": pc.sum(pc.equal(events["action_name"], name)).as_py() or 0 for name in ACTIONS}
    empty = pc.sum(pc.equal(pc.list_value_length(exposures["items"]), 0)).as_py() or 0
    return {**counted, "empty_pages": empty}

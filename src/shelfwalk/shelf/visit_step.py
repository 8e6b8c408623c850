"""The step of a build that gathers shoppers' visits, where a training stage learns from them.

In: the search log and the pairs step. Out: which training query each visit asked, what its shopper had chosen before
that, and what it led to; whether a visit is held out goes by its query, as it does for pairs.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shelfwalk.data.histories import refuse_anonymous, visits_of
from shelfwalk.data.tables import TIMESTAMP_TYPE
from shelfwalk.errors import UserError
from shelfwalk.generators.settings import ShopperStage
from shelfwalk.generators.shopper_examples import StoredVisits
from shelfwalk.recipes.recipe import Recipe
from shelfwalk.shelf import layout
from shelfwalk.shelf.build import Build
from shelfwalk.shelf.steps import StepResult

_CLOCKS_DIFFER = timedelta(days=1)
"""A log of local times may be ahead by as much."""
VISIT_QUERIES = "visit_queries.npy"
HISTORIES = "histories.npy"
TRAIN_TARGETS = "train_targets.npy"
HELD_OUT_TARGETS = "held_out_targets.npy"


def learns_from_shoppers(recipe: Recipe) -> bool:
    """Whether a training stage of the recipe learns from visits."""
    return any(isinstance(stage, ShopperStage) for stage in recipe.training.stages or ())


def refuse_unfit_log(recipe: Recipe, events: pa.Table | None) -> None:
    """Raise UserError, before anything takes long, where a recipe reads shoppers' histories and the log does not serve.

    It must tell shoppers apart and be of the past, as histories go by its times; and be there for a training stage.
    """
    of_towers = recipe.shopper_tower is not None and recipe.shopper_tower.history_length > 0
    if learns_from_shoppers(recipe) and events is None:
        raise UserError(
            f"The recipe {recipe.name} has a training stage on shoppers, and there is no search log: give one, or take "
            "the stage out of training.stages."
        )
    if events is not None and (of_towers or learns_from_shoppers(recipe)):
        refuse_anonymous(events)
        _refuse_future(events)


def _refuse_future(events: pa.Table) -> None:
    latest = datetime.now(UTC) + _CLOCKS_DIFFER
    later = pc.indices_nonzero(pc.greater(events["timestamp"], pa.scalar(latest, TIMESTAMP_TYPE)))
    if len(later):
        row = later[0].as_py()
        at = f"{events['timestamp'][row].as_py():%Y-%m-%d %H:%M} UTC"
        raise UserError(
            f"Event {row + 1} of the log is in the future ({at}), so what a shopper had done before a search cannot be "
            "told: correct the column timestamp."
        )


def write_visits(build: Build, events: pa.Table, pairs: StepResult, folder: Path) -> dict[str, Any]:
    """Write the visits of the log, and count them."""
    length = build.recipe.generator.history_length
    assert length is not None
    build.progress("Gathering visits", 0, 1)
    visits = visits_of(build.items, events, length)
    asked = pq.read_table(pairs.folder / layout.TRAINING_QUERIES, columns=["query", "held_out"])
    # Their queries are among the logged ones: the same events make pairs.
    row_of_query = pc.index_in(pa.array(visits.queries, pa.string()), value_set=asked["query"].combine_chunks())
    query_rows = row_of_query.to_numpy(zero_copy_only=False).astype(np.int32)[visits.query_rows]
    held_out = asked["held_out"].to_numpy()[query_rows][visits.visit_rows]
    targets = np.stack((visits.visit_rows, visits.item_rows))
    for name, array in (
        (VISIT_QUERIES, query_rows),
        (HISTORIES, visits.histories),
        (TRAIN_TARGETS, targets[:, ~held_out]),
        (HELD_OUT_TARGETS, targets[:, held_out]),
    ):
        np.save(folder / name, array, allow_pickle=False)
    build.progress("Gathering visits", 1, 1)
    known = float((visits.histories[:, 0] >= 0).mean())
    return {"visits": len(visits), "known_shopper_share": known}


def read_visits(step: StepResult) -> StoredVisits:
    """The visits that the step has left, memory-mapped."""
    names = (VISIT_QUERIES, HISTORIES, TRAIN_TARGETS, HELD_OUT_TARGETS)
    return StoredVisits(*(np.load(step.folder / name, mmap_mode="r", allow_pickle=False) for name in names))

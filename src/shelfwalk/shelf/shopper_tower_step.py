"""The step of a build that trains two towers whose query side has several heads and knows the shopper.

Written: as by tower_step.py, but for the query tower, which is a `ShopperTower`. What is learned from are the visits of
the log, each with its shopper's history before it; logged pairs that no visit has, those of judgements, and
pseudo-queries are of nobody and have none.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shelfwalk.data.histories import Visits, visits_of
from shelfwalk.data.query_item_pairs import QueryItemPairs
from shelfwalk.encoders.two_tower_settings import ShopperTowerSettings, TwoTowerSettings
from shelfwalk.shelf import layout
from shelfwalk.shelf.build import Build
from shelfwalk.shelf.pair_step import TrainingPairs, read_pairs
from shelfwalk.shelf.steps import StepResult
from shelfwalk.shelf.tower_step import Advance, sides, write_towers

if TYPE_CHECKING:
    from shelfwalk.encoders.shopper_tower_training import Asks
    from shelfwalk.shelf.tower_step import Towers


def train_towers_for_shoppers(
    build: Build,
    settings: TwoTowerSettings,
    shopper: ShopperTowerSettings,
    events: pa.Table | None,
    vectors: StepResult,
    pairs: StepResult,
    folder: Path,
    kept: Path,
) -> dict[str, Any]:
    """Train the two towers on the visits of `events` and run them over the catalogue and the training queries.

    `kept`: where an interrupted training left its checkpoints.
    """
    from shelfwalk.encoders.shopper_tower_training import ShopperData, train_shopper_towers

    read = read_pairs(pairs)
    asks, train_pairs, held_out = asked_by_shoppers(read, build.items, events, shopper.history_length)
    pseudo = read.of_source(read.train, logged=False)
    data = ShopperData(*sides(build, vectors, pairs, read), train_pairs, pseudo, held_out, asks)

    def train(advance: Advance) -> Towers:
        return train_shopper_towers(data, settings, shopper, build.seed, advance, kept)

    facts = write_towers(build, settings, data, train, folder, layout.SHOPPER_TOWER)
    visits = len(asks.query_rows) - len(read.queries)
    known = int((asks.histories >= 0).any(axis=1).sum())
    return {**facts, "shoppers": {"visits": visits, "with_history": known}}


def asked_by_shoppers(
    pairs: TrainingPairs, items: pa.Table, events: pa.Table | None, length: int
) -> tuple[Asks, QueryItemPairs, QueryItemPairs]:
    """Who asked what; the logged pairs to train on, and the pairs to choose by, both with rows of who asked as queries.

    The first asks are every query of `pairs`, of nobody; then come the visits. A visit of a held-out query is held out.
    """
    from shelfwalk.encoders.shopper_tower_training import Asks

    nobody = Asks.of_nobody(len(pairs.queries), length)
    train, chosen = pairs.of_source(pairs.train, logged=True), pairs.to_choose_by()
    if events is None or not length:
        return nobody, train, chosen
    visits = visits_of(items, events, length)
    row_of = {query: row for row, query in enumerate(pairs.queries)}
    query_rows = np.array([row_of[query] for query in visits.queries], np.int32)[visits.query_rows]
    asks = Asks(np.concatenate((nobody.query_rows, query_rows)), np.concatenate((nobody.histories, visits.histories)))
    of_visits = QueryItemPairs(pairs.queries, query_rows[visits.visit_rows], visits.item_rows)
    train, chosen = (_with_visits(part, of_visits, visits, items.num_rows) for part in (train, chosen))
    return asks, train, chosen


def _with_visits(part: QueryItemPairs, of_visits: QueryItemPairs, visits: Visits, items: int) -> QueryItemPairs:
    """The pairs of the visits whose query and item are a pair of `part`, and the pairs of it that no visit has."""

    def keys(pairs: QueryItemPairs) -> npt.NDArray[np.int64]:
        return pairs.query_rows * np.int64(items) + pairs.item_rows

    wanted = np.isin(keys(of_visits), keys(part))
    without = part.where(~np.isin(keys(part), keys(of_visits)))
    asks = visits.visit_rows[wanted] + np.int32(len(part.queries))
    return QueryItemPairs(
        part.queries,
        np.concatenate((without.query_rows, asks)),
        np.concatenate((without.item_rows, visits.item_rows[wanted])),
    )

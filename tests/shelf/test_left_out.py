"""What a build leaves out is told before it starts, and nothing is told of what it uses."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from shelfwalk.data.readers import read_judgements, read_queries
from shelfwalk.data.tables import ITEMS
from shelfwalk.recipes.recipe import Recipe
from shelfwalk.shelf.building import build_shelf
from shelfwalk.shelf.left_out import left_out
from shelfwalk.shelf.training_tables import TrainingTables
from small_shop import SmallShop

PATHS = [["tools", "saws", "hand saws"], ["tools", "drills"], ["garden"]]
CATALOGUE = pa.Table.from_pylist(
    [{"item_id": str(row), "title": "x", "category": path, "available": True} for row, path in enumerate(PATHS)],
    schema=ITEMS,
)


def recipe(**settings: object) -> Recipe:
    return Recipe.model_validate({"name": "own", "tokenizer": {"kind": "cqsid", "level_sizes": [3, 4], **settings}})


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, None),
        ({"category_depth": 3}, None),
        ({"category_depth": 2}, "3 levels deep, and level 1 of the identifiers is made of its first 2 (3 categories)"),
        ({"category_depth": 1}, "made of its first 1 (2 categories)"),
        ({"level_sizes": [2, 4]}, "made of its first 1 (2 categories)"),
        ({"level_sizes": [2, 4], "force_category": False}, None),
    ],
)
def test_levels_of_the_category_tree(settings: dict[str, object], told: str | None) -> None:
    notes = left_out(CATALOGUE, recipe(**settings), TrainingTables())
    assert len(notes) == (told is not None)
    assert all(told in note for note in notes if told)


def test_what_names_unknown_items() -> None:
    log = pa.table({"object_id": ["0", "9"], "action_name": ["click", "purchase"]})
    judgements = pa.table({"query_id": ["q", "r"], "item_id": ["0", "0"]})
    tables = TrainingTables(queries=pa.table({"query_id": ["q"]}), judgements=judgements, events=log)
    of_judgements, of_events = left_out(CATALOGUE, recipe(), tables)
    assert of_judgements.startswith("1 of 2 judgements") and '"r"' in of_judgements
    assert of_events.startswith("1 of the log's 2") and '"9"' in of_events
    assert of_events.endswith(" Nothing is learned from these.")


class BegunError(Exception):
    """A build has begun its first step."""


def test_a_build_tells_it_before_it_begins(small_shop: SmallShop, tmp_path: Path) -> None:
    told: list[str] = []
    judgements = read_judgements(small_shop.judgements_file).table
    strange = judgements.slice(0, 1).set_column(1, judgements.schema.field(1), pa.array(["gone"]))
    tables = TrainingTables(
        queries=read_queries(small_shop.queries_file).table, judgements=pa.concat_tables([judgements, strange])
    )

    def begin(stage: str, done: int, total: int) -> None:
        raise BegunError(stage)

    with pytest.raises(BegunError):
        build_shelf(
            small_shop.items(),
            small_shop.recipe,
            tmp_path / "own.shelf",
            tables=tables,
            progress=begin,
            notice=told.append,
        )
    assert len(told) == 1
    assert '"gone"' in told[0]

"""What a build will leave out of what it is given, in a sentence each, before it starts.

In: the items, the recipe and what there is to train on. Out: sentences; what cannot be built at all has been refused by
then.
"""

from __future__ import annotations

import pyarrow as pa

from shelfwalk.data.unknown_ids import notes_on_events, notes_on_judgements
from shelfwalk.recipes.recipe import Recipe
from shelfwalk.shelf.training_tables import TrainingTables
from shelfwalk.tokenizers.category_codes import CategoryCodes
from shelfwalk.tokenizers.settings import CqSidSettings


def left_out(items: pa.Table, recipe: Recipe, tables: TrainingTables) -> tuple[str, ...]:
    """Return what is left out: judgements and events on unknown items, and levels of the category tree."""
    unknown: tuple[str, ...] = ()
    if tables.judgements is not None and tables.queries is not None:
        unknown += notes_on_judgements(items, tables.queries, tables.judgements)
    if tables.events is not None:
        unknown += notes_on_events(items, tables.events)
    notes = tuple(f"{note} Nothing is learned from these." for note in unknown)
    settings = recipe.tokenizer
    if isinstance(settings, CqSidSettings) and settings.force_category:
        notes += _deeper_levels(CategoryCodes.of(items, settings.level_sizes[0], settings.category_depth))
    return notes


def _deeper_levels(categories: CategoryCodes) -> tuple[str, ...]:
    if categories.depth >= categories.deepest:
        return ()
    return (
        f"The category tree goes {categories.deepest} levels deep, and level 1 of the identifiers is made of its first"
        f" {categories.depth} ({len(categories):,} categories): what lies below is left out of the identifiers.",
    )

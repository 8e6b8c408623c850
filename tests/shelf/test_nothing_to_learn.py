"""A build with no pair of a query and an item to train on: refused where the recipe learns from pairs."""

from __future__ import annotations

import pytest

from shelfwalk.data.query_item_pairs import QueryItemPairs
from shelfwalk.errors import UserError
from shelfwalk.recipes.recipe import Recipe, load_recipe
from shelfwalk.shelf.pair_step import refuse_nothing_to_learn
from small_shop import catalogue, product

NUMBERS = catalogue([product("a", "1"), product("b", "2")])
NONE = QueryItemPairs.of(())


def with_stages(name: str, *kinds: str) -> Recipe:
    values = load_recipe(name).model_dump()
    return Recipe.model_validate({**values, "training": {"stages": [{"kind": kind} for kind in kinds]}})


@pytest.mark.parametrize(
    "recipe",
    [load_recipe("rqkmeans"), load_recipe("dssm"), with_stages("rqkmeans", "items", "queries")],
    ids=["without stages", "towers", "a stage on queries"],
)
def test_a_recipe_that_learns_from_pairs_is_refused_without_any(recipe: Recipe) -> None:
    with pytest.raises(UserError, match="no pair of a query and an item to train on"):
        refuse_nothing_to_learn(NUMBERS, recipe, NONE, seed=0)
    refuse_nothing_to_learn(NUMBERS, recipe, QueryItemPairs.of([("usb hub", 0)]), seed=0)
    refuse_nothing_to_learn(catalogue([product("a", "1"), product("b", "usb hub")]), recipe, NONE, seed=0)


def test_words_are_of_no_use_where_no_pseudo_queries_are_made_of_them() -> None:
    none = {"title_pieces": 0, "description_pieces": 0, "attribute_values": 0}
    recipe = Recipe.model_validate({**load_recipe("rqkmeans").model_dump(), "pseudo_queries": none})
    with pytest.raises(UserError, match="no pair of a query and an item to train on"):
        refuse_nothing_to_learn(catalogue([product("a", "usb hub")]), recipe, NONE, seed=0)
    refuse_nothing_to_learn(catalogue([product("a", "usb hub", brand="Altomar")]), recipe, NONE, seed=0)


def test_a_recipe_that_learns_from_titles_alone_needs_no_pairs() -> None:
    refuse_nothing_to_learn(NUMBERS, with_stages("rqkmeans", "items"), NONE, seed=0)
    with pytest.raises(UserError, match="no pair"):
        refuse_nothing_to_learn(NUMBERS, with_stages("rqkmeans-towers", "items"), NONE, seed=0)

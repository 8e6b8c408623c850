"""Recipes: the shipped ones load, a hash names their values, and every mistake of a file is told at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shelfwalk.encoders.two_tower_settings import ShopperTowerSettings, TwoTowerSettings
from shelfwalk.errors import UserError
from shelfwalk.ranking.ranker_settings import RankerSettings
from shelfwalk.recipes.recipe import Recipe, load_recipe, parse_recipe, recipe_names, recipe_text

LEAST = 'name = "mine"\n[tokenizer]\nkind = "residual_kmeans"\n'


def leaves(values: dict[str, Any], place: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The place of every single value in nested settings."""
    found = []
    for name, value in values.items():
        inner = isinstance(value, dict)
        found += leaves(value, (*place, name)) if inner else [(*place, name)]
    return found


def changed(value: Any) -> Any:
    """Another value of the same kind, near enough to be valid."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 4
    if isinstance(value, float):
        return value * 0.5 + 0.003
    if isinstance(value, str):
        return {"english": "porter", "max": "mean"}.get(value, f"{value}-other")
    if value is None:
        return 0.125
    return [*value, 7]


@pytest.mark.parametrize("name", recipe_names())
def test_a_shipped_recipe_says_how_it_is_built_and_carries_its_name(name: str) -> None:
    text = recipe_text(name)
    assert text.startswith(f"# shelfwalk build --items items.parquet --recipe {name} --out my.shelf")
    assert load_recipe(name).name == name


def test_the_systems_that_are_shipped() -> None:
    names = recipe_names()
    assert {"rqkmeans", "tiger"} <= set(names)
    assert names == tuple(sorted(names))
    rqkmeans, tiger = load_recipe("rqkmeans").tokenizer, load_recipe("tiger").tokenizer
    assert rqkmeans.kind == "residual_kmeans"
    assert (tiger.kind, tiger.level_sizes, tiger.commitment, tiger.unique) == ("rqvae", (256, 256, 256), 0.25, True)


def test_a_copy_of_a_recipe_is_the_recipe(tmp_path: Path) -> None:
    for name in recipe_names():
        path = tmp_path / f"{name}.toml"
        path.write_text(recipe_text(name))
        assert load_recipe(str(path)) == load_recipe(name)
        assert load_recipe(str(path)).hash == load_recipe(name).hash


def test_the_hash_is_of_the_values_and_not_of_how_they_are_written() -> None:
    spelt_out = f"# the same\n{LEAST}iterations = 20\n[training]\nweight_decay = 0.01\n[generator]\n"
    assert parse_recipe(spelt_out, "a").hash == parse_recipe(LEAST, "b").hash
    assert parse_recipe(f"{LEAST}[bm25]\nk1 = 2\n", "a").hash == parse_recipe(f"{LEAST}[bm25]\nk1 = 2.0\n", "b").hash
    assert len(parse_recipe(LEAST, "b").hash) == 16


@pytest.mark.parametrize("kind", ["residual_kmeans", "hierarchical_kmeans", "rqvae", "random", "cqsid"])
def test_the_hash_changes_with_every_single_value(kind: str) -> None:
    recipe = parse_recipe(LEAST.replace("residual_kmeans", kind), "x")
    values = recipe.model_dump(mode="json")
    # What a recipe may leave out is given here.
    values["fusion"]["weights"] = {"bm25": 1.0, "dense": 1.0, "generative": 0.5}
    values["two_tower"] = TwoTowerSettings().model_dump(mode="json")
    values["shopper_tower"] = ShopperTowerSettings().model_dump(mode="json")
    values["training"]["logged_share"] = 0.5
    values["ranker"] = RankerSettings().model_dump(mode="json")
    values["generator"] |= {"history_length": 6, "backbone": "t5", "prompt_tokens": 8, "lora_rank": 2}
    # Not beside a backbone; `tests/shelf/test_int8_choice.py` names a recipe with it.
    del values["generator"]["int8"]
    values["training"]["stages"] = [{"kind": "shoppers"}]
    if kind == "cqsid":
        values["tokenizer"]["category_depth"] = 2
    hashes = {Recipe.model_validate(values).hash}
    given = (("generative", "in_cluster_order"), ("training", "stages"), ("ranker", "left_out"))
    places = [place for place in leaves(values) if place not in given and place[-1] not in ("kind", "history_pooling")]
    for place in places:
        other = Recipe.model_validate(values).model_dump(mode="json")
        inner = other
        for part in place[:-1]:
            inner = inner[part]
        inner[place[-1]] = changed(inner[place[-1]])
        if place[-1] == "force_category":
            inner["category_depth"] = None
        hashes.add(Recipe.model_validate(other).hash)
    assert len(places) > 25
    assert len(hashes) == len(places) + 1


def test_the_published_order_names_a_recipe_anew_and_leaving_it_out_does_not() -> None:
    plain = parse_recipe(LEAST, "x")
    ordered = parse_recipe(f'{LEAST}[generative]\nin_cluster_order = "efficiency"\n', "x")
    assert plain.generative.in_cluster_order is None
    assert "in_cluster_order" not in plain.model_dump_json(exclude_none=True)
    assert ordered.hash != plain.hash
    with pytest.raises(UserError, match=r"generative\.in_cluster_order"):
        parse_recipe(f'{LEAST}[generative]\nin_cluster_order = "cosine"\n', "x")


def test_what_a_ranker_leaves_out_names_a_recipe_anew() -> None:
    every, fewer = load_recipe("dsirm-no-feature"), recipe_text("dsirm-no-feature") + 'left_out = ["price"]\n'
    assert every.ranker is not None
    assert "left_out" not in every.model_dump_json(exclude_none=True)
    assert parse_recipe(fewer, "x").hash != every.hash
    with pytest.raises(UserError, match=r"ranker\.left_out"):
        parse_recipe(fewer.replace("price", "colour"), "x")


STAGES = """
[generator]
history_length = 6
[[training.stages]]
kind = "items"
[[training.stages]]
kind = "queries"
targets = 3
[[training.stages]]
kind = "shoppers"
"""


def test_the_hash_changes_with_every_stage_and_all_that_it_says() -> None:
    recipes = [parse_recipe(LEAST + text, "x") for text in (
        "",
        STAGES,
        STAGES.replace("targets = 3", "targets = 2"),
        STAGES.replace("targets = 3", "steps = 7"),
        STAGES.replace("targets = 3", "item_share = 0.5"),
        STAGES.replace('[[training.stages]]\nkind = "items"\n', ""),
        f"{STAGES}unknown_share = 0.5\n",
    )]  # fmt: skip
    assert len({recipe.hash for recipe in recipes}) == len(recipes)
    assert parse_recipe(LEAST + STAGES.replace("targets = 3", ""), "x").hash == recipes[1].hash


def test_recipes_without_stages_are_named_as_before_there_were_any() -> None:
    assert load_recipe("rqkmeans").hash == "f956ee69d3b63459"
    assert load_recipe("cqsid-query").hash == "228c614016bb3856"


def test_a_stage_says_for_itself_what_it_says_and_the_rest_is_as_for_all() -> None:
    text = f"{LEAST}[training]\nbatch = 64\nitem_share = 0.25\n{STAGES}steps = 7\nlearning_rate = 0.5\n"
    training = parse_recipe(text, "x").training
    assert training.stages is not None
    items, queries, shoppers = (training.of_stage(stage) for stage in training.stages)
    plain = training.model_copy(update={"stages": None})
    assert items == queries == plain
    assert (queries.batch, queries.item_share) == (64, 0.25)
    assert shoppers == plain.model_copy(update={"steps": 7, "learning_rate": 0.5})


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('kind = "items"', 'kind = "users"', "training.stages.0.kind: there is no 'users'"),
        ('kind = "items"', 'kind = "items"\ntargets = 2', "training.stages.0.targets: there is no such setting"),
        ("targets = 3", "targets = 0", "training.stages.1.targets: input should be greater"),
        ("history_length = 6", "", "A training stage on shoppers needs a generator that reads histories"),
        ("history_length = 6", "history_length = 0", "generator.history_length: input should be greater"),
        ('kind = "shoppers"', 'kind = "queries"', "history_length is of no use without a training stage on shoppers"),
    ],
)
def test_stages_that_cannot_be(old: str, new: str, complaint: str) -> None:
    assert old in STAGES
    with pytest.raises(UserError) as refused:
        parse_recipe(LEAST + STAGES.replace(old, new), "x")
    assert complaint.lower() in str(refused.value).lower()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[tokenizer]\nlevel_sizes = [4]\n", "tokenizer: it does not say of which kind it is"),
        ('[tokenizer]\nkind = "rqvea"\n', r"tokenizer\.kind: there is no 'rqvea', take one of .*'rqvae'"),
        (
            '[tokenizer]\nkind = "rqvae"\n[[training.stages]]\nkind = "item"\n',
            r"training\.stages\.0\.kind: there is no 'item', take one of 'items'",
        ),
    ],
)
def test_a_kind_that_there_is_not(text: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        parse_recipe(f'name = "mine"\n{text}', "x")


def test_no_stages_at_all() -> None:
    with pytest.raises(UserError, match=r"training\.stages: .* at least 1 item"):
        parse_recipe(f"{LEAST}[training]\nstages = []\n", "x")


CQSID = (
    "cqsid",
    "cqsid-user",
    "cqsid-base-user",
    "cqsid-query",
    "cqsid-base",
    "cqsid-no-category",
    "cqsid-no-query-item-loss",
)


def test_a_recipe_without_shoppers_is_called_what_it_was_before_there_were_any() -> None:
    assert load_recipe("dssm").hash == "f51c320f40117145"
    with pytest.raises(UserError, match=r"\[shopper_tower\] is a part of two towers"):
        parse_recipe(f"{LEAST}[shopper_tower]\nheads = 2\n", "x")


def test_dpsr_is_dssm_with_heads_and_a_history() -> None:
    dssm, dpsr = (load_recipe(name).model_dump(exclude={"name"}) for name in ("dssm", "dpsr"))
    assert dpsr.pop("shopper_tower") == ShopperTowerSettings().model_dump()
    assert {**dssm, "shopper_tower": None} == {**dpsr, "shopper_tower": None}


def test_the_arms_of_cqsid_differ_in_what_they_are_about_only() -> None:
    whole = load_recipe("cqsid-query").model_dump(exclude={"name"})
    for name, changes in {
        "cqsid-base": {"force_category": False, "contrast": 0.0},
        "cqsid-no-category": {"force_category": False},
        "cqsid-no-query-item-loss": {"contrast": 0.0},
    }.items():
        recipe = load_recipe(name).model_dump(exclude={"name"})
        assert recipe == {**whole, "tokenizer": {**whole["tokenizer"], **changes}}, name


def test_the_arms_that_know_the_shopper_learn_alike_and_differ_from_the_others_in_that() -> None:
    user, query = (load_recipe(name).model_dump(exclude={"name"}) for name in ("cqsid-user", "cqsid-query"))
    base, base_user = (load_recipe(name).model_dump(exclude={"name"}) for name in ("cqsid-base", "cqsid-base-user"))
    learned = {part: user[part] for part in ("training", "generator")}
    assert {**query, **learned} == user
    assert load_recipe("cqsid").model_dump(exclude={"name"}) == user, "docs/results.md gives one figure for both"
    assert {**base, **learned} == base_user
    stages = load_recipe("cqsid-user").training.stages
    assert stages is not None
    assert [stage.kind for stage in stages] == ["items", "queries", "shoppers"]
    assert stages[1].targets == 3
    assert user["generator"] == {**query["generator"], "history_length": 8}


def test_cqsid_has_the_published_constants() -> None:
    for tokenizer in (load_recipe(name).tokenizer for name in CQSID):
        assert tokenizer.kind == "cqsid"
        assert (tokenizer.decay, tokenizer.commitment, tokenizer.temperature) == (0.99, 1.0, 0.1)
        assert (tokenizer.contrast_batch, tokenizer.cluster_cap, tokenizer.most_groups) == (128, 50, 100)
        assert tokenizer.contrast in (0.001, 0.0)
        assert tokenizer.category_contrast == 0, "not the publication's"


def test_the_arms_of_the_hourglass_start_from_the_same_identifiers() -> None:
    plain, adaptive, removed = (load_recipe(name).tokenizer for name in ("rqkmeans", "hourglass", "hourglass-removal"))
    assert adaptive.inner == removed.inner == plain
    assert (adaptive.level, adaptive.share, removed.level, removed.share) == (2, 0.2, 2, None)


INNER = '[tokenizer.inner]\nkind = "residual_kmeans"\n'


@pytest.mark.parametrize(
    ("settings", "inner", "complaint"),
    [
        ("level = 4", INNER, "tokenizer: level 4 cannot go from identifiers of 3 levels"),
        ("level = 1", f"{INNER}level_sizes = [8]", "tokenizer: level 1 cannot go from identifiers of 1 levels"),
        ("share = 0.2\nmost_used = 3", INNER, "tokenizer: most_used and share both say which codes go"),
        ("level = 2", INNER.replace("residual_kmeans", "rqvae"), "tokenizer: inner.unique gives no two items"),
        ("share = 1.5", INNER, "tokenizer.share: input should be less than 1"),
        ("", "", "tokenizer.inner: field required"),
        ("", INNER.replace("residual_kmeans", "hourglass"), "tokenizer.inner"),
    ],
)
def test_a_removal_that_cannot_be(settings: str, inner: str, complaint: str) -> None:
    with pytest.raises(UserError) as refused:
        parse_recipe(f'name = "mine"\n[tokenizer]\nkind = "hourglass"\n{settings}\n{inner}\n', "x")
    assert complaint in str(refused.value)


def test_no_epoch_to_learn_codes_in() -> None:
    text = 'name = "mine"\n[tokenizer]\nkind = "cqsid"\nepochs = 2\nwarm_up_epochs = 2\n'
    with pytest.raises(UserError, match="tokenizer: warm_up_epochs leave no epoch"):
        parse_recipe(text, "x")


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ("category_contrast = 0.1\nforce_category = false", "tokenizer: category_contrast is of level 1's categories"),
        ("category_depth = 2\nforce_category = false", "tokenizer: category_depth is of level 1's categories"),
        ("query_commitment = 1.0\ncontrast = 0.0", "tokenizer: query_commitment draws queries to codes"),
        ("query_commitment = 1.0\ncontrast_before_quantisation = true", "tokenizer: query_commitment draws queries"),
    ],
)
def test_a_weight_of_what_is_not_there(settings: str, complaint: str) -> None:
    kind = 'name = "mine"\n[tokenizer]\nkind = "cqsid"\n'
    with pytest.raises(UserError, match=complaint):
        parse_recipe(f"{kind}{settings}\n", "x")
    for line in settings.splitlines():
        assert parse_recipe(f"{kind}{line}\n", "x").tokenizer is not None, "one without the other is sound"


def test_a_recipe_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValidationError):
        load_recipe("tiger").training.steps = 3


def test_all_mistakes_are_told_at_once() -> None:
    text = 'colour = "red"\n[tokenizer]\nkind = "rqvae"\nlevel_sizes = [0]\n[training]\nsteps = "many"\nstep = 3\n'
    with pytest.raises(UserError) as refused:
        parse_recipe(text, "mine.toml")
    sentence = str(refused.value)
    for words in (
        "The recipe mine.toml is not valid: ",
        "name: field required",
        "colour: there is no such setting",
        "tokenizer.level_sizes.0: input should be greater than or equal to 1",
        "training.steps: input should be a valid integer",
        "training.step: there is no such setting",
    ):
        assert words in sentence
    assert sentence.count("\n") == 0
    assert sentence.endswith(".")


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "0", '"fast"', "[1]"])
def test_a_learning_rate_that_is_none(value: str) -> None:
    with pytest.raises(UserError, match=r"training\.learning_rate: "):
        parse_recipe(f"{LEAST}[training]\nlearning_rate = {value}\n", "x")


@given(st.integers(8, 64), st.integers(1, 16))
def test_heads_share_the_width(width: int, heads: int) -> None:
    text = f"{LEAST}[generator]\nwidth = {width}\nheads = {heads}\n"
    if width % heads == 0:
        assert parse_recipe(text, "x").generator.heads == heads
    else:
        with pytest.raises(UserError, match=f"generator: {heads} heads cannot share a width of {width}"):
            parse_recipe(text, "x")


@given(st.text())
def test_any_text_is_a_recipe_or_one_sentence(text: str) -> None:
    try:
        assert parse_recipe(text, "x").name
    except UserError as error:
        assert str(error).startswith("The recipe x is ")


def test_the_arms_of_dsirm_differ_in_their_identifiers_only() -> None:
    whole = load_recipe("dsirm").model_dump(exclude={"name"})
    assert (whole["tokenizer"]["category_depth"], whole["tokenizer"]["cluster_cap"]) == (1, 0)
    for name, changes in {
        "dsirm-no-contrast": {"contrast": 0.0},
        "dsirm-no-category": {"force_category": False, "category_depth": None},
    }.items():
        recipe = load_recipe(name).model_dump(exclude={"name"})
        assert recipe == {**whole, "tokenizer": {**whole["tokenizer"], **changes}}, name
    for name, kind in {"dsirm-dsi": "hierarchical_kmeans", "dsirm-tiger": "rqvae"}.items():
        recipe = load_recipe(name).model_dump(exclude={"name"})
        assert (recipe["tokenizer"]["kind"], recipe["tokenizer"]["level_sizes"]) == (kind, (32, 32, 32))
        assert {**recipe, "tokenizer": None} == {**whole, "tokenizer": None}
    bare = load_recipe("dsirm-no-feature").model_dump(exclude={"name"})
    assert bare["tokenizer"] is None
    assert bare == {**whole, "tokenizer": None, "ranker": {**whole["ranker"], "match_feature": False}}


def test_the_controls_of_tiger_differ_in_their_identifiers_only() -> None:
    whole = load_recipe("tiger").model_dump(exclude={"name"})
    for kind in ("lsh", "random"):
        recipe = load_recipe(f"tiger-{kind}").model_dump(exclude={"name"})
        given = {"kind": kind, "level_sizes": whole["tokenizer"]["level_sizes"], "unique": True}
        assert recipe == {**whole, "tokenizer": given}


def test_hyperplanes_make_powers_of_two() -> None:
    with pytest.raises(UserError, match=r"tokenizer\.level_sizes: \[256, 100\] are not all .* powers of two"):
        parse_recipe('name = "mine"\n[tokenizer]\nkind = "lsh"\nlevel_sizes = [256, 100]\n', "mine.toml")


def test_a_match_feature_needs_identifiers() -> None:
    with pytest.raises(UserError, match=r"ranker\.match_feature compares identifiers: give a \[tokenizer\]"):
        parse_recipe('name = "mine"\n[two_tower]\n[ranker]\n', "mine.toml")
    with pytest.raises(UserError, match=r"ranker\.aggregation: input should be 'max'"):
        parse_recipe(f'{LEAST}[ranker]\naggregation = "sum"\n', "mine.toml")


def test_a_recipe_without_a_ranker_keeps_its_name() -> None:
    assert "ranker" not in parse_recipe(LEAST, "x").model_dump_json(exclude_none=True)
    assert parse_recipe(LEAST, "x").hash != parse_recipe(f"{LEAST}[ranker]\n", "x").hash

"""Whole builds: what a shelf holds, the same again from the same seed, and the ways of training that a recipe names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shelfwalk import Shelf
from shelfwalk.data.hashing import content_hash
from shelfwalk.data.readers import read_events, read_judgements, read_queries
from shelfwalk.generators.pairs import MixedPairs, StoredPairs
from shelfwalk.recipes.recipe import Recipe, parse_recipe
from shelfwalk.shelf import layout, pair_step
from shelfwalk.shelf.building import build_shelf
from shelfwalk.shelf.manifest import describe
from shelfwalk.shelf.steps import StepResult
from shelfwalk.shelf.training_tables import TrainingTables
from shelfwalk.tokenizers.diagnosis import diagnose
from small_shop import Ran, SmallShop, write_csv

QUERIES = ("usb hub", "something warm to read by", "Evanta", "recycled paper")


class Enough(Exception):  # noqa: N818
    """Raised by a test's progress callback: what it wants to see is there."""


def stop_at(stage: str) -> Callable[[str, int, int], None]:
    def progress(name: str, done: int, total: int) -> None:
        if name.startswith(stage):
            raise Enough

    return progress


def test_what_a_shelf_holds(small_shop: SmallShop) -> None:
    """All that searching needs, and nothing that only a build needs."""
    shelf = Shelf.open(small_shop.shelf)
    tops = {name.split("/")[0] for name in shelf.manifest.files}
    assert tops == {value for name, value in vars(layout).items() if name.isupper()} - {
        layout.GENERATOR_ENCODER,
        layout.QUERY_TOWER,
        layout.SHOPPER_TOWER,
        layout.RANKER,
        layout.QUERY_CACHE,
    }
    assert not [name for name in shelf.manifest.files if name.endswith(("step.json", ".partial", ".tmp"))]
    for name, entry in shelf.manifest.files.items():
        assert describe(shelf.folder / name) == entry
    assert shelf.items.equals(small_shop.items())
    assert Recipe.model_validate(shelf.recipe) == small_shop.recipe
    np.testing.assert_allclose(np.linalg.norm(shelf.vectors, axis=1), 1, atol=1e-5)


def test_what_a_shelf_says_of_itself(small_shop: SmallShop) -> None:
    shelf = Shelf.open(small_shop.shelf)
    facts, trie = shelf.recorded, shelf.generative.trie
    assert facts["data_hash"] == content_hash(small_shop.items())
    assert (facts["items"], facts["seed"], facts["recipe_hash"]) == (120, 0, small_shop.recipe.hash)
    codes = trie.paths()[trie.leaf_of_item]
    assert facts["tokenizer"] == diagnose(codes, tuple(facts["level_sizes"])).to_json()
    queries = pq.read_table(shelf.folder / layout.TRAINING_QUERIES)
    assert (facts["queries"], facts["logged_queries"]) == (queries.num_rows, 0)
    assert set(queries["source"].to_pylist()) == {"pseudo"}
    assert sum(queries["held_out"].to_pylist()) == round(0.1 * queries.num_rows)
    # Before each came out at its first value: losses fall, and weights were chosen among measured ones.
    losses = facts["training"]["held_out_losses"]
    assert facts["training"]["held_out_loss"] == min(losses) < losses[0]
    assert facts["settled_on"] > 0
    for fusion in facts["fusion"].values():
        key = "/".join(str(float(weight)) for weight in fusion["weights"].values())
        assert fusion["recalls"][key] == max(fusion["recalls"].values())


def test_the_same_seed_gives_the_same_shelf(small_shop: SmallShop, shop_cache: Path, tmp_path: Path) -> None:
    """From a file through the library, in another place, with nothing encoded before."""
    for path in (shop_cache / "vectors").glob("*/*"):
        path.unlink()
    again = Shelf.build(small_shop.items_file, tmp_path / "again.shelf", str(small_shop.recipe_file), threads=1)
    shelf = Shelf.open(small_shop.shelf)
    assert {name: entry for name, entry in again.manifest.files.items() if not name.endswith(".onnx")} == {
        name: entry for name, entry in shelf.manifest.files.items() if not name.endswith(".onnx")
    }
    for query in QUERIES:
        for channel in ("generative", "fused"):
            found, expected = (each.search(query, 50, channel).results for each in (again, shelf))
            assert [result.item_id for result in found] == [result.item_id for result in expected]
            scores = [result.score for result in expected]
            np.testing.assert_allclose([result.score for result in found], scores, rtol=0, atol=1e-5)


def test_another_seed_gives_other_identifiers(small_shop: SmallShop, shop_cache: Path, tmp_path: Path) -> None:
    own = tmp_path / "x.shelf"
    with pytest.raises(Enough):
        build_shelf(small_shop.items(), small_shop.recipe, own, seed=3, threads=1, progress=stop_at("Training"))
    codebook = "tokenizer/codebook_1.npy"
    other = np.load(own / "building" / "steps" / "identifiers" / codebook)
    assert not np.array_equal(other, np.load(Shelf.open(small_shop.shelf).folder / codebook))


def training_queries(shop: SmallShop, folder: Path, tables: TrainingTables) -> pa.Table:
    """The queries of a build that stops before it trains."""
    own = shop.copy_of_shelf(folder)
    with pytest.raises(Enough):
        build_shelf(shop.items(), shop.recipe, own, tables=tables, threads=1, progress=stop_at("Training"))
    return pq.read_table(own / "building" / "steps" / "pairs" / layout.TRAINING_QUERIES)


@pytest.mark.parametrize(
    ("grades", "learned"), [([1, 0], {"lights for a dorm"}), ([3, 1], {"lights for a dorm"}), ([2, 2], None)]
)
def test_judged_queries_are_trained_on_and_never_held_out(
    small_shop: SmallShop, shop_cache: Path, tmp_path: Path, grades: list[int], learned: set[str] | None
) -> None:
    """From grade 2 on, or from 1 where no grade is higher."""
    texts = {"a": "lights for a dorm", "b": "usb hub"}
    queries = read_queries(write_csv(tmp_path / "q.csv", ("query_id", "query"), texts.items())).table
    rows = [(name, "desk-lamp-dunlo-0", grade) for name, grade in zip(texts, grades, strict=True)]
    judgements = read_judgements(write_csv(tmp_path / "j.csv", ("query_id", "item_id", "grade"), rows)).table
    table = training_queries(small_shop, tmp_path, TrainingTables(queries, judgements))
    logged = table.filter(pa.compute.equal(table["source"], "logged"))
    assert set(logged["query"].to_pylist()) == (learned or set(texts.values()))
    assert not any(logged["held_out"].to_pylist())
    # One that is also made from the catalogue stands there once, as a judged one.
    assert len(set(table["query"].to_pylist())) == table.num_rows


def test_a_log_is_trained_on(small_shop: SmallShop, shop_cache: Path, tmp_path: Path) -> None:
    header = ("timestamp", "session_id", "user_query", "action_name", "object_id")
    actions = ("impression", "click", "add_to_cart", "purchase")
    rows = [(f"2026-01-0{n + 1}T12:00:00Z", "s", f"words of {name}", name, "ink-cartridge-dunlo-1")
            for n, name in enumerate(actions)]  # fmt: skip
    events = read_events(write_csv(tmp_path / "e.csv", header, rows)).table
    table = training_queries(small_shop, tmp_path, TrainingTables(events=events))
    logged = table.filter(pa.compute.equal(table["source"], "logged"))["query"].to_pylist()
    assert logged == [f"words of {name}" for name in actions[1:]]


def test_a_level_that_only_numbers_items_is_not_taken_for_dead(
    small_shop: SmallShop, shop_cache: Path, tmp_path: Path
) -> None:
    """Where nearly every item has a path of its own, nearly all are number 0 under theirs."""
    recipe = parse_recipe(
        f"""name = "unique"
        [encoder]
        model = "{small_shop.recipe.encoder.model}"
        [tokenizer]
        kind = "rqvae"
        level_sizes = [24, 24, 24, 24, 24, 24, 24, 24, 24, 24]
        latent_width = 32
        hidden_widths = [64]
        epochs = 2
        """,
        "here",
    )
    own = tmp_path / "x.shelf"
    with pytest.raises(Enough):
        build_shelf(small_shop.items(), recipe, own, threads=1, progress=stop_at("Training"))
    codes = np.load(own / "building" / "steps" / "identifiers" / "trie" / "tokens.npy")[-120:]
    assert np.mean(codes == 0) >= 0.98


def test_a_copied_recipe_with_a_fine_tuned_encoder_is_built_and_searched(
    small_shop: SmallShop, shop_cache: Path, tmp_path: Path, run_command: Callable[..., Ran]
) -> None:
    """TIGER's, made small, from the command line; its generator has a text encoder of its own."""
    path = tmp_path / "mine.toml"
    assert run_command("recipes", "copy", "tiger", path).status == 0
    text = path.read_text().replace("[256, 256, 256]", "[8, 8]").replace("[512, 256, 128]", "[32]")
    small = "[generator]\nwidth = 32\nlayers = 1\n[generative]\nbeam = 20\n"
    training = "[training]\nsteps = 12\nbatch = 32\nvalidate_every = 4\ntrain_encoder = true\nwarm_up_steps = 2\n"
    path.write_text(text + small + training)
    out = tmp_path / "mine.shelf"
    arguments = ("--items", small_shop.items_file, "--recipe", path, "--encoder", small_shop.recipe.encoder.model)
    assert run_command("build", *arguments, "--out", out, "--threads", 1, "--quiet") == Ran(0, "", "")
    shelf = Shelf.open(out)
    assert shelf.recipe["tokenizer"]["kind"] == "rqvae"
    assert shelf.recorded["tokenizer"]["distinct_share"] == 1.0
    assert {f"{layout.GENERATOR_ENCODER}/model.onnx", f"{layout.TEXT_ENCODER}/model.onnx"} <= set(shelf.manifest.files)
    # The generator's encoder has learned: it is no longer the one that gives the cosines.
    own = type(shelf.encoder)(shelf.folder / layout.GENERATOR_ENCODER)
    assert np.abs(own.encode(["usb hub"]) - shelf.encoder.encode(["usb hub"])).max() > 1e-5
    results = shelf.search("usb hub", 200, "generative", explain=True).results
    assert 0 < len(results) <= 20
    assert len({result.evidence[0].identifier for result in results}) == len(results)


def small_towers(shop: SmallShop) -> Recipe:
    return parse_recipe(
        f"""name = "small towers"
        [encoder]
        model = "{shop.recipe.encoder.model}"
        [two_tower]
        buckets = 512
        piece_width = 16
        hidden_width = 32
        steps = 600
        batch = 64
        random_items = 16
        validate_every = 100
        """,
        "here",
    )


def test_towers_make_the_vectors_of_a_shelf_and_it_needs_no_identifiers(
    small_shop: SmallShop, shop_cache: Path, tmp_path: Path, run_command: Callable[..., Ran]
) -> None:
    """The log asks for lamps by a word that stands in no title."""
    header = ("timestamp", "session_id", "user_query", "action_name", "object_id")
    lamps = [row["item_id"] for row in small_shop.items().to_pylist() if "lamp" in row["title"]]
    rows = [("2026-01-01T12:00:00Z", "s", f"glimmer {n % 5}", "click", lamps[n % len(lamps)]) for n in range(60)]
    events = read_events(write_csv(tmp_path / "e.csv", header, rows)).table
    out = tmp_path / "towers.shelf"
    build_shelf(small_shop.items(), small_towers(small_shop), out, tables=TrainingTables(events=events), threads=1)
    shelf = Shelf.open(out)
    assert shelf.channels == ("bm25", "dense", "bm25+dense", "fused")
    assert {result.item_id for result in shelf.search("glimmer", 10, "dense").results} <= set(lamps)
    before = {result.item_id for result in Shelf.open(small_shop.shelf).search("glimmer", 10, "dense").results}
    assert not before <= set(lamps)
    answers = [[item.item_id for item in shelf.search("desk lamp", 20, name).results] for name in shelf.channels[2:]]
    assert answers[0] == answers[1]
    run_command("search", out, "lamp", "--channel", "generative").refused('no channel "generative"', "bm25+dense")
    shown = run_command("inspect", out)
    assert shown.status == 0
    assert "two towers" in shown.out
    assert "codebook" not in shown.out


@pytest.mark.parametrize(
    ("logged", "pseudo", "share", "expected"),
    [(3, 9, 0.5, (9, 9)), (9, 3, 0.5, (9, 9)), (2, 8, 0.75, (24, 8)), (4, 5, 0.0, (0, 5)), (4, 5, 1.0, (4, 0)),
     (0, 5, 0.5, (0, 5)), (4, 0, 0.25, (4, 0)), (3, 9, None, (9, 9))],
)  # fmt: skip
def test_the_smaller_source_is_repeated_to_its_share(
    logged: int, pseudo: int, share: float | None, expected: tuple[int, int]
) -> None:
    rows = np.arange(logged + pseudo, dtype=np.int32)
    sources = (StoredPairs(np.stack((part, part + 100))) for part in (rows[:logged], rows[logged:]))
    made = MixedPairs.of(*sources, share)
    mixed = made.take(np.arange(len(made)))
    asked = mixed.query_rows < logged
    assert (int(asked.sum()), int((~asked).sum())) == expected
    np.testing.assert_array_equal(mixed.item_rows, mixed.query_rows + 100)
    counts = np.bincount(mixed.query_rows, minlength=len(rows))
    for part, size in ((counts[:logged], expected[0]), (counts[logged:], expected[1])):
        assert not size or part.max() - part.min() <= 1


def test_a_share_of_a_large_log_is_held_out_and_chosen_by(
    small_shop: SmallShop, shop_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair_step, "ENOUGH_LOGGED", 20)
    header = ("timestamp", "session_id", "user_query", "action_name", "object_id")
    rows = [("2026-01-01T12:00:00Z", "s", f"words {n}", "click", "ink-cartridge-dunlo-1") for n in range(20)]
    events = read_events(write_csv(tmp_path / "e.csv", header, rows)).table
    table = training_queries(small_shop, tmp_path, TrainingTables(events=events))
    logged = table.filter(pa.compute.equal(table["source"], "logged"))
    assert sum(logged["held_out"].to_pylist()) == 2
    steps = tmp_path / "own.shelf" / "building" / "steps"
    read = pair_step.read_pairs(StepResult("pairs", steps / "pairs", {}, True))
    chosen = {read.queries[row] for row in read.to_choose_by().query_rows}
    assert chosen == set(logged.filter(logged["held_out"])["query"].to_pylist())
    assert not chosen & {read.queries[row] for row in read.train.query_rows}

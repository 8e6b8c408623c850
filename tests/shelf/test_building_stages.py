"""Builds in stages: a log with shoppers makes a shelf that reads histories; stopped in any stage; what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from shelfwalk import Shelf
from shelfwalk.data.readers import read_events
from shelfwalk.errors import UserError
from shelfwalk.generators.onnx_generator import OnnxGenerator
from shelfwalk.generators.settings import TrainingSettings
from shelfwalk.recipes.recipe import Recipe, parse_recipe
from shelfwalk.shelf import layout, pair_step
from shelfwalk.shelf.build import Build
from shelfwalk.shelf.building import build_shelf
from shelfwalk.shelf.stage_examples import GeneratorInputs, StageExamples
from shelfwalk.shelf.steps import StepResult, Steps
from shelfwalk.shelf.training_tables import TrainingTables
from shelfwalk.shelf.vectors import Vectors
from shelfwalk.shelf.visit_step import read_visits
from small_shop import KINDS, Ran, SmallShop, write_csv

HEADER = ("timestamp", "session_id", "client_id", "query_id", "user_query", "action_name", "object_id")
LENGTH = 3
STAGES = """
[[training.stages]]
kind = "items"
steps = 10
[[training.stages]]
kind = "queries"
targets = 2
[[training.stages]]
kind = "shoppers"
steps = 30
learning_rate = 0.01
"""


def staged(shop: SmallShop) -> Recipe:
    text = shop.recipe_file.read_text(encoding="utf-8")
    text = text.replace("[generator]\n", f"[generator]\nhistory_length = {LENGTH}\n").replace(
        "steps = 40", "steps = 20"
    )
    return parse_recipe(text + STAGES, "staged")


def write_log(folder: Path) -> Path:
    """Sixty shoppers, each faithful to one brand: five searches, each led to one item of it, at a minute's distance."""
    kinds, brands = list(KINDS), ("altomar", "brennik", "cordwell", "dunlo", "evanta")
    rows = []
    for shopper in range(60):
        for visit in range(5):
            kind = kinds[(shopper + 3 * visit) % len(kinds)]
            item = f"{kind.replace(' ', '-')}-{brands[shopper % 5]}-{(shopper + visit) % 3}"
            at = f"2026-01-{1 + visit:02}T{shopper % 24:02}:{shopper % 60:02}"
            asked = (f"s{shopper}-{visit}", f"c{shopper}", f"q{shopper}-{visit}", f"some {kind} number {shopper % 4}")
            rows += [(f"{at}:0{place}Z", *asked, action, item) for place, action in enumerate(("impression", "click"))]
    return write_csv(folder / "log.csv", HEADER, rows)


class Stopped:
    """A progress that presses Ctrl-C at a stage's step, and remembers how far each stage was told."""

    def __init__(self, stage: str = "", step: int = 0) -> None:
        self.at = (stage, step)
        self.told: list[tuple[str, int]] = []

    def __call__(self, stage: str, done: int, total: int) -> None:
        self.told.append((stage.split(" (")[0].removeprefix("Training the generator on "), done))
        if self.told[-1] == self.at:
            raise KeyboardInterrupt

    def first(self, stage: str) -> int | None:
        return next((done for name, done in self.told if name == stage), None)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> TrainingTables:
    return TrainingTables(events=read_events(write_log(tmp_path_factory.mktemp("log"))).table)


@pytest.fixture(scope="module")
def shelf(small_shop: SmallShop, tables: TrainingTables, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built once; some of its logged queries are held out."""
    out = tmp_path_factory.mktemp("staged") / "my.shelf"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHELFWALK_CACHE", str(small_shop.cache))
        patch.setattr(pair_step, "ENOUGH_LOGGED", 10)
        build_shelf(small_shop.items(), staged(small_shop), out, tables=tables, threads=1)
    return out


def step(shelf: Path, name: str) -> StepResult:
    folder = shelf / "building" / "steps" / name
    return StepResult(name, folder, json.loads((folder / "step.json").read_text())["facts"], True)


def moments(tables: TrainingTables) -> dict[tuple[str, str], list[int]]:
    """When each client chose each item, in microseconds."""
    assert tables.events is not None
    chosen = tables.events.filter(pc.equal(tables.events["action_name"], "click"))
    found: dict[tuple[str, str], list[int]] = {}
    for row in chosen.to_pylist():
        found.setdefault((row["client_id"], row["object_id"]), []).append(int(row["timestamp"].timestamp() * 1e6))
    return found


def test_no_history_knows_what_its_visit_led_to_or_anything_later(
    small_shop: SmallShop, tables: TrainingTables, shelf: Path
) -> None:
    visits, when = read_visits(step(shelf, "visits")), moments(tables)
    items = small_shop.items()["item_id"].to_pylist()
    texts = pq.read_table(shelf / "building/steps/pairs" / layout.TRAINING_QUERIES)["query"].to_pylist()
    assert tables.events is not None
    begun: dict[tuple[str, str], tuple[int, str]] = {}
    for row in tables.events.to_pylist():
        at = int(row["timestamp"].timestamp() * 1e6)
        key = (row["user_query"], row["object_id"])
        if row["action_name"] == "impression":
            begun[(row["session_id"], row["client_id"])] = (at, row["client_id"])
            assert key[1] in items
    of_visit = sorted(begun.values())
    assert len(of_visit) == len(visits.query_rows) == 300
    led_to = dict(np.concatenate((visits.train, visits.held_out), axis=1).T.tolist())
    for visit, history in enumerate(visits.histories):
        at, _ = of_visit[visit]
        # All visits of one moment: the shopper is one of those who then asked this.
        clients = [client for other, client in of_visit if other == at]
        rows = history[history >= 0].tolist()
        possible = [
            client for client in clients if all(min(when.get((client, items[row]), [at])) < at for row in rows)
            and at <= max(when.get((client, items[led_to[visit]]), [0]))
        ]  # fmt: skip
        assert possible, f"visit {visit} of {texts[visits.query_rows[visit]]!r} knows what came later"
        assert len(rows) == min(LENGTH, (at - of_visit[0][0]) // 86_400_000_000)


def test_held_out_queries_stay_held_out_in_every_stage(
    small_shop: SmallShop, tables: TrainingTables, shelf: Path
) -> None:
    queries = pq.read_table(shelf / "building/steps/pairs" / layout.TRAINING_QUERIES)
    held_out = set(queries.filter(queries["held_out"])["query"].to_pylist())
    logged = set(queries.filter(pc.equal(queries["source"], "logged"))["query"].to_pylist())
    assert held_out & logged and logged - held_out
    made, recipe = examples_of(small_shop, shelf, texts=True), staged(small_shop)
    titles = set(small_shop.items()["title"].to_pylist())
    for stage in recipe.training.stages or ():
        source = made.of(stage, recipe.training.of_stage(stage))
        drawn = {text for number in range(20) for text in source.draw(64, np.random.default_rng(number)).prompts.texts}
        assert not (drawn - titles) & held_out, stage.kind
        assert drawn & (titles if stage.kind == "items" else logged)
        held = set(source.held_out_examples(np.arange(source.held_out)).prompts.texts)
        assert held == held_out & logged, stage.kind


def examples_of(shop: SmallShop, shelf: Path, *, texts: bool) -> StageExamples:
    vectors, pairs = step(shelf, "vectors"), step(shelf, "pairs")
    inputs = GeneratorInputs(
        Vectors(vectors, pairs), vectors.folder / layout.TEXT_ENCODER, step(shelf, "identifiers"), pairs,
        step(shelf, "visits"),
    )  # fmt: skip
    folder = shelf.parent / f"examples-{texts}"
    build = Build(shop.items(), staged(shop), folder, 0, 1, lambda *_: None, Steps(folder / "steps", "x"))
    return StageExamples(build, inputs, folder, texts=texts)


def on_disk(array: npt.NDArray[np.generic]) -> bool:
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return True
        array = array.base  # type: ignore[assignment]
    return False


def test_nothing_that_grows_with_the_log_is_held_in_memory(small_shop: SmallShop, shelf: Path) -> None:
    made, training = examples_of(small_shop, shelf, texts=False), staged(small_shop).training
    assert training.stages is not None
    items, queries, shoppers = (made.of(stage, training.of_stage(stage)) for stage in training.stages)
    plain = made.without_stages(TrainingSettings())
    arrays = [
        *(source.queries.vectors for source in (items, queries, shoppers, plain)),
        *(source.held_out_pairs.rows for source in (items, queries, plain)),
        *(part.rows for source in (queries, plain) for part in source.train.sources),
        queries.targets.begins,
        queries.targets.items,
        *(getattr(shoppers.visits, name) for name in ("query_rows", "histories", "train", "held_out")),
    ]
    assert all(map(on_disk, arrays))
    assert not on_disk(np.zeros(3))
    for source in (items, queries, shoppers, plain):
        assert source.queries.texts is source.items.texts is None
    # A backbone that reads texts is given the same examples.
    read = examples_of(small_shop, shelf, texts=True).of(training.stages[1], training.of_stage(training.stages[1]))
    one, other = (source.draw(64, np.random.default_rng(0)) for source in (queries, read))
    np.testing.assert_array_equal(one.codes, other.codes)
    assert set(one.prompts.texts) == {""} and all(other.prompts.texts)


def test_what_the_shelf_says_of_its_stages(shelf: Path) -> None:
    facts = Shelf.open(shelf).recorded
    assert [stage["name"] for stage in facts["stages"]] == ["items", "queries", "shoppers"]
    assert [stage["steps"] for stage in facts["stages"]] == [10, 20, 30]
    assert facts["training"] == {name: told for name, told in facts["stages"][-1].items() if name != "name"}
    assert len(facts["examples_per_second"]) == 3 and min(facts["examples_per_second"]) > 0
    assert facts["visits"]["visits"] == 300
    assert facts["visits"]["known_shopper_share"] == 0.8


def test_a_shoppers_history_moves_the_answer_and_none_is_no_harm(shelf: Path) -> None:
    opened = Shelf.open(shelf)
    plain = [result.item_id for result in opened.search("usb hub", 10, "generative").results]
    assert plain == [result.item_id for result in opened.search("usb hub", 10, "generative", shopper=[]).results]
    assert len(plain) == 10
    items = opened.items["item_id"].to_pylist()
    scores = []
    for brand in ("altomar", "evanta"):
        shopper = [f"{kind}-{brand}-0" for kind in ("desk-lamp", "printer-paper", "laptop-sleeve")]
        hits = opened.hits("usb hub", 120, ("generative",), shopper=shopper)["generative"]
        scores.append({items[row]: hits.evidence(place).probability for place, row in enumerate(hits.rows)})
    assert scores[0] != scores[1]


def test_interrupted_in_a_stage_and_resumed_equals_uninterrupted(
    small_shop: SmallShop, tables: TrainingTables, shelf: Path, shop_cache: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(pair_step, "ENOUGH_LOGGED", 10)
    own = tmp_path / "own.shelf"
    for at, firsts in (
        (("items", 10), {"items": 1, "queries": None}),
        (("queries", 15), {"items": 1, "queries": 1, "shoppers": None}),
        (("shoppers", 3), {"items": None, "queries": 11, "shoppers": 1}),
    ):
        stopped = Stopped(*at)
        with pytest.raises(KeyboardInterrupt):
            build_shelf(small_shop.items(), staged(small_shop), own, tables=tables, threads=1, progress=stopped)
        assert {name: stopped.first(name) for name in firsts} == firsts
    build_shelf(small_shop.items(), staged(small_shop), own, tables=tables, threads=1)
    one, other = Shelf.open(shelf), Shelf.open(own)
    timed = ("seconds", "examples_per_second", "visits")
    facts = [{name: fact for name, fact in each.recorded.items() if name not in timed} for each in (one, other)]
    assert facts[0] == facts[1]
    for query in ("usb hub", "some desk lamp number 1"):
        shopper = ["ink-cartridge-dunlo-1"]
        found = [each.search(query, 20, "generative", shopper=shopper).results for each in (one, other)]
        assert [result.item_id for result in found[0]] == [result.item_id for result in found[1]]


def test_the_exported_generator_takes_histories_of_the_declared_length(shelf: Path) -> None:
    sizes = json.loads((Shelf.open(shelf).folder / layout.GENERATOR / "generator.json").read_text())
    assert sizes["history_length"] == LENGTH
    assert OnnxGenerator(Shelf.open(shelf).folder / layout.GENERATOR).level_sizes == (8, 8)


def without_clients(events: pa.Table) -> pa.Table:
    place = events.column_names.index("client_id")
    return events.set_column(place, events.schema.field("client_id"), pa.array([""] * events.num_rows, pa.string()))


def in_the_future(events: pa.Table) -> pa.Table:
    place = events.column_names.index("timestamp")
    times = events["timestamp"].to_pylist()
    times[7] = times[7].replace(year=2999)
    return events.set_column(
        place, events.schema.field("timestamp"), pa.array(times, events.schema.field("timestamp").type)
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (in_the_future, r"^Event 8 of the log is in the future \(2999-01-\d\d \d\d:\d\d UTC\), .*\.$"),
        (lambda _: None, r"^The recipe small has a training stage on shoppers, and there is no search log: .*\.$"),
        (without_clients, r"^No event of the log has a client_id, .* or take a recipe without shoppers' histories\.$"),
    ],
)
def test_a_log_that_does_not_tell_what_shoppers_did_is_refused_before_anything_long(
    small_shop: SmallShop,
    tables: TrainingTables,
    tmp_path: Path,
    change: Callable[[pa.Table], pa.Table | None],
    sentence: str,
) -> None:
    out = tmp_path / "own.shelf"

    def never(stage: str, done: int, total: int) -> None:
        raise AssertionError(f"{stage} was started")

    changed = TrainingTables(events=change(tables.events))
    with pytest.raises(UserError, match=sentence):
        build_shelf(small_shop.items(), staged(small_shop), out, tables=changed, progress=never)
    assert not out.exists()


def test_the_same_from_the_command_line(small_shop: SmallShop, tmp_path: Path, run_command: Callable[..., Ran]) -> None:
    recipe = tmp_path / "staged.toml"
    text = small_shop.recipe_file.read_text().replace("[generator]\n", "[generator]\nhistory_length = 3\n")
    recipe.write_text(text + STAGES)
    arguments = ("build", "--items", small_shop.items_file, "--recipe", recipe, "--out", tmp_path / "x.shelf")
    run_command(*arguments).refused("a training stage on shoppers", "no search log")

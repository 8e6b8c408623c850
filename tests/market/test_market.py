"""A market as a whole: what its folder holds, that it could have happened, and that it can be made again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from shelfwalk.data.dataset import open_dataset
from shelfwalk.data.readers import read_evaluation_queries, read_events, read_items, read_judgements
from shelfwalk.data.tables import EVALUATION_QUERIES, ITEMS, JUDGEMENTS
from shelfwalk.errors import UserError
from shelfwalk.market.catalogue import CatalogueSettings
from shelfwalk.market.log import EXPOSURES, LOG
from shelfwalk.market.manifest import tables_hash
from shelfwalk.market.market import Market, make_market
from shelfwalk.market.settings import (
    MARKET_VERSION,
    STANDARD,
    STANDARD_NAME,
    STANDARD_SEED,
    MarketSettings,
    PolicySettings,
)
from shelfwalk.market.truth_files import NEEDS
from small_shop import catalogue, files_of, products

SMALL = MarketSettings(
    catalogue=CatalogueSettings(items=800, cold_share=0.1),
    shoppers=150,
    sessions=2_500,
    days=20,
    evaluation_queries=300,
)
ROOT_FILES = {"market.json", "items.parquet", "events.parquet", "truth"}


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Market:
    folder = tmp_path_factory.mktemp("markets") / "small"
    make_market(SMALL, 11, folder)
    return Market.open(folder)


@pytest.fixture(scope="module")
def both_logs(market: Market) -> list[dict[str, Any]]:
    return pa.concat_tables([market.training_events(), market.later_events()]).to_pylist()


def changed(market: Market, folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of a market with another market.json."""
    copy = Path(shutil.copytree(market.path, folder / "copy"))
    content = json.loads((copy / "market.json").read_text())
    change(content)
    (copy / "market.json").write_text(json.dumps(content))
    return copy


def test_every_step_is_a_part_of_the_one_before(both_logs: list[dict[str, Any]]) -> None:
    places = defaultdict(set)
    for row in both_logs:
        places[row["action_name"]].add((row["query_id"], row["ordinal"], row["object_id"]))
    assert places["purchase"] < places["add_to_cart"] < places["click"] < places["impression"]
    assert len(both_logs) == sum(map(len, places.values()))
    assert len(places["purchase"]) > 10


def test_nothing_is_shown_before_it_appears_or_while_it_is_not_on_sale(
    market: Market, both_logs: list[dict[str, Any]]
) -> None:
    items = market.items()
    appears = dict(zip(items["item_id"].to_pylist(), market.simulation.catalogue.features.appears, strict=True))
    on_sale = dict(zip(items["item_id"].to_pylist(), items["available"].to_pylist(), strict=True))
    assert all(row["timestamp"].timestamp() * 1e6 >= appears[row["object_id"]] for row in both_logs)
    assert all(on_sale[row["object_id"]] for row in both_logs)
    assert not all(on_sale.values())
    assert sum(0 < appears[row["object_id"]] < market.settings.split for row in both_logs) > 0


def test_items_that_appear_after_the_split_are_in_the_later_log_alone(market: Market) -> None:
    features = market.simulation.catalogue.features
    cold = set(market.items()["item_id"].filter(pa.array(features.appears >= market.settings.split)).to_pylist())
    assert len(cold) == market.manifest.counts["cold_items"] > 20
    assert not cold & set(market.training_events()["object_id"].to_pylist())
    assert cold & set(market.later_events()["object_id"].to_pylist())


def test_the_log_is_cut_at_the_split(market: Market) -> None:
    start, split, end = market.settings.start, market.settings.split, market.settings.end
    earlier, later = (
        log["timestamp"].cast(pa.int64()).to_numpy() for log in (market.training_events(), market.later_events())
    )
    assert start <= earlier.min() <= earlier.max() < split <= later.min() <= later.max() < end


def test_pages_have_places_without_gaps(market: Market, both_logs: list[dict[str, Any]]) -> None:
    shown = defaultdict(list)
    for row in both_logs:
        if row["action_name"] == "impression":
            shown[row["query_id"]].append((row["ordinal"], row["object_id"]))
    for page in shown.values():
        assert [place for place, _ in page] == list(range(1, len(page) + 1))
        assert len({item for _, item in page}) == len(page) <= market.settings.page_size


def test_what_is_paid_is_the_price(market: Market, both_logs: list[dict[str, Any]]) -> None:
    items = market.items()
    prices = dict(zip(items["item_id"].to_pylist(), items["price"].to_pylist(), strict=True))
    for row in both_logs:
        if row["action_name"] == "purchase":
            assert row["price"] == pytest.approx(prices[row["object_id"]], abs=0.006)
        else:
            assert row["price"] is None


def test_the_root_holds_no_truth(market: Market) -> None:
    assert {path.name for path in market.path.iterdir()} == ROOT_FILES
    assert market.items().schema.names == ITEMS.names
    assert market.training_events().schema.names == LOG.names
    # No evaluation query that the log has not seen, and no item that it could not have shown, is in it.
    unseen = {row["query"] for row in market.queries().to_pylist() if not row["seen"]}
    assert unseen
    assert not unseen & set(market.training_events()["user_query"].to_pylist())


def test_queries_know_the_past_and_their_judgements(market: Market) -> None:
    needs = pq.read_table(market.path / "truth/needs.parquet")
    exposures = market.exposures()
    before = exposures["timestamp"].cast(pa.int64()).to_numpy() < market.settings.split
    asked = Counter(needs["query"].filter(pa.array(before)).to_pylist())
    later = set(needs["query"].filter(pa.array(~before)).to_pylist())
    queries = market.queries().to_pylist()
    assert len({row["query"] for row in queries}) == len(queries) == market.manifest.counts["evaluation_queries"] == 300
    for row in queries:
        assert row["query"] in later
        assert row["frequency"] == asked[row["query"]]
        assert row["seen"] == (asked[row["query"]] > 0)
    assert {row["band"] for row in queries} == {"head", "middle", "tail"}
    judged = market.judgements()
    assert {row["query_id"] for row in queries} == set(judged["query_id"].to_pylist())
    assert set(judged["grade"].to_pylist()) == {1, 2, 3}
    assert set(judged["item_id"].to_pylist()) <= set(market.items()["item_id"].to_pylist())
    appears = dict(
        zip(market.items()["item_id"].to_pylist(), market.simulation.catalogue.features.appears, strict=True)
    )
    cold = {row["query_id"] for row in queries if row["cold"]}
    assert 0 < len(cold) < len(queries)
    for query_id in cold:
        mine = judged.filter(pa.compute.equal(judged["query_id"], query_id)).to_pylist()
        assert any(row["grade"] >= 2 and appears[row["item_id"]] >= market.settings.split for row in mine)


def test_clicks_follow_true_grades(market: Market, both_logs: list[dict[str, Any]]) -> None:
    """A log that taught nothing would be useless."""
    text_of = {row["query_id"]: row["query"] for row in market.queries().to_pylist()}
    grade = {(text_of[row["query_id"]], row["item_id"]): row["grade"] for row in market.judgements().to_pylist()}
    texts = set(text_of.values())
    rates = {}
    for level in (0, 3):
        counts = Counter(
            row["action_name"]
            for row in both_logs
            if row["user_query"] in texts and grade.get((row["user_query"], row["object_id"]), 0) == level
        )
        rates[level] = counts["click"] / counts["impression"]
    assert rates[3] > 2 * rates[0]


def test_exposures_are_the_pages_shown(market: Market, both_logs: list[dict[str, Any]]) -> None:
    ids = market.items()["item_id"].to_pylist()
    shown: defaultdict[str, list[str]] = defaultdict(list)
    for row in both_logs:
        if row["action_name"] == "impression":
            shown[row["query_id"]].append(row["object_id"])
    exposures = market.exposures()
    assert exposures.schema == EXPOSURES
    share = market.settings.policy.exploration
    for row in exposures.to_pylist():
        assert [ids[item] for item in row["items"]] == shown[row["query_id"]]
        size = len(row["items"])
        possible = {np.float32(share / size), np.float32(1 - share + share / size)} if size else set()
        assert set(np.float32(row["propensities"])) <= possible
        assert row["explored"] or size == 0 or min(row["propensities"]) > share
    assert exposures["explored"].to_numpy().mean() == pytest.approx(share, abs=0.03)


def test_needs_are_kept_for_every_visit(market: Market) -> None:
    needs = pq.read_table(market.path / "truth/needs.parquet")
    assert needs.schema == NEEDS
    assert len(needs) == market.settings.sessions
    assert needs["query_id"].to_pylist() == market.exposures()["query_id"].to_pylist()
    assert max(needs["shopper"].to_pylist()) < market.settings.shoppers


def test_counts_are_those_of_the_files(market: Market) -> None:
    counts = market.manifest.counts
    assert counts["items"] == len(market.items()) == 800
    assert counts["shoppers"] == 150
    assert counts["judgements"] == len(market.judgements())
    assert counts["visits_before_split"] + counts["visits_after_split"] == 2_500
    actions = Counter(market.training_events()["action_name"].to_pylist())
    actions += Counter(market.later_events()["action_name"].to_pylist())
    assert {name: counts[f"{name}_events"] for name in actions} == dict(actions)
    assert counts["empty_pages"] == sum(not page for page in market.exposures()["items"].to_pylist())


def test_the_same_seed_makes_the_same_bytes(market: Market, tmp_path: Path) -> None:
    """Also in another process with other hashes of strings, and with a real set of threads."""
    code = f"""
from pathlib import Path
from shelfwalk.market.market import make_market
from shelfwalk.market.settings import MarketSettings
make_market(MarketSettings.model_validate_json({SMALL.model_dump_json()!r}), 11, Path({str(tmp_path / "again")!r}))
"""
    environment = {**os.environ, "PYTHONHASHSEED": "5", "OMP_NUM_THREADS": "2"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    first, second = files_of(market.path), files_of(tmp_path / "again")
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


def test_another_seed_makes_another_market(market: Market, tmp_path: Path) -> None:
    make_market(SMALL, 12, tmp_path / "other")
    first, second = files_of(market.path), files_of(tmp_path / "other")
    # What is drawn differs; what follows from the settings alone need not.
    same = {name for name in first if first[name] == second.get(name)}
    assert same <= {"truth/item_features/value_offsets.npy"}
    assert Market.open(tmp_path / "other").hash != market.hash


def test_an_opened_market_goes_on_simulating(market: Market) -> None:
    opened = Market.open(market.path).simulation
    visits = opened.visits(50, 3, market.settings.split, market.settings.end)
    again = market.simulation.visits(50, 3, market.settings.split, market.settings.end)
    assert visits.queries == again.queries
    assert market.settings.split <= visits.at.min() <= visits.at.max() < market.settings.end
    assert len(opened.visits(0, 3, 0, 1)) == 0
    # The policy found these for the log; new shoppers click on them as well.
    pages = np.array([row[:10] for row in market.exposures()["items"].to_pylist() if len(row) >= 10][:50])
    responses = opened.respond(visits.take(np.arange(len(pages))), pages, 4)
    assert responses.clicked.shape == pages.shape
    assert not (responses.purchased & ~responses.clicked).any()
    assert np.array_equal(responses.paid > 0, responses.purchased)


def test_visits_of_the_log_can_be_drawn_again(market: Market) -> None:
    """The truth on disk is what made the log: tree, words, features and shoppers come back as they were."""
    from shelfwalk.market.simulation import seed_of

    settings = market.settings
    visits = market.simulation.visits(settings.sessions, seed_of(market.seed, "visits"), settings.start, settings.end)
    needs = pq.read_table(market.path / "truth/needs.parquet")
    assert visits.queries == needs["query"].to_pylist()
    assert visits.targets.tolist() == needs["target"].to_pylist()
    for name, wishes in (("need", visits.needs), ("intent", visits.intents)):
        assert np.array_equal(needs[f"{name}_category"].to_numpy(), wishes.category)
        assert np.array_equal(needs[f"{name}_brand"].to_numpy(), wishes.brand)
        assert needs[f"{name}_values"].to_pylist() == wishes.values.tolist()
        assert np.array_equal(needs[f"{name}_price_low"].to_numpy(), wishes.price_low)
        assert np.array_equal(needs[f"{name}_price_high"].to_numpy(), wishes.price_high)


def test_the_readers_of_a_users_own_files_accept_a_market(market: Market) -> None:
    assert read_items(market.path / "items.parquet").table.equals(market.items())
    assert read_events(market.path / "events.parquet").table.num_rows == len(market.training_events())
    assert read_judgements(market.path / "truth/judgements.parquet").table.equals(market.judgements())
    assert read_evaluation_queries(market.path / "truth/queries.parquet").table.equals(market.queries())
    assert market.queries().schema == EVALUATION_QUERIES
    assert market.judgements().schema == JUDGEMENTS


def test_a_market_is_a_known_layout(market: Market) -> None:
    dataset = open_dataset(market.path)
    assert dataset.name == "small"
    assert dataset.items.equals(market.items())
    assert dataset.queries is not None
    assert dataset.queries.equals(market.queries())
    assert dataset.judgements is not None
    assert dataset.judgements.equals(market.judgements())
    assert dataset.events is not None
    assert len(dataset.events) == len(market.training_events())
    assert dataset.notes == (f"A simulated market, {market.hash}: no shopper and no sale in it is real.",)


def test_the_layout_tells_which_items_are_cold(market: Market, tmp_path: Path) -> None:
    dataset = open_dataset(market.path)
    appears = market.simulation.catalogue.features.appears
    ids = market.items()["item_id"].to_pylist()
    assert dataset.cold_items == {
        item for item, time in zip(ids, appears.tolist(), strict=True) if time >= market.settings.split
    }
    assert dataset.with_fewer_queries(3).cold_items == dataset.cold_items
    copy = Path(shutil.copytree(market.path, tmp_path / "copy"))
    times = copy / "truth/item_features/appears.npy"
    np.save(times, appears[:-1])
    assert open_dataset(copy).cold_items is None
    times.write_bytes(b"no array")
    with pytest.raises(UserError, match="does not hold when the items appear: make the market again"):
        open_dataset(copy)
    times.unlink()
    assert open_dataset(copy).cold_items is None


def test_reading_a_market_needs_nothing_that_makes_one(market: Market) -> None:
    code = "import sys; from pathlib import Path; from shelfwalk.data.dataset import open_dataset; "
    code += f"open_dataset(Path({str(market.path)!r})); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "shelfwalk.data.simulated_market" in loaded
    assert not [name for name in loaded if name.startswith("shelfwalk.market") or name == "tantivy"]


def test_a_damaged_description_is_told_by_the_layout_too(market: Market, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(market.path, tmp_path / "copy"))
    (copy / "market.json").write_text("[]")
    with pytest.raises(UserError, match="does not describe a simulated market"):
        open_dataset(copy)


def test_without_sessions_there_is_a_catalogue_and_an_empty_log(tmp_path: Path) -> None:
    make_market(SMALL.model_copy(update={"sessions": 0}), 1, tmp_path / "silent")
    silent = Market.open(tmp_path / "silent")
    assert len(silent.items()) == 800
    tables = (
        silent.training_events(),
        silent.later_events(),
        silent.exposures(),
        silent.queries(),
        silent.judgements(),
    )
    assert [len(table) for table in tables] == [0, 0, 0, 0, 0]
    assert tables[0].schema == LOG
    assert len(silent.simulation.visits(5, 0, 0, 10)) == 5
    dataset = open_dataset(tmp_path / "silent")
    assert (dataset.queries, dataset.judgements, dataset.events) == (None, None, None)


def test_a_real_catalogue_is_kept_as_it_is(tmp_path: Path) -> None:
    items = catalogue(products())
    make_market(SMALL.model_copy(update={"sessions": 400}), 1, tmp_path / "real", items)
    made = Market.open(tmp_path / "real")
    assert made.items().equals(items)
    assert (made.manifest.catalogue, made.manifest.name) == ("given", None)
    assert set(made.training_events()["object_id"].to_pylist()) <= set(items["item_id"].to_pylist())
    assert made.manifest.counts["click_events"] > 0
    assert made.manifest.counts["cold_items"] > 0


def test_a_catalogue_without_prices_is_noted_and_one_without_categories_refused(tmp_path: Path) -> None:
    items = catalogue(products())
    unpriced = items.set_column(items.schema.get_field_index("price"), "price", pa.nulls(len(items), pa.float64()))
    make_market(SMALL.model_copy(update={"sessions": 200}), 1, tmp_path / "unpriced", unpriced)
    assert any("price" in note for note in Market.open(tmp_path / "unpriced").manifest.notes)
    bare = items.set_column(
        items.schema.get_field_index("category"), "category", pa.array([[]] * len(items), ITEMS.field("category").type)
    )
    with pytest.raises(UserError, match="categor"):
        make_market(SMALL, 1, tmp_path / "bare", bare)
    assert [path.name for path in tmp_path.iterdir()] == ["unpriced"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("disk full")])
def test_whatever_stops_it_nothing_half_made_is_left(
    error: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(stage: str, done: int, total: int) -> None:
        if stage == "Writing the log":
            raise error

    with pytest.raises((KeyboardInterrupt, OSError)):
        make_market(SMALL, 11, tmp_path / "stopped", progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_command_left_is_in_nobodys_way(market: Market, tmp_path: Path) -> None:
    left = tmp_path / "again.unfinished"
    (left / "truth").mkdir(parents=True)
    (left / "items.parquet").write_text("half")
    make_market(SMALL, 11, tmp_path / "again")
    assert files_of(tmp_path / "again").keys() == files_of(market.path).keys()
    assert not left.exists()


def test_two_commands_do_not_make_one_market(tmp_path: Path) -> None:
    def meddle(stage: str, done: int, total: int) -> None:
        with pytest.raises(UserError, match="another command is making this market"):
            make_market(SMALL, 11, tmp_path / "both")

    make_market(SMALL.model_copy(update={"sessions": 0}), 11, tmp_path / "both", progress=meddle)
    assert Market.open(tmp_path / "both").seed == 11


def test_what_is_there_already_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("taken", "file"):
        with pytest.raises(UserError, match=f"{name} exists already: name a new folder"):
            make_market(SMALL, 11, tmp_path / name)
    assert files_of(tmp_path) == {"taken/mine.txt": b"mine", "file": b"mine"}
    (tmp_path / "empty").mkdir()
    make_market(SMALL.model_copy(update={"sessions": 0}), 11, tmp_path / "empty")
    assert Market.open(tmp_path / "empty").seed == 11


def test_a_market_of_another_version_is_refused(market: Market, tmp_path: Path) -> None:
    def older(content: dict[str, Any]) -> None:
        content["version"] = MARKET_VERSION + 1
        content["something"] = "new"

    with pytest.raises(UserError, match=f"of version {MARKET_VERSION + 1}.*version {MARKET_VERSION}: make the market"):
        Market.open(changed(market, tmp_path, older))


@pytest.mark.parametrize("key", ["simulated", "settings", "hash"])
def test_a_manifest_that_lacks_something_is_refused(market: Market, tmp_path: Path, key: str) -> None:
    with pytest.raises(UserError, match=f"{key}.*the market is damaged"):
        Market.open(changed(market, tmp_path, lambda content: content.pop(key)))


def test_a_market_says_that_it_is_simulated(market: Market, tmp_path: Path) -> None:
    assert json.loads((market.path / "market.json").read_text())["simulated"] is True
    with pytest.raises(UserError, match="simulated"):
        Market.open(changed(market, tmp_path, lambda content: content.update(simulated=False)))


def test_damage_is_told_in_one_sentence(market: Market, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no market here"):
        Market.open(tmp_path)
    copy = Path(shutil.copytree(market.path, tmp_path / "copy"))
    events = copy / "events.parquet"
    events.write_bytes(events.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match=r"events\.parquet differs from its checksum"):
        Market.open(copy)
    assert Market.open(copy, check=False).hash == market.hash
    events.unlink()
    with pytest.raises(UserError, match=r"events\.parquet is missing"):
        Market.open(copy)
    (copy / "market.json").write_text("{")
    with pytest.raises(UserError, match="not readable as JSON"):
        Market.open(copy)


def test_the_hash_names_what_tables_say_not_how_they_are_packed(market: Market, tmp_path: Path) -> None:
    source = market.path / "truth/judgements.parquet"
    pq.write_table(pq.read_table(source), tmp_path / "other.parquet", compression="snappy")
    assert (tmp_path / "other.parquet").read_bytes() != source.read_bytes()
    assert tables_hash([tmp_path / "other.parquet"]) == tables_hash([source])
    pq.write_table(pq.read_table(source).slice(1), tmp_path / "less.parquet")
    assert tables_hash([tmp_path / "less.parquet"]) != tables_hash([source])


def test_only_the_standard_market_has_its_name(market: Market) -> None:
    assert market.manifest.name is None
    assert f"standard-{MARKET_VERSION}" == STANDARD_NAME
    assert (STANDARD.catalogue.items, STANDARD.shoppers, STANDARD.sessions) == (20_000, 10_000, 100_000)
    assert STANDARD_SEED == 7


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sessions": -1}, "sessions"),
        ({"shoppers": 0}, "shoppers"),
        ({"days": 1}, "days"),
        ({"later_share": 1.0}, "later_share"),
        ({"page_size": 50, "policy": PolicySettings(candidates=49)}, "candidates"),
        ({"sesions": 5}, "sesions"),
    ],
)
def test_impossible_settings_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        MarketSettings(**changes)


@pytest.mark.parametrize(("days", "share", "later"), [(90, 0.2, 18), (2, 0.01, 1), (2, 0.99, 1), (10, 0.5, 5)])
def test_the_split_is_a_midnight_inside_the_log(days: int, share: float, later: int) -> None:
    chosen = MarketSettings(days=days, later_share=share)
    day = 86_400_000_000
    assert chosen.end - chosen.start == days * day
    assert chosen.end - chosen.split == later * day
    assert chosen.split % day == 0

"""The figures that stand beside published ones, counted once more the slow way."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from statistics import fmean

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shelfwalk.market.believability import Figures, figures_of, markdown
from shelfwalk.market.catalogue import CatalogueSettings
from shelfwalk.market.clicks import ClickSettings
from shelfwalk.market.market import Market, make_market
from shelfwalk.market.settings import MarketSettings, PolicySettings

DOCS = Path(__file__).parents[2] / "docs" / "market.md"
SETTINGS = MarketSettings(
    catalogue=CatalogueSettings(items=400),
    shoppers=80,
    sessions=3_000,
    days=10,
    page_size=12,
    # Examination by the rank alone, so that it is known.
    clicks=ClickSettings(model="position", decay=1.0),
    policy=PolicySettings(exploration=1.0),
)


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Market:
    folder = tmp_path_factory.mktemp("markets") / "counted"
    make_market(SETTINGS, 5, folder)
    return Market.open(folder)


def test_figures_are_those_of_the_log(market: Market) -> None:
    rows = pa.concat_tables([market.training_events(), market.later_events()]).to_pylist()
    texts = pq.read_table(market.path / "truth/needs.parquet")["query"].to_pylist()
    asked = Counter(texts)
    clicks = [row for row in rows if row["action_name"] == "click"]
    bought = [row for row in rows if row["action_name"] == "purchase"]
    pages = [len(page) for page in market.exposures()["items"].to_pylist()]
    found = figures_of(market.path)
    assert found.market == market.hash
    assert found.words == pytest.approx(fmean(len(text.split()) for text in texts))
    assert found.short == pytest.approx(fmean(len(text.split()) < 4 for text in texts))
    assert found.once == pytest.approx(fmean(count == 1 for count in asked.values()))
    assert found.most_frequent == pytest.approx(sum(count for _, count in asked.most_common(25)) / len(texts))
    assert found.without_items == pytest.approx(fmean(size == 0 for size in pages))
    assert found.items_shown == pytest.approx(fmean(pages))
    assert found.items_right == pytest.approx(market.judgements()["grade"].to_pylist().count(3) / len(market.queries()))
    for places, share in ((1, found.first_place), (3, found.first_three), (10, found.first_ten)):
        assert share == pytest.approx(fmean(row["ordinal"] <= places for row in clicks))
    assert found.clicks == pytest.approx(len(clicks) / len(texts))
    assert found.without_click == pytest.approx(1 - len({row["query_id"] for row in clicks}) / len(texts))
    carts = sum(row["action_name"] == "add_to_cart" for row in rows)
    assert found.carts_per_click == pytest.approx(carts / len(clicks))
    assert found.purchases_per_click == pytest.approx(len(bought) / len(clicks))
    assert found.searches_with_purchase == pytest.approx(len({row["query_id"] for row in bought}) / len(texts))


def test_examination_is_seen_through_pages_in_any_order(market: Market) -> None:
    examined = figures_of(market.path).examined
    assert list(examined) == [2, 5, 10]
    assert list(examined.values()) == pytest.approx([1 / 2, 1 / 5, 1 / 10], abs=0.1)


def test_a_market_without_sessions_has_no_figures_and_no_failure(tmp_path: Path) -> None:
    make_market(SETTINGS.model_copy(update={"sessions": 0}), 5, tmp_path / "silent")
    assert figures_of(tmp_path / "silent").words == 0


def test_the_command_prints_the_table_or_json(market: Market, tmp_path: Path) -> None:
    def printed(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "shelfwalk.market.believability", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    figures = figures_of(market.path)
    assert printed(str(market.path)).stdout == markdown(figures) + "\n"
    read = json.loads(printed(str(market.path), "--json").stdout)
    read["examined"] = {int(place): ratio for place, ratio in read["examined"].items()}
    assert Figures(**read) == figures
    refused = printed(str(tmp_path))
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith(f"shelfwalk: {tmp_path}: there is no market here")


def test_the_page_shows_this_table_and_names_every_source(market: Market) -> None:
    page = DOCS.read_text(encoding="utf-8")
    ours = markdown(figures_of(market.path)).splitlines()[2:]
    shown = [line for line in page.splitlines() if line.startswith("| ")]

    def without_value(line: str) -> tuple[str, str]:
        _, title, _, published, _ = line.split("|")
        return title, published

    assert {without_value(line) for line in ours} <= {without_value(line) for line in shown if line.count("|") == 4}
    cited = set(re.findall(r"\[(\d)\]", "".join(ours)))
    listed = set(re.findall(r"^(\d)\. ", page, re.MULTILINE))
    assert cited == listed

"""Visits of a market as a personalised evaluation: their shoppers' pasts, what they led to, nothing of the future."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shelfwalk.data.adapter import Dataset
from shelfwalk.data.dataset import open_dataset
from shelfwalk.data.personal_queries import personal_queries
from shelfwalk.data.query_item_pairs import LOGGED_ACTIONS
from shelfwalk.data.tables import JUDGEMENTS, PERSONAL_QUERIES
from shelfwalk.errors import UserError
from shelfwalk.evaluation.claim_runs import judge_claims
from shelfwalk.evaluation.claims import read_claims
from shelfwalk.evaluation.query_histories import query_histories
from shelfwalk.evaluation.recipe_runs import dataset_hash
from shelfwalk.market.catalogue import CatalogueSettings
from shelfwalk.market.market import Market, make_market
from shelfwalk.market.settings import MarketSettings

SMALL = MarketSettings(
    catalogue=CatalogueSettings(items=400), shoppers=60, sessions=1_500, days=20, evaluation_queries=50
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("markets") / "visited"
    make_market(SMALL, 3, place)
    return place


@pytest.fixture(scope="module")
def drawn(folder: Path) -> Dataset:
    return personal_queries(folder, visits=60, seed=1, length=8)


def rows_of(folder: Path) -> list[dict[str, Any]]:
    market = Market.open(folder)
    return pa.concat_tables([market.training_events(), market.later_events()]).to_pylist()


def test_each_query_is_a_visit_after_the_split_with_its_shoppers_past(folder: Path, drawn: Dataset) -> None:
    rows = rows_of(folder)
    wanted = [row for row in rows if row["action_name"] in LOGGED_ACTIONS]
    grades: dict[str, dict[str, int]] = {}
    for row in drawn.judgements.to_pylist():
        grades.setdefault(row["query_id"], {})[row["item_id"]] = row["grade"]
    split = Market.open(folder).settings.split
    assert drawn.queries.num_rows == len(grades) == 60
    for query in drawn.queries.to_pylist():
        pages = [row for row in rows if (row["timestamp"], row["user_query"]) == (query["asked_at"], query["query"])]
        (visit,) = {row["query_id"] for row in pages}
        assert query["asked_at"].timestamp() * 1e6 >= split
        own = [row for row in wanted if row["query_id"] == visit]
        expected: dict[str, int] = {}
        for row in own:
            grade = 2 if row["action_name"] == "purchase" else 1
            expected[row["object_id"]] = max(grade, expected.get(row["object_id"], 0))
        assert grades[query["query_id"]] == expected
        past = [row for row in wanted if row["client_id"] == pages[0]["client_id"]]
        past = [row for row in past if row["timestamp"] < query["asked_at"] and row["query_id"] != visit]
        recent = [row["object_id"] for row in sorted(past, key=lambda row: row["timestamp"])][::-1]
        assert query["history"] == [*dict.fromkeys(recent)][:8]
        assert query["history_at"] == max(row["timestamp"] for row in past)


def test_the_log_to_train_on_ends_before_the_first_visit(folder: Path, drawn: Dataset) -> None:
    assert drawn.events is not None and drawn.queries is not None
    assert drawn.events.num_rows == open_dataset(folder).events.num_rows
    assert max(drawn.events["timestamp"].to_pylist()) < min(drawn.queries["asked_at"].to_pylist())
    asked = {row["query_id"]: row["user_query"] for row in drawn.events.to_pylist()}
    for query in drawn.queries.to_pylist():
        assert query["frequency"] == sum(text == query["query"] for text in asked.values())
        assert query["seen"] == (query["frequency"] > 0)
    assert 0 < np.mean(drawn.queries["seen"].to_pylist()) < 1


def test_what_comes_out_can_be_evaluated(drawn: Dataset) -> None:
    assert drawn.queries.schema == PERSONAL_QUERIES
    assert drawn.judgements.schema == JUDGEMENTS
    assert len(set(drawn.queries["query_id"].to_pylist())) == 60
    assert all(query_histories(drawn.queries, drawn.items["item_id"]))
    assert drawn.relevant_grade == 1
    assert drawn.name == "visited-visits"
    assert "no shopper and no sale" in drawn.notes[0]


def test_the_same_seed_draws_the_same_and_another_does_not(folder: Path, drawn: Dataset) -> None:
    again, other = (personal_queries(folder, visits=60, seed=seed, length=8) for seed in (1, 2))
    assert again.queries.equals(drawn.queries)
    assert again.judgements.equals(drawn.judgements)
    assert not other.queries.equals(drawn.queries)
    # The same visit has the same id in both.
    texts = dict(zip(drawn.queries["query_id"].to_pylist(), drawn.queries["asked_at"].to_pylist(), strict=True))
    for query in other.queries.to_pylist():
        assert texts.get(query["query_id"], query["asked_at"]) == query["asked_at"]


def test_more_visits_than_there_are_gives_all(folder: Path) -> None:
    everything = personal_queries(folder, visits=10**6)
    assert everything.queries.num_rows < 10**4
    assert f"{everything.queries.num_rows:,} of {everything.queries.num_rows:,} visits" in everything.notes[-1]


def test_what_cannot_be_drawn_from(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="0 visits were asked for"):
        personal_queries(folder, visits=0)
    with pytest.raises(UserError, match="no simulated market with visits"):
        personal_queries(tmp_path)
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / "truth/later_events.parquet").unlink()
    with pytest.raises(UserError, match="no simulated market with visits"):
        personal_queries(copy)


def test_claims_may_be_about_the_visits_of_a_market(folder: Path, tmp_path: Path) -> None:
    drawn, whole = (dataset_hash(dataset) for dataset in (personal_queries(folder, visits=30), open_dataset(folder)))
    assert drawn != whole
    file = tmp_path / "claims.toml"
    for named, fits in ((drawn, True), (whole, False)):
        file.write_text(
            f"""[data.visited]
            title = "Visits, simulated"
            visits = 30
            hash = "{named}"
            [[claims]]
            id = "a"
            claim = "Shoppers help"
            source = "Somewhere"
            published = 1.1
            kind = "ratio"
            data = "visited"
            metric = "R@100"
            treatment = ["dpsr/dense"]
            control = ["dssm/dense"]
            above = 1.0
            """,
            encoding="utf-8",
        )
        arguments = (read_claims(file), None, {"visited": folder})
        if fits:
            (verdict,) = judge_claims(*arguments, run=False, work=tmp_path).verdicts
            assert verdict.claim == "Shoppers help"
        else:
            with pytest.raises(UserError, match=f"its content is {drawn}"):
                judge_claims(*arguments, run=False, work=tmp_path)

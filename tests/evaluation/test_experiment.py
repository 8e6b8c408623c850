"""A whole experiment on a market small enough to see through: what is shown, searched, found, recorded and printed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from rich.console import Console

from shelfwalk.channels.channel import Hits
from shelfwalk.commands.experiment import experiment as experiment_verb
from shelfwalk.errors import UserError
from shelfwalk.evaluation.aa_test import count_false_positives
from shelfwalk.evaluation.counterfactual_check import MIXED
from shelfwalk.evaluation.experiment import Contender, Experiment, run_experiment
from shelfwalk.evaluation.experiment_record import EXPERIMENTS
from shelfwalk.evaluation.experiment_table import experiment_grids, heading, print_experiment
from shelfwalk.market.clicks import ClickSettings
from shelfwalk.market.market import Market, make_market
from shelfwalk.market.settings import MarketSettings
from shelfwalk.shelf.shelf import Shelf
from small_shop import SmallShop
from stand_in_market import StandInMarket


class CountingShelf(Shelf):
    """A shelf that notes what it was asked."""

    def hits(self, query: str, k: int, channels: Sequence[str] = ()) -> dict[str, Hits]:
        self.__dict__.setdefault("asked", Counter())[query, tuple(channels)] += 1
        return super().hits(query, k, channels)


class WorseShelf(CountingShelf):
    """Its lists are upside down."""

    def hits(self, query: str, k: int, channels: Sequence[str] = ()) -> dict[str, Hits]:
        found = super().hits(query, k, channels)
        return {name: Hits(hits.rows[::-1], hits.scores[::-1], hits.evidence) for name, hits in found.items()}


@pytest.fixture(scope="module")
def shelf(small_shop: SmallShop) -> CountingShelf:
    opened = CountingShelf.open(small_shop.shelf)
    assert isinstance(opened, CountingShelf)
    return opened


@pytest.fixture(scope="module")
def market(small_shop: SmallShop) -> StandInMarket:
    return StandInMarket(small_shop)


@pytest.fixture(scope="module")
def found(shelf: CountingShelf, market: StandInMarket) -> Experiment:
    return run(shelf, shelf, market, ("fused", "dense"), sessions=3_000, runs_aa=400, seed=3)


def run(
    first: Shelf, second: Shelf, market: Any, channels: tuple[str, str] = ("dense", "dense"), **settings: Any
) -> Experiment:
    contenders = (Contender(first, channels[0], "a.shelf"), Contender(second, channels[1], "b.shelf"))
    return run_experiment(*contenders, market, **({"sessions": 1_500, "runs_aa": 0} | settings))


def cells(experiment: Experiment) -> str:
    return "\n".join(
        " ".join((grid.title, *grid.header, *(cell for row in grid.rows for cell in row), grid.note))
        for grid in experiment_grids(experiment)
    )


def test_an_experiment_says_what_it_was_made_from(found: Experiment, shelf: Shelf, market: StandInMarket) -> None:
    assert found.simulated
    assert (found.market, found.sessions, found.places, found.queries) == (market.hash, 3_000, 6, 16)
    assert (found.first.channel, found.second.channel) == ("fused", "dense")
    assert found.first.recipe_hash == shelf.recorded["recipe_hash"]
    assert 0 <= found.same_pages < 1


def test_each_query_was_searched_once_for_both_channels(found: Experiment, shelf: CountingShelf) -> None:
    asked = {query: count for (query, channels), count in shelf.__dict__["asked"].items() if len(channels) == 2}
    assert len(asked) == found.queries
    assert set(asked.values()) == {1}


def test_no_page_holds_what_cannot_be_bought_or_an_item_twice(found: Experiment, market: StandInMarket) -> None:
    shown = market.simulation.shown
    assert len(shown) > 20
    assert not any(((page >= 0) & (page % 10 == 0)).any() for page in shown), "every tenth item is out of stock"
    # The visits are in the order of time, and these items appear half-way.
    appeared = [np.flatnonzero((page % 4 == 1).any(axis=1)).min() for page in shown if len(page) == 3_000]
    assert 1_400 < min(appeared) <= max(appeared) < 1_600
    for page in shown[:4]:
        ranked = np.sort(page, axis=1)
        assert not ((ranked[:, 1:] == ranked[:, :-1]) & (ranked[:, 1:] >= 0)).any()


def test_one_seed_gives_one_experiment_and_another_seed_another(shelf: Shelf, market: StandInMarket) -> None:
    once, again, other = (run(shelf, shelf, market, ("bm25", "dense"), seed=seed, runs_aa=50) for seed in (1, 1, 2))
    assert once == again
    assert once.ab != other.ab
    assert once.interleaving != other.interleaving


def test_the_better_system_wins_by_every_test(small_shop: SmallShop, market: StandInMarket) -> None:
    good, bad = Shelf.open(small_shop.shelf), WorseShelf.open(small_shop.shelf)
    found = run(bad, good, market, ("dense", "bm25"), sessions=4_000)
    assert found.ab is not None
    assert found.interleaving is not None
    for outcome in found.ab.outcomes:
        assert outcome.p_value < 0.001
        assert outcome.difference.low > 0
    assert found.interleaving.p_value < 0.001
    assert found.interleaving.preference.low > 0
    assert "better: B" in cells(found)
    assert [row[-1] for row in experiment_grids(found)[0].rows] == ["B", "B", "B"]


def test_a_system_against_itself_shows_one_page_and_no_difference(shelf: Shelf, market: StandInMarket) -> None:
    found = run(shelf, shelf, market)
    assert found.same_pages == 1
    assert found.ab is not None
    assert found.interleaving is not None
    assert found.interleaving.preference.low < 0 < found.interleaving.preference.high
    for outcome in found.ab.outcomes:
        assert outcome.difference.low < 0 < outcome.difference.high


def test_estimates_from_the_log_are_near_the_truth(found: Experiment) -> None:
    for check in found.counterfactual:
        # The shopper of this market is position-based, as estimates by place need it.
        spread = 4 * check.ips.error
        for estimated in (check.ips, check.snips, check.doubly_robust):
            assert abs(estimated.mean - check.truth.mean) < spread
        assert 0 < check.effective_visits < check.visits
        assert check.truth.error < check.ips.error


def test_shares_are_of_the_channels_that_answered(found: Experiment) -> None:
    assert {share.channel for share in found.second_shares} == {"dense"}
    assert {share.recalled.mean for share in found.second_shares} == {1.0}
    of_first = {(share.kind, share.channel): share for share in found.first_shares}
    assert {kind for kind, _ in of_first} == {"exposures", "clicks", "purchases"}
    assert of_first["exposures", "bm25"].events > of_first["clicks", "bm25"].events > 0
    for share in found.first_shares:
        assert 0 <= share.only.mean <= share.recalled.mean <= 1


def test_a_method_leaves_the_other_out(shelf: Shelf, market: StandInMarket) -> None:
    ab = run(shelf, shelf, market, method="ab", runs_aa=50)
    mixed = run(shelf, shelf, market, method="interleaving", runs_aa=50)
    assert (ab.interleaving, mixed.ab) == (None, None)
    assert (mixed.first_shares, mixed.second_shares) == ((), ())
    assert [test.test for test in mixed.false_positives] == ["interleaving"]
    assert len(ab.false_positives) == 3
    assert "Team-draft" not in cells(ab)
    assert "A/B test" not in cells(mixed)


def test_too_few_shoppers_are_one_sentence(shelf: Shelf, small_shop: SmallShop) -> None:
    with pytest.raises(UserError, match="two groups need 30 each"):
        run(shelf, shelf, StandInMarket(small_shop, shoppers=20))


def test_false_positives_are_about_five_of_a_hundred(found: Experiment) -> None:
    assert len(found.false_positives) == 4
    for test in found.false_positives:
        assert test.runs == 400
        assert 0.02 < test.share < 0.085


def test_the_tables_say_what_was_found(found: Experiment) -> None:
    assert found.ab is not None
    text = cells(found)
    assert "Simulated market 0123456789ab" in heading(found)
    for words in ("click-through", "conversion", "GMV per session", "Channel shares of A", "SNIPS", "A/A runs"):
        assert words in text
    # The second system is one channel, whose shares say nothing.
    assert "Channel shares of B" not in text
    better = replace(found.ab.outcomes[0], p_value=0.01, difference=replace(found.ab.outcomes[0].difference, mean=-1.0))
    unsure = replace(better, p_value=0.06)
    grid = experiment_grids(replace(found, ab=replace(found.ab, outcomes=(better, unsure))))[0]
    assert [row[-1] for row in grid.rows] == ["A", "not shown"]


@pytest.mark.parametrize(
    ("share", "verdict"), [(0.05, "as it"), (0.07, "as it"), (0.08, "too many"), (0.03, "as it"), (0.02, "fewer")]
)
def test_a_rate_is_called_wrong_only_if_chance_is_no_excuse(found: Experiment, share: float, verdict: str) -> None:
    p_values = np.where(np.arange(1_000) < 1_000 * share, 0.01, 0.5)
    counted = replace(found, ab=None, interleaving=None, false_positives=(count_false_positives("any", p_values),))
    assert experiment_grids(counted)[0].rows[0][-1].startswith(verdict)


def test_the_printed_experiment_fits_a_terminal(found: Experiment, tmp_path: Path) -> None:
    with (tmp_path / "printed").open("w") as file:
        print_experiment(found, Console(file=file, width=100))
    lines = (tmp_path / "printed").read_text().splitlines()
    assert any(line.startswith("A/B test") for line in lines)
    assert all(len(line) <= 100 for line in lines[1:])


def test_an_experiment_is_plain_json(found: Experiment) -> None:
    assert json.loads(json.dumps(asdict(found), allow_nan=False))["interleaving"]["preference"].keys() == {
        "mean",
        "low",
        "high",
        "error",
    }


@pytest.mark.parametrize("model", ["position", "dbn"])
def test_it_runs_on_a_market_that_was_made(
    shelf: Shelf, small_shop: SmallShop, tmp_path: Path, model: Literal["position", "dbn"]
) -> None:
    settings = MarketSettings(shoppers=300, sessions=0, page_size=5, clicks=ClickSettings(model=model))
    make_market(settings, 3, tmp_path / "market", small_shop.items())
    made = Market.open(tmp_path / "market")
    found = run(shelf, WorseShelf.open(small_shop.shelf), made, ("bm25", "dense"), sessions=6_000, runs_aa=100)
    assert (found.market, found.clicks) == (made.hash, model)
    assert found.interleaving is not None
    assert found.interleaving.preference.high < 0
    assert found.interleaving.p_value < 0.001
    # Clicks that depend on what stands above are the one thing that a log in random order cannot tell.
    checks = [check for check in found.counterfactual if model == "position" or check.measure != "clicks per session"]
    assert len(checks) == (6 if model == "position" else 3)
    mixed = [check for check in found.counterfactual if check.log == MIXED]
    for check in (*checks, *mixed):
        for estimated in (check.ips, check.snips, check.doubly_robust):
            assert abs(estimated.mean - check.truth.mean) < 4 * estimated.error


@pytest.fixture
def opened_market(market: StandInMarket, monkeypatch: pytest.MonkeyPatch) -> StandInMarket:
    monkeypatch.setattr("shelfwalk.market.market.Market.open", lambda path: market)
    return market


def test_the_verb_prints_json_and_appends_a_line(
    small_shop: SmallShop, opened_market: StandInMarket, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = (small_shop.shelf, small_shop.shelf, tmp_path)
    for _ in range(2):
        experiment_verb(
            *paths,
            channel_a="bm25",
            channel_b="dense",
            sessions=800,
            runs_aa=20,
            as_json=True,
            out=tmp_path / "results",
        )
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    lines = [json.loads(line) for line in (tmp_path / "results" / EXPERIMENTS).read_text().splitlines()]
    assert [line["experiment"] for line in lines] == printed
    assert printed[0] == printed[1]
    assert {"time", "versions", "machine"} <= lines[0].keys()
    experiment_verb(*paths, channel_a="bm25", channel_b="dense", sessions=800, runs_aa=0, method="ab")
    assert "A/B test" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"channel_b": "vector"}, 'no channel "vector": take one of bm25'),
        ({"method": "a/b"}, 'no method "a/b": take ab'),
    ],
)
def test_a_wrong_word_is_refused_before_anything_is_opened(
    settings: dict[str, str], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=sentence):
        experiment_verb(tmp_path / "no.shelf", tmp_path / "no.shelf", tmp_path / "no market", **settings)

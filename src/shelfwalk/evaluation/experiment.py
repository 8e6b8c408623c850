"""An online experiment on a simulated market: two systems, the same shoppers.

In: two shelves, each with the channel that answers; an opened market; how many sessions. Out: an `Experiment`: the
user-split A/B test, team-draft interleaving, A/A runs of both, channel shares, and counterfactual estimates beside the
truth.

The visits fall into the time after the market's split, which no build has seen. Every distinct query is searched once a
system; who is shown what, and what they do, is drawn from the seed alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from shelfwalk.evaluation.aa_test import FalsePositives, aa_drafts, aa_splits
from shelfwalk.evaluation.ab_test import AbTest, ab_test, check_shoppers, draw_groups, session_measures
from shelfwalk.evaluation.channel_shares import ChannelShare, channel_shares
from shelfwalk.evaluation.counterfactual_check import (
    REPEATS,
    CounterfactualCheck,
    check_mixed_pages,
    check_random_order,
)
from shelfwalk.evaluation.interleaving import Interleaving, click_preferences, interleaving_outcome, team_draft
from shelfwalk.evaluation.reordered_log import PolicyLog, reordered
from shelfwalk.evaluation.served_pages import Pages, RankedQueries, market_rows, rank_queries, serve_pages
from shelfwalk.shelf.shelf import Shelf

if TYPE_CHECKING:
    from shelfwalk.market.clicks import Responses
    from shelfwalk.market.market import Market
    from shelfwalk.market.needs import Visits

METHODS = ("ab", "interleaving", "both")
Progress = Callable[[str, int, int], None]
_DRAWS = ("visits", "groups", "ab", "draft", "interleaving", "aa", "aa_splits", "aa_drafts", "exploration", "check")
"""Each part draws from a seed of its own, so that none depends on which others are run."""


@dataclass(frozen=True)
class Contender:
    """A shelf, the channel of it that answers, and what to call the shelf."""

    shelf: Shelf
    channel: str
    name: str


@dataclass(frozen=True)
class System:
    """What a contender was made from; hashes in hexadecimal."""

    shelf: str
    channel: str
    recipe: str
    recipe_hash: str
    data_hash: str
    seed: int


@dataclass(frozen=True)
class Experiment:
    """All that an experiment found; parts that its method leaves out are None or empty.

    `market`: the market's hash, and `clicks` its click model. `places`: items on a full page. `same_pages`: the share
    of sessions in which both systems would show the same page. `first_shares` and `second_shares`: the channel shares
    of either group of the A/B test.
    """

    simulated: bool
    market: str
    clicks: str
    seed: int
    method: str
    sessions: int
    shoppers: int
    queries: int
    places: int
    first: System
    second: System
    same_pages: float
    ab: AbTest | None
    interleaving: Interleaving | None
    false_positives: tuple[FalsePositives, ...]
    first_shares: tuple[ChannelShare, ...]
    second_shares: tuple[ChannelShare, ...]
    counterfactual: tuple[CounterfactualCheck, ...]


def run_experiment(
    first: Contender,
    second: Contender,
    market: Market,
    *,
    sessions: int,
    method: str = "both",
    runs_aa: int = 1_000,
    seed: int = 0,
    progress: Progress = lambda stage, done, total: None,
) -> Experiment:
    """Run an experiment of `METHODS` on `sessions` visits drawn from the market.

    `runs_aa`: A/A runs of each test, 0 for none. Raises UserError if a shelf holds items that the market does not, or
    the sessions come from too few shoppers.
    """
    arena = _Arena(first, second, market, sessions, seed, progress)
    ab, shares = arena.split_shoppers() if method != "interleaving" else (None, ((), ()))
    return Experiment(
        simulated=True,
        market=market.hash,
        clicks=market.settings.clicks.model,
        seed=seed,
        method=method,
        sessions=sessions,
        shoppers=arena.shoppers,
        queries=len(arena.texts),
        places=market.settings.page_size,
        first=_system(first),
        second=_system(second),
        same_pages=float((arena.first.items == arena.second.items).all(axis=1).mean()),
        ab=ab,
        interleaving=arena.interleave() if method != "ab" else None,
        false_positives=arena.false_positives(method, runs_aa) if runs_aa else (),
        first_shares=shares[0],
        second_shares=shares[1],
        counterfactual=arena.counterfactual(),
    )


class _Arena:
    """The visits of one experiment, with the pages of both systems."""

    def __init__(
        self, first: Contender, second: Contender, market: Market, sessions: int, seed: int, progress: Progress
    ) -> None:
        self._seeds = dict(zip(_DRAWS, np.random.SeedSequence(seed).spawn(len(_DRAWS)), strict=True))
        self._market, self._simulation, self._progress = market, market.simulation, progress
        settings, items = market.settings, market.items()
        # A wrong shelf is refused before the visits are drawn.
        rows = [market_rows(contender.shelf, items["item_id"], contender.name) for contender in (first, second)]
        self.visits: Visits = self._simulation.visits(sessions, self._number("visits"), settings.split, settings.end)
        self.shoppers = len(np.unique(self.visits.shopper))
        check_shoppers(self.shoppers)
        texts, self._query = np.unique(np.asarray(self.visits.queries, dtype=object), return_inverse=True)
        self.texts: list[str] = texts.tolist()
        self._ranked = _rank(first, second, rows, self.texts, progress)
        self._appears = self._simulation.catalogue.features.appears
        self.first, self.second = (
            serve_pages(
                answers,
                self._query,
                self.visits.at,
                items["available"].to_numpy(),
                self._appears,
                settings.page_size,
            )
            for answers in self._ranked
        )

    def split_shoppers(self) -> tuple[AbTest, tuple[tuple[ChannelShare, ...], tuple[ChannelShare, ...]]]:
        """The A/B test, and the channel shares of both groups."""
        place = np.unique(self.visits.shopper, return_inverse=True)[1]
        in_second = draw_groups(self.shoppers, 1, self._rng("groups"))[0][place]
        pages = Pages(
            np.where(in_second[:, None], self.second.items, self.first.items),
            np.where(in_second[:, None], self.second.recalled, self.first.recalled),
        )
        responses = self._respond("ab", pages.items)
        outcome = ab_test(session_measures(responses), self.visits.shopper, in_second)
        first, second = (
            self._shares(answers.channels, pages, responses, in_second == group)
            for answers, group in zip(self._ranked, (False, True), strict=True)
        )
        return outcome, (first, second)

    def interleave(self) -> Interleaving:
        """Team-draft interleaving in every visit."""
        drafted = team_draft(self.first.items, self.second.items, self._rng("draft"))
        responses = self._respond("interleaving", drafted.pages)
        return interleaving_outcome(click_preferences(drafted.teams, responses.clicked), self.visits.shopper)

    def false_positives(self, method: str, runs: int) -> tuple[FalsePositives, ...]:
        """A/A runs of the tests of a method, on the first system's pages."""
        responses, shopper = self._respond("aa", self.first.items), self.visits.shopper
        found: tuple[FalsePositives, ...] = ()
        if method != "interleaving":
            found = aa_splits(session_measures(responses), shopper, runs, self._rng("aa_splits"))
        if method != "ab":
            found += (aa_drafts(responses.clicked, shopper, runs, self._rng("aa_drafts")),)
        return found

    def counterfactual(self) -> tuple[CounterfactualCheck, ...]:
        """What the systems would have earned, estimated from logs and in truth."""
        of_mixed, of_order = self._seeds["check"].spawn(2)
        total, done = 3 * REPEATS, 0

        def tell() -> None:
            nonlocal done
            done += 1
            self._progress("Checking counterfactual estimates", done, total)

        log = self._policy_log()
        first, second = (reordered(log.own, answers, self._query) for answers in self._ranked)
        mixed = check_mixed_pages(self._simulation, self.visits, self.first.items, self.second.items, of_mixed, tell)
        targets = {"A": first, "B": second}
        return mixed + check_random_order(self._simulation, self.visits, log, targets, of_order, tell)

    def _policy_log(self) -> PolicyLog:
        from shelfwalk.market.logging_policy import LoggingPolicy, explore, first_pages

        settings = self._market.settings
        policy = LoggingPolicy.build(self._market.items(), settings.policy, self._progress)
        ranked = policy.rank(self.texts, self._progress)[self._query]
        own = first_pages(ranked, self.visits.at, self._appears, settings.page_size)
        shown = explore(own, 1.0, self._rng("exploration"))
        return PolicyLog(own, shown.pages, np.where(shown.pages >= 0, shown.propensity.astype(np.float64), 1.0))

    def _shares(
        self, channels: tuple[str, ...], pages: Pages, responses: Responses, chosen: npt.NDArray[np.bool_]
    ) -> tuple[ChannelShare, ...]:
        events = {"exposures": pages.items >= 0, "clicks": responses.clicked, "purchases": responses.purchased}
        of_group = {kind: happened[chosen] for kind, happened in events.items()}
        return channel_shares(channels, pages.recalled[chosen], of_group, self.visits.shopper[chosen])

    def _respond(self, part: str, pages: npt.NDArray[np.int64]) -> Responses:
        return self._simulation.respond(self.visits, pages, self._number(part))

    def _number(self, part: str) -> int:
        return int(self._seeds[part].generate_state(1)[0])

    def _rng(self, part: str) -> np.random.Generator:
        return np.random.default_rng(self._seeds[part])


def _rank(
    first: Contender,
    second: Contender,
    rows: list[npt.NDArray[np.int32]],
    texts: list[str],
    progress: Progress,
) -> tuple[RankedQueries, RankedQueries]:
    """The answers of both; two channels of one generation of a shelf are asked together."""
    if first.shelf.folder.resolve() == second.shelf.folder.resolve():
        channels = tuple(dict.fromkeys((first.channel, second.channel)))
        ranked = rank_queries(
            first.shelf, texts, channels, rows[0], _teller(progress, f"Searching {first.name}", texts)
        )
        return ranked[first.channel], ranked[second.channel]
    found = [
        rank_queries(
            contender.shelf,
            texts,
            (contender.channel,),
            of_shelf,
            _teller(progress, f"Searching {contender.name}", texts),
        )[contender.channel]
        for contender, of_shelf in zip((first, second), rows, strict=True)
    ]
    return found[0], found[1]


def _teller(progress: Progress, stage: str, texts: list[str]) -> Callable[[int], None]:
    return lambda done: progress(stage, done, len(texts))


def _system(contender: Contender) -> System:
    facts = contender.shelf.recorded
    recipe = contender.shelf.recipe["name"]
    return System(
        contender.name, contender.channel, recipe, facts["recipe_hash"], facts["data_hash"], int(facts["seed"])
    )

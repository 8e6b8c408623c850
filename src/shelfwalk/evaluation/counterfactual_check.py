"""How near the counterfactual estimates come to the truth, which a market knows.

In: a market's simulation, visits, and the pages of systems. Out: rewards per session as estimated from a log by IPS,
SNIPS and DR (counterfactual.py), and as measured by letting the same shoppers respond to the system's pages many times.

Two logs, as there are two ways to know a probability:

- *mixed pages*: each visit saw the second system's page with the probability `TRIED`, else the first's. What is
  weighted is the page as a whole, which is right whatever the shoppers do with it, but the log has to hold the system's
  own pages.
- *random order*: the market's own policy with its pages in an order drawn by chance. What is weighted is each place by
  itself, and any order of those items can be judged; but the sum over a page is right only where a click depends on the
  item and the place alone. The first place, with nothing above it, is right under every click model of a market.

Sums paid are estimated from mixed pages only: they are too rare for weights as large as a page is long.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from shelfwalk.evaluation.counterfactual import (
    LoggedPages,
    cross_fitted,
    doubly_robust,
    effective_visits,
    inverse_propensity,
    self_normalised,
)
from shelfwalk.evaluation.reordered_log import PolicyLog, place_groups
from shelfwalk.evaluation.shopper_means import Estimate, Values, estimate, mean_over_shoppers

if TYPE_CHECKING:
    from shelfwalk.market.clicks import Responses
    from shelfwalk.market.needs import Visits
    from shelfwalk.market.simulation import Simulation

MIXED, RANDOM_ORDER = "mixed pages", "random order"
TRIED = 0.2
"""The share of visits that see the second system's page in the mixed log."""
REPEATS = 10
"""Responses of all visits to a system's pages, of which the truth is the mean."""
_LONG = 3
"""Words of a query, from which on the model of the mixed log tells no more queries apart."""

PageItems = npt.NDArray[np.int64]
Tell = Callable[[], None]
Measure = Callable[["Responses"], Values]


@dataclass(frozen=True)
class CounterfactualCheck:
    """One reward per session of one system ("A" or "B"): of the log itself, as estimated from it, and in truth.

    `log`: `MIXED` or `RANDOM_ORDER`. `effective_visits`: how many visits that saw the system's pages would be worth as
    much as the log.
    """

    log: str
    system: str
    measure: str
    visits: int
    effective_visits: float
    logged: Estimate
    ips: Estimate
    snips: Estimate
    doubly_robust: Estimate
    truth: Estimate


def check_mixed_pages(
    simulation: Simulation,
    visits: Visits,
    first: PageItems,
    second: PageItems,
    seeds: np.random.SeedSequence,
    tell: Tell,
) -> tuple[CounterfactualCheck, ...]:
    """Estimate clicks and sums paid of the second system from a log of both; `tell` is called after each response."""
    of_coins, of_log, of_truth = seeds.spawn(3)
    tried = np.random.default_rng(of_coins).random((len(first), 1)) < TRIED
    responses = simulation.respond(visits, np.where(tried, second, first), _number(of_log))
    measures: dict[str, Measure] = {
        "clicks per session": lambda answer: answer.clicked.sum(axis=1, keepdims=True, dtype=np.float64),
        "GMV per session": lambda answer: answer.paid.sum(axis=1, keepdims=True, dtype=np.float64),
    }
    truths = _truths(simulation, visits, second, measures, of_truth, tell)
    # A page is one thing, shown in one place: the first system's is 0, the second's 1.
    shown, target = tried.astype(np.int64), np.ones((len(first), 1), np.int64)
    known = np.where(tried, TRIED, 1 - TRIED)
    length = np.array([[min(len(query.split()), _LONG)] for query in visits.queries])
    groups = (shown * (_LONG + 1) + length, target * (_LONG + 1) + length, 2 * (_LONG + 1))
    return tuple(
        _check(MIXED, "B", measure, LoggedPages(shown, known, reward(responses), visits.shopper), target, groups, truth)
        for (measure, reward), truth in zip(measures.items(), truths, strict=True)
    )


def check_random_order(
    simulation: Simulation,
    visits: Visits,
    log: PolicyLog,
    targets: Mapping[str, PageItems],
    seeds: np.random.SeedSequence,
    tell: Tell,
) -> tuple[CounterfactualCheck, ...]:
    """Estimate clicks of systems, pages by name, that order the items of the log's pages; `tell` as above."""
    of_log, *of_truths = seeds.spawn(1 + len(targets))
    responses = simulation.respond(visits, log.shown, _number(of_log))
    measures: dict[str, Measure] = {
        "first-place clicks": lambda answer: answer.clicked[:, :1].astype(np.float64),
        "clicks per session": lambda answer: answer.clicked.astype(np.float64),
    }
    checks = []
    for (system, target), seed in zip(targets.items(), of_truths, strict=True):
        truths = _truths(simulation, visits, target, measures, seed, tell)
        (logged_groups, count), (groups, _) = (place_groups(page, (target, log.own)) for page in (log.shown, target))
        for (measure, reward), truth in zip(measures.items(), truths, strict=True):
            rewards = reward(responses)
            part = slice(rewards.shape[1])
            logged = LoggedPages(log.shown[:, part], log.propensities[:, part], rewards, visits.shopper)
            grouped = (logged_groups[:, part], groups[:, part], count)
            checks.append(_check(RANDOM_ORDER, system, measure, logged, target[:, part], grouped, truth))
    return tuple(checks)


def _truths(
    simulation: Simulation,
    visits: Visits,
    pages: PageItems,
    measures: Mapping[str, Measure],
    seeds: np.random.SeedSequence,
    tell: Tell,
) -> list[Estimate]:
    means: list[list[float]] = []
    for seed in seeds.spawn(REPEATS):
        answer = simulation.respond(visits, pages, _number(seed))
        means.append([float(reward(answer).sum(axis=1).mean()) for reward in measures.values()])
        tell()
    return [_mean(of_measure) for of_measure in zip(*means, strict=True)]


def _check(
    log_name: str,
    system: str,
    measure: str,
    log: LoggedPages,
    target: PageItems,
    groups: tuple[PageItems, PageItems, int],
    truth: Estimate,
) -> CounterfactualCheck:
    return CounterfactualCheck(
        log=log_name,
        system=system,
        measure=measure,
        visits=len(target),
        effective_visits=effective_visits(log, target),
        logged=mean_over_shoppers(log.rewards.sum(axis=1), log.shopper),
        ips=inverse_propensity(log, target),
        snips=self_normalised(log, target),
        doubly_robust=doubly_robust(log, target, *cross_fitted(log, *groups)),
        truth=truth,
    )


def _mean(values: Sequence[float]) -> Estimate:
    return estimate(float(np.mean(values)), float(np.var(values, ddof=1)) / len(values))


def _number(seed: np.random.SeedSequence) -> int:
    return int(seed.generate_state(1)[0])

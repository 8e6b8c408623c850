"""An experiment as tables of words for the terminal.

In: an `Experiment`. Out: `Grid`s and sentences. A is the first system, B the second; one is called better only where
p < 0.05.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from rich.console import Console

from shelfwalk.evaluation.aa_test import SIGNIFICANT, FalsePositives
from shelfwalk.evaluation.ab_test import AbTest
from shelfwalk.evaluation.channel_shares import ChannelShare
from shelfwalk.evaluation.counterfactual_check import MIXED, RANDOM_ORDER, TRIED, CounterfactualCheck
from shelfwalk.evaluation.experiment import Experiment, System
from shelfwalk.evaluation.grids import Grid, p_value_words, print_grids
from shelfwalk.evaluation.interleaving import Interleaving
from shelfwalk.evaluation.shopper_means import QUANTILE, Estimate

_ESTIMATORS = ("IPS", "SNIPS", "DR")
_TOLERATED_ERRORS = 3
"""Standard errors by which a share of false positives may miss 5 % before it is called wrong."""


def print_experiment(experiment: Experiment, console: Console) -> None:
    """Print the heading and every table on `console`."""
    print_grids(heading(experiment), experiment_grids(experiment), console)


def heading(experiment: Experiment) -> str:
    """Return what was compared on what, in sentences."""
    return (
        f"Simulated market {experiment.market[:12]}: {experiment.sessions:,} sessions of {experiment.shoppers:,} "
        f"shoppers with {experiment.queries:,} distinct queries, {experiment.places} items a page. "
        f"A is {_named(experiment.first)}, B is {_named(experiment.second)}; in {experiment.same_pages:.1%} of the "
        "sessions both show the same page."
    )


def experiment_grids(experiment: Experiment) -> tuple[Grid, ...]:
    """Return the tables of an experiment; what its method leaves out is left out."""
    return (
        *([_ab(experiment.ab)] if experiment.ab else []),
        *([_interleaving(experiment.interleaving)] if experiment.interleaving else []),
        *([_false_positives(experiment.false_positives)] if experiment.false_positives else []),
        *_shares("A", experiment.first_shares),
        *_shares("B", experiment.second_shares),
        *_counterfactual(experiment),
    )


def _ab(test: AbTest) -> Grid:
    rows = tuple(
        (
            outcome.measure,
            f"{outcome.first.mean:.4g}",
            f"{outcome.second.mean:.4g}",
            _signed(outcome.difference, ".3f"),
            _signed(outcome.lift, ".1%") if outcome.lift else "–",
            p_value_words(outcome.p_value).removeprefix("p ").removeprefix("= "),
            _better(outcome.difference.mean, outcome.p_value),
        )
        for outcome in test.outcomes
    )
    note = (
        f"A: {test.first_sessions:,} sessions of {test.first_shoppers:,} shoppers, B: {test.second_sessions:,} of "
        f"{test.second_shoppers:,}. Click-through and conversion: share of the sessions with a click, with a purchase. "
        "Behind ± the 95 % interval over shoppers. Lift: the difference as a share of A."
    )
    return Grid("A/B test", ("measure", "A", "B", "B − A", "lift", "p-value", "better"), rows, note)


def _interleaving(outcome: Interleaving) -> Grid:
    rows = (
        ("visits", f"{outcome.first_visits:,}", f"{outcome.second_visits:,}", f"{outcome.tied_visits:,}"),
        ("shoppers", f"{outcome.first_shoppers:,}", f"{outcome.second_shoppers:,}", f"{outcome.tied_shoppers:,}"),
    )
    note = (
        f"Preference for B, from −1 to 1: {_signed(outcome.preference, '.3f')}; sign test over shoppers "
        f"{p_value_words(outcome.p_value)}; better: {_better(outcome.preference.mean, outcome.p_value)}."
    )
    return Grid("Team-draft interleaving", ("won by clicks", "A", "B", "tied"), rows, note)


def _false_positives(tests: Sequence[FalsePositives]) -> Grid:
    rows = tuple(
        (
            test.test,
            f"{test.runs:,}",
            f"{test.share:.1%} ({test.low:.1%} to {test.high:.1%})",
            _rate_verdict(test),
        )
        for test in tests
    )
    note = "A against A: how often p < 0.05 without a difference; 5 % is right. In brackets the 95 % interval."
    return Grid("A/A runs", ("test", "runs", "p < 0.05", "verdict"), rows, note)


def _shares(name: str, shares: Sequence[ChannelShare]) -> list[Grid]:
    kinds = list(dict.fromkeys(share.kind for share in shares))
    channels = list(dict.fromkeys(share.channel for share in shares))
    if len(channels) < 2:
        return []
    found = {(share.channel, share.kind): share for share in shares}
    rows = tuple(
        (channel, *(cell for kind in kinds for cell in _share_cells(found[channel, kind]))) for channel in channels
    )
    note = (
        "The share that the channel had in the list it handed to fusion (recalled), and that no other channel had "
        "(only). No lift: not what would be lost without it."
    )
    header = ("channel", *(column for kind in kinds for column in (kind, "only")))
    return [Grid(f"Channel shares of {name}", header, rows, note)]


def _share_cells(share: ChannelShare) -> Iterable[str]:
    return (f"{part.mean:.1%}" for part in (share.recalled, share.only))


def _counterfactual(experiment: Experiment) -> list[Grid]:
    mixed = (
        f"B estimated from a log in which {TRIED:.0%} of the visits saw B's page and the others A's, beside the truth. "
        "Right whatever shoppers do with a page."
    )
    ordered = (
        "The items of the market's own pages in the order of A and of B, estimated from a log of those pages in an "
        "order drawn by chance, beside the truth. The first place is right under any click model; a whole page only "
        "if a click depends on the item and the place alone (position), and the shoppers of this market follow "
        f"{experiment.clicks}."
    )
    checks = experiment.counterfactual
    return [
        _estimates(f"Counterfactual estimates from {log}", note, [check for check in checks if check.log == log])
        for log, note in ((MIXED, mixed), (RANDOM_ORDER, ordered))
    ]


def _estimates(title: str, note: str, checks: Sequence[CounterfactualCheck]) -> Grid:
    rows = []
    for check in checks:
        estimates = (check.ips, check.snips, check.doubly_robust)
        inside = [name for name, part in zip(_ESTIMATORS, estimates, strict=True) if _covers(part, check.truth)]
        cells = (f"{check.system} {check.measure}", *map(_plain, estimates), f"{check.truth.mean:.4g}")
        rows.append((*cells, "all" if len(inside) == len(estimates) else ", ".join(inside) or "none"))
    worth = max(check.effective_visits for check in checks)
    note += f" Behind ± the 95 % interval. The log is worth {worth:,.0f} visits that saw the pages themselves."
    return Grid(title, ("system, measure", *_ESTIMATORS, "truth", "truth inside"), tuple(rows), note)


def _covers(part: Estimate, truth: Estimate) -> bool:
    return part.low <= truth.mean <= part.high


def _named(system: System) -> str:
    return f"{system.channel} of {system.shelf} ({system.recipe}, seed {system.seed})"


def _plain(part: Estimate) -> str:
    # Without spaces, so that no table breaks it.
    return f"{part.mean:.3g}±{QUANTILE * part.error:.2g}"


def _signed(part: Estimate, form: str) -> str:
    return f"{part.mean:+{form}}±{QUANTILE * part.error:{form}}".replace("-", "−")


def _better(difference: float, p_value: float) -> str:
    if p_value >= SIGNIFICANT:
        return "not shown"
    return "B" if difference > 0 else "A"


def _rate_verdict(test: FalsePositives) -> str:
    # Four tests a time: at two errors a right one would be called wrong in every sixth experiment.
    tolerance = _TOLERATED_ERRORS * math.sqrt(SIGNIFICANT * (1 - SIGNIFICANT) / test.runs)
    if test.share > SIGNIFICANT + tolerance:
        return "too many"
    return "fewer: cautious" if test.share < SIGNIFICANT - tolerance else "as it should be"

"""Settles the weights that no training sets: of paths and words in a cluster's score, and of channels in fusion.

In: a shelf's channels and held-out training queries. Out: the weights with the highest mean recall at 100, or what
these queries cannot tell from it. No query and no judgement of an evaluation is read; the fusion without the generative
channel is settled as hard.

Of held-out pseudo-queries only those that were made from several items count: they are phrases, as queries of a shop
are, and not pieces of one item's title, which a lexical channel finds by construction. A log shows what its own ranker
has found: weights that are settled on clicks favour whatever that ranker resembles, which is mostly words. So of the
in-cluster weights that held-out clicks do not show to be worse than the best, those are taken that trust the generated
path most (docs/results.md: what that is worth). Without a log the path has learnt from nothing but pseudo-queries,
which shoppers do not type: there the best is taken as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from shelfwalk.channels.channel import Channel, Request, best_positions
from shelfwalk.channels.fusion import fuse
from shelfwalk.channels.generative import GenerativeChannel
from shelfwalk.ranking.in_cluster import InClusterWeights, in_cluster_scores
from shelfwalk.shelf.pair_step import TrainingPairs

CUTOFF = 100
DEPTH = 300
MOST_QUERIES = 1_000
FEWEST_ITEMS = 3
PATH_WEIGHTS = (0.0, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1)
WORD_WEIGHTS = (0.0, 0.1, 0.2, 0.3)
CHANNEL_WEIGHTS = (0.25, 0.5, 1.0)
SHOWN = 1.96
"""Standard errors of a paired difference from which it is one: 95 % of the normal distribution lie below."""


@dataclass(frozen=True)
class HeldOutQuery:
    """A request and the catalogue rows that are right for it."""

    request: Request
    relevant: frozenset[int]
    is_logged: bool = False
    """Whether they are right by clicks."""


@dataclass(frozen=True)
class Settled:
    """The choice, and the mean recall at 100 of every choice on the held-out queries."""

    chosen: tuple[float, ...]
    recalls: dict[str, float]


def held_out_requests(pairs: TrainingPairs, vectors: npt.NDArray[np.float32]) -> list[HeldOutQuery]:
    """At most `MOST_QUERIES` held-out queries to settle weights on; `vectors` float32 [queries, dimensions].

    Logged queries where some are held out; otherwise the pseudo-queries that several items gave, and in a catalogue too
    small to have such all that there are.
    """
    held_out = pairs.to_choose_by()
    relevant: list[set[int]] = [set() for _ in pairs.queries]
    for query, item in zip(held_out.query_rows.tolist(), held_out.item_rows.tolist(), strict=True):
        relevant[query].add(item)
    asked = [row for row, items in enumerate(relevant) if items]
    phrases = [row for row in asked if len(relevant[row]) >= FEWEST_ITEMS or pairs.is_logged[row]]
    chosen = (phrases or asked)[:MOST_QUERIES]
    return [
        HeldOutQuery(Request(pairs.queries[row], vectors[row]), frozenset(relevant[row]), bool(pairs.is_logged[row]))
        for row in chosen
    ]


def mean_recall(channel: Channel, queries: Sequence[HeldOutQuery]) -> float:
    """Recall at 100 of a channel as it is; 0 without queries."""
    recalls = [_recall(channel.search(query.request, CUTOFF).rows, query.relevant) for query in queries]
    return float(np.mean(recalls)) if recalls else 0.0


def settle_in_cluster(channel: GenerativeChannel, queries: Sequence[HeldOutQuery]) -> Settled:
    """The path weight and the word weight of the highest mean recall; of equal ones the smallest.

    On clicks: of all that are not shown to be worse than that, the largest path weight, and with it the word weight of
    the highest recall.
    """
    recalls: dict[tuple[float, ...], list[float]] = {choice: [] for choice in product(PATH_WEIGHTS, WORD_WEIGHTS)}
    for query in queries:
        candidates, cosines, word_shares = channel.candidates(query.request)
        for (path, words), found in recalls.items():
            scores = in_cluster_scores(candidates, cosines, word_shares, InClusterWeights(path, words))
            rows = candidates.rows[best_positions(candidates.rows, scores, CUTOFF)]
            found.append(_recall(rows, query.relevant))
    best = _highest(recalls)
    if not queries or not all(query.is_logged for query in queries):
        return best
    as_good = [choice for choice, found in recalls.items() if not _is_worse(found, recalls[best.chosen])]
    path = max(choice[0] for choice in as_good)
    of_path = _highest({choice: recalls[choice] for choice in as_good if choice[0] == path})
    return Settled(of_path.chosen, best.recalls)


def settle_fusion(channels: Mapping[str, Channel], queries: Sequence[HeldOutQuery]) -> Settled:
    """The weights of the channels, in their order, with the highest recall; of equal ones those nearest to equality."""
    choices = [weights for weights in product(CHANNEL_WEIGHTS, repeat=len(channels)) if max(weights) == 1.0]
    choices.sort(key=lambda weights: -sum(weights))
    recalls: dict[tuple[float, ...], list[float]] = {weights: [] for weights in choices}
    for query in queries:
        hits = {name: channel.search(query.request, DEPTH) for name, channel in channels.items()}
        for weights, found in recalls.items():
            fused = fuse(hits, dict(zip(channels, weights, strict=True)), CUTOFF)
            found.append(_recall(fused.rows, query.relevant))
    return _highest(recalls)


def _is_worse(found: Sequence[float], best: Sequence[float]) -> bool:
    """Whether the mean of `found` lies below that of `best`, query by query, by more than its standard errors allow."""
    if not found:
        return False
    differences = np.subtract(best, found)
    error = float(np.std(differences, ddof=1)) / np.sqrt(len(found)) if len(found) > 1 else 0.0
    return float(np.mean(differences)) > SHOWN * error


def _highest(recalls: Mapping[tuple[float, ...], Sequence[float]]) -> Settled:
    means = {choice: float(np.mean(found)) if found else 0.0 for choice, found in recalls.items()}
    chosen = max(means, key=lambda choice: means[choice])
    return Settled(chosen, {"/".join(map(str, choice)): mean for choice, mean in means.items()})


def _recall(rows: npt.NDArray[np.int64], relevant: frozenset[int]) -> float:
    return len(relevant.intersection(rows.tolist())) / min(len(relevant), CUTOFF)

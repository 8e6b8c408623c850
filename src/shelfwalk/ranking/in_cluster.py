"""In-cluster scoring: from generated identifiers to ranked items.

In: the paths of one query with their log-probabilities, the posting lists under them, and the query and item vectors.
Out: item rows, best first.

The score of an item in cluster c is

    cos(query, item) + path_weight · ( log P(c | query) − log |c| ) + word_weight · words(query, item)
    + history_weight · [ the shopper chose the item before ]

The bracket is the log-probability of the item if the cluster's probability is shared evenly among its items, those that
a filter hides too: a filter takes items away and changes no score. words() is the share of the query's words, each
weighed by its rarity, that the item's text holds. Generation decides which items are looked at, the score which of them
come first. No paper fixes such a rule (CQ-SID orders by an "efficiency score" it does not define); the weights are
settled on held-out pseudo-queries.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfwalk.constraints.constraint import Identifiers, Postings
from shelfwalk.generators.beam_search import Beams


@dataclass(frozen=True)
class Candidates:
    """The items of the generated clusters of one query.

    `rows` int64, `paths` int64 (the place of the item's path among the query's), `log_probabilities` float32 (of that
    path) and `cluster_sizes` int64 (of its items), all [candidates], in the order of the paths.
    """

    rows: npt.NDArray[np.int64]
    paths: npt.NDArray[np.int64]
    log_probabilities: npt.NDArray[np.float32]
    cluster_sizes: npt.NDArray[np.int64]


def expand(beams: Beams, query: int, identifiers: Identifiers, most_items: int | None = None) -> Candidates:
    """The items under the paths of one query, path by path, up to the path that reaches `most_items`.

    `identifiers` is the constraint that the paths were searched with.
    """
    states = beams.states[query, : beams.found(query)]
    postings = identifiers.postings(states)
    if most_items is not None:
        enough = int(np.searchsorted(postings.offsets[1:], most_items)) + 1
        states, postings = states[:enough], Postings(postings.offsets[: enough + 1], postings.rows)
    paths = np.repeat(np.arange(len(states)), np.diff(postings.offsets))
    rows = postings.rows[: postings.offsets[-1]]
    return Candidates(rows, paths, beams.scores[query, paths], identifiers.cluster_sizes(states)[paths])


@dataclass(frozen=True)
class InClusterWeights:
    """How much a path's probability, shared words and an earlier choice of the shopper weigh against the cosine."""

    path: float
    words: float
    history: float = 0.0


def in_cluster_scores(
    candidates: Candidates,
    cosines: npt.NDArray[np.float32],
    word_shares: npt.NDArray[np.float32],
    weights: InClusterWeights,
    history: npt.NDArray[np.integer] | None = None,
) -> npt.NDArray[np.float32]:
    """The score of every candidate [candidates] from its cosine and word share [candidates]: the formula above.

    `history` holds the rows of what the shopper chose before.
    """
    share = candidates.log_probabilities - np.log(candidates.cluster_sizes)
    scores: npt.NDArray[np.float32] = (cosines + weights.path * share + weights.words * word_shares).astype(np.float32)
    if weights.history and history is not None:
        scores += np.float32(weights.history) * np.isin(candidates.rows, history)
    return scores

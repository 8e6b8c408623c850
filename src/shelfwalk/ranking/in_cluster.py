"""In-cluster scoring: from generated identifiers to ranked items.

In: the paths of one query with their log-probabilities, the posting lists under them, and the query and item vectors.
Out: item rows, best first.

The score of an item in cluster c is

    cos(query, item) + path_weight · ( log P(c | query) − log |c| ) + word_weight · words(query, item)

The bracket is the log-probability of the item if the cluster's probability is shared evenly among its items; words() is
the share of the query's words, each weighed by its rarity, that the item's text holds. Generation decides which items
are looked at, the score which of them come first. No paper fixes such a rule (CQ-SID orders by an "efficiency score" it
does not define); the weights are settled on held-out pseudo-queries.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfwalk.constraints.trie import Trie
from shelfwalk.generators.beam_search import Beams


@dataclass(frozen=True)
class Candidates:
    """The items of the generated clusters of one query.

    `rows` int64, `leaves` int64 (the trie's leaf number) and `log_probabilities` float32 (of the leaf's path), all
    [candidates], in the order of the beams.
    """

    rows: npt.NDArray[np.int64]
    leaves: npt.NDArray[np.int64]
    log_probabilities: npt.NDArray[np.float32]


def expand(beams: Beams, query: int, trie: Trie, most_items: int | None = None) -> Candidates:
    """The items under the paths of one query, path by path, up to the path that reaches `most_items`."""
    found = beams.found(query)
    leaves = beams.states[query, :found] - trie.first_leaf
    sizes = trie.posting_offsets[leaves + 1] - trie.posting_offsets[leaves]
    if most_items is not None:
        enough = int(np.searchsorted(np.cumsum(sizes), most_items)) + 1
        leaves, sizes = leaves[:enough], sizes[:enough]
    starts = np.cumsum(sizes) - sizes
    positions = np.arange(sizes.sum()) + np.repeat(trie.posting_offsets[leaves] - starts, sizes)
    scores = beams.scores[query, : len(leaves)]
    return Candidates(trie.posting_items[positions], np.repeat(leaves, sizes), np.repeat(scores, sizes))


@dataclass(frozen=True)
class InClusterWeights:
    """How much a path's probability and shared words weigh against the cosine."""

    path: float
    words: float


def in_cluster_scores(
    candidates: Candidates,
    trie: Trie,
    cosines: npt.NDArray[np.float32],
    word_shares: npt.NDArray[np.float32],
    weights: InClusterWeights,
) -> npt.NDArray[np.float32]:
    """The score of every candidate [candidates] from its cosine and word share [candidates]: the formula above."""
    sizes = trie.posting_offsets[candidates.leaves + 1] - trie.posting_offsets[candidates.leaves]
    share = candidates.log_probabilities - np.log(sizes)
    scores: npt.NDArray[np.float32] = (cosines + weights.path * share + weights.words * word_shares).astype(np.float32)
    return scores

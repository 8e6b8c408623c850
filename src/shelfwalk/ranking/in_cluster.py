"""In-cluster scoring: from generated identifiers to ranked items.

In: the paths of one query with their log-probabilities, the posting lists under them, and the query and item vectors.
Out: item rows, best first.

The score of an item in cluster c is

    cos(query, item) + path_weight · ( log P(c | query) − log |c| )

The bracket is the log-probability of the item if the cluster's probability is shared evenly among its items; the cosine
orders items inside a cluster and, with the bracket, across clusters. No paper fixes this rule (CQ-SID orders by an
"efficiency score" it does not define); `path_weight` is tuned on held-out pseudo-queries.
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


def in_cluster_scores(
    candidates: Candidates, trie: Trie, cosines: npt.NDArray[np.float32], path_weight: float
) -> npt.NDArray[np.float32]:
    """The score of every candidate [candidates], from its cosine with the query [candidates]: the formula above."""
    sizes = trie.posting_offsets[candidates.leaves + 1] - trie.posting_offsets[candidates.leaves]
    share = candidates.log_probabilities - np.log(sizes)
    scores: npt.NDArray[np.float32] = (cosines + path_weight * share).astype(np.float32)
    return scores

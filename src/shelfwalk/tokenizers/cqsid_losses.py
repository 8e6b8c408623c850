"""The contrastive losses of CQ-SID (arXiv 2605.14434) in torch.

In: embeddings, float32 [n, d], and who they are. Out: one scalar, in nats, the mean over those that have a part in it.

    L_Bi = − ½ [ log softmax_q' ( sim(e_i, e_q') / τ )_q  +  log softmax_i' ( sim(e_q, e_i') / τ )_i ] ,  sim = cosine

Departure: where a batch holds a query or an item more than once, as a small catalogue's will, its other appearances are
no negatives.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def query_item_contrast(
    items: Tensor, queries: Tensor, item_names: Tensor, query_names: Tensor, temperature: float
) -> Tensor:
    """The bidirectional loss of pairs: row n of `items` belongs to row n of `queries`, both [pairs, d].

    `item_names` and `query_names`, int64 [pairs], are equal where the item or the query is.
    """
    similarity = functional.normalize(items, dim=1) @ functional.normalize(queries, dim=1).T / temperature
    same = (item_names[:, None] == item_names) | (query_names[:, None] == query_names)
    same.fill_diagonal_(False)
    similarity = similarity.masked_fill(same, -torch.inf)
    target = torch.arange(len(items))
    return (functional.cross_entropy(similarity, target) + functional.cross_entropy(similarity.T, target)) / 2


def category_contrast(items: Tensor, item_names: Tensor, categories: Tensor, temperature: float) -> Tensor:
    """Items of one category against the others: supervised contrast (Khosla et al., NeurIPS 2020, equation 2).

    `items` [n, d]; `categories` int64 [n], −1 where it is unknown, which has no part. An item without another of its
    category in the batch is a negative only; 0 if there is no other.
    """
    known = categories >= 0
    items, item_names, categories = items[known], item_names[known], categories[known]
    itself = item_names[:, None] == item_names
    friends = (categories[:, None] == categories) & ~itself
    asked = friends.any(dim=1)
    if not bool(asked.any()):
        return items.sum() * 0
    vectors = functional.normalize(items, dim=1)
    similarity = (vectors[asked] @ vectors.T / temperature).masked_fill(itself[asked], -torch.inf)
    log_shares = similarity - similarity.logsumexp(dim=1, keepdim=True)
    friends = friends[asked]
    return -(log_shares.masked_fill(~friends, 0).sum(dim=1) / friends.sum(dim=1)).mean()

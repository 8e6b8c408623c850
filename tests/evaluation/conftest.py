"""Made-up evaluations: five channels that find different parts of what is relevant, all drawn from one seed."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from shelfwalk.evaluation.beams import BeamHits
from shelfwalk.evaluation.evaluate import Evaluation, evaluate
from shelfwalk.evaluation.rankings import Rankings

WORDS = ["usb", "hub", "cable", "charger", "laptop", "sleeve", "dock", "mouse", "wireless", "keyboard", "paper", "ink"]
CHANNELS = {"bm25": 1.0, "dense": 0.8, "generative": 0.7, "bm25+dense": 1.4, "fused": 1.6}


class MadeUpShop:
    """`queries`, `judgements`, `channels` and `beams` in the shapes that `evaluate` takes."""

    def __init__(self, queries: int = 60, unjudged_queries: int = 6, items: int = 1500, seed: int = 3) -> None:
        rng = np.random.default_rng(seed)
        ids = [f"q{number}" for number in range(queries + unjudged_queries)]
        texts = [" ".join(rng.choice(WORDS, rng.integers(1, 4), replace=False)) for _ in ids]
        self.queries = pa.table(
            {"query_id": ids, "query": texts, "frequency": [1.0 / (place + 1) for place in range(len(ids))]}
        )
        self.relevance = rng.gumbel(size=(len(ids), items))
        pools = [np.argsort(-row)[: rng.integers(5, 60)] for row in self.relevance[:queries]]
        pairs = [
            (ids[row], f"i{item}", int(rng.integers(0, 3)) if place else 3)
            for row, pool in enumerate(pools)
            for place, item in enumerate(pool.tolist())
        ]
        pairs += [(query_id, "i0", 0) for query_id in ids[queries:]]
        self.judgements = pa.table(dict(zip(("query_id", "item_id", "grade"), zip(*pairs, strict=True), strict=True)))
        self.channels = [self._channel(name, skill, tuple(ids), rng) for name, skill in CHANNELS.items()]
        clusters = np.stack([rng.permutation(200)[:100] for _ in ids])
        cluster_of_item = {f"i{item}": int(rng.integers(200)) for item in range(items)}
        sizes = np.bincount(list(cluster_of_item.values()), minlength=200)
        self.beams = BeamHits(tuple(ids), clusters, cluster_of_item, sizes)

    def _channel(self, name: str, skill: float, ids: tuple[str, ...], rng: np.random.Generator) -> Rankings:
        scores = skill * self.relevance + rng.normal(size=self.relevance.shape)
        best = np.argsort(-scores, axis=1)[:, :300]
        items = [[f"i{item}" for item in row] for row in best.tolist()]
        return Rankings(name, ids, items, np.take_along_axis(scores, best, axis=1).tolist())

    def evaluate(self) -> Evaluation:
        return evaluate(self.channels, self.judgements, self.queries, self.beams, resamples=500, seed=1)


@pytest.fixture(scope="session")
def shop() -> MadeUpShop:
    return MadeUpShop()


@pytest.fixture(scope="session")
def evaluation(shop: MadeUpShop) -> Evaluation:
    return shop.evaluate()

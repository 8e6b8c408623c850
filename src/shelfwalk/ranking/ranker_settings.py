"""What can be set of the ranker that reorders fused lists; a recipe's `[ranker]`."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

from shelfwalk.ranking.prefix_match import Aggregation
from shelfwalk.settings import Settings

PlainFeature = Literal[
    "bm25",
    "bm25 of the best",
    "cosine",
    "cosine below the best",
    "word share",
    "words of the query",
    "popularity",
    "price",
    "price known",
    "available",
    "category share",
    "top category share",
]
"""What the model can read beside the agreement of identifiers (channels/pair_features.py)."""
PLAIN_FEATURES: tuple[PlainFeature, ...] = get_args(PlainFeature)


class RankerSettings(Settings):
    """The relevance model, what it reads and what it learns from."""

    match_feature: bool = True
    """Read how far the query's identifiers agree with the item's (DSIRM, arXiv 2606.04374)."""
    left_out: tuple[PlainFeature, ...] | None = None
    """What the model does not read of its other inputs; it reads all where this is not given."""
    candidates: int = Field(default=5, ge=1)
    """Identifiers predicted for a query; published: 5."""
    aggregation: Aggregation = "max"
    """How the candidates become one number; not published."""
    depth: int = Field(default=100, ge=1, le=1_000)
    """Items of the fused list that are reordered."""
    hidden_widths: tuple[Annotated[int, Field(ge=1)], ...] = (32, 16)
    epochs: int = Field(default=20, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-3, ge=0)
    batch: int = Field(default=256, ge=1)
    most_queries: int = Field(default=5_000, ge=1)
    """Queries whose pairs are learnt from, at most: a seeded sample of more."""
    cached_queries: int = Field(default=20_000, ge=0)
    """The most frequent queries of the log, whose identifiers are predicted once and kept; 0 for none."""

    @property
    def plain_features(self) -> tuple[PlainFeature, ...]:
        """What the model reads beside the agreement of identifiers, in the order of its inputs."""
        return tuple(name for name in PLAIN_FEATURES if name not in (self.left_out or ()))

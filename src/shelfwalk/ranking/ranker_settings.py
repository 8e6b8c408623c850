"""What can be set of the ranker that reorders fused lists; a recipe's `[ranker]`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from shelfwalk.ranking.prefix_match import Aggregation
from shelfwalk.settings import Settings


class RankerSettings(Settings):
    """The relevance model, what it reads and what it learns from."""

    match_feature: bool = True
    """Read how far the query's identifiers agree with the item's (DSIRM, arXiv 2606.04374)."""
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

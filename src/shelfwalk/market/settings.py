"""Everything that a market is made from, beside its seed: sizes, times, the logging policy, the click model.

In: numbers, from a command or as defaults. Out: `MarketSettings`, validated; `STANDARD` is that of the standard market.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from shelfwalk.market.catalogue import CatalogueSettings
from shelfwalk.market.clicks import ClickSettings
from shelfwalk.settings import Settings

MARKET_VERSION = 1
"""Goes up when the same settings and seed no longer make the same market."""

STANDARD_NAME = f"standard-{MARKET_VERSION}"
STANDARD_SEED = 7

_DAY = 86_400_000_000
_FIRST_DAY = datetime(2025, 1, 1, tzinfo=UTC)


class PolicySettings(Settings):
    """How the shop ranked and explored while its log was written."""

    candidates: int = Field(default=100, ge=1, le=1_000)
    """Items that BM25 hands over to be ranked with popularity, a query."""
    popularity_weight: float = Field(default=0.3, ge=0)
    """Worth of the most popular item, where the best BM25 score of the query is 1."""
    exploration: float = Field(default=0.1, ge=0, le=1)
    """Share of the pages that are shown in an order drawn by chance."""


class MarketSettings(Settings):
    """The sizes and laws of a market; `catalogue` counts only where the catalogue is generated."""

    catalogue: CatalogueSettings = CatalogueSettings()
    shoppers: int = Field(default=10_000, ge=1, le=5_000_000)
    sessions: int = Field(default=100_000, ge=0, le=5_000_000)
    """Visits with one search each; with 0 there are items and shoppers, and no log."""
    days: int = Field(default=90, ge=2, le=3_650)
    """Length of the log."""
    later_share: float = Field(default=0.2, gt=0, lt=1)
    """Share of the days that lie after the split, rounded to whole days, at least one."""
    page_size: int = Field(default=24, ge=1, le=200)
    """Items shown at most."""
    policy: PolicySettings = PolicySettings()
    clicks: ClickSettings = ClickSettings()
    evaluation_queries: int = Field(default=1_000, ge=1)
    """Queries with judgements, at most."""
    judgements_per_query: int = Field(default=2_000, ge=1)
    """Items judged a query, at most: those of the highest grades, of equal ones the more popular."""

    @model_validator(mode="after")
    def _page_is_filled(self) -> Self:
        if self.policy.candidates < self.page_size:
            raise PydanticCustomError("candidates", "The policy needs at least as many candidates as a page has places")
        return self

    @property
    def start(self) -> int:
        """First moment of the log, microseconds since 1970 in UTC."""
        return int(_FIRST_DAY.timestamp()) * 1_000_000

    @property
    def split(self) -> int:
        """First moment after the part of the log that may be trained on."""
        later = min(max(round(self.days * self.later_share), 1), self.days - 1)
        return self.end - later * _DAY

    @property
    def end(self) -> int:
        """First moment after the log."""
        return self.start + self.days * _DAY


STANDARD = MarketSettings(catalogue=CatalogueSettings(items=20_000), shoppers=10_000, sessions=100_000)
"""The standard market, so that results of different days and people can be compared."""

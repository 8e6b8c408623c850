"""A market small enough to see through: the interface of a real one over the small shop, with a position-based shopper.

A visit wants one kind of product; an item of that kind attracts with 0.5, any other with 0.05, times 0.85 ** place.
Every third click is a purchase, at the item's price. Every tenth item is out of stock, and one in four appears
half-way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pyarrow as pa

from shelfwalk.market.clicks import ClickSettings
from shelfwalk.market.settings import PolicySettings
from small_shop import KINDS, SmallShop

START, END = 1_000_000, 2_000_000
ATTRACTIVE, DULL, FADING = 0.5, 0.05, 0.85


@dataclass(frozen=True)
class StandInVisits:
    shopper: np.ndarray
    at: np.ndarray
    queries: list[str]


@dataclass(frozen=True)
class StandInResponses:
    clicked: np.ndarray
    purchased: np.ndarray
    paid: np.ndarray


@dataclass
class StandInSimulation:
    items: pa.Table
    shoppers: int
    shown: list[np.ndarray] = field(default_factory=list)
    """All pages that anybody responded to."""

    def __post_init__(self) -> None:
        titles = self.items["title"].to_pylist()
        self.kinds = np.array([[kind in title for title in titles] for kind in KINDS])
        appears = np.where(np.arange(len(titles)) % 4 == 1, (START + END) // 2, 0)
        self.catalogue = SimpleNamespace(features=SimpleNamespace(appears=appears))

    def visits(self, count: int, seed: int, start: int, end: int) -> StandInVisits:
        rng = np.random.default_rng(seed)
        shopper = rng.integers(0, self.shoppers, count).astype(np.int32)
        # A shopper keeps to one kind, so that the sessions of one are alike.
        kinds = list(KINDS)
        queries = [f"{kinds[number % len(kinds)]} {('', 'new')[number // 8 % 2]}".strip() for number in shopper]
        return StandInVisits(shopper, np.sort(rng.integers(start, end, count)), queries)

    def chances(self, visits: StandInVisits, pages: np.ndarray) -> np.ndarray:
        """The chance of a click on each place."""
        fits = self.kinds[(visits.shopper % len(KINDS))[:, None], pages]
        chance = np.where(fits, ATTRACTIVE, DULL) * FADING ** np.arange(pages.shape[1])
        return np.where(pages >= 0, chance, 0.0)

    def respond(self, visits: StandInVisits, pages: np.ndarray, seed: int) -> StandInResponses:
        self.shown.append(pages)
        rng = np.random.default_rng(seed)
        clicked = rng.random(pages.shape) < self.chances(visits, pages)
        purchased = clicked & (rng.random(pages.shape) < 1 / 3)
        prices = self.items["price"].to_numpy()
        return StandInResponses(clicked, purchased, np.where(purchased, prices[pages], 0.0).astype(np.float32))


class StandInMarket:
    """What an experiment asks of a market."""

    hash = "0123456789abcdef"

    def __init__(self, shop: SmallShop, shoppers: int = 400, places: int = 6) -> None:
        table = shop.items()
        # Another order than the shelf's: rows of the two must not be confused.
        shuffled = table.take(pa.array(np.random.default_rng(5).permutation(len(table))))
        available = pa.array(np.arange(len(table)) % 10 != 0)
        self._items = shuffled.set_column(table.schema.get_field_index("available"), "available", available)
        self.settings = SimpleNamespace(
            page_size=places, split=START, end=END, policy=PolicySettings(), clicks=ClickSettings(model="position")
        )
        self.simulation = StandInSimulation(self._items, shoppers)

    def items(self) -> pa.Table:
        return self._items

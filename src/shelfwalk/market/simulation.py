"""The shop in motion: visits are drawn, pages are shown, shoppers answer.

In: a catalogue, its shoppers, settings and a seed. Out: visits and responses. What is shown is up to the caller: the
logging policy when a log is written, systems under test when they are compared on the market.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfwalk.market.catalogue import Catalogue
from shelfwalk.market.clicks import Responses, respond
from shelfwalk.market.needs import Visits, draw_visits
from shelfwalk.market.settings import MarketSettings
from shelfwalk.market.shoppers import Shoppers

_SPAWN_KEY = 104


@dataclass(frozen=True, eq=False)
class Simulation:
    """A catalogue and its shoppers. `seed` is that of the market; every draw below names one of its own."""

    catalogue: Catalogue
    shoppers: Shoppers
    settings: MarketSettings
    seed: int

    def visits(self, count: int, seed: int, start: int, end: int) -> Visits:
        """Draw `count` visits between two moments (microseconds since 1970), in the order of time."""
        drawn = draw_visits(self.catalogue, self.shoppers, max(count, 1), seed, start, end)
        return drawn if count else drawn.take(np.arange(0))

    def respond(self, visits: Visits, pages: npt.NDArray[np.int64], seed: int) -> Responses:
        """Draw what the shoppers do with their pages; `pages` int64 [visits, places]: item rows, -1 where none."""
        return respond(self.catalogue, self.shoppers, visits, pages, self.settings.clicks, seed)


def seed_of(seed: int, part: str, chunk: int = 0) -> int:
    """Return a seed of its own for each part and chunk of a market, below 2^64."""
    words = np.random.SeedSequence(seed, spawn_key=(_SPAWN_KEY, chunk, *part.encode())).generate_state(1, np.uint64)
    return int(words[0])

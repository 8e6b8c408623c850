"""What a shopper does with a page: looks, clicks, puts into the cart, buys.

In: visits and the items of their pages in order. Out: `Responses`, each step a part of the one before.

Click models, in the terms of Chuklin, Markov and de Rijke, "Click Models for Web Search" (2015). Everywhere a click is
an examined place that attracts (the examination hypothesis); the models differ in what is examined:

- `PositionBased`: a place is examined with a chance that depends on its rank alone. The chance (1/rank)^decay and decay
  1 are those of the simulations of Joachims, Swaminathan and Schnabel (2017).
- `DynamicBayesian`: Chapelle and Zhang (2009). The first place is examined; a click satisfies or does not; who is
  satisfied stops, anybody else goes on to the next place with the chance `perseverance` (their gamma). 0.9 is our
  choice.
- `cascade`: Craswell, Zoeter, Taylor and Ramsey (2008): from the top to the first click. It is the dynamic Bayesian
  network with a perseverance of 1 whose every click satisfies.

Attraction, satisfaction and the steps after a click are logistic in utility; their constants are our choice, set so
that a page gets about one click and a few visits in a hundred end in a purchase. A page does not show quality, so
attraction goes without it, while satisfaction, cart and purchase know it. Nobody buys twice on one visit: of what is in
the cart, the item worth most is bought or none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field

from shelfwalk.market.catalogue import Catalogue
from shelfwalk.market.item_features import NONE
from shelfwalk.market.needs import Visits
from shelfwalk.market.shoppers import Shoppers
from shelfwalk.market.tastes import QUALITY
from shelfwalk.market.utility import utilities
from shelfwalk.settings import Settings

_ATTRACTION = -1.3
_SATISFACTION = -1.0
_CART = -3.5
_PURCHASE = -2.3
"""Log-odds of each step for an item of utility 0."""
_SPAWN_KEY = 103


class ClickSettings(Settings):
    """Which click model shoppers follow, and its parameters."""

    model: Literal["dbn", "cascade", "position"] = "dbn"
    perseverance: float = Field(default=0.9, ge=0, le=1)
    """Of `dbn`: the chance of looking at the next place after one that did not satisfy."""
    decay: float = Field(default=1.0, ge=0, le=5)
    """Of `position`: how fast examination falls with the rank; with 0 every place is examined."""


class ClickModel(Protocol):
    """Decides which places of a page are examined and clicked."""

    def clicks(
        self, attraction: npt.NDArray[np.float32], satisfaction: npt.NDArray[np.float32], random: np.random.Generator
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Draw what is examined and what is clicked, both bool [visits, places].

        `attraction` [visits, places] is the chance of a click on an examined place, `satisfaction` that of being
        satisfied after it.
        """


@dataclass(frozen=True)
class PositionBased:
    """Examination by rank alone; satisfaction has no part in it."""

    decay: float = 1.0

    def examination(self, places: int) -> npt.NDArray[np.float64]:
        """Return the chance of examination of each place, float64 [places], from 1 down."""
        return np.arange(1.0, places + 1) ** -self.decay

    def clicks(
        self, attraction: npt.NDArray[np.float32], satisfaction: npt.NDArray[np.float32], random: np.random.Generator
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Draw what is examined and what is clicked: see ClickModel."""
        examined = random.random(attraction.shape) < self.examination(attraction.shape[1])
        return examined, examined & (random.random(attraction.shape) < attraction)


@dataclass(frozen=True)
class DynamicBayesian:
    """Examination from the top until satisfied or tired."""

    perseverance: float = 0.9

    def clicks(
        self, attraction: npt.NDArray[np.float32], satisfaction: npt.NDArray[np.float32], random: np.random.Generator
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Draw what is examined and what is clicked: see ClickModel."""
        attracted = random.random(attraction.shape) < attraction
        stops = attracted & (random.random(attraction.shape) < satisfaction)
        stops |= random.random(attraction.shape) >= self.perseverance
        examined = np.ones(attraction.shape, bool)
        examined[:, 1:] = ~np.logical_or.accumulate(stops, axis=1)[:, :-1]
        return examined, examined & attracted


@dataclass(frozen=True)
class Cascade:
    """Examination from the top to the first click."""

    def clicks(
        self, attraction: npt.NDArray[np.float32], satisfaction: npt.NDArray[np.float32], random: np.random.Generator
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Draw what is examined and what is clicked: see ClickModel."""
        return DynamicBayesian(perseverance=1.0).clicks(attraction, np.ones_like(satisfaction), random)


@dataclass(frozen=True, eq=False)
class Responses:
    """What happened at each place of the pages, all [visits, places].

    `examined`, `clicked`, `added_to_cart`, `purchased` bool: each true only where the one before is. `paid` float32:
    the price of what was bought, 0 elsewhere.
    """

    examined: npt.NDArray[np.bool_]
    clicked: npt.NDArray[np.bool_]
    added_to_cart: npt.NDArray[np.bool_]
    purchased: npt.NDArray[np.bool_]
    paid: npt.NDArray[np.float32]


def click_model(settings: ClickSettings) -> ClickModel:
    """Return the model that the settings name."""
    if settings.model == "position":
        return PositionBased(settings.decay)
    return DynamicBayesian(settings.perseverance) if settings.model == "dbn" else Cascade()


def respond(
    catalogue: Catalogue,
    shoppers: Shoppers,
    visits: Visits,
    pages: npt.NDArray[np.int64],
    settings: ClickSettings,
    seed: int,
) -> Responses:
    """Draw what the shoppers do with the pages shown to them; the same arguments give the same responses.

    `pages` int64 [visits, places]: item rows in the order shown, -1 where there is none, after the last item.
    """
    random = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_SPAWN_KEY,)))
    shown = pages != NONE
    utility = utilities(catalogue, shoppers, visits, pages)
    perceived = utility - np.asarray(QUALITY * catalogue.features.quality[pages], np.float32)
    model = click_model(settings)
    examined, clicked = model.clicks(_chance(_ATTRACTION + perceived), _chance(_SATISFACTION + utility), random)
    carted = clicked & (random.random(pages.shape) < _chance(_CART + utility))
    # The first of the dearest-held, should two be worth the same.
    best = np.arange(pages.shape[1]) == np.where(carted, utility, -np.inf).argmax(axis=1)[:, None]
    bought = carted & best & (random.random(pages.shape) < _chance(_PURCHASE + utility))
    paid = np.where(bought, catalogue.features.price[pages], np.float32(0))
    return Responses(examined & shown, clicked, carted, bought, paid)


def _chance(log_odds: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The logistic function, without overflow; 0 at minus infinity."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * log_odds)), np.float32)

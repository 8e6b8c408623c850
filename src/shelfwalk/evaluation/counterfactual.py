"""What another system would have earned, estimated from a log of pages shown with known probabilities.

In: logged pages, for each place the probability that the logged item stood there, and a reward (a click, a sum paid)
for each; and the page that the target system would show at the same visits. Out: the target's reward per session, by

    IPS    mean over visits of Σ_places w r                    (Horvitz and Thompson, 1952)
    SNIPS  Σ_places share · (Σ_visits w r) / (Σ_visits w)      (Swaminathan and Joachims, NIPS 2015)
    DR     mean over visits of Σ_places q(target) + w (r − q(logged))    (Dudík, Langford and Li, ICML 2011)

with w = 1 / probability where the target shows the logged item in the same place and 0 elsewhere, `share` the share of
visits at which the target fills the place, and q a prediction of the reward. Weighting each place by itself instead of
whole pages is the item-position estimator of Li et al., "Offline evaluation of ranking policies with click models" (KDD
2018): its variance does not explode with the length of the page, but it is unbiased only if what happens at a place
depends on the item and the place, as in a position-based click model, not on the items above (as in a cascade).

DR is right on average where the probabilities are, whatever q says, provided q was not fitted to the same visits: hence
`PlaceGroupModel` is fitted on one half of the shoppers and asked about the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfwalk.evaluation.shopper_means import Estimate, Values, estimate, mean_over_shoppers

_PRIOR = 20.0
"""Places whose rewards are the place's mean, added to each cell of the model so that rare cells stay calm."""


@dataclass(frozen=True)
class LoggedPages:
    """Pages int64 [visits, places], padded with −1, as a policy with known probabilities showed them.

    `propensities` float64 [visits, places]: the probability that this item stood in this place, above 0. `rewards`
    float64 [visits, places]. `shopper` [visits].
    """

    pages: npt.NDArray[np.int64]
    propensities: Values
    rewards: Values
    shopper: npt.NDArray[np.int32]


def importance_weights(log: LoggedPages, target: npt.NDArray[np.int64]) -> Values:
    """Return w [visits, places] for the pages of a target system, int64 [visits, places], padded with −1."""
    same = (log.pages == target) & (target >= 0)
    return np.divide(1.0, log.propensities, out=np.zeros(same.shape), where=same)


def inverse_propensity(log: LoggedPages, target: npt.NDArray[np.int64]) -> Estimate:
    """Return the IPS estimate of the target's reward per session."""
    return mean_over_shoppers((importance_weights(log, target) * log.rewards).sum(axis=1), log.shopper)


def self_normalised(log: LoggedPages, target: npt.NDArray[np.int64]) -> Estimate:
    """Return the SNIPS estimate of the target's reward per session; a place that no weight falls on counts as 0."""
    weights = importance_weights(log, target)
    total = weights.sum(axis=0)
    reward = np.divide((weights * log.rewards).sum(axis=0), total, out=np.zeros(len(total)), where=total > 0)
    filled = (target >= 0).sum(axis=0)
    value = float((filled * reward).sum() / len(target))
    scale = np.divide(filled, total, out=np.zeros(len(total)), where=total > 0)
    influence = value + (scale * weights * (log.rewards - reward)).sum(axis=1)
    return estimate(value, mean_over_shoppers(influence, log.shopper).error ** 2)


def doubly_robust(
    log: LoggedPages, target: npt.NDArray[np.int64], predicted_logged: Values, predicted_target: Values
) -> Estimate:
    """Return the DR estimate; predictions of the reward of each logged and each target place [visits, places]."""
    weights = importance_weights(log, target)
    predicted = np.where(target >= 0, predicted_target, 0.0)
    return mean_over_shoppers((predicted + weights * (log.rewards - predicted_logged)).sum(axis=1), log.shopper)


def effective_visits(log: LoggedPages, target: npt.NDArray[np.int64]) -> float:
    """Return how many visits that show the target's pages would be worth as much as this log (Kish, 1965)."""
    weights = importance_weights(log, target)
    squares, filled = float((weights**2).sum()), int((target >= 0).sum())
    return float(weights.sum() ** 2 / squares * len(target) / filled) if squares > 0 else 0.0


@dataclass(frozen=True)
class PlaceGroupModel:
    """The mean reward of each place and group of items, drawn towards the place's mean: float64 [places, groups]."""

    means: Values

    @classmethod
    def fit(cls, rewards: Values, groups: npt.NDArray[np.int64], count: int) -> PlaceGroupModel:
        """Fit to rewards and groups [visits, places]; groups from 0 to `count` − 1, or −1 where nothing is."""
        places = rewards.shape[1]
        shown = groups >= 0
        cell = (np.arange(places) * count + groups)[shown]
        totals = np.bincount(cell, rewards[shown], places * count).reshape(places, count)
        sizes = np.bincount(cell, minlength=places * count).reshape(places, count)
        of_place = totals.sum(axis=1, keepdims=True) / np.maximum(sizes.sum(axis=1, keepdims=True), 1)
        return cls((totals + _PRIOR * of_place) / (sizes + _PRIOR))

    def predict(self, groups: npt.NDArray[np.int64]) -> Values:
        """Return the predicted reward of each place [visits, places]; 0 where the group is −1."""
        predicted = self.means[np.arange(groups.shape[1]), np.maximum(groups, 0)]
        return np.where(groups >= 0, predicted, 0.0)


def cross_fitted(
    log: LoggedPages, logged_groups: npt.NDArray[np.int64], target_groups: npt.NDArray[np.int64], count: int
) -> tuple[Values, Values]:
    """Return predictions for the logged and the target pages, each from the other half of the shoppers."""
    half = np.unique(log.shopper, return_inverse=True)[1] % 2
    logged, target = np.zeros(log.rewards.shape), np.zeros(log.rewards.shape)
    for fold in (0, 1):
        model = PlaceGroupModel.fit(log.rewards[half != fold], logged_groups[half != fold], count)
        logged[half == fold] = model.predict(logged_groups[half == fold])
        target[half == fold] = model.predict(target_groups[half == fold])
    return logged, target

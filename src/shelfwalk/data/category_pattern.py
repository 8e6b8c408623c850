"""Guessing an item's category from the names of its attributes.

In: the attribute names of every item and the categories known for some of them. Out: the posterior of each category for
an item, and the share of the item's attribute names that a category knows.

Method: multinomial naive Bayes over attribute names (McCallum & Nigam, "A comparison of event models for naive Bayes
text classification", 1998, eq. 5-6), each name counted once an item. Departure: attribute names come in templates, so
they are far from independent and plain posteriors are all near 1; log-posteriors are multiplied by `TEMPER` before they
are normalised, which orders the guesses by how far they can be trusted. Naive Bayes must choose among the categories it
knows; `known_share` tells when an item is of a kind it never saw (a television set among monitors).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TEMPER = 0.3
SMOOTHING = 0.03


@dataclass(frozen=True)
class AttributePattern:
    """Which attribute names each item carries: `names` int32 [total], those of item i at `starts[i]:starts[i + 1]`."""

    names: NDArray[np.int32]
    starts: NDArray[np.int64]
    distinct_names: int

    @classmethod
    def of(cls, attribute_names: Sequence[Sequence[str]]) -> AttributePattern:
        """Number the names in order of first appearance."""
        numbers: dict[str, int] = {}
        flat = [numbers.setdefault(name, len(numbers)) for names in attribute_names for name in names]
        starts = np.cumsum([0, *map(len, attribute_names)], dtype=np.int64)
        return cls(np.array(flat, dtype=np.int32), starts, len(numbers))

    @property
    def sizes(self) -> NDArray[np.int64]:
        """How many attributes each item has: int64 [items]."""
        return np.diff(self.starts)

    def of_item(self, item: int) -> NDArray[np.int32]:
        """Numbers of the attribute names of one item: int32 [its attributes]."""
        return self.names[self.starts[item] : self.starts[item + 1]]


@dataclass(frozen=True)
class PatternModel:
    """Naive Bayes over attribute names: `log_prior` float64 [classes], `log_likelihood` float32 [names, classes].

    `carried` bool [names, classes] says which names some item of a class has.
    """

    log_prior: NDArray[np.float64]
    log_likelihood: NDArray[np.float32]
    carried: NDArray[np.bool_]

    @classmethod
    def fit(cls, pattern: AttributePattern, labels: NDArray[np.int64], classes: int) -> PatternModel:
        """Count names per class; `labels` int64 [items], -1 for an item to leave out."""
        label_of_name = np.repeat(labels, pattern.sizes)
        known = label_of_name >= 0
        cells = pattern.names[known].astype(np.int64) * classes + label_of_name[known]
        counts = np.bincount(cells, minlength=pattern.distinct_names * classes).reshape(pattern.distinct_names, classes)
        prior = np.bincount(labels[labels >= 0], minlength=classes) + SMOOTHING
        smoothed = counts + SMOOTHING
        likelihood = np.log(smoothed / smoothed.sum(axis=0)).astype(np.float32)
        return cls(np.log(prior / prior.sum()), likelihood, counts > 0)

    def posterior(self, names: NDArray[np.int32]) -> NDArray[np.float64]:
        """Tempered posterior of each class for an item with these attribute names: float64 [classes]."""
        log_scores = self.log_prior + self.log_likelihood[names].sum(axis=0)
        powers = np.exp(TEMPER * (log_scores - log_scores.max()))
        return np.asarray(powers / powers.sum())

    def known_share(self, names: NDArray[np.int32], category: int) -> float:
        """Share of these attribute names (at least one) that some item of the category carries too."""
        return float(self.carried[names, category].mean())

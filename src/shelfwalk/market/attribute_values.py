"""The attribute values of a generated catalogue, and which values each kind of product takes.

In: the attributes of the leaves. Out: `AttributeValues`: phrases and attribute names of all values, and for each leaf
and attribute the values it takes, how often, and what they do to the price.

A leaf takes a part of the values of an attribute (few colours of refrigerator), in shares of its own; the shares of
sizes peak at one of them. A value of the same attribute name and catalogue phrase is the same value in every leaf.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfwalk.market.category_tree import Leaves
from shelfwalk.market.item_features import NONE
from shelfwalk.market.vocabulary import AttributeWords
from shelfwalk.market.weighted_choices import WeightedChoices

_MOST_VALUES = 10
"""Values that a leaf takes of an attribute without an order."""
_PEAK_SPREAD = 1.4
_ORDERED_REACH = 0.3
"""Logarithm of the price of the dearest value to that of the middle one."""
_OTHER_REACH = 0.06


@dataclass(frozen=True, eq=False)
class AttributeValues:
    """All values, and the distributions that items draw theirs from.

    `phrases` and `attributes` [values]: what a value is called, what attribute it belongs to. Row `leaf * width +
    place` of `taken` is the attribute at that place of a leaf, with NONE as its only option where the leaf has fewer;
    `dearness` float64 [options of `taken`] is the logarithm of what an option does to the price; `ordered` bool
    [rows]: dearer values come last.
    """

    phrases: tuple[tuple[str, ...], ...]
    attributes: tuple[str, ...]
    width: int
    taken: WeightedChoices
    dearness: npt.NDArray[np.float64]
    ordered: npt.NDArray[np.bool_]


def draw_attribute_values(leaves: Leaves, generator: np.random.Generator) -> AttributeValues:
    """Draw what each leaf takes of each of its attributes."""
    numbers, phrases = _numbered(leaves)
    width = max(len(attributes) for attributes in leaves.attributes)
    options, weights, dearness, ordered = [], [], [], []
    for attributes in leaves.attributes:
        for place in range(width):
            if place < len(attributes):
                attribute = attributes[place]
                values = [numbers[attribute.name, writings[0]] for writings in attribute.phrases]
                chosen, weight, effect = _law(attribute, generator)
                options.append(np.array(values, np.int32)[chosen])
            else:
                options.append(np.array([NONE], np.int32))
                weight, effect = np.ones(1), np.zeros(1)
            weights.append(weight)
            dearness.append(effect)
            ordered.append(place < len(attributes) and attributes[place].ordered)
    return AttributeValues(
        tuple(phrases.values()),
        tuple(name for name, _ in phrases),
        width,
        WeightedChoices.of(options, weights),
        np.concatenate(dearness),
        np.array(ordered),
    )


def _numbered(leaves: Leaves) -> tuple[dict[tuple[str, str], int], dict[tuple[str, str], tuple[str, ...]]]:
    """Number all values, and gather the phrases that different lists have for one."""
    phrases: dict[tuple[str, str], tuple[str, ...]] = {}
    for attributes in leaves.attributes:
        for attribute in attributes:
            for writings in attribute.phrases:
                key = (attribute.name, writings[0])
                phrases[key] = tuple(dict.fromkeys((*phrases.get(key, ()), *writings)))
    return {key: number for number, key in enumerate(phrases)}, phrases


def _law(
    attribute: AttributeWords, generator: np.random.Generator
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Which values of an attribute a leaf takes, their weights, and what they do to the price."""
    count = len(attribute.values)
    if attribute.ordered:
        peak = generator.uniform(0, count - 1)
        weights = np.exp(-(((np.arange(count) - peak) / _PEAK_SPREAD) ** 2) / 2) + 0.05
        return np.arange(count), weights, np.linspace(-_ORDERED_REACH, _ORDERED_REACH, count)
    chosen = np.sort(generator.choice(count, min(count, _MOST_VALUES), replace=False))
    weights = generator.gamma(1.0, size=len(chosen)) + 0.05
    return chosen, weights, _OTHER_REACH * generator.standard_normal(len(chosen))

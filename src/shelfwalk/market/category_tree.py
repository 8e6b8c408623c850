"""The category tree of a catalogue, and the kinds of product at the leaves of a generated one.

In: category paths, or the vocabulary and how many items there will be. Out: a `CategoryTree`; for a generated catalogue
the `Leaves` with it: their nodes, shares of the items, usual prices and attributes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfwalk.market.invented_words import invent_words
from shelfwalk.market.item_features import NONE, CategoryTree
from shelfwalk.market.vocabulary import AttributeWords, GroupWords, LeafWords, Vocabulary, phrases_of

_LEAVES_OF_A_THOUSAND = 60
_LEAF_GROWTH = 0.56
"""Leaves grow with this power of the items: 60 for a thousand, all of them from some 30 thousand on."""
_SHARE_SPREAD = 0.8
_LEAST_SHARE = 0.25
"""Of an even share: so small a leaf still gets an item of a small catalogue."""

Path = tuple[str, ...]


@dataclass(frozen=True)
class Leaves:
    """The kinds of product of a generated catalogue, [leaves] each.

    `node` int32: its node in the tree. `group` and `department` int32: which it belongs to, from 0. `share` float64: of
    the items, sums to 1. `price` float64: usual price. `attributes`: which each has.
    """

    node: npt.NDArray[np.int32]
    group: npt.NDArray[np.int32]
    department: npt.NDArray[np.int32]
    share: npt.NDArray[np.float64]
    price: npt.NDArray[np.float64]
    attributes: tuple[tuple[AttributeWords, ...], ...]

    def __len__(self) -> int:
        return len(self.node)


def tree_of(paths: Iterable[Path]) -> CategoryTree:
    """Build the tree that holds these paths and every node above them, in alphabetical order of a walk."""
    nodes = sorted({path[:depth] for path in paths for depth in range(1, len(path) + 1)})
    numbers = {path: number for number, path in enumerate(nodes)}
    parents = [numbers[path[:-1]] if len(path) > 1 else NONE for path in nodes]
    return CategoryTree(np.array(parents, np.int32), tuple(nodes))


def generate_tree(
    words: Vocabulary, items: int, generator: np.random.Generator
) -> tuple[CategoryTree, tuple[tuple[str, ...], ...], Leaves]:
    """Choose the categories of a catalogue of `items` items: the tree, the phrases of each node, and its leaves.

    Every leaf gets one more name, invented, that no dictionary has: only a log tells what it means.
    """
    groups = _chosen_groups(words, items, generator)
    phrases: dict[Path, tuple[str, ...]] = {}
    leaves: list[tuple[Path, GroupWords, LeafWords]] = []
    house_words = iter(invent_words(words.house_words.parts, sum(len(group.leaves) for _, group in groups), generator))
    for department, group in groups:
        department_phrases, group_phrases = phrases_of(department), phrases_of(group.name)
        above = (department_phrases[0], group_phrases[0])
        phrases[above[:1]], phrases[above] = department_phrases, group_phrases
        for leaf in group.leaves:
            first, *others = phrases_of(leaf.names)
            others.append(next(house_words))
            generator.shuffle(others)
            path = (*above, titled(first, words.titles.acronyms))
            phrases[path] = (path[-1], *others)
            leaves.append((path, group, leaf))
    tree = tree_of(phrases)
    return tree, tuple(phrases[path] for path in tree.paths), _leaves_of(tree, leaves, words, generator)


def titled(phrase: str, acronyms: Iterable[str] = ()) -> str:
    """Write a phrase with capitals: "usb stick" becomes "USB Stick" if "usb" is an acronym."""
    return " ".join(word.upper() if word in acronyms else word[:1].upper() + word[1:] for word in phrase.split(" "))


def _chosen_groups(words: Vocabulary, items: int, generator: np.random.Generator) -> list[tuple[str, GroupWords]]:
    """Whole groups in random order until there are leaves enough, so that every leaf has siblings."""
    groups = [(department.name, group) for department in words.departments for group in department.groups]
    enough = _LEAVES_OF_A_THOUSAND * (items / 1_000) ** _LEAF_GROWTH
    chosen: list[tuple[str, GroupWords]] = []
    for number in generator.permutation(len(groups)).tolist():
        if sum(len(group.leaves) for _, group in chosen) >= enough:
            break
        chosen.append(groups[number])
    return chosen


def _leaves_of(
    tree: CategoryTree,
    leaves: list[tuple[Path, GroupWords, LeafWords]],
    words: Vocabulary,
    generator: np.random.Generator,
) -> Leaves:
    numbers = {path: number for number, path in enumerate(tree.paths)}
    share = np.exp(generator.normal(0.0, _SHARE_SPREAD, len(leaves)))
    share = np.maximum(share / share.sum(), _LEAST_SHARE / len(leaves))
    return Leaves(
        np.array([numbers[path] for path, _, _ in leaves], np.int32),
        _numbered([path[:2] for path, _, _ in leaves]),
        _numbered([path[:1] for path, _, _ in leaves]),
        share / share.sum(),
        np.array([leaf.price for _, _, leaf in leaves]),
        tuple(words.attributes_of(group, leaf) for _, group, leaf in leaves),
    )


def _numbered(paths: list[Path]) -> npt.NDArray[np.int32]:
    numbers = {path: number for number, path in enumerate(dict.fromkeys(paths))}
    return np.array([numbers[path] for path in paths], np.int32)

"""Clusters of a bounded size: an identifier with too many items is split into random groups (CQ-SID, algorithm 1).

In: how many items a cluster has, and which. Out: the group of each. c items of one identifier, c > T, become
G = min(ceil(c / T), M) groups of nearly equal size, T = 50 and M = 100 in the publication (arXiv 2605.14434): above
T · M = 5,000 items groups are larger than T.

The publication appends the group's number to the index of the last level and does not say how a model reads that. Here
(code, group) is a token of the last level of its own: the tokens up to the level's size stand for codes without a
group, and those behind them for the pairs in use, by code and group. Spare tokens, as many again and at least 16, are
for groups that later items need. They are so few because the generator has an output for each and learns none of them:
a hundred for every code would be a last level of mostly such. Once they are taken, groups grow larger than T.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
import numpy.typing as npt

from shelfwalk.errors import UserError

WHOLE = 0
"""The group of the items of a cluster that is not split; groups count from 1."""
FEWEST_SPARE = 16
"""Spare tokens where hardly any group is in use: part of the sizes of all levels that capped shelves are made with."""


@dataclass(frozen=True)
class CapRule:
    """How large a cluster may be, and into how many groups it may be split; raises UserError for less than 1."""

    largest: int = 50
    most_groups: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.largest, self.most_groups) < 1:
            raise UserError(
                f"Clusters of at most {self.largest} items in at most {self.most_groups} groups hold nothing: give 1 or"
                " more of each."
            )

    def groups_of(self, items: int) -> int:
        """The number of groups of a cluster of `items` items: 0 if it stays whole."""
        return 0 if items <= self.largest else min(-(-items // self.largest), self.most_groups)

    def drawn(self, item_ids: Sequence[str]) -> npt.NDArray[np.int64]:
        """A random order of items, as places [items]; by seed and id alone, not by the order that they come in."""
        lots = [hashlib.blake2b(f"{self.seed} {item_id}".encode(), digest_size=16).digest() for item_id in item_ids]
        return np.array(sorted(range(len(lots)), key=lots.__getitem__), np.int64)

    def dealt(self, item_ids: Sequence[str]) -> npt.NDArray[np.int64]:
        """The group of each item of one cluster that is too large, from 1: [items]."""
        groups = np.empty(len(item_ids), np.int64)
        groups[self.drawn(item_ids)] = np.arange(len(item_ids)) % self.groups_of(len(item_ids)) + 1
        return groups


class GroupTokens:
    """The tokens of the last level: the plain `codes` first, behind them one for each of `pairs` (code, group).

    `room` is the number of all tokens, spare ones included.
    """

    def __init__(self, codes: int, pairs: Sequence[tuple[int, int]], room: int) -> None:
        self.codes = codes
        self.pairs = list(pairs)
        self.room = room
        self._token_of = {pair: codes + number for number, pair in enumerate(self.pairs)}

    @classmethod
    def of(cls, codes: int, pairs: Iterable[tuple[int, int]]) -> GroupTokens:
        """Tokens for these pairs, and spare ones."""
        needed = sorted(set(pairs))
        return cls(codes, needed, codes + len(needed) + max(len(needed), FEWEST_SPARE))

    def copy(self) -> GroupTokens:
        """The same tokens, to be added to apart."""
        return GroupTokens(self.codes, self.pairs, self.room)

    def token(self, code: int, group: int) -> int | None:
        """The token of a code's group, taken from the spare ones if it has none yet; None if there is none left."""
        if group == WHOLE:
            return code
        if (code, group) not in self._token_of:
            if self.codes + len(self.pairs) == self.room:
                return None
            self._token_of[code, group] = self.codes + len(self.pairs)
            self.pairs.append((code, group))
        return self._token_of[code, group]

    def code_of(self, tokens: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """The codes that tokens [n] stand for."""
        return self._read(tokens, np.arange(self.codes), 0)

    def group_of(self, tokens: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """The groups that tokens [n] stand for."""
        return self._read(tokens, np.full(self.codes, WHOLE), 1)

    def _read(self, tokens: npt.NDArray[np.int32], plain: npt.NDArray[np.int64], place: int) -> npt.NDArray[np.int32]:
        grouped = np.array([pair[place] for pair in self.pairs], np.int64)
        return np.concatenate((plain, grouped)).astype(np.int32)[tokens]


def group_with_room(sizes: dict[int, int], rule: CapRule, tokens: GroupTokens, code: int) -> int:
    """The group that one more item of a cluster goes to; `sizes` are the items of each group that the cluster has.

    The smallest that is not full, else a new one, of the lowest number that is free, as its token may be in use
    already; where there may be none, or no token is left for it, the smallest, which is then larger than the rule says.
    """
    smallest = min(sizes, key=lambda group: (sizes[group], group), default=WHOLE)
    if sizes.get(smallest, 0) < rule.largest:
        return smallest
    following = next(group for group in count(1) if group not in sizes)
    if len(sizes) < rule.most_groups and tokens.token(code, following) is not None:
        return following
    return smallest

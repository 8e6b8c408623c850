"""A tokeniser whose clusters are capped: what `cluster_cap.py` says, with a memory of who is in which group.

In: any tokeniser, items and their vectors. Out: its codes, the last one replaced by the token of (code, group) where a
cluster is split: int32 [items, levels].

When it is fitted, clusters are split at random (algorithm 1). An item keeps its group for as long as the codes of its
vector stay the same. One that comes later goes where there is room (`group_with_room`), so a cluster that was whole
keeps its items and gets groups beside them. Tokens for new groups are few: `above_cap` tells how many items the groups
hold for which there was none, and a warning tells it when items come.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shelfwalk.tokenizers.cluster_cap import WHOLE, CapRule, GroupTokens, group_with_room
from shelfwalk.tokenizers.identifier_registry import IdentifierRegistry, ids_of, path_keys
from shelfwalk.tokenizers.item_tokenizer import Codes, ItemTokenizer, Progress, Vectors
from shelfwalk.tokenizers.learning_pairs import LearningPairs
from shelfwalk.tokenizers.tokenizer_files import read_description, write_description

_INNER = "inner"


class CappedTokenizer:
    """An `ItemTokenizer` whose identifiers have at most so many items each, as far as groups go."""

    kind = "capped"

    def __init__(self, inner: ItemTokenizer, rule: CapRule | None = None) -> None:
        self.inner = inner
        self.rule = rule or CapRule()
        self._registry: IdentifierRegistry | None = None
        self._tokens: GroupTokens | None = None

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """The number of codes of each level, tokens of groups and spare ones included; ValueError before fitting."""
        return (*self.inner.level_sizes[:-1], self.tokens.room)

    @property
    def tokens(self) -> GroupTokens:
        """The tokens of the last level; raises ValueError before fitting."""
        if self._tokens is None:
            raise ValueError("the tokeniser is not fitted yet")
        return self._tokens

    @property
    def registry(self) -> IdentifierRegistry:
        """All items known and their identifiers; raises ValueError before fitting."""
        if self._registry is None:
            raise ValueError("the tokeniser is not fitted yet")
        return self._registry

    def capped_share(self) -> float:
        """The share of all known items whose cluster is split; raises ValueError before fitting."""
        codes = self.registry.codes
        keys = self._keys(self.without_groups(codes))
        split = np.unique(keys[self.tokens.group_of(codes[:, -1]) != WHOLE])
        return float(np.isin(keys, split).mean())

    def above_cap(self) -> int:
        """How many of all known items are more than a cluster may hold; raises ValueError before fitting.

        There are such where a cluster has more items than all groups together may hold, and where later items came for
        whose group no token was left.
        """
        _, sizes = np.unique(path_keys(self.registry.codes, self.level_sizes), return_counts=True)
        return int(np.maximum(sizes - self.rule.largest, 0).sum())

    def without_groups(self, identifiers: Codes) -> Codes:
        """The codes of the inner tokeniser that identifiers [items, levels] stand for, of its own `level_sizes`.

        A group is drawn by lot and says nothing of an item, so the use of levels is measured on these: neither tokens
        of groups nor spare ones are codes that the tokeniser could have used. Raises ValueError before fitting.
        """
        last = self.tokens.code_of(identifiers[:, -1])
        return np.column_stack((identifiers[:, :-1], last)).astype(np.int32)

    def fit(
        self,
        items: pa.Table,
        vectors: Vectors,
        pairs: LearningPairs | None = None,
        *,
        progress: Progress | None = None,
        checkpoints: Path | None = None,
    ) -> Self:
        """See `ItemTokenizer.fit`; forgets all items that it knew and registers `items`.

        Raises ValueError as well if an item_id comes twice.
        """
        self.inner.fit(items, vectors, pairs=pairs, progress=progress, checkpoints=checkpoints)
        item_ids, codes = ids_of(items), self.inner.encode(items, vectors)
        rows = IdentifierRegistry.empty(codes.shape[1]).rows_of(item_ids)
        groups = np.full(len(codes), WHOLE, np.int64)
        for members in _members(self._keys(codes)):
            if len(members) > self.rule.largest:
                groups[members] = self.rule.dealt(item_ids.take(pa.array(members)).to_pylist())
        split = groups != WHOLE
        used = zip(codes[split, -1].tolist(), groups[split].tolist(), strict=True)
        self._tokens = tokens = GroupTokens.of(self.inner.level_sizes[-1], used)
        identifiers = _with_groups(codes, groups, tokens)
        self._registry = IdentifierRegistry.empty(codes.shape[1]).with_codes(item_ids, rows, identifiers)
        return self

    def encode(self, items: pa.Table, vectors: Vectors) -> Codes:
        """See `ItemTokenizer.encode`; items that were never encoded are registered, so save the tokeniser afterwards.

        Warns where that puts more items above the cap, as no group is left for them. Raises ValueError as well if an
        item_id comes twice.
        """
        registry, tokens, above = self.registry, self.tokens.copy(), self.above_cap()
        item_ids, codes = ids_of(items), self.inner.encode(items, vectors)
        rows = registry.rows_of(item_ids)
        held = self.without_groups(registry.codes)
        staying = rows >= 0
        staying[staying] = (held[rows[staying]] == codes[staying]).all(axis=1)
        identifiers = np.where(staying[:, None], registry.codes[np.maximum(rows, 0)], codes) if len(held) else codes
        coming = np.flatnonzero(~staying)
        if len(coming):
            left = np.setdiff1d(np.arange(len(held)), rows[~staying])
            sizes = _Sizes(self._keys(held[left]), tokens.group_of(registry.codes[left, -1]))
            ids = item_ids.take(pa.array(coming)).to_pylist()
            groups = self._groups_of_coming(ids, codes[coming], sizes, tokens)
            identifiers[coming] = _with_groups(codes[coming], groups, tokens)
        self._registry, self._tokens = registry.with_codes(item_ids, rows, identifiers), tokens
        if (now := self.above_cap()) > above:
            warnings.warn(
                f"{now:,} items, {now - above:,} more than before, are above the cap of {self.rule.largest:,} items a"
                " cluster, as no group is left for them: build the shelf again.",
                stacklevel=2,
            )
        return identifiers

    def save(self, folder: Path) -> None:
        """Write the inner tokeniser into a folder of its own, the registry as Parquet, and `tokenizer.json`."""
        registry, tokens = self.registry, self.tokens
        self.inner.save(folder / _INNER)
        registry.save(folder)
        facts = {"level_sizes": self.level_sizes, "rule": asdict(self.rule), "codes": tokens.codes}
        write_description(folder, self.kind, {**facts, "pairs": tokens.pairs})

    @classmethod
    def open(cls, folder: Path, open_inner: Callable[[Path], ItemTokenizer]) -> Self:
        """Read what `save` wrote, the inner tokeniser with `open_inner`.

        Raises UserError if a file is missing or damaged.
        """
        facts = read_description(folder)
        sizes = facts["level_sizes"]
        tokenizer = cls(open_inner(folder / _INNER), CapRule(**facts["rule"]))
        tokenizer._registry = IdentifierRegistry.open(folder, len(sizes))
        tokenizer._tokens = GroupTokens(facts["codes"], [(code, group) for code, group in facts["pairs"]], sizes[-1])
        return tokenizer

    def _groups_of_coming(
        self, item_ids: list[str], codes: Codes, sizes: _Sizes, tokens: GroupTokens
    ) -> npt.NDArray[np.int64]:
        """Where items that are new to these codes go: [items]; takes spare tokens."""
        groups = np.full(len(codes), WHOLE, np.int64)
        keys = self._keys(codes)
        for members in _members(keys):
            held = sizes.of(int(keys[members[0]]))
            if set(held) <= {WHOLE} and held.get(WHOLE, 0) + len(members) <= self.rule.largest:
                continue
            for place in members[self.rule.drawn([item_ids[member] for member in members])]:
                group = group_with_room(held, self.rule, tokens, int(codes[place, -1]))
                held[group] = held.get(group, 0) + 1
                groups[place] = group
        return groups

    def _keys(self, codes: Codes) -> npt.NDArray[np.int64]:
        return path_keys(codes, self.inner.level_sizes)


class _Sizes:
    """How many items each group of each cluster holds."""

    def __init__(self, keys: npt.NDArray[np.int64], groups: npt.NDArray[np.int32]) -> None:
        order = np.argsort(keys, kind="stable")
        self._keys, self._groups = keys[order], groups[order]

    def of(self, key: int) -> dict[int, int]:
        """The items of each group of one cluster, empty for a new one."""
        begin, end = np.searchsorted(self._keys, (key, key + 1))
        groups, counts = np.unique(self._groups[begin:end], return_counts=True)
        return dict(zip(groups.tolist(), counts.tolist(), strict=True))


def _members(keys: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """The places of each different key, ascending."""
    order = np.argsort(keys, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(keys[order])) + 1)


def _with_groups(codes: Codes, groups: npt.NDArray[np.int64], tokens: GroupTokens) -> Codes:
    """Identifiers of these codes in these groups, each of which has a token."""
    identifiers = codes.copy()
    for place in np.flatnonzero(groups != WHOLE):
        token = tokens.token(int(codes[place, -1]), int(groups[place]))
        assert token is not None, "a group was given without a token for it"
        identifiers[place, -1] = token
    return identifiers

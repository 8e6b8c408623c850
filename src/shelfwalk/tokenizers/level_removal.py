"""Removing a level from identifiers, for all items or for those with its commonest codes (arXiv 2407.21488).

In: codes of a residual quantisation, int32 [items, levels]. Out: shorter ones. The publication's two repairs of the
hourglass: the level goes for all, at the price of collisions; or only where it holds one of its head codes, the K
commonest or as many as together reach a share p of the items, which gives identifiers of two lengths.

After a removal the codes behind the gap move up, and −1 fills the end. So that a path still says which level each code
is of, the code c of the level that moves up into a place with n codes of its own becomes n + c: a level that others
moved into is as large as both. K, p and all figures are unknown; nothing tells here what the publication found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfwalk.errors import UserError
from shelfwalk.tokenizers.diagnosis import diagnose
from shelfwalk.tokenizers.item_tokenizer import Codes


@dataclass(frozen=True)
class Removal:
    """What to remove: from `level`, counted from 1, its `most_used` codes or those that reach a `share`, or all.

    Raises UserError if both are given, or one that means nothing.
    """

    level: int = 2
    most_used: int | None = None
    share: float | None = None

    def __post_init__(self) -> None:
        if self.most_used is not None and self.share is not None:
            raise UserError("Head codes are the most_used ones or those that reach a share: give one of the two.")
        if self.level < 1 or (self.most_used is not None and self.most_used < 0):
            raise UserError(f"Removing {self.most_used} codes of level {self.level} means nothing: count from 1.")
        if self.share is not None and not 0 <= self.share <= 1:
            raise UserError(f"A share of {self.share} of the items is none: give a number from 0 to 1.")

    @property
    def is_adaptive(self) -> bool:
        """Whether some identifiers keep the level."""
        return self.most_used is not None or self.share is not None

    def head_of(self, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
        """The head codes, ascending, of a level with `counts` [codes] items on each; all where it is not adaptive.

        Of equally common codes the lower comes first; a code without items is never one of the adaptive ones.
        """
        order = np.argsort(-counts, kind="stable")
        if self.share is not None:
            reached = np.cumsum(counts[order]) / max(int(counts.sum()), 1)
            # The smallest set that reaches the share, or nothing for a share of nothing.
            order = order[: int(np.searchsorted(reached, self.share - 1e-12)) + 1] if self.share else order[:0]
        elif self.most_used is not None:
            order = order[: self.most_used]
        used = order[counts[order] > 0] if self.is_adaptive else order
        return np.sort(used).astype(np.int32)


@dataclass(frozen=True)
class ShortenedLevels:
    """How identifiers are shortened: the sizes of all levels before, the removal, and the head codes that it found."""

    sizes: tuple[int, ...]
    removal: Removal
    head: tuple[int, ...]

    @classmethod
    def of(cls, codes: Codes, sizes: tuple[int, ...], removal: Removal) -> ShortenedLevels:
        """Find the head codes in `codes` [items, levels]; raises UserError for a level that there is not."""
        if removal.level > len(sizes) or len(sizes) < 2:
            raise UserError(
                f"Identifiers of {len(sizes)} levels cannot lose level {removal.level}: give a level that they have,"
                " and more than one."
            )
        column = codes[:, removal.level - 1]
        counts = np.bincount(column[column >= 0], minlength=sizes[removal.level - 1])
        return cls(sizes, removal, tuple(removal.head_of(counts).tolist()))

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """The number of codes of each level of shortened identifiers."""
        gap, sizes = self.removal.level - 1, self.sizes
        if not self.removal.is_adaptive:
            return sizes[:gap] + sizes[gap + 1 :]
        moved = tuple(sizes[level] + sizes[level + 1] for level in range(gap, len(sizes) - 1))
        return (*sizes[:gap], *moved, sizes[-1])

    def has_head(self, codes: Codes) -> npt.NDArray[np.bool_]:
        """Which identifiers [items] hold a head code, and so are shortened."""
        return np.isin(codes[:, self.removal.level - 1], self.head)

    def shorten(self, codes: Codes) -> Codes:
        """The shortened identifiers: int32 [items, levels]."""
        gap = self.removal.level - 1
        if not self.removal.is_adaptive:
            return np.delete(codes, gap, axis=1)
        shortened, chosen = codes.copy(), self.has_head(codes)
        behind = codes[chosen, gap + 1 :]
        places = np.array(self.sizes[gap:-1], np.int32)
        shortened[chosen, gap:-1] = np.where(behind >= 0, behind + places, -1)
        shortened[chosen, -1] = -1
        return shortened

    def levels_of(self, shortened: Codes) -> Codes:
        """The codes by the level that they are of, −1 for the removed one; without it where it went for all."""
        if not self.removal.is_adaptive:
            return shortened
        gap = self.removal.level - 1
        places = np.array(self.sizes[gap:], np.int32)
        codes = shortened.copy()
        chosen = shortened[:, gap] >= self.sizes[gap]
        if gap == len(self.sizes) - 1:
            return codes
        codes[chosen, gap + 1 :] = shortened[chosen, gap:-1] - places[:-1]
        codes[chosen, gap] = -1
        return codes


@dataclass(frozen=True)
class SweepPoint:
    """What one removal does to the identifiers of all items."""

    removal: Removal
    head_codes: int
    shortened_share: float
    """Items whose identifier lost a level."""
    identifiers: int
    collision_rate: float
    mean_cluster: float
    largest_cluster: int


def sweep_removals(codes: Codes, sizes: tuple[int, ...], removals: Sequence[Removal]) -> tuple[SweepPoint, ...]:
    """What each of `removals` would do to identifiers `codes` [items, levels] of these level sizes."""
    points = []
    for removal in removals:
        levels = ShortenedLevels.of(codes, sizes, removal)
        found = diagnose(levels.shorten(codes), levels.level_sizes)
        points.append(
            SweepPoint(
                removal,
                len(levels.head),
                float(levels.has_head(codes).mean()),
                found.identifiers,
                found.collision_rate,
                found.mean_cluster,
                found.largest_cluster,
            )
        )
    return tuple(points)

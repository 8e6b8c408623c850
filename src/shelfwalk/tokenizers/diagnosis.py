"""How well a tokeniser uses its codes, and whether a level is dead.

In: codes, int32 [items, levels], −1 where absent, and the level sizes. Out: a `TokenizerDiagnosis`, as JSON for the
manifest. With x_j items on code j of n, p = x / Σ x (Hourglass, arXiv 2407.21488):

    entropy = − Σ p ln p ;  perplexity = exp(entropy) ;  Gini = Σ_i Σ_j | x_i − x_j | / (2 n Σ x)

Codes without an item count among the n, or a collapse would look like balance.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from shelfwalk.errors import UserError
from shelfwalk.tokenizers.item_tokenizer import Codes, Vectors
from shelfwalk.tokenizers.residual_quantisation import distinct_rows

DEAD_SHARE = 0.98
"""A level is dead if one code has this share of different vectors."""
_ENOUGH_VECTORS_A_CODE = 4
_SAMPLE = 65_536


@dataclass(frozen=True)
class LevelUse:
    """How one level uses its codes; `counts` int64 [size] holds the items of each code."""

    size: int
    used: int
    """Codes with at least one item."""
    entropy: float
    """In nats."""
    perplexity: float
    """The number of codes that, evenly used, would have the same entropy."""
    gini: float
    """0: all codes have as many items; near 1: one code has all."""
    counts: npt.NDArray[np.int64] = field(repr=False, compare=False)

    @property
    def used_share(self) -> float:
        """Used codes of all codes."""
        return self.used / self.size


@dataclass(frozen=True)
class TokenizerDiagnosis:
    """The use of every level, and how items share identifiers; a cluster is all items of one identifier."""

    levels: tuple[LevelUse, ...]
    """Where clusters are capped, of the codes that groups are of."""
    items: int
    identifiers: int
    """Different ones in use."""
    sharing_items: int
    """Items that are not alone under their identifier."""
    largest_cluster: int
    capped_share: float | None = None
    """Items whose cluster was too large and is split into groups, where clusters are capped."""
    above_cap: int = 0
    """Items that are more than a capped cluster may hold, as no group was left for them."""
    shortened_share: float = 0.0
    """Items whose identifier lacks a level that others have."""

    @property
    def distinct_share(self) -> float:
        """Different identifiers of all items: 1 if every item has its own."""
        return self.identifiers / self.items

    @property
    def collision_rate(self) -> float:
        """1 − distinct share."""
        return 1 - self.distinct_share

    @property
    def mean_cluster(self) -> float:
        """Items an identifier, on average."""
        return self.items / self.identifiers

    def to_json(self) -> dict[str, Any]:
        """All figures but the counts, as JSON values; those of capped and of shortened only where there are any."""
        capped: dict[str, float] = {} if self.capped_share is None else {"capped_share": self.capped_share}
        if self.above_cap:
            capped["above_cap"] = self.above_cap
        shortened = {"shortened_share": self.shortened_share} if self.shortened_share else {}
        return {
            **capped,
            **shortened,
            "items": self.items,
            "identifiers": self.identifiers,
            "distinct_share": self.distinct_share,
            "collision_rate": self.collision_rate,
            "sharing_items": self.sharing_items,
            "largest_cluster": self.largest_cluster,
            "mean_cluster": self.mean_cluster,
            "levels": [
                {
                    "size": level.size,
                    "used": level.used,
                    "used_share": level.used_share,
                    "entropy": level.entropy,
                    "perplexity": level.perplexity,
                    "gini": level.gini,
                }
                for level in self.levels
            ],
        }


def diagnose(codes: Codes, level_sizes: tuple[int, ...]) -> TokenizerDiagnosis:
    """Diagnose the identifiers of all items; raises ValueError for no items or codes beyond the level sizes."""
    if codes.ndim != 2 or len(codes) == 0 or codes.shape[1] != len(level_sizes):
        raise ValueError(f"codes must be [items, {len(level_sizes)} levels] with an item, not {list(codes.shape)}")
    if (codes < -1).any() or (codes >= np.array(level_sizes)).any():
        raise ValueError(f"a code is beyond the level sizes {list(level_sizes)}")
    clusters = _cluster_sizes(codes)
    return TokenizerDiagnosis(
        levels=tuple(_level_use(codes[:, level], size) for level, size in enumerate(level_sizes)),
        items=len(codes),
        identifiers=len(clusters),
        sharing_items=int(clusters[clusters > 1].sum()),
        largest_cluster=int(clusters.max()),
        shortened_share=float((codes < 0).any(axis=1).mean()),
    )


def refuse_dead_levels(
    diagnosis: TokenizerDiagnosis, codes: Codes, vectors: Vectors, *, exempt: Collection[int] = ()
) -> None:
    """Raise UserError if a level tells hardly any items apart although it could.

    `codes` are those of `diagnosis`, `vectors` float32 [items, dimensions]; `exempt` are levels, counted from 0, that
    do not quantise a vector: the uniqueness level. A level is dead if one code has 98 % of the different vectors of a
    sample of up to 65,536 items. Equal vectors count once, and nothing is dead where there are fewer different vectors
    than four times the codes of the largest level: with so few, the levels before may leave nothing to tell apart.
    """
    levels = [level for level in range(codes.shape[1]) if level not in exempt]
    sample = np.sort(np.random.default_rng(0).permutation(len(codes))[:_SAMPLE])
    rows = sample[distinct_rows(vectors[sample])]
    if len(rows) < _ENOUGH_VECTORS_A_CODE * max(diagnosis.levels[level].size for level in levels):
        return
    for level in levels:
        share = _largest_share(codes[rows, level])
        if share >= DEAD_SHARE:
            use = diagnosis.levels[level]
            raise UserError(
                f"Level {level + 1} of the identifiers is dead, one of its codes has {share:.1%} of {len(rows):,}"
                f" different vectors and {use.used} of its {use.size} codes are used: most likely the training"
                " collapsed, so take another seed, a lower learning rate or residual k-means, or leave the level out."
            )


def _level_use(codes: npt.NDArray[np.int32], size: int) -> LevelUse:
    counts = np.bincount(codes[codes >= 0], minlength=size).astype(np.int64)
    total = max(int(counts.sum()), 1)
    shares = counts[counts > 0] / total
    entropy = float(-(shares * np.log(shares)).sum()) + 0.0
    # In ascending order the sum over pairs becomes one over places: |x_i − x_j| counts x_j once for each smaller one.
    weights = 2 * np.arange(1, size + 1) - size - 1
    return LevelUse(
        size=size,
        used=int((counts > 0).sum()),
        entropy=entropy,
        perplexity=float(np.exp(entropy)),
        gini=float((weights * np.sort(counts)).sum() / (size * total)),
        counts=counts,
    )


def _largest_share(codes: npt.NDArray[np.int32]) -> float:
    """The share of the commonest code among those present; 0 if none is."""
    present = codes[codes >= 0]
    return float(np.bincount(present).max() / len(present)) if len(present) else 0.0


def _cluster_sizes(codes: Codes) -> npt.NDArray[np.int64]:
    """The number of items of each identifier in use."""
    ordered = codes[np.lexsort(codes.T)]
    starts = np.flatnonzero(np.append(True, (ordered[1:] != ordered[:-1]).any(axis=1)))
    return np.diff(np.append(starts, len(codes)))

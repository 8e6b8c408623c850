"""The contract between a model that scores codes and the one beam search, in plain arrays.

A generator knows nothing of products: prompts come in (the search only counts them), log-probabilities of codes go out,
level by level. Memory and cache are the generator's own; the search only hands them back, reordered by beam.
"""

from __future__ import annotations

from collections.abc import Sized
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
P = TypeVar("P", bound=Sized)
"""What a generator is asked with; those of shelves are asked with `Prompts`."""
P_contra = TypeVar("P_contra", bound=Sized, contravariant=True)


class Generator(Protocol[P_contra]):
    """From prompts to log-probabilities of the codes of the next level."""

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """The number of codes of each level."""
        ...

    @property
    def end_column(self) -> int | None:
        """The column of every level's log-probabilities that is the end of a path (−1: the last).

        None for a generator that only knows paths of all its levels.
        """
        ...

    def encode(self, prompts: P_contra) -> Any:
        """What every step needs of the prompts, one a query, computed once."""
        ...

    def start(self, queries: int) -> Any:
        """The cache before the first level, with one beam a query."""
        ...

    def step(self, memory: Any, cache: Any, tokens: npt.NDArray[np.int32] | None, level: int) -> tuple[FloatArray, Any]:
        """Log-probabilities of the codes of `level`, float32 [queries, beams, size], and the cache grown by it.

        They are at most 0. `size` may be larger than the level, where the columns behind it are never asked for.

        `tokens` [queries, beams]: the code that each beam chose at the level before; None at the first level, which has
        one beam a query.
        """
        ...

    def reorder(self, cache: Any, parents: npt.NDArray[np.int64]) -> Any:
        """The cache of the beams [queries, beams'] that continue beams `parents` [queries, beams'] of each query."""
        ...

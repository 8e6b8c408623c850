"""The contract of a constraint: what may follow a prefix.

State is a plain integer array that travels with the beam, so that a step never starts again from the root.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class TokenSets:
    """One ascending set of tokens a state, end to end: set i is `tokens[offsets[i]:offsets[i + 1]]`."""

    offsets: npt.NDArray[np.int64]
    """[states + 1]"""
    tokens: npt.NDArray[np.int32]
    """[offsets[-1]]"""


class Constraint(Protocol):
    """What may follow a prefix."""

    def initial(self, batch: int) -> npt.NDArray[np.int64]:
        """The state of the empty prefix, once for each request: [batch]."""
        ...

    def allowed(self, state: npt.NDArray[np.int64]) -> TokenSets:
        """The tokens that may follow each state of [states]; an empty set closes the path."""
        ...

    def advance(self, state: npt.NDArray[np.int64], tokens: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """The states [states] after one allowed token each; raises ValueError for a token that is not allowed."""
        ...

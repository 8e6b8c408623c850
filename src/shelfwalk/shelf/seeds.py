"""The seeds that a build can take.

In: a seed. Out: nothing, or the sentence that it is too small or too large.
"""

from __future__ import annotations

from shelfwalk.errors import UserError

# faiss takes 32 bits with a sign, and codebooks are fitted with the seed plus their level.
MOST_SEED = 2**31 - 1000


def refuse_unfit_seed(seed: int) -> None:
    """Raise UserError for a seed that some library would refuse, hours after the build began."""
    if not 0 <= seed <= MOST_SEED:
        raise UserError(f"The seed is {seed}: give a whole number from 0 to {MOST_SEED}.")

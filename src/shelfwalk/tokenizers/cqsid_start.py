"""Where the codebooks of a CQ-SID tokeniser start: categories at the mean of their items, the rest by k-means.

In: the latents of a sample of items as the encoder gives them after its epochs without codes (`warm_up_epochs`), and
their categories. Out: one codebook a level.

A level 1 of categories has a code for each and, where there are items without one, spare codes for those, as many as it
has room and they differ; without such items there are no spare codes, for no path could lead through them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shelfwalk.tokenizers.residual_kmeans import fit_codebooks
from shelfwalk.tokenizers.residual_quantisation import Codebook, Points, nearest_codes


def start_codebooks(
    latents: Points, forced: npt.NDArray[np.int32] | None, level_sizes: tuple[int, ...], seed: int
) -> tuple[Codebook, ...]:
    """The codebooks for latents [sample, latent width], of which `forced` [sample] are the codes of level 1, if any.

    Every category is among `forced`; −1 is an item without one. `latents` is used up.
    """
    if forced is None:
        return fit_codebooks(latents, level_sizes, seed)
    first = _category_level(latents, forced, level_sizes[0], seed)
    codes = np.where(forced >= 0, forced, nearest_codes(latents, first))
    latents -= first[codes]
    return (first, *fit_codebooks(latents, level_sizes[1:], seed + 1))


def _category_level(latents: Points, forced: npt.NDArray[np.int32], size: int, seed: int) -> Codebook:
    known = forced >= 0
    counts = np.bincount(forced[known])
    sums = np.zeros((len(counts), latents.shape[1]))
    np.add.at(sums, forced[known], latents[known])
    means = (sums / counts[:, None]).astype(np.float32)
    spare, others = size - len(means), latents[~known]
    if spare == 0 or len(others) == 0:
        return means
    return np.concatenate((means, *fit_codebooks(others, (spare,), seed)))

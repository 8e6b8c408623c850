"""The encoder of a trained RQ-VAE in numpy, so that a new item gets its identifier without torch.

In: vectors, float32 [n, dimensions]. Out: latents, float32 [n, latent width]. It computes in float64 and rounds once at
the end, which hides how matrix products of other shapes round: an item's latent is the same alone and in any batch.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shelfwalk.tokenizers.item_tokenizer import Vectors

Layer = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]
"""Weight [outputs, inputs] and bias [outputs] of a linear layer."""

_ROWS_AT_A_TIME = 8_192


def latents_of(vectors: Vectors, layers: tuple[Layer, ...]) -> npt.NDArray[np.float32]:
    """Run the layers with ReLU between them: float32 [n, outputs of the last]."""
    double = [(weight.T.astype(np.float64), bias.astype(np.float64)) for weight, bias in layers]
    latents = np.empty((len(vectors), len(layers[-1][1])), np.float32)
    for start in range(0, len(vectors), _ROWS_AT_A_TIME):
        block = slice(start, start + _ROWS_AT_A_TIME)
        values = vectors[block].astype(np.float64)
        for number, (weight, bias) in enumerate(double):
            values = (np.maximum(values, 0) if number else values) @ weight + bias
        latents[block] = values
    return latents

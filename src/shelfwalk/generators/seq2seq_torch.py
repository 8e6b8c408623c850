"""An encoder-decoder's two functions in torch: while it trains, and as the reference of its export."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from shelfwalk.generators.generator import FloatArray
from shelfwalk.generators.seq2seq_generator import by_layer
from shelfwalk.generators.seq2seq_walk import Seq2SeqWalk


class TorchFunctions:
    """See `seq2seq_generator.Seq2SeqFunctions`."""

    def __init__(self, walk: Seq2SeqWalk) -> None:
        self._walk = walk

    @torch.no_grad()
    def memory(self, ids: npt.NDArray[np.int64], mask: FloatArray) -> tuple[FloatArray, list[Tensor]]:
        """See `Seq2SeqFunctions.memory`."""
        first, *folded = self._walk.memory(torch.from_numpy(ids), torch.from_numpy(mask))
        return first.numpy(), list(by_layer(folded).values())

    @torch.no_grad()
    def step(
        self,
        rows: npt.NDArray[np.int64],
        level: int,
        ancestors: npt.NDArray[np.int64],
        past: FloatArray,
        memory: list[Tensor],
    ) -> tuple[FloatArray, FloatArray]:
        """See `Seq2SeqFunctions.step`."""
        tensors = torch.from_numpy(ancestors), torch.from_numpy(past)
        scores, kept = self._walk.step(torch.from_numpy(rows), torch.tensor(level), *tensors, memory)
        return scores.numpy(), kept.numpy()

"""The decoder as a `Generator` in torch: for rollouts and evaluation while it trains, and as the reference in tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from shelfwalk.generators.decoder import IdentifierDecoder
from shelfwalk.generators.generator import FloatArray
from shelfwalk.generators.prompts import Prompts


@dataclass(frozen=True)
class _Memory:
    query_vectors: Tensor
    keys_values: Tensor
    masked: Tensor | None


class TorchGenerator:
    """Runs an `IdentifierDecoder` level by level without gradients."""

    def __init__(self, decoder: IdentifierDecoder) -> None:
        self._decoder = decoder

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """The number of codes of each level."""
        return self._decoder.shape.level_sizes

    @property
    def end_column(self) -> None:
        """None: every path has all levels."""
        return None

    @torch.no_grad()
    def encode(self, prompts: Prompts) -> _Memory:
        """Keys and values of the prompts' vectors, and of their histories where the decoder reads those."""
        decoder, shape = self._decoder.eval(), self._decoder.shape
        device = decoder.head.device
        vectors = torch.from_numpy(np.ascontiguousarray(prompts.vectors, np.float32)).to(device)
        if shape.history_length is None:
            return _Memory(vectors, decoder.memory(vectors), None)
        histories = torch.from_numpy(prompts.latest(shape.history_length, len(shape.level_sizes))).to(device)
        return _Memory(vectors, decoder.memory(vectors, histories), decoder.masked(histories))

    def start(self, queries: int) -> Tensor:
        """The empty cache."""
        return self._decoder.empty_cache(queries).to(self._decoder.head.device)

    @torch.no_grad()
    def step(
        self, memory: _Memory, cache: Tensor, tokens: npt.NDArray[np.int32] | None, level: int
    ) -> tuple[FloatArray, Tensor]:
        """See `Generator.step`."""
        if tokens is None:
            rows = torch.zeros(len(memory.query_vectors), 1, dtype=torch.int64, device=cache.device)
        else:
            chosen = torch.from_numpy(tokens.astype(np.int64)).to(cache.device)
            rows = chosen + self._decoder.level_offsets[level - 1]
        scores, cache = self._decoder.step(
            memory.query_vectors, memory.keys_values, cache, rows, torch.tensor(level), memory.masked
        )
        return scores.cpu().numpy(), cache

    def reorder(self, cache: Tensor, parents: npt.NDArray[np.int64]) -> Tensor:
        """See `Generator.reorder`."""
        return cache[
            torch.arange(len(parents), device=cache.device)[:, None], torch.from_numpy(parents).to(cache.device)
        ]

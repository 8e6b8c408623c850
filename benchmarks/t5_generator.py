"""The weights of a Hugging Face T5 as a `Generator` of codes, in plain torch, for the engine's benchmark.

Its arithmetic is T5's with nothing repeated: keys and values of the input once for all beams, one row in the first
step, a head of the level's codes only, norms folded into the matrices behind them, and what the first layer makes of
every code worked out beforehand. Queries are token numbers [queries, length].
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import linear, relu, rms_norm


class _Layer:
    """The matrices of one layer, each with the norm in front of it folded in."""

    def __init__(self, block: Any, kind: torch.dtype) -> None:
        own, forward = block.layer[0], block.layer[-1]
        attention, dense = own.SelfAttention, forward.DenseReluDense
        norm = own.layer_norm.weight
        parts = [part.weight * norm for part in (attention.q, attention.k, attention.v)]
        self.query_key_value = torch.cat(parts).to(kind)
        self.own_out = attention.o.weight.to(kind)
        self.up = (dense.wi.weight * forward.layer_norm.weight).to(kind)
        self.down = dense.wo.weight.to(kind)
        if len(block.layer) == 3:
            cross = block.layer[1]
            other = cross.EncDecAttention
            self.cross_query = (other.q.weight * cross.layer_norm.weight).to(kind)
            self.cross_key_value = torch.cat([other.k.weight, other.v.weight]).to(kind)
            self.cross_out = other.o.weight.to(kind)

    def feed_forward(self, x: Tensor) -> Tensor:
        return x + _product(relu(_product(_normed(x), self.up)), self.down)


def _normed(x: Tensor) -> Tensor:
    return rms_norm(x, x.shape[-1:], eps=1e-6)


def _product(x: Tensor, weight: Tensor) -> Tensor:
    """x · weightᵀ in the number type of the weight, out in float32, in which all sums of several products are kept."""
    return linear(x.to(weight.dtype), weight).float()


class T5Generator:
    """Codes of level l are tokens `code_starts[l]` up to `code_starts[l] + level_sizes[l]`.

    `kind`: the number type of the layers' matrices, torch.float32 or torch.bfloat16; the head is always float32.
    """

    end_column = None

    @torch.inference_mode()
    def __init__(
        self,
        model: Any,
        code_starts: tuple[int, ...],
        level_sizes: tuple[int, ...],
        length: int,
        kind: torch.dtype = torch.float32,
    ) -> None:
        self.level_sizes = level_sizes
        self._heads, self._width = model.config.num_heads, model.config.d_kv
        self._words = model.shared.weight
        self._encoder = [_Layer(block, kind) for block in model.encoder.block]
        self._encoder_norm = model.encoder.final_layer_norm.weight
        self._encoder_bias = model.encoder.block[0].layer[0].SelfAttention.compute_bias(length, length)
        self._layers = [_Layer(block, kind) for block in model.decoder.block]
        own = model.decoder.block[0].layer[0].SelfAttention
        # For each position t: [1, heads, 1, t + 1].
        levels = range(len(level_sizes))
        self._bias = [own.compute_bias(t + 1, t + 1)[:, :, -1:].contiguous() for t in levels]
        # T5 scales what a head sees where it is the embedding turned around.
        scale = model.config.d_model**-0.5 if model.config.tie_word_embeddings else 1.0
        final = model.decoder.final_layer_norm.weight * scale
        spans = [slice(start, start + size) for start, size in zip(code_starts, level_sizes, strict=True)]
        self._head = [(model.lm_head.weight[span] * final).contiguous() for span in spans]
        # The input of each level: the opening token, then the codes of the level before.
        self._inputs = [self._words[:1], *(self._words[span].contiguous() for span in spans[:-1])]
        self._first = [_product(_normed(own), self._layers[0].query_key_value) for own in self._inputs]

    @torch.inference_mode()
    def encode(self, queries: npt.NDArray[np.int64]) -> list[tuple[Tensor, Tensor]]:
        x = self._words[torch.from_numpy(queries)]
        for layer in self._encoder:
            query, key, value = self._split(_product(_normed(x), layer.query_key_value), 3)
            mixed = ((query @ key.transpose(-1, -2) + self._encoder_bias).softmax(-1) @ value).transpose(1, 2)
            x = layer.feed_forward(x + _product(mixed.flatten(-2), layer.own_out))
        x = _normed(x) * self._encoder_norm
        pairs = [self._split(_product(x, layer.cross_key_value), 2) for layer in self._layers]
        return [(keys.transpose(-1, -2).contiguous(), values.contiguous()) for keys, values in pairs]

    def start(self, queries: int) -> None:
        return None

    @torch.inference_mode()
    def step(
        self,
        memory: list[tuple[Tensor, Tensor]],
        cache: Tensor | None,
        tokens: npt.NDArray[np.int32] | None,
        level: int,
    ) -> tuple[npt.NDArray[np.float32], Tensor]:
        queries = len(memory[0][0])
        chosen = np.zeros((queries, 1), np.int32) if tokens is None else tokens
        beams, flat = chosen.shape[1], torch.from_numpy(chosen.ravel().astype(np.int64))
        x, rows, kept = self._inputs[level][flat], chosen.size, []
        for number, layer in enumerate(self._layers):
            joined = _product(_normed(x), layer.query_key_value) if number else self._first[level][flat]
            query, *new = self._split(joined.unsqueeze(1), 3)
            pair = torch.stack(new)
            pair = pair if cache is None else torch.cat((cache[number], pair), dim=3)
            kept.append(pair)
            x = x + _product(self._own(query, pair, level).view(rows, -1), layer.own_out)
            query = _product(_normed(x), layer.cross_query).view(queries, beams, self._heads, -1).transpose(1, 2)
            keys, values = memory[number]
            mixed = ((query @ keys).softmax(-1) @ values).transpose(1, 2)
            x = layer.feed_forward(x + _product(mixed.reshape(rows, -1), layer.cross_out))
        scores = linear(_normed(x), self._head[level]).log_softmax(-1)
        return scores.view(queries, beams, -1).numpy(), torch.stack(kept)

    def _own(self, query: Tensor, pair: Tensor, level: int) -> Tensor:
        """Attention to the few codes so far: sums of products, for which a matrix product would be called too often."""
        keys, values = pair
        weights = ((query * keys).sum(-1) + self._bias[level].squeeze(2)).softmax(-1)
        return (weights.unsqueeze(-1) * values).sum(2)

    @torch.inference_mode()
    def reorder(self, cache: Tensor, parents: npt.NDArray[np.int64]) -> Tensor:
        beams = cache.shape[2] // len(parents)
        rows = parents + np.arange(len(parents))[:, None] * beams
        return cache.index_select(2, torch.from_numpy(rows.ravel()))

    def _split(self, x: Tensor, parts: int) -> tuple[Tensor, ...]:
        """[rows, tokens, parts · inner] → `parts` of [rows, heads, tokens, width]."""
        return x.view(*x.shape[:2], parts, self._heads, self._width).permute(2, 0, 3, 1, 4).unbind(0)

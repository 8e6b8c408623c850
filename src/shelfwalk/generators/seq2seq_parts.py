"""The weights of encoder-decoders of the T5 and BART families, in one form that both share.

In: a Hugging Face T5, mT5, BART or mBART. Out: its `Parts`: what each stack does in front of, in and behind its layers.
The families differ in their norms (root mean square or centred, before or after a part), in how they tell positions
(a bias by distance, or learned vectors), in biases and in the feed-forward part (gated or not).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from shelfwalk.errors import UserError


@dataclass(frozen=True)
class Norm:
    """`bias` None: divided by the root mean square and not centred."""

    weight: Tensor
    bias: Tensor | None
    epsilon: float


@dataclass(frozen=True)
class Affine:
    """`weight` [out, in], `bias` [out] or None."""

    weight: Tensor
    bias: Tensor | None

    @classmethod
    def of(cls, linear: Any) -> Affine:
        """Those of a torch linear layer."""
        return cls(linear.weight, linear.bias)


@dataclass(frozen=True)
class Attention:
    """Multi-head attention; its queries are multiplied by `scale`."""

    query: Affine
    key: Affine
    value: Affine
    out: Affine
    norm: Norm
    scale: float


@dataclass(frozen=True)
class FeedForward:
    """`gate`: the activation's factor, where there is one."""

    up: Affine
    gate: Affine | None
    down: Affine
    activation: Callable[[Tensor], Tensor]
    norm: Norm


@dataclass(frozen=True)
class Layer:
    """`cross` is None in an encoder."""

    own: Attention
    cross: Attention | None
    forward: FeedForward


@dataclass(frozen=True)
class Stack:
    """An encoder or a decoder.

    `norm_first`: norms stand before the parts, not after their sums. `positions` [most, width] are added to the
    embeddings, which `embedding_norm` follows. `distance_bias` [2 · reach + 1, heads]: what attention adds for the
    positions of key minus query from −reach to reach; its ends are also for those beyond.
    """

    layers: tuple[Layer, ...]
    heads: int
    norm_first: bool
    embedding_norm: Norm | None
    positions: Tensor | None
    distance_bias: Tensor | None
    final_norm: Norm | None


@dataclass(frozen=True)
class Parts:
    """A whole model but for its embeddings. `opening`: the token that opens what the decoder reads."""

    encoder: Stack
    decoder: Stack
    opening: int


def parts_of(model: Any) -> Parts:
    """The parts of a model; the tensors are the model's own. Raises UserError if it is of neither family."""
    kind = type(model).__name__
    if kind in ("T5ForConditionalGeneration", "MT5ForConditionalGeneration"):
        return Parts(_t5_stack(model.encoder), _t5_stack(model.decoder), _opening(model.config))
    if kind in ("BartForConditionalGeneration", "MBartForConditionalGeneration"):
        norm_first = kind.startswith("M")
        encoder, decoder = (_bart_stack(stack, norm_first) for stack in (model.model.encoder, model.model.decoder))
        return Parts(encoder, decoder, _opening(model.config))
    raise UserError(
        f"A {kind} is no encoder-decoder of the T5 or BART families, the only ones that can be searched with."
    )


def _opening(config: Any) -> int:
    named = (getattr(config, name, None) for name in ("decoder_start_token_id", "bos_token_id", "pad_token_id"))
    return next((int(token) for token in named if token is not None), 0)


def _t5_stack(stack: Any) -> Stack:
    layers = tuple(_t5_layer(block.layer) for block in stack.block)
    own = stack.block[0].layer[0].SelfAttention
    # From this distance on, all buckets are the same.
    reach = own.relative_attention_max_distance
    distances = torch.arange(-reach, reach + 1, device=own.relative_attention_bias.weight.device)
    buckets = own._relative_position_bucket(
        distances, not own.is_decoder, own.relative_attention_num_buckets, own.relative_attention_max_distance
    )
    bias = own.relative_attention_bias(buckets)
    return Stack(layers, own.n_heads, True, None, None, bias, _norm(stack.final_layer_norm))


def _t5_layer(parts: Any) -> Layer:
    forward = parts[-1]
    dense = forward.DenseReluDense
    gated = hasattr(dense, "wi_0")
    up, gate = (dense.wi_1, Affine.of(dense.wi_0)) if gated else (dense.wi, None)
    return Layer(
        _t5_attention(parts[0].SelfAttention, parts[0].layer_norm),
        _t5_attention(parts[1].EncDecAttention, parts[1].layer_norm) if len(parts) == 3 else None,
        FeedForward(Affine.of(up), gate, Affine.of(dense.wo), dense.act, _norm(forward.layer_norm)),
    )


def _t5_attention(attention: Any, norm: Any) -> Attention:
    query, key, value, out = (Affine.of(part) for part in (attention.q, attention.k, attention.v, attention.o))
    return Attention(query, key, value, out, _norm(norm), 1.0)


def _bart_stack(stack: Any, norm_first: bool) -> Stack:
    layers = tuple(_bart_layer(layer) for layer in stack.layers)
    final = _norm(stack.layer_norm) if hasattr(stack, "layer_norm") else None
    positions = stack.embed_positions.weight[stack.embed_positions.offset :]
    heads = stack.layers[0].self_attn.num_heads
    return Stack(layers, heads, norm_first, _norm(stack.layernorm_embedding), positions, None, final)


def _bart_layer(layer: Any) -> Layer:
    cross = hasattr(layer, "encoder_attn")
    return Layer(
        _bart_attention(layer.self_attn, layer.self_attn_layer_norm),
        _bart_attention(layer.encoder_attn, layer.encoder_attn_layer_norm) if cross else None,
        FeedForward(
            Affine.of(layer.fc1), None, Affine.of(layer.fc2), layer.activation_fn, _norm(layer.final_layer_norm)
        ),
    )


def _bart_attention(attention: Any, norm: Any) -> Attention:
    projections = (attention.q_proj, attention.k_proj, attention.v_proj, attention.out_proj)
    query, key, value, out = (Affine.of(part) for part in projections)
    return Attention(query, key, value, out, _norm(norm), attention.scaling)


def _norm(norm: Any) -> Norm:
    epsilon = norm.variance_epsilon if hasattr(norm, "variance_epsilon") else norm.eps
    return Norm(norm.weight, getattr(norm, "bias", None), epsilon)

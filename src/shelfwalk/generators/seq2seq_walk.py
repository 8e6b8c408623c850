"""An encoder-decoder's arithmetic for walking identifiers: the same function, with nothing worked out twice (torch).

In: a model's `Parts`, the embeddings of its words and codes, and its head. Out: a module with `memory`, once a query,
and `step`, once a level behind the first; it is what is exported, and what walks while the model trains.

What does not change is worked out when it is made: norms that stand before a matrix are folded into it, and so is what
the first layer makes of every code. What changes only by query is worked out once for all its beams: the first level,
and attention to the input, which is two matrix products, with the keys brought back before the matrix of the queries,
K' = K Wq, and the values behind the one of the output, V' = V Woᵀ, since (x Wqᵀ) Kᵀ = x K'ᵀ and (a V) Woᵀ = a V'. That
is fewer products than projecting every beam while the input has fewer tokens than about two heads are wide. What opens
every path is attended to in the same way.

Keys and values of the codes before are never moved: each step hands over one row for each of its beams, and a beam is
known by the rows of its ancestors.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from shelfwalk.generators.seq2seq_parts import Affine, Attention, FeedForward, Layer, Norm, Parts, Stack

FOLDED = 6
"""Tensors of the memory for each layer: keys, values and additions of the opening, then of the input."""


class _Product(nn.Module):
    """x · weight + bias, the norm before it folded in."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, parts: Sequence[Affine], before: Norm | None = None, scales: Sequence[float] = ()) -> None:
        super().__init__()
        weight = torch.cat([part.weight * scale for part, scale in _scaled(parts, scales)])
        biases = [part.bias * scale for part, scale in _scaled(parts, scales) if part.bias is not None]
        bias = torch.cat(biases) if biases else None
        if before is not None:
            if before.bias is not None:
                moved = weight @ before.bias
                bias = moved if bias is None else bias + moved
            weight = weight * before.weight
        self.register_buffer("weight", weight.detach().T.contiguous())
        self.register_buffer("bias", None if bias is None else bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        product = x @ self.weight
        return product if self.bias is None else product + self.bias


def _scaled(parts: Sequence[Affine], scales: Sequence[float]) -> list[tuple[Affine, float]]:
    return list(zip(parts, scales or [1.0] * len(parts), strict=True))


class _Normed(nn.Module):
    """A norm; `bare`: without its weight and bias, which are in the matrix behind it."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, norm: Norm, *, bare: bool = False) -> None:
        super().__init__()
        self.centred, self.epsilon = norm.bias is not None, norm.epsilon
        self.register_buffer("weight", torch.ones_like(norm.weight) if bare else norm.weight.detach().clone())
        bias = None if norm.bias is None else norm.bias.detach().clone()
        self.register_buffer("bias", torch.zeros_like(bias) if bare and bias is not None else bias)

    def forward(self, x: Tensor) -> Tensor:
        if self.centred:
            return functional.layer_norm(x, x.shape[-1:], self.weight, self.bias, self.epsilon)
        # Written out as onnxruntime knows it for one operation.
        return x / torch.sqrt((x**2).mean(-1, keepdim=True) + self.epsilon) * self.weight


class _Residual(nn.Module):
    """What stands around a part of a layer: x + part(norm(x)), or norm(x + part(x))."""

    def __init__(self, norm: Norm, norm_first: bool) -> None:
        super().__init__()
        self.before = _Normed(norm, bare=True) if norm_first else None
        self.after = None if norm_first else _Normed(norm)

    def opened(self, x: Tensor) -> Tensor:
        return x if self.before is None else self.before(x)

    def closed(self, x: Tensor, change: Tensor) -> Tensor:
        summed = x + change
        return summed if self.after is None else self.after(summed)


class _SelfAttention(_Residual):
    """The encoder's: queries, keys and values in one product."""

    def __init__(self, part: Attention, norm_first: bool) -> None:
        super().__init__(part.norm, norm_first)
        joined = (part.query, part.key, part.value)
        self.joined = _Product(joined, part.norm if norm_first else None, (part.scale, 1.0, 1.0))
        self.out = _Product((part.out,))


class _Forward(_Residual):
    def __init__(self, part: FeedForward, norm_first: bool) -> None:
        super().__init__(part.norm, norm_first)
        before = part.norm if norm_first else None
        self.up = _Product((part.up,), before)
        self.gate = None if part.gate is None else _Product((part.gate,), before)
        self.down = _Product((part.down,))
        self.activation = part.activation

    def forward(self, x: Tensor) -> Tensor:
        y = self.opened(x)
        inner = self.activation(self.up(y)) if self.gate is None else self.activation(self.gate(y)) * self.up(y)
        return self.closed(x, self.down(inner))


class _Embedded(nn.Module):
    """Rows of an embedding, with the positions and the norm that may follow."""

    positions: Tensor | None

    def __init__(self, stack: Stack) -> None:
        super().__init__()
        self.norm = None if stack.embedding_norm is None else _Normed(stack.embedding_norm)
        self.register_buffer("positions", None if stack.positions is None else stack.positions.detach().clone())

    def forward(self, rows: Tensor, positions: Tensor) -> Tensor:
        x = rows if self.positions is None else rows + self.positions[positions]
        return x if self.norm is None else self.norm(x)


class _Encoder(nn.Module):
    words: Tensor
    distance_bias: Tensor | None

    def __init__(self, stack: Stack, words: Tensor) -> None:
        super().__init__()
        self.heads = stack.heads
        self.register_buffer("words", words.detach().clone())
        self.embedded = _Embedded(stack)
        bias = stack.distance_bias
        self.register_buffer("distance_bias", None if bias is None else bias.detach().clone())
        self.own = nn.ModuleList(_SelfAttention(layer.own, stack.norm_first) for layer in stack.layers)
        self.onwards = nn.ModuleList(_Forward(layer.forward, stack.norm_first) for layer in stack.layers)
        self.final = None if stack.final_norm is None else _Normed(stack.final_norm)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """[queries, length] and what attention adds for each token [queries, length] → [queries, length, width]."""
        places = torch.arange(ids.shape[1], device=ids.device)
        x = self.embedded(self.words[ids], places)
        added = mask[:, None, None]
        if self.distance_bias is not None:
            reach = self.distance_bias.shape[0] // 2
            distances = (places[None, :] - places[:, None]).clamp(-reach, reach) + reach
            added = added + self.distance_bias[distances].permute(2, 0, 1)
        for own, onwards in zip(self.own, self.onwards, strict=True):
            query, key, value = self._split(own.joined(own.opened(x)))
            mixed = (query @ key.transpose(-1, -2) + added).softmax(-1) @ value
            x = onwards(own.closed(x, own.out(mixed.transpose(1, 2).flatten(-2))))
        return x if self.final is None else self.final(x)

    def _split(self, x: Tensor) -> tuple[Tensor, ...]:
        """[queries, length, 3 · inner] → three of [queries, heads, length, inner / heads]."""
        query, key, value = x.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        return query, key, value


class _Folding(nn.Module):
    """Keys and values of all layers, brought before the matrices of the queries and behind those of the outputs."""

    matrices: Tensor
    query_biases: Tensor | None
    out_biases: Tensor | None

    def __init__(self, parts: Sequence[Attention], norm_first: bool, heads: int, *, out_bias: bool) -> None:
        """`out_bias`: the values get a share of the bias behind them, as the weights of each head add up to 1."""
        super().__init__()
        self.layers, self.heads = len(parts), heads
        queries = [_Product((part.query,), part.norm if norm_first else None, (part.scale,)) for part in parts]
        backs = [query.weight.T.unflatten(0, (heads, -1)) for query in queries]
        outs = [part.out.weight.detach().T.unflatten(0, (heads, -1)) for part in parts]
        pairs = torch.stack([matrix for pair in zip(backs, outs, strict=True) for matrix in pair])
        self.register_buffer("matrices", pairs.flatten(0, 1).contiguous())
        biases = [query.bias for query in queries if query.bias is not None]
        self.register_buffer("query_biases", torch.stack(biases).unflatten(-1, (heads, 1, -1)) if biases else None)
        shares = [part.out.bias.detach() / heads for part in parts if out_bias and part.out.bias is not None]
        self.register_buffer("out_biases", torch.stack(shares)[:, None, None] if shares else None)

    def forward(self, pairs: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Keys and values [layers, queries, heads · length, width], and what attention to each adds.

        That is [layers, queries, 1, heads · length]. `pairs` [queries, length, layers · 2 · inner]: keys and values of
        each layer in turn; `mask` [queries, length].
        """
        shape = (self.layers, 2, self.heads)
        heads = pairs.unflatten(-1, (self.layers * 2 * self.heads, -1)).transpose(1, 2)
        folded = (heads @ self.matrices).unflatten(1, shape).permute(1, 2, 0, 3, 4, 5)
        back, behind = folded[:, 0], folded[:, 1]
        added = mask[None, :, None].expand(self.layers, -1, self.heads, -1)
        if self.query_biases is not None:
            keys = heads.unflatten(1, shape)[:, :, 0].transpose(0, 1)
            added = added + (keys * self.query_biases[:, None]).sum(-1)
        if self.out_biases is not None:
            behind = behind + self.out_biases[:, None]
        return back.flatten(2, 3), behind.flatten(2, 3), added.flatten(2)[:, :, None]


class _DecoderLayer(nn.Module):
    """One layer for all beams of all queries: x is [queries, beams, width]."""

    def __init__(self, layer: Layer, norm_first: bool, heads: int) -> None:
        super().__init__()
        own, cross = layer.own, layer.cross
        assert cross is not None
        before = own.norm if norm_first else None
        self.heads = heads
        self.own = _Residual(own.norm, norm_first)
        self.query = _Product((own.query,), before, (own.scale,))
        self.key, self.value = _Product((own.key,), before), _Product((own.value,), before)
        self.out = _Product((own.out,))
        self.cross = _Residual(cross.norm, norm_first)
        self.onwards = _Forward(layer.forward, norm_first)

    def parts(self, x: Tensor) -> tuple[Tensor, ...]:
        """Query, key and value of x."""
        normed = self.own.opened(x)
        return self.query(normed), self.key(normed), self.value(normed)

    def alone(self, x: Tensor, value: Tensor) -> Tensor:
        """Attention of what has nothing but itself to attend to."""
        return self.own.closed(x, self.out(value))

    def to_codes(
        self,
        x: Tensor,
        parts: tuple[Tensor, ...],
        opening: Sequence[Tensor],
        earlier: tuple[Tensor, ...],
        bias: Tensor | None,
    ) -> Tensor:
        """Attention to the opening, to the codes since, and to itself.

        `parts` of x; `opening`: its keys, values and additions as folded; `earlier`: keys and values [queries, beams,
        codes since, inner]; `bias` [codes since + 2, heads].
        """
        query, key, value = parts
        back, behind, added = opening
        # Sums of products, for which a matrix product would be called too often.
        to_opening = (self.own.opened(x) @ back.transpose(-1, -2) + added).unsqueeze(2)
        to_earlier = (query.unsqueeze(2) * earlier[0]).unflatten(-1, (self.heads, -1)).sum(-1)
        to_itself = (query * key).unflatten(-1, (self.heads, -1)).sum(-1).unsqueeze(2)
        seen = torch.cat((to_opening, to_earlier, to_itself), dim=2)
        weights = (seen if bias is None else seen + bias).softmax(2)
        of_earlier = weights[:, :, 1:-1].unsqueeze(-1) * earlier[1].unflatten(-1, (self.heads, -1))
        of_itself = weights[:, :, -1].unsqueeze(-1) * value.unflatten(-1, (self.heads, -1))
        mixed = (of_earlier.sum(2) + of_itself).flatten(2)
        return self.own.closed(x, self.out(mixed) + weights[:, :, 0] @ behind)

    def to_input(self, x: Tensor, folded: Sequence[Tensor]) -> Tensor:
        """Attention to the input, and the feed-forward part."""
        back, behind, added = folded
        seen = self.cross.opened(x) @ back.transpose(-1, -2) + added
        weights = seen.unflatten(-1, (self.heads, -1)).softmax(-1).flatten(-2)
        onwards: Tensor = self.onwards(self.cross.closed(x, weights @ behind))
        return onwards


class Seq2SeqWalk(nn.Module):
    """See the head of the file."""

    opening: Tensor
    rows: Tensor
    first: Tensor
    distance_bias: Tensor | None
    head: Tensor
    absent: Tensor

    def __init__(self, parts: Parts, words: Tensor, heads: Sequence[Tensor]) -> None:
        """`words` [words, width]: embeddings, of words, then of the codes of each level; `heads` [size, width] a level.

        The embeddings are as the layers are given them, with any factor of the model's in them; so are the heads.
        """
        super().__init__()
        stack = parts.decoder
        self.level_sizes = tuple(len(head) for head in heads)
        self.encoder = _Encoder(parts.encoder, words)
        crosses = [layer.cross for layer in stack.layers if layer.cross is not None]
        self.pairs = _Product([part for cross in crosses for part in (cross.key, cross.value)])
        self.input_folding = _Folding(crosses, stack.norm_first, stack.heads, out_bias=True)
        own = [layer.own for layer in stack.layers]
        self.opening_folding = _Folding(own, stack.norm_first, stack.heads, out_bias=False)
        self.layers = nn.ModuleList(_DecoderLayer(layer, stack.norm_first, stack.heads) for layer in stack.layers)
        self.final = None if stack.final_norm is None else _Normed(stack.final_norm)
        bias = None if stack.distance_bias is None else _of_earlier(stack.distance_bias, len(heads))
        self.register_buffer("distance_bias", bias)
        self._keep_inputs(parts, words)
        self._keep_heads(heads)

    def _keep_inputs(self, parts: Parts, words: Tensor) -> None:
        """What the decoder reads: the opening, and the codes of each level but the last, each in its one place."""
        sizes = self.level_sizes
        embedded, first_code = _Embedded(parts.decoder), len(words) - sum(sizes)
        self.register_buffer("opening", embedded(words[parts.opening].detach()[None, None], torch.zeros(1, dtype=int)))
        places = torch.tensor([level + 1 for level, size in enumerate(sizes[:-1]) for _ in range(size)], dtype=int)
        rows = embedded(words[first_code : len(words) - sizes[-1]].detach(), places)
        self.register_buffer("rows", rows)
        # What the first layer makes of each: query, key and value.
        self.register_buffer("first", torch.stack(self.layers[0].parts(rows)))

    def _keep_heads(self, heads: Sequence[Tensor]) -> None:
        """The heads of all levels in one array, so that one exported graph serves every level."""
        widest = max(self.level_sizes)
        padded = [functional.pad(head.detach().T, (0, widest - head.shape[0])) for head in heads]
        self.register_buffer("head", torch.stack(padded).contiguous())
        absent = torch.arange(widest) >= torch.tensor(self.level_sizes)[:, None]
        self.register_buffer("absent", torch.zeros(absent.shape).masked_fill(absent, -torch.inf))

    @property
    def inner(self) -> int:
        """The width of all heads together."""
        return int(self.first.shape[2])

    def memory(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        """What all steps need of the input, and the first level.

        `ids` int64 [queries, length]; `mask` float [queries, length], 0 for a token and −inf for what fills up a row →
        log-probabilities of the first level [queries, 1, widest level]; then `FOLDED` tensors for all layers
        [layers, queries, ...].
        """
        folded = self.input_folding(self.pairs(self.encoder(ids, mask)), mask)
        x, pairs = self.opening.expand(ids.shape[0], -1, -1), []
        for number, layer in enumerate(self.layers):
            _, key, value = layer.parts(x)
            pairs += [key, value]
            x = layer.to_input(layer.alone(x, value), [part[number] for part in folded])
        opening = self.opening_folding(torch.cat(pairs, dim=-1), torch.zeros_like(mask[:, :1]))
        return self._scores(x, torch.zeros((), dtype=torch.int64)), *opening, *folded

    def step(
        self, rows: Tensor, level: Tensor, ancestors: Tensor, past: Tensor, memory: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """One level for all beams: log-probabilities of its codes, and the beams' rows of the past.

        `rows` int64 [queries, beams]: the last code of each beam, counted from the first of the first level; `level` a
        single number, at least 1; `past` [rows so far, 2 · layers, inner]: keys and values of every earlier beam;
        `ancestors` int64 [queries, beams, level − 1]: the rows of the past that each beam stands on; `memory`: the
        `FOLDED` tensors of each layer in turn → [queries, beams, widest level], −inf for codes that a smaller level
        lacks; and [queries, beams, 2 · layers, inner].
        """
        since = torch.arange(ancestors.shape[2] + 2, device=rows.device)
        bias = None if self.distance_bias is None else self.distance_bias[level][since]
        # Keys and values of the past one by one.
        single, places = past.flatten(0, 1), ancestors * (2 * len(self.layers))
        x, kept = functional.embedding(rows, self.rows), list[Tensor]()
        for number, layer in enumerate(self.layers):
            parts = layer.parts(x) if number else tuple(functional.embedding(rows, part) for part in self.first)
            kept += parts[1:]
            earlier = tuple(functional.embedding(places + (2 * number + part), single) for part in (0, 1))
            of_layer = memory[FOLDED * number : FOLDED * (number + 1)]
            x = layer.to_input(layer.to_codes(x, parts, of_layer[:3], earlier, bias), of_layer[3:])
        return self._scores(x, level), torch.stack(kept, dim=2)

    def _scores(self, x: Tensor, level: Tensor) -> Tensor:
        x = x if self.final is None else self.final(x)
        return functional.log_softmax(x @ self.head[level] + self.absent[level], dim=-1)


def _of_earlier(bias: Tensor, levels: int) -> Tensor:
    """[levels, levels, heads]: what attention at a level adds for each level up to its own."""
    reach, places = bias.shape[0] // 2, torch.arange(levels, device=bias.device)
    return bias[(places[None, :] - places[:, None]).clamp(-reach, reach) + reach].detach().clone()

"""The default backbone's decoder: a small transformer over a pretrained encoder's query vector (torch).

In: query vectors, float32 [batch, dimensions], the identifiers that each shopper has lately chosen where the decoder
reads those, and the codes so far. Out: one log-probability for every code of the next level; there is a head for each
level and no other vocabulary.

The query vector is spread over `memory_tokens` tokens that every layer attends to, and it also reaches each head
directly: a linear classifier of the first level is a strong start, and the layers learn what it lacks. Keys and values
of the memory are computed once a query and shared by all its beams; those of earlier codes travel in a cache.
`forward` (training, all levels at once) and `step` (one level with a cache) are the same function; a test holds them
together. The shape follows the encoder-decoder of TIGER (arXiv 2305.05065) with its text encoder replaced.

With `history_length` every identifier of a history is one more memory token: the embeddings of its codes, a table of
their own for each level, added up with that of its place (0 is the latest). A place that a history lacks is attended to
by nobody, so that a shopper of whom nothing is known is answered from the query alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class DecoderShape:
    """The sizes of a decoder; kept beside its weights."""

    query_dimensions: int
    level_sizes: tuple[int, ...]
    width: int = 256
    layers: int = 2
    heads: int = 4
    memory_tokens: int = 4
    dropout: float = 0.1
    history_length: int | None = None


class _Attention(nn.Module):
    """Multi-head attention with its projections apart, so that keys and values can be kept."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def split(self, x: Tensor) -> Tensor:
        """[..., tokens, width] → [..., heads, tokens, width / heads]."""
        return x.unflatten(-1, (self.heads, -1)).transpose(-2, -3)

    def keys_values(self, x: Tensor) -> Tensor:
        """[..., tokens, width] → [..., 2 · heads, tokens, width / heads]: keys, then values."""
        keys, values = self.key_value(x).chunk(2, dim=-1)
        return torch.cat((self.split(keys), self.split(values)), dim=-3)

    def attend(self, x: Tensor, keys_values: Tensor, *, causal: bool = False, masked: Tensor | None = None) -> Tensor:
        """[..., tokens, width] of what `x` [..., tokens, width] asks; none of it of the `masked` [batch, keys]."""
        # Written out: the exporter takes torch's fused attention only without the extra axis of beams.
        keys, values = keys_values.chunk(2, dim=-3)
        queries = self.split(self.query(x))
        similarity = queries @ keys.transpose(-1, -2) * queries.shape[-1] ** -0.5
        if causal:
            later = torch.ones(similarity.shape[-2:], dtype=torch.bool, device=x.device).triu(1)
            similarity = similarity.masked_fill(later, -torch.inf)
        if masked is not None:
            similarity = similarity.masked_fill(masked[:, None, None], -torch.inf)
        mixed = similarity.softmax(dim=-1) @ values
        attended: Tensor = self.out(mixed.transpose(-2, -3).flatten(-2))
        return attended


class _Layer(nn.Module):
    def __init__(self, shape: DecoderShape) -> None:
        super().__init__()
        self.before_self = nn.LayerNorm(shape.width)
        self.self_attention = _Attention(shape.width, shape.heads)
        self.before_cross = nn.LayerNorm(shape.width)
        self.cross_attention = _Attention(shape.width, shape.heads)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(shape.width),
            nn.Linear(shape.width, 4 * shape.width),
            nn.GELU(),
            nn.Linear(4 * shape.width, shape.width),
            nn.Dropout(shape.dropout),
        )


class HistoryTokens(nn.Module):
    """One token for each identifier of a shopper's history."""

    offsets: Tensor

    def __init__(self, level_sizes: Sequence[int], width: int, length: int) -> None:
        super().__init__()
        self.codes = nn.Embedding(sum(level_sizes), width)
        self.place = nn.Parameter(0.02 * torch.randn(length, width))
        self.norm = nn.LayerNorm(width)
        nn.init.normal_(self.codes.weight, std=0.02)
        offsets = torch.tensor(level_sizes).cumsum(0) - torch.tensor(level_sizes)
        self.register_buffer("offsets", offsets, persistent=False)

    def forward(self, histories: Tensor) -> Tensor:
        """[batch, length, levels] int64, −1 for a code that there is not → [batch, length, width]."""
        known = (histories >= 0).unsqueeze(-1)
        codes = self.codes(histories.clamp(min=0) + self.offsets) * known
        tokens: Tensor = self.norm(codes.sum(dim=2) + self.place)
        return tokens


class IdentifierDecoder(nn.Module):
    """Codes of the next level from a query vector and the codes so far."""

    absent: Tensor

    def __init__(self, shape: DecoderShape) -> None:
        super().__init__()
        self.shape = shape
        width, dimensions = shape.width, shape.query_dimensions
        self.spread = nn.Sequential(
            nn.Linear(dimensions, 2 * width), nn.GELU(), nn.Linear(2 * width, shape.memory_tokens * width)
        )
        self.memory_norm = nn.LayerNorm(width)
        # Row 0 opens every path; the codes of each level but the last follow: nothing comes after those.
        self.embedding = nn.Embedding(1 + sum(shape.level_sizes[:-1]), width)
        self.position = nn.Parameter(0.02 * torch.randn(len(shape.level_sizes), width))
        self.layers = nn.ModuleList(_Layer(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(width)
        # The heads of all levels in one array, so that one exported graph serves every level.
        levels, widest = len(shape.level_sizes), max(shape.level_sizes)
        self.head = nn.Parameter(torch.randn(levels, widest, width) * width**-0.5)
        self.bias = nn.Parameter(torch.zeros(levels, widest))
        self.direct = nn.Parameter(torch.randn(levels, widest, dimensions) * dimensions**-0.5)
        nn.init.normal_(self.embedding.weight, std=0.02)
        absent = torch.arange(widest) >= torch.tensor(shape.level_sizes)[:, None]
        self.register_buffer("absent", torch.zeros(levels, widest).masked_fill(absent, -torch.inf), persistent=False)
        # Last, so that the start of everything else is that of a decoder without histories.
        if shape.history_length is not None:
            self.history = HistoryTokens(shape.level_sizes, width, shape.history_length)

    @property
    def level_offsets(self) -> tuple[int, ...]:
        """The embedding row of code 0 of each level but the last."""
        offsets, total = [], 1
        for size in self.shape.level_sizes[:-1]:
            offsets.append(total)
            total += size
        return tuple(offsets)

    def memory(self, query_vectors: Tensor, histories: Tensor | None = None) -> Tensor:
        """Keys and values of the query for all layers: [batch, layers, 2 · heads, memory tokens, width / heads].

        Those of `histories` int64 [batch, `history_length`, levels], −1 for what there is not, stand behind the
        query's; `masked` tells which of them count.
        """
        tokens = self.memory_norm(self.spread(query_vectors).unflatten(-1, (self.shape.memory_tokens, -1)))
        if histories is not None:
            tokens = torch.cat((tokens, self.history(histories).to(tokens.dtype)), dim=1)
        return torch.stack([layer.cross_attention.keys_values(tokens) for layer in self.layers], dim=1)

    def masked(self, histories: Tensor) -> Tensor:
        """Which tokens of the memory nobody attends to, bool [batch, memory tokens]: the places a history lacks."""
        of_query = torch.zeros(len(histories), self.shape.memory_tokens, dtype=torch.bool, device=histories.device)
        return torch.cat((of_query, (histories < 0).all(dim=-1)), dim=1)

    def forward(self, query_vectors: Tensor, codes: Tensor, histories: Tensor | None = None) -> list[Tensor]:
        """Logits of every level, teacher forced.

        `query_vectors` [batch, dimensions], `codes` int64 [batch, levels], `histories` as `memory` takes them → for
        each level [batch, size of the level].
        """
        rows = [torch.zeros_like(codes[:, :1])]
        rows += [codes[:, level : level + 1] + self.level_offsets[level] for level in range(codes.shape[1] - 1)]
        x = self.embedding(torch.cat(rows, dim=1)) + self.position
        memory = self.memory(query_vectors, histories)
        masked = None if histories is None else self.masked(histories)
        for number, layer in enumerate(self.layers):
            normed = layer.before_self(x)
            x = x + layer.self_attention.attend(normed, layer.self_attention.keys_values(normed), causal=True)
            x = x + layer.cross_attention.attend(layer.before_cross(x), memory[:, number], masked=masked)
            x = x + layer.feed_forward(x)
        x = self.norm(x)
        logits = (self._logits(x[:, level], query_vectors, level) for level in range(codes.shape[1]))
        return [level[:, :size] for level, size in zip(logits, self.shape.level_sizes, strict=True)]

    def step(
        self,
        query_vectors: Tensor,
        memory: Tensor,
        cache: Tensor,
        rows: Tensor,
        level: Tensor,
        masked: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """One level for all beams: log-probabilities of its codes, and the longer cache.

        `memory` and `masked` as `memory()` and `masked()` give them; `cache` [batch, beams, layers, 2 · heads, codes so
        far, width / heads]; `rows` int64 [batch, beams], the embedding row of the last code (0 opens); `level` int64, a
        single number → [batch, beams, widest level], −inf for codes that a smaller level lacks.
        """
        batch, beams = rows.shape
        x = (self.embedding(rows) + self.position[level]).unsqueeze(2)
        grown = []
        for number, layer in enumerate(self.layers):
            normed = layer.before_self(x)
            kept = torch.cat((cache[:, :, number], layer.self_attention.keys_values(normed)), dim=-2)
            grown.append(kept)
            x = x + layer.self_attention.attend(normed, kept)
            # All beams of a query attend to its memory as so many query tokens: nothing is repeated a beam.
            together = layer.before_cross(x).reshape(batch, beams, -1)
            x = x + layer.cross_attention.attend(together, memory[:, number], masked=masked).unsqueeze(2)
            x = x + layer.feed_forward(x)
        logits = self._logits(self.norm(x.squeeze(2)), query_vectors.unsqueeze(1), level) + self.absent[level]
        return functional.log_softmax(logits.float(), dim=-1), torch.stack(grown, dim=2)

    def empty_cache(self, batch: int) -> Tensor:
        """The cache before the first level, for one beam a query."""
        head = self.shape.width // self.shape.heads
        return torch.zeros(batch, 1, self.shape.layers, 2 * self.shape.heads, 0, head)

    def _logits(self, x: Tensor, query_vectors: Tensor, level: int | Tensor) -> Tensor:
        return x @ self.head[level].T + self.bias[level] + query_vectors @ self.direct[level].T


def level_loss(logits: Sequence[Tensor], codes: Tensor) -> Tensor:
    """Mean negative log-likelihood of whole identifiers, in nats: the levels' cross-entropies added up."""
    losses = [functional.cross_entropy(level.float(), codes[:, number]) for number, level in enumerate(logits)]
    return torch.stack(losses).sum()

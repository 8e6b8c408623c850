"""Codes as new tokens of a language model (torch).

In: a Hugging Face model and the sizes of the levels. Out: a module with an embedding for each (level, code), and a head
of the codes of a level alone: the model's whole vocabulary is never scored.

The new rows are a module of their own beside the model, which therefore learns even where the model is frozen or only
an adapter of it is trained. They start as the model's own words are spread, not all at their mean: codes that all start
alike take long to part. Where the model's words and its head are one matrix, so are those of the codes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from shelfwalk.generators.prompt_tokens import Vocabulary


class CodeTokens(nn.Module):
    """Embeddings and heads of codes, and of `more` tokens that are no codes, read but never generated."""

    def __init__(self, model: Any, level_sizes: tuple[int, ...], more: int = 0) -> None:
        super().__init__()
        words, head = model.get_input_embeddings(), model.get_output_embeddings()
        self.vocabulary = Vocabulary(len(words.weight), level_sizes)
        codes = sum(level_sizes)
        self.inputs = nn.Parameter(_spread_as(words.weight, codes + more))
        tied = head.weight is words.weight
        self.outputs = None if tied else nn.Parameter(_spread_as(head.weight, codes))
        self.input_scale = float(getattr(words, "embed_scale", 1.0))
        # T5 scales what its head sees where that is the embedding turned around.
        scaled = getattr(model.config, "scale_decoder_outputs", False)
        self.output_scale = model.config.d_model**-0.5 if scaled else 1.0

    def embed(self, rows: Tensor) -> Tensor:
        """The inputs of rows of the codes, counted over all levels."""
        return nn.functional.embedding(rows, self.inputs) * self.input_scale

    def embed_prompt(self, words: nn.Module, tokens: Tensor) -> Tensor:
        """The inputs of tokens of words and codes, `words` being the model's own embedding."""
        first = self.vocabulary.words
        known: Tensor = words(tokens.clamp(max=first - 1))
        own = self.embed((tokens - first).clamp(min=0))
        return torch.where((tokens < first).unsqueeze(-1), known, own.to(known.dtype))

    def head(self, level: int) -> Tensor:
        """[size of the level, width]: what hidden states are multiplied by."""
        start, end = (int(place) - self.vocabulary.words for place in self.vocabulary.starts[level : level + 2])
        rows = self.inputs if self.outputs is None else self.outputs
        return rows[start:end] * self.output_scale

    def logits(self, hidden: Tensor) -> list[Tensor]:
        """Hidden states [prompts, levels, width] → for each level [prompts, size of the level]."""
        levels = range(len(self.vocabulary.level_sizes))
        return [hidden[:, level] @ self.head(level).to(hidden.dtype).T for level in levels]

    def rows_before(self, codes: Tensor) -> Tensor:
        """int64 [prompts, levels] → the rows of all but the last, which a decoder reads [prompts, levels − 1]."""
        offsets = torch.from_numpy(self.vocabulary.starts[:-2] - self.vocabulary.words).to(codes.device)
        return codes[:, :-1] + offsets


@torch.no_grad()
def _spread_as(rows: Tensor, count: int) -> Tensor:
    kept = rows.detach().float()
    spread = kept.std(dim=0) if len(kept) > 1 else torch.ones_like(kept[0])
    return kept.mean(dim=0) + spread * torch.randn(count, kept.shape[1], device=kept.device)

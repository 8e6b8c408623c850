"""A causal language model as a `Generator` (torch).

In: a model, its tokens of codes and the reader of its prompts; or a folder as `CausalBackbone.export` writes it. Out:
scores of codes. The model has no form of its own for this, so that searching with it needs torch and transformers.

A query's prompt is read once. All its beams then stand in one row of the model's input, side by side, each at the
position behind its ancestors, and a mask lets each see the prompt, its ancestors and itself: keys and values of the
prompt are shared by all beams, and none are ever moved or copied for one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from shelfwalk.generators.code_tokens import CodeTokens
from shelfwalk.generators.generator import FloatArray
from shelfwalk.generators.language_models import load_weights
from shelfwalk.generators.prompt_tokens import PromptReader, side_by_side
from shelfwalk.generators.prompts import Prompts

CODES = "codes.safetensors"
MODEL = "model"


@dataclass(frozen=True)
class _Memory:
    """`past`: the model's own cache, which each step grows; `present` [queries, length] of the prompts.

    `first` [queries, 1, size] are the scores of the first level.
    """

    past: Any
    present: Tensor
    first: FloatArray


@dataclass(frozen=True)
class _Cache:
    """`ancestors` int64 [queries, beams, codes so far]: places behind the prompt; `used`: how many there are."""

    ancestors: npt.NDArray[np.int64]
    used: int


class CausalGenerator:
    """Runs a causal language model level by level."""

    def __init__(self, model: Any, codes: CodeTokens, reader: PromptReader) -> None:
        self._model, self._codes, self._reader = model, codes, reader

    @classmethod
    def open(cls, folder: Path, threads: int = 1) -> CausalGenerator:
        """Open an exported model. `threads` are torch's, and so those of the whole process."""
        torch.set_num_threads(threads)
        card = json.loads((folder / "generator.json").read_text(encoding="utf-8"))
        model = load_weights(folder / MODEL, "causal")
        codes = CodeTokens(model, tuple(int(size) for size in card["level_sizes"]), more=1)
        codes.load_state_dict(load_file(folder / CODES))
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        # A shelf that an earlier version has built does not say it.
        length = card.get("history_length")
        reader = PromptReader(tokenizer, codes.vocabulary, int(card["prompt_tokens"]), history_length=length)
        return cls(model, codes, reader)

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """The number of codes of each level."""
        return self._codes.vocabulary.level_sizes

    @property
    def end_column(self) -> None:
        """None: every path has all levels."""
        return None

    @torch.no_grad()
    def encode(self, prompts: Prompts) -> _Memory:
        """Reads the prompts, and the token that opens every path behind them."""
        self._model.eval()
        embedded, present = embedded_prompts(self._model, self._codes, self._reader, prompts)
        output = self._model.base_model(
            inputs_embeds=embedded,
            attention_mask=present.long(),
            position_ids=positions_of(present),
            use_cache=True,
        )
        first = self._scores(output.last_hidden_state[:, -1:], 0)
        return _Memory(output.past_key_values, present, first)

    def start(self, queries: int) -> _Cache:
        """The empty cache."""
        return _Cache(np.zeros((queries, 1, 0), np.int64), 0)

    @torch.no_grad()
    def step(
        self, memory: _Memory, cache: _Cache, tokens: npt.NDArray[np.int32] | None, level: int
    ) -> tuple[FloatArray, _Cache]:
        """See `Generator.step`."""
        if tokens is None:
            return memory.first, cache
        own = np.broadcast_to(cache.used + np.arange(tokens.shape[1]), tokens.shape)[..., None]
        grown = _Cache(np.concatenate((cache.ancestors, own), axis=2), cache.used + tokens.shape[1])
        device = memory.present.device
        vocabulary = self._codes.vocabulary
        rows = torch.from_numpy(tokens + (vocabulary.starts[level - 1] - vocabulary.words)).to(device)
        behind = memory.present.sum(1, keepdim=True) + (level - 1)
        embedded = self._codes.embed(rows)
        output = self._model.base_model(
            inputs_embeds=embedded,
            attention_mask=_tree_mask(
                memory.present, torch.from_numpy(grown.ancestors).to(device), grown.used, embedded
            ),
            position_ids=behind.expand(-1, tokens.shape[1]),
            past_key_values=memory.past,
            use_cache=True,
        )
        return self._scores(output.last_hidden_state, level), grown

    def reorder(self, cache: _Cache, parents: npt.NDArray[np.int64]) -> _Cache:
        """See `Generator.reorder`."""
        return _Cache(cache.ancestors[np.arange(len(parents))[:, None], parents], cache.used)

    def _scores(self, hidden: Tensor, level: int) -> FloatArray:
        logits = hidden.float() @ self._codes.head(level).float().T
        scores: FloatArray = logits.log_softmax(-1).cpu().numpy()
        return scores


def embedded_prompts(model: Any, codes: CodeTokens, reader: PromptReader, prompts: Prompts) -> tuple[Tensor, Tensor]:
    """What the model reads up to the token that opens a path, which is the last [prompts, length, width]; and where
    each prompt stands [prompts, length], aligned to the right."""
    opening = int(codes.vocabulary.starts[-1])
    tokens, present = side_by_side([[*row, opening] for row in reader.tokens(prompts)], right_aligned=True)
    device = codes.inputs.device
    embedded = codes.embed_prompt(model.get_input_embeddings(), torch.from_numpy(tokens).to(device))
    return embedded, torch.from_numpy(present).to(device)


def positions_of(present: Tensor) -> Tensor:
    """The place of each token in its own prompt [prompts, length]."""
    return (present.long().cumsum(1) - 1).clamp(min=0)


def _tree_mask(present: Tensor, ancestors: Tensor, used: int, like: Tensor) -> Tensor:
    """What each beam's attention adds for the prompt and all codes so far: [queries, 1, beams, length + used]."""
    queries, beams, _ = ancestors.shape
    seen = torch.zeros(queries, beams, used, dtype=torch.bool, device=present.device).scatter_(2, ancestors, True)
    whole = torch.cat((present[:, None].expand(-1, beams, -1), seen), dim=2)
    added = torch.zeros(whole.shape, dtype=like.dtype, device=like.device)
    return added.masked_fill_(~whole, torch.finfo(like.dtype).min)[:, None]

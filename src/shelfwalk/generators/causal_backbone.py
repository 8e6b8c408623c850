"""Causal language models (Llama, Qwen, Mistral and their like) as a backbone (torch).

In: a loaded model and the sizes of the levels. Out: the loss of a batch, a generator, and the export. The model reads
the shopper's history as tokens of codes, the query's words, and a token that opens a path; then it writes codes, of
which only those of the level at hand are scored.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from shelfwalk.generators.backbone import Backbone
from shelfwalk.generators.causal_generator import CODES, MODEL, CausalGenerator, embedded_prompts, positions_of
from shelfwalk.generators.code_tokens import CodeTokens
from shelfwalk.generators.decoder import level_loss
from shelfwalk.generators.language_models import (
    LanguageModel,
    add_adapters,
    language_model_groups,
    without_adapters,
)
from shelfwalk.generators.prompt_tokens import PromptReader
from shelfwalk.generators.prompts import Prompts
from shelfwalk.generators.settings import TrainingSettings
from shelfwalk.generators.unfit_models import refuse_own_positions


class CausalBackbone(Backbone):
    """A model that goes on with identifiers where a prompt ends."""

    def __init__(
        self,
        loaded: LanguageModel,
        level_sizes: tuple[int, ...],
        prompt_tokens: int,
        lora_rank: int | None = None,
        history_length: int | None = None,
    ) -> None:
        """`prompt_tokens`: read of a text. `lora_rank`: train adapters of that rank, and the codes, alone.
        `history_length`: identifiers read of a history, 0 for none; all of them where not given.

        Raises UserError if the model places tokens as it sees fit, or cannot have adapters.
        """
        super().__init__()
        refuse_own_positions(loaded.model)
        self.model = loaded.model
        self.codes = CodeTokens(loaded.model, level_sizes, more=1)
        if lora_rank is not None:
            add_adapters(loaded.model, lora_rank)
        self._reader = PromptReader(
            loaded.tokenizer, self.codes.vocabulary, prompt_tokens, history_length=history_length
        )

    def forward(self, prompts: Prompts, codes: Tensor) -> Tensor:
        """See `Backbone.forward`."""
        prompt, present = embedded_prompts(self.model, self.codes, self._reader, prompts)
        written = self.codes.embed(self.codes.rows_before(codes)).to(prompt.dtype)
        whole = torch.cat((present, present.new_ones(written.shape[:2])), dim=1)
        hidden = self.model.base_model(
            inputs_embeds=torch.cat((prompt, written), dim=1),
            attention_mask=whole.long(),
            position_ids=positions_of(whole),
            use_cache=False,
        ).last_hidden_state
        return level_loss(self.codes.logits(hidden[:, prompt.shape[1] - 1 :]), codes)

    def parameter_groups(self, settings: TrainingSettings) -> list[dict[str, Any]]:
        """See `Backbone.parameter_groups`."""
        return language_model_groups(self.model, self.codes, settings)

    def generator(self) -> CausalGenerator:
        """See `Backbone.generator`; it shares the weights that train."""
        return CausalGenerator(self.model, self.codes, self._reader)

    def export(self, folder: Path) -> None:
        """See `Backbone.export`: the model with its adapters added to its weights, its codes, and its tokenizer."""
        folder.mkdir(parents=True, exist_ok=True)
        without_adapters(self.model).save_pretrained(folder / MODEL)
        save_file({name: part.detach().contiguous() for name, part in self.codes.state_dict().items()}, folder / CODES)
        self._reader.tokenizer.save(str(folder / "tokenizer.json"))
        card = {
            "kind": "causal",
            "level_sizes": list(self.codes.vocabulary.level_sizes),
            "prompt_tokens": self._reader.limit,
            "history_length": self._reader.history_length,
        }
        (folder / "generator.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")

"""Encoder-decoders of the T5 and BART families as a backbone (torch).

In: a loaded model and the sizes of the levels. Out: the loss of a batch, a generator, and the export. The encoder reads
the shopper's history as tokens of codes, then the query's words; the decoder writes codes, of which only those of the
level at hand are scored.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shelfwalk.generators.backbone import Backbone
from shelfwalk.generators.code_tokens import CodeTokens
from shelfwalk.generators.decoder import level_loss
from shelfwalk.generators.language_models import (
    LanguageModel,
    add_adapters,
    language_model_groups,
    without_adapters,
)
from shelfwalk.generators.prompt_tokens import PromptReader, side_by_side
from shelfwalk.generators.prompts import Prompts
from shelfwalk.generators.seq2seq_export import export_seq2seq
from shelfwalk.generators.seq2seq_generator import Seq2SeqGenerator
from shelfwalk.generators.seq2seq_parts import parts_of
from shelfwalk.generators.seq2seq_torch import TorchFunctions
from shelfwalk.generators.seq2seq_walk import Seq2SeqWalk
from shelfwalk.generators.settings import TrainingSettings


class Seq2SeqBackbone(Backbone):
    """A model whose decoder writes identifiers."""

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

        Raises UserError if the model is of another family, or cannot have adapters.
        """
        super().__init__()
        parts = parts_of(loaded.model)
        self.model = loaded.model
        self.codes = CodeTokens(loaded.model, level_sizes)
        if lora_rank is not None:
            add_adapters(loaded.model, lora_rank)
        self._opening = parts.opening
        most = None if parts.encoder.positions is None else len(parts.encoder.positions)
        self._reader = PromptReader(loaded.tokenizer, self.codes.vocabulary, prompt_tokens, most, history_length)

    def forward(self, prompts: Prompts, codes: Tensor) -> Tensor:
        """See `Backbone.forward`."""
        return level_loss(self.codes.logits(self._hidden(prompts, codes)), codes)

    def _hidden(self, prompts: Prompts, codes: Tensor) -> Tensor:
        """What the decoder makes of the codes before each level, teacher forced: [prompts, levels, width]."""
        device, words = codes.device, self.model.get_input_embeddings()
        tokens, present = (torch.from_numpy(part).to(device) for part in side_by_side(self._reader.tokens(prompts)))
        encoded = self.model.get_encoder()(
            inputs_embeds=self.codes.embed_prompt(words, tokens), attention_mask=present.long()
        ).last_hidden_state
        opening = words(torch.full((len(codes), 1), self._opening, device=device))
        read = torch.cat((opening, self.codes.embed(self.codes.rows_before(codes)).to(opening.dtype)), dim=1)
        hidden: Tensor = self.model.get_decoder()(
            inputs_embeds=read,
            encoder_hidden_states=encoded,
            encoder_attention_mask=present.long(),
            use_cache=False,
        ).last_hidden_state
        return hidden

    def parameter_groups(self, settings: TrainingSettings) -> list[dict[str, Any]]:
        """See `Backbone.parameter_groups`."""
        return language_model_groups(self.model, self.codes, settings)

    @torch.no_grad()
    def walk(self) -> Seq2SeqWalk:
        """The model as it is now, in the form that walks identifiers, on the CPU."""
        merged, codes = without_adapters(self.model), self.codes
        if codes.inputs.device.type != "cpu":
            merged, codes = copy.deepcopy(merged).cpu(), copy.deepcopy(codes).cpu()
        words = merged.get_input_embeddings().weight * codes.input_scale
        every = torch.cat((words, codes.inputs * codes.input_scale))
        heads = [codes.head(level) for level in range(len(codes.vocabulary.level_sizes))]
        walk: Seq2SeqWalk = Seq2SeqWalk(parts_of(merged), every, heads).eval()
        return walk

    def generator(self) -> Seq2SeqGenerator:
        """See `Backbone.generator`; it walks with the weights of this moment."""
        walk = self.walk()
        return Seq2SeqGenerator(TorchFunctions(walk), self._reader, len(walk.layers), walk.inner)

    def export(self, folder: Path) -> None:
        """See `Backbone.export`."""
        export_seq2seq(self.walk(), self._reader, folder)

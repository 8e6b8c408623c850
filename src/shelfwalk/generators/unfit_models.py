"""Refuses language models that cannot be a backbone, by what describes them and before any weight is read (torch).

In: the folder of a model. Out: nothing, or one sentence. Its tokenizer is small enough to be loaded; its family and
what adapters it can have are seen on torch's meta device; whether it puts tokens where it is told, on a sketch of it
with few layers and weights that are drawn.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from shelfwalk.errors import UserError
from shelfwalk.generators.language_models import (
    add_adapters,
    kind_of,
    load_tokenizer,
    loader_of,
    settings_of,
    without_weights,
)
from shelfwalk.generators.seq2seq_parts import parts_of

_UNSEEN = 12
"""Tokens that none sees, put into a text: so many that a model which counts them is far off."""
_SKETCHED_WORDS = 4


def refuse_unfit(folder: Path, lora_rank: int | None) -> None:
    """Raise UserError if the model in `folder` cannot be a backbone, or have adapters where `lora_rank` asks for them.

    Two things are only seen in the weights, when they are loaded: damage, and what cannot be sketched.
    """
    kind = kind_of(folder)
    model = without_weights(folder, kind)
    load_tokenizer(folder)
    # Sketches and adapters are drawn: what the caller draws next is as if there had been none.
    with torch.random.fork_rng(devices=[]):
        if kind == "seq2seq":
            parts_of(model)
        else:
            sketch = _sketch(folder)
            if sketch is not None:
                refuse_own_positions(sketch)
        if lora_rank is not None:
            add_adapters(model, lora_rank)


@torch.no_grad()
def refuse_own_positions(model: Any) -> None:
    """Raise UserError unless a causal model puts tokens where it is told, and lets them see what it is told.

    Its beams stand side by side in one row; a model that counts positions itself would take them for one text.
    """
    was_training = model.training
    model.eval()
    words = model.get_input_embeddings().weight
    # Three tokens in a row, and the same with others before the last that none sees.
    text = words[[0, 1 % len(words), 2 % len(words)]][None]
    apart = torch.cat((text[:, :2], text[:, :1].expand(-1, _UNSEEN, -1), text[:, 2:]), dim=1)
    length = apart.shape[1]
    seen = torch.ones(length, length, dtype=torch.bool, device=words.device).tril()
    seen[-1, 2:-1] = False
    mask = torch.zeros(seen.shape, dtype=words.dtype, device=words.device)
    mask = mask.masked_fill(~seen, torch.finfo(words.dtype).min)[None, None]
    places = torch.arange(length, device=words.device).clamp(max=2)[None]
    try:
        plain = model.base_model(inputs_embeds=text).last_hidden_state[:, -1]
        told = model.base_model(inputs_embeds=apart, attention_mask=mask, position_ids=places).last_hidden_state[:, -1]
        alike = torch.allclose(plain, told, rtol=1e-3, atol=1e-3 * float(plain.abs().max()))
    except Exception:  # Each architecture has errors of its own for what it does not take.
        alike = False
    model.train(was_training)
    if not alike:
        raise UserError(
            f"A {type(model).__name__} counts the positions of its tokens itself, so that it cannot walk several paths "
            "at once: take a model like Llama or Qwen."
        )


@torch.no_grad()
def _sketch(folder: Path) -> Any | None:
    """A causal model like that in `folder`, but of few words and only of the first layers, up to one of each kind.

    None where the architecture cannot do with so few: that is no reason to refuse it. Seeds torch.
    """
    try:
        settings = _sketched_settings(folder)
        torch.manual_seed(0)
        sketch = loader_of("causal").from_config(settings, dtype=torch.float32, trust_remote_code=False)
        for weight in sketch.parameters():
            if weight.dim() > 1:
                # As untrained models start, positions would hardly move what comes out.
                weight.normal_(std=weight.shape[-1] ** -0.5)
        sketch.eval().base_model(torch.arange(_SKETCHED_WORDS)[None])
    except Exception:  # Whatever a library says of settings that it has never seen together.
        return None
    return sketch


def _sketched_settings(folder: Path) -> Any:
    settings = settings_of(folder)
    of_text = settings.get_text_config()
    kinds = list(getattr(of_text, "layer_types", None) or [None])
    of_text.num_hidden_layers = 1 + max(kinds.index(kind) for kind in kinds)
    of_text.vocab_size, of_text.pad_token_id = _SKETCHED_WORDS, None
    return settings

"""Language models small enough for a test: random weights of every kind, and a tokenizer of a few words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from shelfwalk.generators.prompts import Prompts

WORDS = ("usb", "hub", "c", "charger", "mouse", "lamp", "paper", "ink", "desk", "best")
VOCABULARY = 3 + len(WORDS)
SMALL: dict[str, Any] = {"vocab_size": VOCABULARY, "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2}


def _t5(**changed: Any) -> Any:
    from transformers import T5Config, T5ForConditionalGeneration

    sizes = {"d_model": 16, "d_kv": 6, "d_ff": 20, "num_layers": 2, "num_heads": 3, "decoder_start_token_id": 0}
    return T5ForConditionalGeneration(T5Config(**(SMALL | sizes | changed)))


def _bart(kind: str = "Bart") -> Any:
    import transformers

    sizes = {"d_model": 12, "encoder_layers": 2, "decoder_layers": 3, "encoder_ffn_dim": 20, "decoder_ffn_dim": 16}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 3, "max_position_embeddings": 24}
    more = {"decoder_start_token_id": 2, "forced_eos_token_id": None, "scale_embedding": True}
    config = getattr(transformers, f"{kind}Config")(**(SMALL | sizes | heads | more))
    return getattr(transformers, f"{kind}ForConditionalGeneration")(config)


def _llama(**changed: Any) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4}
    return LlamaForCausalLM(LlamaConfig(**(SMALL | sizes | {"num_key_value_heads": 2} | changed)))


def _qwen2() -> Any:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4}
    more = {"num_key_value_heads": 2, "tie_word_embeddings": True}
    return Qwen2ForCausalLM(Qwen2Config(**(SMALL | sizes | more)))


def _bloom() -> Any:
    from transformers import BloomConfig, BloomForCausalLM

    return BloomForCausalLM(BloomConfig(**(SMALL | {"hidden_size": 16, "n_layer": 2, "n_head": 2})))


def _mpt() -> Any:
    from transformers import MptConfig, MptForCausalLM

    return MptForCausalLM(MptConfig(**(SMALL | {"d_model": 16, "n_layers": 2, "n_heads": 2})))


def _marian() -> Any:
    from transformers import MarianConfig, MarianMTModel

    sizes = {"d_model": 12, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "max_position_embeddings": 24}
    return MarianMTModel(MarianConfig(**(SMALL | sizes | heads | {"decoder_start_token_id": 0})))


def _olmo2() -> Any:
    from transformers import Olmo2Config, Olmo2ForCausalLM

    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4}
    return Olmo2ForCausalLM(Olmo2Config(**(SMALL | sizes)))


SEQ2SEQ: dict[str, Callable[[], Any]] = {
    "t5": _t5,
    "t5-gated": lambda: _t5(feed_forward_proj="gated-gelu", tie_word_embeddings=False),
    "bart": _bart,
    "mbart": lambda: _bart("MBart"),
}
CAUSAL: dict[str, Callable[[], Any]] = {"llama": _llama, "qwen2": _qwen2}
MODELS = SEQ2SEQ | CAUSAL
UNFIT: dict[str, Callable[[], Any]] = {
    "bloom": _bloom,
    "mpt": _mpt,
    "marian": _marian,
    "pegasus": lambda: _bart("Pegasus"),
    "olmo2": _olmo2,
}
"""The last can be trained as it is, but peft knows no adapters for it; no other can be a backbone."""
HOSTILE = {
    "num_beams": 7,
    "do_sample": True,
    "temperature": 0.01,
    "length_penalty": -9.0,
    "max_length": 1,
    "forced_bos_token_id": 4,
    "forced_eos_token_id": 5,
    "suppress_tokens": list(range(VOCABULARY)),
    "bad_words_ids": [[3]],
    "decoder_start_token_id": 7,
    "no_such_setting": {"a": 1},
}


def write_model(kind: str, folder: Path, seed: int = 0, *, hostile: bool = False) -> Path:
    """A checkpoint whose weights, biases and norms are all drawn at random: none is zero or one by its start."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        model = (MODELS | UNFIT)[kind]()
        for weight in model.parameters():
            weight += 0.3 * torch.randn_like(weight)
    model.save_pretrained(folder)
    write_tokenizer(folder)
    if hostile:
        (folder / "generation_config.json").write_text(json.dumps(HOSTILE))
    return folder


def write_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "</s>", "<unk>"]
    vocabulary = {word: number for number, word in enumerate([*special, *WORDS])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    names = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)


def asked(*texts: str, histories: list[list[list[int]]] | None = None) -> Prompts:
    """Prompts of texts, and of histories [prompts, length, levels]."""
    prompts = Prompts.of(texts, np.zeros((len(texts), 2), np.float32))
    return prompts if histories is None else Prompts(prompts.texts, prompts.vectors, np.array(histories, np.int32))


def random_prompts(count: int, levels: tuple[int, ...], chance: np.random.Generator) -> Prompts:
    """Texts of 0 to 6 words, with histories of up to two identifiers."""
    texts = [" ".join(chance.choice(WORDS, chance.integers(0, 7))) for _ in range(count)]
    histories = chance.integers(0, levels, (count, 2, len(levels)))
    histories[chance.random((count, 2)) < 0.4] = -1
    return asked(*texts, histories=histories.tolist())

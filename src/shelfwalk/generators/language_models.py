"""Pretrained language models: finding one, loading it without running anything of it, and low-rank adapters (torch).

In: a folder in the Hugging Face layout, or a name. Out: the model in float32, its tokenizer, and whether it is an
encoder-decoder or a causal model. Only safetensors are read, never pickles; code that comes with a model is not run,
and its settings for generation are not even read.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from tokenizers import Tokenizer

from shelfwalk.errors import UserError

_WANTED = ["*.json", "*.safetensors", "*.model", "*.txt"]


@dataclass(frozen=True)
class LanguageModel:
    """A loaded model."""

    model: Any
    tokenizer: Tokenizer
    kind: Literal["seq2seq", "causal"]


def find_language_model(name: str) -> Path:
    """The folder of a model: `name` itself, or what the hub's cache or the hub has of that name.

    Raises UserError if there is none.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if not name.startswith((".", "/", "~")):
        from huggingface_hub import snapshot_download

        for local in (True, False):
            try:
                return Path(snapshot_download(name, allow_patterns=_WANTED, local_files_only=local))
            except Exception as error:
                reason = type(error).__name__
        raise UserError(f"The backbone {name} is no folder, and the model hub did not give it ({reason}): name a folder.")
    raise UserError(f"The backbone's folder {name} does not exist: name a folder of a Hugging Face model.")


def load_language_model(name: str) -> LanguageModel:
    """Load a model and its tokenizer on the CPU in float32; raises UserError where it cannot be used."""
    folder = find_language_model(name)
    kind = kind_of(folder)
    if not list(folder.glob("*.safetensors")):
        pickled = list(folder.glob("*.bin")) + list(folder.glob("*.pt")) + list(folder.glob("*.pth"))
        found = "only pickled weights, which may run code when read" if pickled else "no weights"
        raise UserError(f"{folder} has {found}: save the model as safetensors.")
    return LanguageModel(_weights(folder, kind), _tokenizer(folder), kind)


def kind_of(folder: Path) -> Literal["seq2seq", "causal"]:
    """Which of the two a model's own settings say it is; raises UserError if it is neither."""
    from transformers.models.auto import modeling_auto

    try:
        settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        named = settings.get("architectures") or ["nothing"]
        architecture = str(named[0])
    except (OSError, ValueError, AttributeError):
        raise UserError(f"{folder} is no Hugging Face model: it has no config.json that can be read.") from None
    if architecture in modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES.values():
        return "seq2seq"
    if architecture in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values():
        return "causal"
    raise UserError(
        f"{folder} is a {architecture}, neither an encoder-decoder (T5, BART) nor a causal language model (Llama, Qwen)."
    )


def _weights(folder: Path, kind: str) -> Any:
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, GenerationConfig
    from transformers.utils import logging

    logging.disable_progress_bar()
    loader = AutoModelForSeq2SeqLM if kind == "seq2seq" else AutoModelForCausalLM
    try:
        return loader.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            generation_config=GenerationConfig(),
        )
    except Exception as error:  # Three libraries read the folder, each with errors of its own for a damaged one.
        raise UserError(f"The model in {folder} could not be loaded: {_first_line(error)}") from error


def _tokenizer(folder: Path) -> Tokenizer:
    from transformers import AutoTokenizer

    try:
        loaded = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        return loaded.backend_tokenizer
    except Exception as error:
        raise UserError(
            f"{folder} has no tokenizer that could be loaded ({_first_line(error)}): save it with the model."
        ) from error


def _first_line(error: Exception) -> str:
    return f"{error}".strip().split("\n")[0]


def add_adapters(model: Any, rank: int) -> None:
    """Freeze a model and give the modules that peft names for its kind low-rank adapters of `rank`, which learn.

    Raises UserError if the model has no such modules.
    """
    from peft import LoraConfig, inject_adapter_in_model

    model.requires_grad_(False)
    try:
        inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=2 * rank), model)
    except ValueError as error:
        raise UserError(
            f"A {type(model).__name__} cannot be given low-rank adapters ({_first_line(error)}): leave lora_rank out."
        ) from error


def without_adapters(model: Any) -> Any:
    """A copy of a model whose adapters are added to its weights; the model itself where it has none."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    if not any(isinstance(module, BaseTunerLayer) for module in model.modules()):
        return model
    merged = copy.deepcopy(model)
    for name, module in list(merged.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge()  # type: ignore[operator]
            parent, _, own = name.rpartition(".")
            setattr(merged.get_submodule(parent), own, module.get_base_layer())
    return merged

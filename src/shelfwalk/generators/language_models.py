"""Pretrained language models: finding one, loading it without running anything of it, and low-rank adapters (torch).

In: a folder in the Hugging Face layout, or a name. Out: the model in float32, its tokenizer, and whether it is an
encoder-decoder or a causal model. Only safetensors are read, never pickles; code that comes with a model is not run,
and its settings for generation are not even read.
"""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from tokenizers import Tokenizer

from shelfwalk.errors import UserError
from shelfwalk.generators.code_tokens import CodeTokens
from shelfwalk.generators.settings import TrainingSettings

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
        raise UserError(
            f"The backbone {name} is no folder, and the model hub did not give it ({reason}): name a folder."
        )
    raise UserError(f"The backbone's folder {name} does not exist: name a folder of a Hugging Face model.")


def load_language_model(name: str) -> LanguageModel:
    """Load a model and its tokenizer on the CPU in float32; raises UserError where it cannot be used."""
    folder = checked_language_model(name)
    kind = kind_of(folder)
    return LanguageModel(load_weights(folder, kind), _tokenizer(folder), kind)


def checked_language_model(name: str) -> Path:
    """The folder of a model, after a look at what is in it; raises UserError if that cannot be a model of ours."""
    folder = find_language_model(name)
    kind_of(folder)
    if not list(folder.glob("*.safetensors")):
        pickled = [path for ending in ("bin", "pt", "pth") for path in folder.glob(f"*.{ending}")]
        found = "only pickled weights, which may run code when read" if pickled else "no weights"
        raise UserError(f"{folder} has {found}: save the model as safetensors.")
    return folder


def language_model_sha256(folder: Path) -> str:
    """One sha256 for the names and contents of all files of a model."""
    whole = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        with path.open("rb") as stream:
            whole.update(path.name.encode() + b"\0" + hashlib.file_digest(stream, "sha256").digest())
    return whole.hexdigest()


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
    if settings.get("auto_map"):
        raise UserError(
            f"{folder} is a {architecture}, whose own code would have to be run: convert it to a class that "
            "transformers has, as LlamaForCausalLM."
        )
    raise UserError(
        f"{folder} is a {architecture}, neither an encoder-decoder (T5, BART) nor a causal language model (Llama)."
    )


def load_weights(folder: Path, kind: Literal["seq2seq", "causal"]) -> Any:
    """Load a folder's model on the CPU in float32; raises UserError if it is damaged."""
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
        raise UserError(
            f"The model in {folder} could not be loaded ({_first_line(error)}): save or download it again."
        ) from error


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
    return f"{error}".strip().split("\n")[0].rstrip(".")


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
            module.merge()
            parent, _, own = name.rpartition(".")
            setattr(merged.get_submodule(parent), own, module.get_base_layer())
    return merged


@torch.no_grad()
def refuse_own_positions(model: Any) -> None:
    """Raise UserError unless a causal model puts tokens where it is told, and lets them see what it is told.

    Its beams stand side by side in one row; a model that counts positions itself would take them for one text.
    """
    was_training = model.training
    model.eval()
    words = model.get_input_embeddings().weight
    # Three tokens in a row, and the same with a fourth between them that none sees.
    text = words[[0, 1 % len(words), 2 % len(words)]][None]
    apart = torch.cat((text[:, :2], text[:, :1], text[:, 2:]), dim=1)
    seen = torch.ones(4, 4, dtype=torch.bool, device=words.device).tril()
    seen[3, 2] = False
    mask = torch.zeros(seen.shape, dtype=words.dtype, device=words.device)
    mask = mask.masked_fill(~seen, torch.finfo(words.dtype).min)[None, None]
    places = torch.tensor([[0, 1, 2, 2]], device=words.device)
    try:
        plain = model.base_model(inputs_embeds=text).last_hidden_state[:, -1]
        told = model.base_model(inputs_embeds=apart, attention_mask=mask, position_ids=places).last_hidden_state[:, -1]
        alike = torch.allclose(plain, told, rtol=1e-3, atol=1e-3 * float(plain.abs().max()))
    except (TypeError, ValueError, RuntimeError):
        alike = False
    model.train(was_training)
    if not alike:
        raise UserError(
            f"A {type(model).__name__} counts the positions of its tokens itself, so that it cannot walk several paths "
            "at once: take a model like Llama or Qwen."
        )


def language_model_groups(model: Any, codes: CodeTokens, settings: TrainingSettings) -> list[dict[str, Any]]:
    """What is new (codes, adapters) learns at the learning rate; pretrained weights, if they do, at the encoder's."""
    learning = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    new = [*codes.parameters(), *(weight for name, weight in learning.items() if "lora_" in name)]
    pretrained = [weight for name, weight in learning.items() if "lora_" not in name]
    groups = [{"params": new, "lr": settings.learning_rate}]
    return [*groups, {"params": pretrained, "lr": settings.encoder_learning_rate}] if pretrained else groups

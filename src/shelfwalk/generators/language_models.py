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
_VOCABULARIES = ("tokenizer.json", "tekken.json", "vocab*", "*.model")


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
    return LanguageModel(load_weights(folder, kind), load_tokenizer(folder), kind)


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
    from transformers import GenerationConfig
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        return loader_of(kind).from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            generation_config=GenerationConfig(),
        )
    except Exception as error:  # Three libraries read the folder, each with errors of its own for a damaged one.
        raise _damaged(folder, error) from error


def without_weights(folder: Path, kind: Literal["seq2seq", "causal"]) -> Any:
    """A folder's model as its settings alone describe it: all its modules on torch's meta device, with no number.

    Raises UserError if its settings describe none.
    """
    try:
        with torch.device("meta"):
            return loader_of(kind).from_config(settings_of(folder), dtype=torch.float32, trust_remote_code=False)
    except Exception as error:  # As when weights are loaded.
        raise _damaged(folder, error) from error


def settings_of(folder: Path) -> Any:
    """A model's own settings, as transformers has them; raises its errors."""
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def loader_of(kind: Literal["seq2seq", "causal"]) -> Any:
    """The class of transformers that makes models of a kind."""
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    return AutoModelForSeq2SeqLM if kind == "seq2seq" else AutoModelForCausalLM


def _damaged(folder: Path, error: Exception) -> UserError:
    return UserError(f"The model in {folder} could not be loaded ({_first_line(error)}): save or download it again.")


def load_tokenizer(folder: Path) -> Tokenizer:
    """Load a folder's tokenizer; raises UserError if there is none that can be used."""
    from transformers import AutoTokenizer

    try:
        _refuse_no_vocabulary(folder)
        loaded = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        return loaded.backend_tokenizer
    except Exception as error:
        raise UserError(
            f"{folder} has no tokenizer that could be loaded ({_first_line(error)}): save it with the model."
        ) from error


def _refuse_no_vocabulary(folder: Path) -> None:
    """Raise FileNotFoundError: of nothing, transformers makes a tokenizer that knows no word."""
    if not any(any(folder.glob(name)) for name in _VOCABULARIES):
        raise FileNotFoundError("none of its files is a vocabulary")


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


def language_model_groups(model: Any, codes: CodeTokens, settings: TrainingSettings) -> list[dict[str, Any]]:
    """What is new (codes, adapters) learns at the learning rate; pretrained weights, if they do, at the encoder's."""
    learning = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    new = [*codes.parameters(), *(weight for name, weight in learning.items() if "lora_" in name)]
    pretrained = [weight for name, weight in learning.items() if "lora_" not in name]
    groups = [{"params": new, "lr": settings.learning_rate}]
    return [*groups, {"params": pretrained, "lr": settings.encoder_learning_rate}] if pretrained else groups

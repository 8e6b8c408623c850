"""Loading language models: what cannot be used is refused in one sentence, and nothing of it is run."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from shelfwalk.errors import UserError
from shelfwalk.generators.language_models import (
    add_adapters,
    language_model_sha256,
    load_language_model,
    without_adapters,
)
from tiny_language_models import asked, write_model, write_tokenizer


def refused(name: object, *words: str) -> None:
    with pytest.raises(UserError) as told:
        load_language_model(str(name))
    sentence = str(told.value)
    assert sentence.endswith(".") and "\n" not in sentence
    for word in words:
        assert word in sentence


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model("llama", tmp_path / "model")


def test_the_kind_is_what_the_folder_says(tmp_path: Path) -> None:
    kinds = {
        kind: load_language_model(str(write_model(kind, tmp_path / kind))).kind for kind in ("t5", "bart", "qwen2")
    }
    assert kinds == {"t5": "seq2seq", "bart": "seq2seq", "qwen2": "causal"}


def test_a_folder_that_is_missing_or_no_model(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "does not exist")
    refused(tmp_path, "is no Hugging Face model", "config.json")
    (tmp_path / "config.json").write_text("{")
    refused(tmp_path, "is no Hugging Face model")
    refused("nobody/such-model", "nobody/such-model", "is no folder")


def test_a_model_that_generates_no_text(model: Path) -> None:
    for architectures in (["BertModel"], [], None):
        settings = json.loads((model / "config.json").read_text()) | {"architectures": architectures}
        (model / "config.json").write_text(json.dumps(settings))
        refused(model, "neither an encoder-decoder", "nor a causal language model")


class _Trap:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path(__file__).parent / "sprung",))


def test_pickled_weights_are_refused_unread(model: Path) -> None:
    (model / "model.safetensors").unlink()
    refused(model, "no weights")
    (model / "pytorch_model.bin").write_bytes(pickle.dumps(_Trap()))
    refused(model, "only pickled weights", "safetensors")
    assert not (Path(__file__).parent / "sprung").exists()


def test_damaged_weights(model: Path) -> None:
    (model / "model.safetensors").write_bytes(b"\xff" * 40)
    refused(model, "could not be loaded")


def test_a_tokenizer_that_is_missing(model: Path) -> None:
    for path in model.glob("token*"):
        path.unlink()
    refused(model, "has no tokenizer")
    write_tokenizer(model)
    assert load_language_model(str(model)).tokenizer.encode("usb hub").ids == [3, 4, 1]


def test_code_that_comes_with_a_model_is_not_run(model: Path) -> None:
    settings = json.loads((model / "config.json").read_text())
    settings |= {"auto_map": {"AutoModelForCausalLM": "trap.Model", "AutoConfig": "trap.Config"}}
    (model / "config.json").write_text(json.dumps(settings))
    sprung = model / "sprung"
    (model / "trap.py").write_text(f"open({str(sprung)!r}, 'w')\nclass Model: ...\nclass Config: ...\n")
    assert type(load_language_model(str(model)).model).__name__ == "LlamaForCausalLM"
    assert not sprung.exists()


def test_a_model_that_cannot_do_without_its_code_is_told_what_to_become(model: Path) -> None:
    """As Baichuan's checkpoints are: a causal model of a class that only their own files have."""
    settings = json.loads((model / "config.json").read_text())
    settings |= {"architectures": ["BaichuanForCausalLM"], "auto_map": {"AutoModelForCausalLM": "trap.Model"}}
    (model / "config.json").write_text(json.dumps(settings))
    refused(model, "is a BaichuanForCausalLM, whose own code would have to be run", "LlamaForCausalLM")


def test_every_file_counts_in_the_name_of_a_model(model: Path) -> None:
    before = language_model_sha256(model)
    assert language_model_sha256(model) == before
    (model / "config.json").write_text((model / "config.json").read_text() + " ")
    assert language_model_sha256(model) != before


def test_adapters_need_modules_that_peft_knows_for_the_model() -> None:
    from transformers import XLNetConfig, XLNetLMHeadModel

    own = XLNetLMHeadModel(XLNetConfig(vocab_size=20, d_model=16, n_layer=1, n_head=2, d_inner=16))
    with pytest.raises(UserError, match=r"^A XLNetLMHeadModel cannot be given low-rank adapters .*lora_rank out\.$"):
        add_adapters(own, 2)


def test_adapters_are_added_to_a_copy(model: Path) -> None:
    loaded = load_language_model(str(model)).model.eval()
    tokens = torch.tensor([[3, 4, 5]])
    with torch.no_grad():
        plain = loaded(tokens).logits
        assert without_adapters(loaded) is loaded
        add_adapters(loaded, 3)
        for name, weight in loaded.named_parameters():
            assert weight.requires_grad == ("lora_" in name)
            if "lora_B" in name:
                weight += torch.randn_like(weight)
        adapted = loaded(tokens).logits
        merged = without_adapters(loaded)
        assert torch.allclose(merged(tokens).logits, adapted, atol=1e-4)
        assert not torch.allclose(plain, adapted, atol=1e-2)
        assert torch.equal(loaded(tokens).logits, adapted)
    assert not [name for name, _ in merged.named_parameters() if "lora_" in name]


def test_broken_text_and_the_longest_are_read(model: Path) -> None:
    from shelfwalk.generators.prompt_tokens import PromptReader, Vocabulary

    reader = PromptReader(load_language_model(str(model)).tokenizer, Vocabulary(13, (4, 6)), limit=3, most=5)
    histories = [[[1, 2], [3, 5]]] * 3 + [[[0, -1], [-1, -1]]]
    read = reader.tokens(asked("usb hub c charger", "\ud800 hub", "", "ink", histories=histories))
    # The latest identifier stands next to the text; the oldest codes go where there are too many.
    assert read == [[14, 19, 3, 4, 1], [14, 19, 2, 4, 1], [16, 22, 14, 19, 1], [13, 10, 1]]

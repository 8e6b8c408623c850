"""The exported encoder: the same vectors as torch for any text, alone or among others, and no torch to run it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from shelfwalk.encoders.export import torch_encode
from shelfwalk.encoders.onnx import EncoderCard

if TYPE_CHECKING:
    from conftest import Exported


def test_equals_torch_on_texts_of_very_different_length(exported: Exported) -> None:
    texts = [*exported.texts, "", "a", "usb hub " * 500, *exported.queries]
    expected = torch_encode(exported.model, texts)
    # Random weights tell the texts apart: what follows is no comparison of constants.
    assert np.quantile(expected @ expected.T, 0.1) < 0.9
    np.testing.assert_allclose(exported.encoder().encode(texts), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_vector_does_not_depend_on_the_texts_beside_it(exported: Exported, precision: str) -> None:
    encoder = exported.encoder(precision)
    texts = [*exported.texts[:40], "usb hub " * 500, ""]
    together = encoder.encode(texts)
    np.testing.assert_array_equal(encoder.encode(texts[::-1]), together[::-1])
    np.testing.assert_array_equal(np.concatenate([encoder.encode([text]) for text in texts]), together)
    np.testing.assert_array_equal(exported.encoder(precision, threads=2).encode(texts), together)


def test_equals_torch_on_odd_texts(exported: Exported, odd_texts: dict[str, str]) -> None:
    texts = list(odd_texts.values())
    actual = exported.encoder().encode(texts)
    np.testing.assert_allclose(actual, torch_encode(exported.model, texts), rtol=0, atol=1e-4)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_vectors_have_unit_length_whatever_the_text(
    exported: Exported, odd_texts: dict[str, str], precision: str
) -> None:
    vectors = exported.encoder(precision).encode([*odd_texts.values(), "broken \udcff\ud800 UTF-8", *exported.texts])
    assert vectors.dtype == np.float32 and vectors.shape == (131, 32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=0, atol=1e-5)


def test_reads_broken_characters_as_question_marks(exported: Exported) -> None:
    broken, clean = exported.encoder().encode(["usb \udcff hub", "usb ? hub"])
    np.testing.assert_array_equal(broken, clean)


def test_reads_to_the_token_limit_and_no_further(exported: Exported) -> None:
    # A token is a letter here and the limit is 48, of which two open and close: what counts is the first 46 letters.
    start = "ab" * 22
    limit, beyond, before = exported.encoder().encode([f"{start} cd", f"{start} cdefgh", f"{start} xd"])
    np.testing.assert_array_equal(limit, beyond)
    assert np.abs(limit - before).max() > 1e-3


def test_no_texts_give_no_vectors(exported: Exported) -> None:
    vectors = exported.encoder().encode([])
    assert (vectors.shape, vectors.dtype) == ((0, 32), np.float32)


def test_runs_no_padding_though_the_tokenizer_asks_for_it(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = exported.encoder()
    lengths = []

    class Spy:
        def run(self, names: None, inputs: dict[str, Any]) -> list[Any]:
            lengths.append(inputs["input_ids"].shape[1])
            return [np.ones((1, 32), np.float32)]

    monkeypatch.setattr(encoder, "_session", Spy())
    encoder.encode(["abc", "ab cd", ""])
    assert sorted(lengths) == [2, 5, 6]


def test_texts_encoded_together_keep_their_order_and_their_vectors(exported: Exported) -> None:
    texts = exported.texts * 30
    # The float model: padding and neighbours must not matter.
    together = exported.encoder(threads=2).encode_together(texts)
    np.testing.assert_allclose(together, exported.encoder().encode(texts), atol=1e-4)


def test_no_texts_together_are_no_vectors(exported: Exported) -> None:
    assert exported.encoder().encode_together([]).shape == (0, 32)


def test_the_identity_names_the_function_and_not_its_name() -> None:
    card = EncoderCard("a", "ab" * 32, 384, 256, "int8")
    assert card.identity == EncoderCard("b", "ab" * 32, 384, 256, "int8").identity
    others = [("cd" * 32, 256, "int8"), ("ab" * 32, 128, "int8"), ("ab" * 32, 256, "float32")]
    identities = {EncoderCard("a", digest, 384, limit, precision).identity for digest, limit, precision in others}
    assert len(identities | {card.identity}) == 4


def test_encoding_imports_no_torch(exported: Exported) -> None:
    program = f"""
import sys
from pathlib import Path
from shelfwalk.encoders.onnx import OnnxTextEncoder
from shelfwalk.encoders.vector_cache import VectorCache
from shelfwalk.encoders.weights import find_weights
assert OnnxTextEncoder(Path({str(exported.home / "int8")!r})).encode(["usb hub"]).shape == (1, 32)
print([name for name in ("torch", "transformers", "sentence_transformers", "onnx", "huggingface_hub", "pandas")
       if name in sys.modules])
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("[]\n", "")

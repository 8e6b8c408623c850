"""The tiny encoder exported once for the room, and texts that are hard on an encoder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from shelfwalk.encoders.onnx import OnnxTextEncoder

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

WORDS = [
    "usb",
    "hub",
    "cable",
    "charger",
    "laptop",
    "sleeve",
    "dock",
    "mouse",
    "wireless",
    "keyboard",
    "paper",
    "ink",
    "27",
    "4k",
    "100w",
    "black",
]


@dataclass(frozen=True)
class Exported:
    """An encoder in torch, its export, and what it was compared on."""

    model: SentenceTransformer
    weights: Path
    home: Path
    texts: list[str]
    queries: list[str]

    def encoder(self, precision: str = "float32", threads: int = 1) -> OnnxTextEncoder:
        return OnnxTextEncoder(self.home / precision, threads)


@pytest.fixture(scope="session")
def sentences() -> list[str]:
    """120 different texts of 1 to 30 words in no order of length."""
    rng = np.random.default_rng(5)
    return [f"{number} " + " ".join(rng.choice(WORDS, rng.integers(1, 30))) for number in range(120)]


@pytest.fixture(scope="session")
def exported(own_cache: Path, tiny_weights: Path, sentences: list[str]) -> Exported:
    from shelfwalk.encoders.export import export_encoder, load_encoder

    queries = [" ".join(text.split()[:3]) for text in sentences]
    folder = export_encoder(tiny_weights, "tiny", 1, sentences, queries)
    return Exported(load_encoder(tiny_weights), tiny_weights, folder.parent, sentences, queries)


@pytest.fixture(scope="session")
def odd_texts() -> dict[str, str]:
    return {
        "empty": "",
        "blank": " \t\n ",
        "one letter": "a",
        "unknown signs": "€ ∞ ♥",
        "another script": "ノートパソコン 用 充電器",
        "right to left": "شاحن حاسوب محمول",
        "accents": "Écran incurvé à dalle ÉPAISSE",
        "a zero byte": "usb\x00hub",
        "10,000 characters": "usb hub " * 1_250,
        "one word of 10,000 characters": "a" * 10_000,
    }

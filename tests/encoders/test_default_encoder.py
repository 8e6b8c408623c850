"""The default encoder's real weights: the float export is the torch model, and int8 stays close to it."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from shelfwalk.encoders.export import COSINE_FLOOR, export_encoder, load_encoder, read_check, torch_encode
from shelfwalk.encoders.onnx import OnnxTextEncoder

BRANDS = ["Acorn & Sons", "Blauwal", "Kōyō", "Zenit"]
TYPES = ["USB-C hub", "laser printer toner", "noise cancelling headphones", "curved 27 inch monitor", "garden hose"]
DETAILS = [
    "",
    "black, refurbished",
    "with power supply, 100 W, aluminium case, for laptops and tablets, two years of warranty",
    "2 m",
    "for left-handed people. Comes with three spare filters and a bag. Dishwasher safe up to 60 °C.",
]
TEXTS = [" ".join(words).strip() for words in product(BRANDS, TYPES, DETAILS)]
QUERIES = [f"{kind.lower()} {detail[:12]}" for _, kind, detail in product(BRANDS, TYPES, DETAILS)]


@pytest.fixture(scope="module")
def home(own_cache: Path, real_weights: Path) -> Path:
    return export_encoder(real_weights, "all-MiniLM-L6-v2", 1, TEXTS, QUERIES).parent


def test_int8_stays_close_to_the_float_model(home: Path, real_weights: Path) -> None:
    expected = torch_encode(load_encoder(real_weights), TEXTS)
    int8 = OnnxTextEncoder(home / "int8").encode(TEXTS)
    mean = float(np.mean(np.sum(expected * int8, axis=1)))
    assert len(TEXTS) == 100 and mean >= COSINE_FLOOR
    assert read_check(home).mean_cosine == pytest.approx(mean, abs=1e-4)
    # What a shopper types finds the same products, but for near twins that swap places.
    similarity = torch_encode(load_encoder(real_weights), QUERIES) @ expected.T
    same = OnnxTextEncoder(home / "int8").encode(QUERIES) @ int8.T
    nearest, found = (np.argsort(-scores, axis=1)[:, :10] for scores in (similarity, same))
    assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(nearest, found, strict=True)]) > 0.8


def test_the_float_export_is_the_torch_model(home: Path, real_weights: Path) -> None:
    long = ["telecommunications " * 300, "usb hub " * 1_250, "x" * 10_000, "", "ノートパソコン", "شاحن حاسوب محمول"]
    texts = [*TEXTS[::5], *long]
    actual = OnnxTextEncoder(home / "float32").encode(texts)
    assert actual.shape == (26, 384)
    np.testing.assert_allclose(actual, torch_encode(load_encoder(real_weights), texts), rtol=0, atol=1e-4)

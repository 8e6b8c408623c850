"""Int8 is taken where it agrees with float, and leaves nothing behind where it does not."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from shelfwalk.constraints.trie import Trie
from shelfwalk.generators.beam_search import beam_search
from shelfwalk.generators.decoder import IdentifierDecoder
from shelfwalk.generators.int8 import Int8Choice, take_int8_if_alike
from shelfwalk.generators.onnx_generator import INT8_STEP, OnnxGenerator
from shelfwalk.generators.prompts import Prompts


@pytest.fixture
def folder(exported: tuple[IdentifierDecoder, Path], tmp_path: Path) -> Path:
    return shutil.copytree(exported[1], tmp_path / "generator")


def trie() -> Trie:
    return Trie.build(np.random.default_rng(1).integers(0, (9, 5, 7), (60, 3)).astype(np.int32))


def queries(number: int) -> Prompts:
    return Prompts.of([""] * number, np.random.default_rng(2).normal(size=(number, 10)).astype(np.float32))


def test_what_agrees_is_taken_and_finds_valid_paths(folder: Path) -> None:
    choice = take_int8_if_alike(folder, trie(), queries(8), least_overlap=0.1)
    assert choice.taken and 0.1 <= choice.overlap <= 1
    generator = OnnxGenerator(folder, int8=True)
    assert generator.is_int8 and not OnnxGenerator(folder).is_int8
    beams = beam_search(generator, trie(), queries(3), 20)
    assert np.array_equal(trie().paths(beams.states[:, :, 0].ravel()), beams.codes.reshape(-1, 3))


def test_the_overlap_is_that_of_the_ten_best(folder: Path) -> None:
    choice = take_int8_if_alike(folder, trie(), queries(5), least_overlap=0)
    shares = []
    for row in range(5):
        ten = [
            {tuple(path) for path in beam_search(one, trie(), queries(5).take([row]), 50).codes[0, :10].tolist()}
            for one in (OnnxGenerator(folder), OnnxGenerator(folder, int8=True))
        ]
        shares.append(len(ten[0] & ten[1]) / 10)
    assert choice == Int8Choice(pytest.approx(np.mean(shares)), True)


def test_what_differs_leaves_the_float_one_alone(folder: Path) -> None:
    choice = take_int8_if_alike(folder, trie(), queries(4), least_overlap=1.01)
    assert not choice.taken
    assert not (folder / INT8_STEP).exists()
    assert not OnnxGenerator(folder, int8=True).is_int8


def test_refuses_to_compare_on_no_queries(folder: Path) -> None:
    with pytest.raises(ValueError, match="none"):
        take_int8_if_alike(folder, trie(), queries(0))
    assert not (folder / INT8_STEP).exists()

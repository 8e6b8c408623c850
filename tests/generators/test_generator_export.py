"""The exported decoder against the torch one, through the beam search, and the imports of searching."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from shelfwalk.constraints.trie import Trie
from shelfwalk.generators.beam_search import beam_search
from shelfwalk.generators.decoder import IdentifierDecoder
from shelfwalk.generators.export import export_generator
from shelfwalk.generators.onnx_generator import OnnxGenerator
from shelfwalk.generators.prompts import Prompts
from shelfwalk.generators.torch_generator import TorchGenerator

Exported = tuple[IdentifierDecoder, Path]


def a_trie(level_sizes: tuple[int, ...], items: int = 200) -> Trie:
    return Trie.build(
        np.random.default_rng(1).integers(0, level_sizes, size=(items, len(level_sizes))).astype(np.int32)
    )


def queries(number: int, dimensions: int = 10) -> Prompts:
    return Prompts.of([""] * number, np.random.default_rng(2).normal(size=(number, dimensions)).astype(np.float32))


@pytest.mark.parametrize("width", [1, 2, 7, 50])
@pytest.mark.parametrize("batch", [1, 3])
def test_finds_what_the_torch_generator_finds(exported: Exported, batch: int, width: int) -> None:
    decoder, folder = exported
    trie = a_trie(decoder.shape.level_sizes)
    expected = beam_search(TorchGenerator(decoder), trie, queries(batch), width)
    actual = beam_search(OnnxGenerator(folder), trie, queries(batch), width)
    np.testing.assert_array_equal(actual.codes, expected.codes)
    np.testing.assert_array_equal(actual.states, expected.states)
    np.testing.assert_allclose(actual.scores, expected.scores, rtol=0, atol=1e-4)
    assert actual.scores.dtype == np.float32


def test_exports_the_smallest_shape(make_decoder: Callable[..., IdentifierDecoder], tmp_path: Path) -> None:
    # One of everything that the exporter could take for a constant, and one level, which needs no embedded codes.
    decoder = make_decoder((11,), layers=1, memory_tokens=1, heads=1, query_dimensions=1)
    export_generator(decoder, tmp_path)
    trie, generator = a_trie((11,), 60), OnnxGenerator(tmp_path)
    for batch, width in ((1, 1), (2, 5), (4, 30)):
        expected = beam_search(TorchGenerator(decoder), trie, queries(batch, 1), width)
        actual = beam_search(generator, trie, queries(batch, 1), width)
        np.testing.assert_array_equal(actual.codes, expected.codes)
        np.testing.assert_allclose(actual.scores, expected.scores, rtol=0, atol=1e-4)


def test_wide_enough_it_equals_scoring_every_path(exported: Exported) -> None:
    decoder, folder = exported
    trie = a_trie(decoder.shape.level_sizes)
    paths, prompts = trie.paths(), queries(4)
    codes = torch.from_numpy(paths.astype(np.int64))
    for generator in (OnnxGenerator(folder), TorchGenerator(decoder)):
        beams = beam_search(generator, trie, prompts, trie.leaves)
        for query in range(4):
            with torch.no_grad():
                logits = decoder(torch.from_numpy(prompts.vectors[query]).expand(len(codes), -1), codes)
            scores = sum(
                level.log_softmax(-1).gather(1, codes[:, number, None])[:, 0] for number, level in enumerate(logits)
            )
            order = np.argsort(-scores.numpy(), kind="stable")
            np.testing.assert_array_equal(beams.codes[query], paths[order])
            np.testing.assert_allclose(beams.scores[query], scores.numpy()[order], rtol=0, atol=1e-4)


def test_a_batch_gives_the_same_as_one_query_at_a_time(exported: Exported) -> None:
    _, folder = exported
    generator = OnnxGenerator(folder)
    trie = a_trie(generator.level_sizes)
    together = beam_search(generator, trie, queries(5), 20)
    for query in range(5):
        alone = beam_search(generator, trie, queries(5).take([query]), 20)
        np.testing.assert_array_equal(together.codes[query], alone.codes[0])
        np.testing.assert_allclose(together.scores[query], alone.scores[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("width", [5, 60])
def test_the_number_of_threads_changes_no_path(exported: Exported, width: int) -> None:
    _, folder = exported
    trie = a_trie((9, 5, 7))
    one, two = (beam_search(OnnxGenerator(folder, threads), trie, queries(4), width) for threads in (1, 2))
    np.testing.assert_array_equal(one.codes, two.codes)
    np.testing.assert_allclose(one.scores, two.scores, rtol=0, atol=1e-5)


def test_codes_that_a_smaller_level_lacks_are_never_found(exported: Exported) -> None:
    _, folder = exported
    # The levels have 9, 5 and 7 codes: of these paths two exist for the model.
    trie = Trie.build(np.array([[8, 4, 6], [8, 4, 7], [8, 5, 0], [0, 8, 8], [1, 0, 3]], np.int32))
    beams = beam_search(OnnxGenerator(folder), trie, queries(2), 10)
    for query in range(2):
        assert beams.found(query) == 2
        assert {tuple(path) for path in beams.codes[query, :2].tolist()} == {(8, 4, 6), (1, 0, 3)}
        assert np.all(np.isfinite(beams.scores[query, :2])) and np.all(beams.scores[query, 2:] == -np.inf)


def test_no_queries_work_as_well(exported: Exported) -> None:
    _, folder = exported
    assert beam_search(OnnxGenerator(folder), a_trie((9, 5, 7)), queries(0), 10).codes.shape[0] == 0


def test_says_the_sizes_of_what_it_exported(exported: Exported) -> None:
    decoder, folder = exported
    sizes = json.loads((folder / "generator.json").read_text())
    assert tuple(sizes["level_sizes"]) == decoder.shape.level_sizes == OnnxGenerator(folder).level_sizes
    assert sorted(path.name for path in folder.iterdir()) == ["generator.json", "memory.onnx", "step.onnx"]


def test_searching_imports_no_torch(exported: Exported, tmp_path: Path) -> None:
    _, folder = exported
    a_trie((9, 5, 7)).save(tmp_path)
    program = f"""
import sys
from pathlib import Path
import numpy as np
from shelfwalk.constraints.trie import Trie
from shelfwalk.encoders.onnx import OnnxTextEncoder
from shelfwalk.generators.beam_search import beam_search
from shelfwalk.generators.onnx_generator import OnnxGenerator
from shelfwalk.generators.prompts import Prompts
prompts = Prompts.of([""], np.ones((1, 10), np.float32))
beams = beam_search(OnnxGenerator(Path({str(folder)!r})), Trie.open(Path({str(tmp_path)!r})), prompts, 5)
assert beams.found(0) == 5
print([name for name in ("torch", "transformers", "sentence_transformers", "onnx", "matplotlib", "pandas")
       if name in sys.modules])
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("[]\n", "")

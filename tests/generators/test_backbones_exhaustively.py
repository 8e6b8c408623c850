"""Every backbone on many random catalogues: a wide search is the exhaustive ranking, a narrow one finds real paths."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from shelfwalk.constraints.trie import Trie
from shelfwalk.generators.backbone import Backbone
from shelfwalk.generators.beam_search import beam_search
from shelfwalk.generators.causal_backbone import CausalBackbone
from shelfwalk.generators.decoder import DecoderShape, IdentifierDecoder
from shelfwalk.generators.decoder_backbone import DecoderBackbone
from shelfwalk.generators.language_models import load_language_model
from shelfwalk.generators.prompts import Prompts
from shelfwalk.generators.seq2seq_backbone import Seq2SeqBackbone
from tiny_language_models import CAUSAL, MODELS, random_prompts, write_model

CATALOGUES = 40
"""Of each backbone, each with a model of its own."""
Making = Callable[[tuple[int, ...], int], Backbone]


def making(kind: str, folder: Path) -> Making:
    if kind == "decoder":
        return lambda sizes, _: DecoderBackbone(
            IdentifierDecoder(DecoderShape(2, sizes, width=8, layers=1, heads=2, memory_tokens=2))
        )
    # Settings for generation that would forbid every word, end every text at once, or sample.
    loaded = load_language_model(str(write_model(kind, folder, hostile=True)))
    whole = CausalBackbone if kind in CAUSAL else Seq2SeqBackbone

    def make(sizes: tuple[int, ...], seed: int) -> Backbone:
        with torch.no_grad():
            for weight in loaded.model.parameters():
                weight *= 1 + 0.02 * torch.randn(1)
        return whole(loaded, sizes, 6)

    return make


def losses_of_paths(backbone: Backbone, prompt: Prompts, paths: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
    """Minus the loss of each path alone: the model as it trains, without any cache."""
    with torch.no_grad():
        codes = torch.from_numpy(paths.astype(np.int64))
        return np.array([-backbone(prompt, path[None]).item() for path in codes], np.float32)


@pytest.mark.parametrize("kind", ["decoder", *MODELS])
def test_a_search_wide_enough_ranks_all_paths_and_every_width_finds_real_ones(kind: str, tmp_path: Path) -> None:
    make = making(kind, tmp_path)
    for seed in range(CATALOGUES):
        chance = np.random.default_rng([seed, 7])
        torch.manual_seed(seed)
        sizes = tuple(int(size) for size in chance.integers(1, 6, chance.integers(1, 4)))
        codes = chance.integers(0, sizes, (int(chance.integers(1, 14)), len(sizes))).astype(np.int32)
        backbone, trie = make(sizes, seed).eval(), Trie.build(codes, level_sizes=sizes)
        prompts = random_prompts(2, sizes, chance)
        paths = np.unique(codes, axis=0)
        beams = beam_search(backbone.generator(), trie, prompts, len(paths) + int(chance.integers(0, 4)))
        for query in range(2):
            expected = losses_of_paths(backbone, prompts.take([query]), paths)
            assert beams.found(query) == len(paths)
            found = {
                tuple(path): score for path, score in zip(beams.codes[query].tolist(), beams.scores[query], strict=True)
            }
            np.testing.assert_allclose([found[tuple(path)] for path in paths.tolist()], expected, atol=2e-3)
            assert np.all(np.diff(beams.scores[query]) <= 0)
        real = {tuple(path) for path in codes.tolist()}
        for width in (1, 2, 5):
            narrow = beam_search(backbone.generator(), trie, prompts, width)
            for query in range(2):
                count = narrow.found(query)
                assert 1 <= count <= width
                assert {tuple(path) for path in narrow.codes[query, :count].tolist()} <= real

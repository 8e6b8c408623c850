"""A decoder that reads what the shopper has lately chosen: it does, only that, and is the plain one without."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from shelfwalk.constraints.trie import Trie
from shelfwalk.generators.beam_search import beam_search
from shelfwalk.generators.decoder import DecoderShape, IdentifierDecoder, level_loss
from shelfwalk.generators.export import export_generator
from shelfwalk.generators.onnx_generator import OnnxGenerator
from shelfwalk.generators.prompts import Prompts
from shelfwalk.generators.torch_generator import TorchGenerator

MakeDecoder = Callable[..., IdentifierDecoder]
SIZES = (9, 5, 7)
LENGTH = 4


def some_histories(seed: int, lengths: list[int], places: int = LENGTH) -> npt.NDArray[np.int32]:
    """Identifiers at the first places of each history, and none behind them."""
    random = np.random.default_rng(seed)
    found = random.integers(0, SIZES, (len(lengths), places, len(SIZES))).astype(np.int32)
    for row, length in enumerate(lengths):
        found[row, length:] = -1
    return found


def prompts_of(histories: npt.NDArray[np.int32]) -> Prompts:
    vectors = np.random.default_rng(7).normal(size=(len(histories), 10)).astype(np.float32)
    return Prompts.of([""] * len(histories), vectors, histories)


def codes_like(rows: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, SIZES, (rows, len(SIZES))))


@pytest.fixture(scope="module")
def reading(make_decoder: MakeDecoder, tmp_path_factory: pytest.TempPathFactory) -> tuple[IdentifierDecoder, Path]:
    decoder = make_decoder(SIZES, history_length=LENGTH)
    folder = tmp_path_factory.mktemp("reading")
    export_generator(decoder, folder)
    return decoder, folder


@settings(max_examples=40)
@given(
    lengths=st.lists(st.integers(0, LENGTH), min_size=1, max_size=4),
    beams=st.integers(1, 4),
    seed=st.integers(0, 10**6),
)
def test_steps_with_histories_equal_the_whole_pass(
    make_decoder: MakeDecoder, lengths: list[int], beams: int, seed: int
) -> None:
    decoder = make_decoder(SIZES, seed=seed % 5, history_length=LENGTH)
    histories = torch.from_numpy(some_histories(seed, lengths).astype(np.int64))
    vectors = torch.from_numpy(prompts_of(some_histories(seed, lengths)).vectors)
    codes = codes_like(len(lengths) * beams, seed).unflatten(0, (len(lengths), beams))
    with torch.no_grad():
        repeated = (each.repeat_interleave(beams, 0) for each in (vectors, histories))
        whole = decoder(next(repeated), codes.flatten(0, 1), next(repeated))
        memory, masked = decoder.memory(vectors, histories), decoder.masked(histories)
        cache = decoder.empty_cache(len(vectors)).expand(-1, beams, -1, -1, -1, -1)
        rows = torch.zeros(codes.shape[:2], dtype=torch.int64)
        for level, size in enumerate(SIZES):
            scores, cache = decoder.step(vectors, memory, cache, rows, torch.tensor(level), masked)
            expected = whole[level].log_softmax(-1).unflatten(0, (len(lengths), beams))
            torch.testing.assert_close(scores[..., :size], expected, rtol=1e-4, atol=1e-5)
            if level + 1 < len(SIZES):
                rows = codes[:, :, level] + decoder.level_offsets[level]


def test_without_histories_it_is_the_plain_decoder() -> None:
    """The same start of everything that both have, and the same scores where no shopper has a history."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        plain = IdentifierDecoder(DecoderShape(10, SIZES, width=24, heads=3, dropout=0.0))
        torch.manual_seed(3)
        reading = IdentifierDecoder(DecoderShape(10, SIZES, width=24, heads=3, dropout=0.0, history_length=LENGTH))
    shared = plain.state_dict()
    own = {name for name in reading.state_dict() if name.startswith("history.")}
    assert own
    assert shared.keys() == reading.state_dict().keys() - own
    assert all(torch.equal(tensor, reading.state_dict()[name]) for name, tensor in shared.items())
    prompts, codes = prompts_of(some_histories(1, [0, 0, 0])), codes_like(3)
    vectors, nothing = torch.from_numpy(prompts.vectors), torch.full((3, LENGTH, len(SIZES)), -1)
    for one, other in zip(plain(vectors, codes), reading(vectors, codes, nothing), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


def test_a_history_changes_its_own_shoppers_scores_by_what_and_where_it_is(
    reading: tuple[IdentifierDecoder, Path],
) -> None:
    decoder, _ = reading
    histories = some_histories(2, [2, 2, 2])
    prompts, codes = prompts_of(histories), codes_like(3)

    def scores(changed: npt.NDArray[np.int32]) -> Tensor:
        with torch.no_grad():
            given = torch.from_numpy(changed.astype(np.int64))
            return torch.cat(decoder(torch.from_numpy(prompts.vectors), codes, given), dim=1)

    before = scores(histories)
    other_code = histories.copy()
    other_code[1, 0, 2] = (other_code[1, 0, 2] + 1) % SIZES[2]
    swapped = histories.copy()
    swapped[1, :2] = swapped[1, 1::-1]
    shorter = histories.copy()
    shorter[1, 1] = -1
    for changed in (other_code, swapped, shorter):
        moved = (scores(changed) - before).abs().amax(dim=1)
        assert moved[1] > 1e-3
        torch.testing.assert_close(moved[[0, 2]], torch.zeros(2), atol=1e-5, rtol=0)


def test_gradients_reach_the_histories_codes_and_places_in_use(make_decoder: MakeDecoder) -> None:
    decoder = make_decoder(SIZES, history_length=LENGTH).train()
    histories = torch.from_numpy(some_histories(3, [2, 1, 0]).astype(np.int64))
    codes = codes_like(3)
    level_loss(decoder(torch.from_numpy(prompts_of(histories.numpy()).vectors), codes, histories), codes).backward()
    places, table = decoder.history.place.grad, decoder.history.codes.weight.grad
    assert places is not None and table is not None
    assert (places.abs().sum(1) > 0).tolist() == [True, True, False, False]
    offsets = (0, 9, 14)
    used = {
        offsets[level] + code for row in histories[histories[:, :, 0] >= 0].tolist() for level, code in enumerate(row)
    }
    assert set(table.abs().sum(1).nonzero().flatten().tolist()) == used


@pytest.mark.parametrize("lengths", [[3], [4, 0, 2, 1]])
def test_the_exported_one_finds_what_the_torch_one_finds(
    reading: tuple[IdentifierDecoder, Path], lengths: list[int]
) -> None:
    decoder, folder = reading
    trie = Trie.build(codes_like(200, 1).numpy().astype(np.int32))
    prompts = prompts_of(some_histories(4, lengths))
    for width in (1, 7, 50):
        expected = beam_search(TorchGenerator(decoder), trie, prompts, width)
        actual = beam_search(OnnxGenerator(folder), trie, prompts, width)
        np.testing.assert_array_equal(actual.codes, expected.codes)
        np.testing.assert_allclose(actual.scores, expected.scores, rtol=0, atol=1e-4)


def test_no_history_is_an_empty_one_and_of_a_long_one_the_latest_count(reading: tuple[IdentifierDecoder, Path]) -> None:
    decoder, folder = reading
    trie = Trie.build(codes_like(200, 1).numpy().astype(np.int32))
    long = some_histories(5, [6, 6], places=6)
    for generator in (TorchGenerator(decoder), OnnxGenerator(folder)):

        def found(prompts: Prompts, generator: TorchGenerator | OnnxGenerator = generator) -> npt.NDArray[np.float32]:
            return beam_search(generator, trie, prompts, 20).scores

        unknown = prompts_of(long)
        plain = found(Prompts.of(unknown.texts, unknown.vectors))
        np.testing.assert_array_equal(plain, found(prompts_of(some_histories(5, [0, 0]))))
        np.testing.assert_array_equal(found(prompts_of(long)), found(prompts_of(long[:, :LENGTH])))
        assert np.abs(found(prompts_of(long)) - plain).max() > 1e-3


def test_a_plain_decoder_says_and_takes_nothing_of_histories(exported: tuple[IdentifierDecoder, Path]) -> None:
    decoder, folder = exported
    assert "history_length" not in json.loads((folder / "generator.json").read_text())
    trie = Trie.build(codes_like(200, 1).numpy().astype(np.int32))
    known = prompts_of(some_histories(6, [2, 3]))
    for generator in (TorchGenerator(decoder), OnnxGenerator(folder)):
        plain = beam_search(generator, trie, Prompts.of(known.texts, known.vectors), 20)
        np.testing.assert_array_equal(beam_search(generator, trie, known, 20).scores, plain.scores)

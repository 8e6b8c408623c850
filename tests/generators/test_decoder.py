"""The decoder: training's whole pass and the search's steps are one function, and it scores codes only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from shelfwalk.generators.decoder import IdentifierDecoder, level_loss
from shelfwalk.generators.prompts import Prompts
from shelfwalk.generators.torch_generator import TorchGenerator

MakeDecoder = Callable[..., IdentifierDecoder]


def random_codes(level_sizes: tuple[int, ...], *shape: int) -> Tensor:
    return torch.stack([torch.randint(size, shape) for size in level_sizes], dim=-1)


def by_steps(decoder: IdentifierDecoder, vectors: Tensor, codes: Tensor) -> list[Tensor]:
    """Log-probabilities of every level when beams [batch, beams, levels] are decoded a level at a time."""
    beams = codes.shape[1]
    memory = decoder.memory(vectors)
    cache = decoder.empty_cache(len(vectors)).expand(-1, beams, -1, -1, -1, -1)
    rows = torch.zeros(codes.shape[:2], dtype=torch.int64)
    levels = []
    for level, size in enumerate(decoder.shape.level_sizes):
        scores, cache = decoder.step(vectors, memory, cache, rows, torch.tensor(level))
        assert cache.shape[4] == level + 1
        assert torch.all(scores[..., size:] == -torch.inf)
        levels.append(scores[..., :size])
        if level + 1 < len(decoder.shape.level_sizes):
            rows = codes[:, :, level] + decoder.level_offsets[level]
    return levels


def moved_by(parameter: Tensor) -> Tensor:
    """The size of a parameter's gradient, its last axis added up."""
    assert parameter.grad is not None
    return parameter.grad.abs().sum(-1)


@settings(max_examples=60)
@given(
    level_sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple),
    sizes=st.fixed_dictionaries(
        {
            "layers": st.integers(1, 3),
            "heads": st.sampled_from([1, 2, 4]),
            "memory_tokens": st.integers(1, 5),
            "query_dimensions": st.integers(1, 12),
        }
    ),
    batch=st.integers(1, 4),
    beams=st.integers(1, 5),
    seed=st.integers(0, 10**6),
)
def test_steps_with_a_cache_equal_the_whole_pass(
    make_decoder: MakeDecoder, level_sizes: tuple[int, ...], sizes: dict[str, int], batch: int, beams: int, seed: int
) -> None:
    decoder = make_decoder(level_sizes, seed=seed, **sizes)
    torch.manual_seed(seed)
    vectors, codes = torch.randn(batch, sizes["query_dimensions"]), random_codes(level_sizes, batch, beams)
    with torch.no_grad():
        whole = decoder(vectors.repeat_interleave(beams, 0), codes.flatten(0, 1))
        steps = by_steps(decoder, vectors, codes)
    assert [level.shape for level in whole] == [(batch * beams, size) for size in level_sizes]
    for teacher_forced, stepped in zip(whole, steps, strict=True):
        torch.testing.assert_close(stepped.flatten(0, 1), teacher_forced.log_softmax(-1), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(stepped.exp().sum(-1), torch.ones(batch, beams))


def test_a_level_depends_on_all_earlier_codes_and_on_no_later_one(make_decoder: MakeDecoder) -> None:
    decoder = make_decoder((6, 6, 6, 6))
    torch.manual_seed(1)
    vectors, codes = torch.randn(1, 10), random_codes((6, 6, 6, 6), 1)
    with torch.no_grad():
        before = decoder(vectors, codes)
        for changed in range(4):
            others = codes.clone()
            others[:, changed] = (others[:, changed] + 1) % 6
            after = decoder(vectors, others)
            differs = [bool((before[level] - after[level]).abs().max() > 1e-3) for level in range(4)]
            assert differs == [level > changed for level in range(4)]


def test_a_query_reaches_only_its_own_row(make_decoder: MakeDecoder) -> None:
    decoder = make_decoder((6, 4))
    torch.manual_seed(2)
    vectors, codes = torch.randn(3, 10), random_codes((6, 4), 3)
    others = vectors.clone()
    others[1] += 1
    with torch.no_grad():
        for before, after in zip(decoder(vectors, codes), decoder(others, codes), strict=True):
            torch.testing.assert_close(before[[0, 2]], after[[0, 2]], rtol=1e-5, atol=1e-5)
            assert (before[1] - after[1]).abs().max() > 1e-3


def test_gradients_reach_every_parameter_and_the_codes_in_use(make_decoder: MakeDecoder) -> None:
    level_sizes = (5, 3, 8)
    decoder = make_decoder(level_sizes).train()
    torch.manual_seed(3)
    vectors, codes = torch.randn(7, 10), random_codes(level_sizes, 7)
    level_loss(decoder(vectors, codes), codes).backward()
    without = [
        name
        for name, parameter in decoder.named_parameters()
        if parameter.grad is None or parameter.grad.abs().max() < 1e-6
    ]
    assert without == []
    # Row 0 opens; of the others exactly those that some path goes through before its end.
    first, second = decoder.level_offsets
    used = {0, *(first + codes[:, 0]).tolist(), *(second + codes[:, 1]).tolist()}
    assert set(moved_by(decoder.embedding.weight).nonzero().flatten().tolist()) == used
    # The heads of codes that a smaller level lacks stay as they are; all others learn.
    for head in (decoder.head, decoder.direct):
        assert (moved_by(head) > 0).tolist() == [[code < size for code in range(8)] for size in level_sizes]


def test_codes_of_different_levels_are_different_tokens(make_decoder: MakeDecoder) -> None:
    decoder = make_decoder((4, 6, 3, 5))
    rows = [decoder.level_offsets[level] + code for level, size in enumerate((4, 6, 3)) for code in range(size)]
    assert [0, *rows] == list(range(len(decoder.embedding.weight)))


def test_the_loss_is_the_negative_log_likelihood_of_whole_paths(make_decoder: MakeDecoder) -> None:
    level_sizes = (5, 3, 8)
    decoder = make_decoder(level_sizes)
    torch.manual_seed(4)
    vectors, codes = torch.randn(7, 10), random_codes(level_sizes, 7)
    with torch.no_grad():
        loss = level_loss(decoder(vectors, codes), codes)
        steps = by_steps(decoder, vectors, codes[:, None])
    likelihoods = [
        sum(float(steps[level][row, 0, codes[row, level]]) for level in range(len(level_sizes))) for row in range(7)
    ]
    assert float(loss) == pytest.approx(-np.mean(likelihoods), rel=1e-4)


def test_training_lowers_the_loss_on_what_it_sees(make_decoder: MakeDecoder) -> None:
    decoder = make_decoder((5, 3, 8)).train()
    torch.manual_seed(5)
    vectors, codes = torch.randn(20, 10), random_codes((5, 3, 8), 20)
    optimiser = torch.optim.AdamW(decoder.parameters(), lr=3e-3)
    for _ in range(150):
        optimiser.zero_grad()
        level_loss(decoder(vectors, codes), codes).backward()
        optimiser.step()
    decoder.eval()
    predicted = torch.stack([level.argmax(-1) for level in decoder(vectors, codes)], dim=1)
    assert torch.equal(predicted, codes)


def test_the_generator_reorders_its_cache_by_beam(make_decoder: MakeDecoder) -> None:
    decoder = make_decoder((4, 5, 6))
    generator = TorchGenerator(decoder)
    rng = np.random.default_rng(6)
    vectors = rng.normal(size=(3, 10)).astype(np.float32)
    memory = generator.encode(Prompts.of([""] * 3, vectors))
    _, cache = generator.step(memory, generator.start(3), None, 0)
    cache = generator.reorder(cache, np.zeros((3, 4), np.int64))
    first = rng.integers(0, 4, size=(3, 4)).astype(np.int32)
    _, cache = generator.step(memory, cache, first, 1)
    parents = rng.integers(0, 4, size=(3, 6))
    second = rng.integers(0, 5, size=(3, 6)).astype(np.int32)
    scores, _ = generator.step(memory, generator.reorder(cache, parents), second, 2)

    paths = np.stack((np.take_along_axis(first, parents, 1), second, np.zeros_like(second)), axis=2)
    with torch.no_grad():
        expected = by_steps(decoder, torch.from_numpy(vectors), torch.from_numpy(paths.astype(np.int64)))[2]
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores[..., :6], expected.numpy(), rtol=1e-4, atol=1e-5)


def test_encoding_for_a_search_switches_dropout_off(make_decoder: MakeDecoder) -> None:
    decoder = make_decoder((4, 5), dropout=0.5).train()
    generator = TorchGenerator(decoder)
    prompts = Prompts.of([""], np.ones((1, 10), np.float32))
    scores = [generator.step(generator.encode(prompts), generator.start(1), None, 0)[0] for _ in range(2)]
    np.testing.assert_array_equal(*scores)

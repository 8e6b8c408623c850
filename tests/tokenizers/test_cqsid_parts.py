"""The parts of CQ-SID's training against slow or written-out versions: losses, moving codes, samples, the start."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from shelfwalk.data.query_item_pairs import QueryItemPairs
from shelfwalk.tokenizers.cqsid_losses import category_contrast, query_item_contrast
from shelfwalk.tokenizers.cqsid_network import CQSIDNetwork
from shelfwalk.tokenizers.cqsid_samples import Samples
from shelfwalk.tokenizers.cqsid_start import start_codebooks
from shelfwalk.tokenizers.cqsid_training import CQSIDData, train_cqsid
from shelfwalk.tokenizers.learning_pairs import LearningPairs
from shelfwalk.tokenizers.settings import CqSidSettings
from shelfwalk.tokenizers.training_run import TrainingRun

LEVEL_SIZES = (6, 4)


def vectors(rows: int, dimensions: int = 8, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(rows, dimensions)).astype(np.float32))


def slow_contrast(items: torch.Tensor, queries: torch.Tensor, names: list[int], asked: list[int], t: float) -> float:
    """The published formula pair by pair; a repeated query or item is no negative."""

    def similarity(i: int, q: int) -> float:
        return float(torch.cosine_similarity(items[i], queries[q], dim=0)) / t

    total = 0.0
    for n in range(len(items)):
        others = [m for m in range(len(items)) if m == n or (names[m] != names[n] and asked[m] != asked[n])]
        own = similarity(n, n)
        total += own - math.log(sum(math.exp(similarity(n, m)) for m in others))
        total += own - math.log(sum(math.exp(similarity(m, n)) for m in others))
    return -total / (2 * len(items))


@pytest.mark.parametrize("names", [[0, 1, 2, 3, 4], [0, 1, 0, 3, 4]])
@pytest.mark.parametrize("asked", [[0, 1, 2, 3, 4], [7, 7, 2, 3, 2]])
def test_the_query_item_loss_is_the_published_one(names: list[int], asked: list[int]) -> None:
    items, queries = vectors(5), vectors(5, seed=1)
    loss = query_item_contrast(items, queries, torch.tensor(names), torch.tensor(asked), 0.3)
    assert loss.item() == pytest.approx(slow_contrast(items, queries, names, asked, 0.3), rel=1e-5)


def test_the_query_item_loss_has_no_gradient_out_of_nothing() -> None:
    items = vectors(3).requires_grad_()
    query_item_contrast(items, vectors(3, seed=1), torch.zeros(3), torch.arange(3), 0.1).backward()
    assert torch.equal(items.grad, torch.zeros_like(items)), "one item against itself says nothing"


def test_the_category_loss_is_low_where_categories_lie_apart() -> None:
    centres = 5 * torch.eye(3, 8)
    apart = centres[torch.tensor([0, 0, 1, 1, 2])] + 0.1 * vectors(5)
    names = torch.arange(5)
    fits = category_contrast(apart, names, torch.tensor([0, 0, 1, 1, 2]), 0.1)
    does_not = category_contrast(apart, names, torch.tensor([0, 1, 0, 1, 2]), 0.1)
    assert fits.item() < 0.01 < 1 < does_not.item()
    unknown = category_contrast(apart, names, torch.tensor([0, 0, 1, 1, -1]), 0.1)
    assert unknown.item() < fits.item(), "an item of no known category is no negative"


@pytest.mark.parametrize("categories", [[0, 1, 2], [-1, -1, -1], [0, 0, -1]])
def test_the_category_loss_without_two_items_of_a_category(categories: list[int]) -> None:
    items = vectors(3).requires_grad_()
    loss = category_contrast(items, torch.zeros(3), torch.tensor(categories), 0.1)
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(items.grad).all()


def network(codebooks: list[torch.Tensor]) -> CQSIDNetwork:
    made = CQSIDNetwork([8, 4])
    for codebook in codebooks:
        made.add_level(codebook.clone(), torch.ones(len(codebook)))
    return made


def test_forced_codes_and_what_they_leave_over() -> None:
    codebooks = [vectors(5, 4), vectors(3, 4, 1)]
    latents = vectors(6, 4, 2)
    forced = torch.tensor([4, -1, 0, -1, 2, 2])
    found = network(codebooks).quantise(latents, forced)
    nearest = torch.cdist(latents, codebooks[0]).argmin(dim=1)
    assert found.codes[0].tolist() == torch.where(forced >= 0, forced, nearest).tolist()
    left = latents - codebooks[0][found.codes[0]]
    assert torch.equal(found.residuals[1], left)
    assert found.codes[1].tolist() == torch.cdist(left, codebooks[1]).argmin(dim=1).tolist()
    chosen = codebooks[0][found.codes[0]] + codebooks[1][found.codes[1]]
    assert torch.allclose(found.values, chosen, atol=1e-6)
    both = (latents - codebooks[0][found.codes[0]]).square().sum(1).mean() + (latents - chosen).square().sum(1).mean()
    assert found.commitment.item() == pytest.approx(both.item(), rel=1e-5)


def test_codes_move_as_published() -> None:
    """e ← λ e + (1 − λ) m with the plain mean of a batch, and not at all without an item."""
    codebook, latents = vectors(4, 4), vectors(5, 4, 1)
    made = network([codebook])
    quantised = made.quantise(latents, torch.tensor([0, 0, 2, 0, 2]))
    made.move_codes(quantised, 0.9)
    moved = made.codebooks[0]
    assert torch.allclose(moved[0], 0.9 * codebook[0] + 0.1 * latents[[0, 1, 3]].mean(dim=0))
    assert torch.allclose(moved[2], 0.9 * codebook[2] + 0.1 * latents[[2, 4]].mean(dim=0))
    assert torch.equal(moved[[1, 3]], codebook[[1, 3]])
    assert made.counts[0].tolist() == pytest.approx([1.2, 0.9, 1.1, 0.9])


def test_codes_have_no_gradient_and_the_encoder_has() -> None:
    made = network([vectors(4, 4), vectors(4, 4, 1)])
    latents = made.encoder(vectors(6))
    (made.quantise(latents).values.square().sum() + made.quantise(latents).commitment).backward()
    assert all(codebook.grad is None for codebook in made.codebooks)
    assert any(parameter.grad.abs().sum() > 0 for parameter in made.encoder.parameters())


def test_samples_are_all_pairs_and_the_items_without_one() -> None:
    pairs = QueryItemPairs.of([("a", 3), ("b", 1), ("a", 3), ("a", 1)])
    samples = Samples.of(5, LearningPairs(pairs, np.zeros((2, 2), np.float32)))
    found = sorted(zip(samples.item_rows.tolist(), samples.query_rows.tolist(), strict=True))
    assert found == [(0, -1), (1, 0), (1, 1), (2, -1), (3, 0), (3, 0), (4, -1)]
    batches = samples.batches(3, np.random.default_rng(0))
    assert sorted(np.concatenate(batches).tolist()) == list(range(7))
    assert sorted(map(len, batches)) == [2, 2, 3]
    assert Samples.of(3, None).query_rows.tolist() == [-1, -1, -1]


def test_categories_start_at_the_mean_of_their_items() -> None:
    latents = vectors(60, 4).numpy()
    forced = np.random.default_rng(3).integers(-1, 3, 60).astype(np.int32)
    codebooks = start_codebooks(latents.copy(), forced, LEVEL_SIZES, 0)
    assert [len(codebook) for codebook in codebooks] == [6, 4]
    for code in range(3):
        assert np.allclose(codebooks[0][code], latents[forced == code].mean(axis=0), atol=1e-6)
    spare = start_codebooks(latents.copy(), np.abs(forced), LEVEL_SIZES, 0)[0]
    assert len(spare) == 3, "codes that no item can have"


def test_restarts_leave_the_codes_of_categories_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Codes that start far away come to be used; the code of a category never leaves it, rare as it may be."""
    rows = vectors(200).numpy()
    categories = np.full(200, 1, np.int32)
    categories[:20], categories[20] = -1, 0

    def far(latents: np.ndarray, forced: np.ndarray, *_: object) -> tuple[np.ndarray, ...]:
        codebook = np.full((6, latents.shape[1]), 1_000, np.float32) + np.arange(6, dtype=np.float32)[:, None]
        codebook[:2] = [latents[forced == code].mean(axis=0) for code in (0, 1)]
        return codebook, np.zeros((4, latents.shape[1]), np.float32)

    monkeypatch.setattr("shelfwalk.tokenizers.cqsid_training.start_codebooks", far)
    run = TrainingRun(bfloat16=False)
    settings = CqSidSettings(
        level_sizes=LEVEL_SIZES, hidden_widths=(12,), latent_width=4, epochs=8, batch=32, contrast=0.0
    )
    trained = train_cqsid(CQSIDData(rows, categories, None), settings, run)
    assert np.abs(trained.codebooks[0]).max() < 100
    # A restart would have put the rare category's code, which half of the epochs see once, onto another item.
    one = train_cqsid(CQSIDData(rows, categories, None), settings.model_copy(update={"epochs": 7}), run)
    assert np.abs(trained.codebooks[0][0] - one.codebooks[0][0]).max() < 0.5

"""The RQ-VAE as a tokeniser: it learns, uses its codes, resumes, is the same every time, and encodes without torch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
import torch
from pydantic import ValidationError

from shelfwalk.tokenizers.diagnosis import diagnose
from shelfwalk.tokenizers.rqvae import RQVAETokenizer
from shelfwalk.tokenizers.rqvae_network import RQVAENetwork, nearest
from shelfwalk.tokenizers.rqvae_training import train_rqvae
from shelfwalk.tokenizers.saved_tokenizer import open_tokenizer
from shelfwalk.tokenizers.settings import RqVaeSettings
from shelfwalk.tokenizers.training_run import TrainingRun

Catalogue = tuple[pa.Table, npt.NDArray[np.float32]]
MakeCatalogue = Callable[..., Catalogue]
RUN = TrainingRun(bfloat16=False)


def small(**changes: Any) -> RqVaeSettings:
    """Settings of a tokeniser that is soon fitted."""
    sizes = {"level_sizes": (16, 8), "hidden_widths": (24,), "latent_width": 8, "epochs": 4, "batch": 64}
    return RqVaeSettings(**{**sizes, **changes})


SMALL = small()


@pytest.fixture(scope="module")
def mixture_of_2000(catalogue: MakeCatalogue) -> tuple[pa.Table, npt.NDArray[np.float32], RQVAETokenizer]:
    items, vectors = catalogue(2_000, 32, clusters=40)
    settings = RqVaeSettings(level_sizes=(64, 64, 64), hidden_widths=(64, 32), latent_width=16, epochs=25, batch=256)
    return items, vectors, RQVAETokenizer(settings).fit(items, vectors)


def test_the_loss_falls(mixture_of_2000: tuple[pa.Table, npt.NDArray[np.float32], RQVAETokenizer]) -> None:
    losses = mixture_of_2000[2].losses
    assert len(losses) == 25
    assert losses[-1].reconstruction < 0.6 * losses[0].reconstruction
    assert all(loss.commitment == pytest.approx(loss.codebook, rel=1e-3) for loss in losses)


def test_four_fifths_of_the_codes_are_used(
    mixture_of_2000: tuple[pa.Table, npt.NDArray[np.float32], RQVAETokenizer],
) -> None:
    items, vectors, tokenizer = mixture_of_2000
    diagnosis = diagnose(tokenizer.encode(items, vectors), tokenizer.level_sizes)
    assert tokenizer.level_sizes == (64, 64, 64)
    assert min(level.used_share for level in diagnosis.levels) >= 0.8


def test_an_item_has_the_same_code_alone_and_among_others(
    mixture_of_2000: tuple[pa.Table, npt.NDArray[np.float32], RQVAETokenizer],
) -> None:
    items, vectors, tokenizer = mixture_of_2000
    alone = [tokenizer.encode(items.slice(row, 1), vectors[row : row + 1])[0].tolist() for row in range(300)]
    assert alone == tokenizer.encode(items, vectors)[:300].tolist()


def test_codes_are_those_that_torch_gives(catalogue: MakeCatalogue) -> None:
    items, vectors = catalogue(300, 12)
    trained = train_rqvae(vectors, SMALL, RUN)
    network = RQVAENetwork([12, 24, 8])
    linear = [layer for layer in network.encoder if isinstance(layer, torch.nn.Linear)]
    for layer, (weight, bias) in zip(linear, trained.layers, strict=True):
        layer.load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)})
    residual = network.double().encoder(torch.from_numpy(vectors).double()).float()
    expected = []
    for codebook in map(torch.from_numpy, trained.codebooks):
        distances = torch.cdist(residual.double(), codebook.double(), compute_mode="donot_use_mm_for_euclid_dist")
        expected.append(distances.argmin(dim=1))
        residual = residual - codebook[expected[-1]]
    codes = RQVAETokenizer(SMALL, RUN).fit(items, vectors).encode(items, vectors)
    assert np.array_equal(codes, torch.stack(expected, dim=1).numpy())


def test_the_same_seed_gives_the_same_tokeniser(catalogue: MakeCatalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    items, vectors = catalogue(200, 12)
    used = set()

    def watched(points: torch.Tensor, codebook: torch.Tensor) -> torch.Tensor:
        used.add(torch.get_num_threads())
        return nearest(points, codebook)

    monkeypatch.setattr("shelfwalk.tokenizers.rqvae_network.nearest", watched)
    torch.rand(7)  # Lest a former test left the very state that a fit would leave.
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    fits = []
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            fits.append(RQVAETokenizer(SMALL, RUN).fit(items, vectors))
            assert torch.get_num_threads() == number, "the caller's number of threads was not put back"
    finally:
        torch.set_num_threads(threads)
    first, second = fits
    assert used == {1}
    assert torch.equal(torch.random.get_rng_state(), state), "the caller's random numbers were disturbed"
    assert first.losses == second.losses
    for one, other in zip(first.codebooks, second.codebooks, strict=True):
        assert np.array_equal(one, other)
    other_seed = RQVAETokenizer(SMALL, replace(RUN, seed=1)).fit(items, vectors)
    assert other_seed.losses != first.losses


class Interruption:
    """A progress callback that stops the training after an epoch, as Ctrl-C does."""

    def __init__(self, after: int) -> None:
        self.after = after
        self.told: list[tuple[str, int, int]] = []

    def __call__(self, what: str, done: int, total: int) -> None:
        self.told.append((what, done, total))
        if done == self.after:
            raise KeyboardInterrupt


@pytest.mark.parametrize("after", [0, 1, 3])
def test_resuming_gives_what_an_uninterrupted_training_gives(
    after: int, tmp_path: Path, catalogue: MakeCatalogue
) -> None:
    items, vectors = catalogue(200, 12)
    whole = RQVAETokenizer(SMALL, RUN).fit(items, vectors)
    with pytest.raises(KeyboardInterrupt):
        RQVAETokenizer(SMALL, RUN).fit(items, vectors, progress=Interruption(after), checkpoints=tmp_path)
    rest = Interruption(after=99)
    resumed = RQVAETokenizer(SMALL, RUN).fit(items, vectors, progress=rest, checkpoints=tmp_path)
    assert rest.told == [("RQ-VAE epochs", done, 4) for done in range(after, 5)]
    assert resumed.losses == whole.losses
    for one, other in zip(resumed.codebooks, whole.codebooks, strict=True):
        assert np.array_equal(one, other)
    assert np.array_equal(resumed.encode(items, vectors), whole.encode(items, vectors))


@pytest.mark.parametrize("change", ["vectors", "settings", "damage"])
def test_a_checkpoint_of_another_training_is_not_taken(change: str, tmp_path: Path, catalogue: MakeCatalogue) -> None:
    items, vectors = catalogue(200, 12)
    settings = SMALL
    train_rqvae(vectors, SMALL, RUN, checkpoints=tmp_path)
    if change == "vectors":
        vectors = vectors[::-1].copy()
    elif change == "settings":
        settings = small(commitment=0.5)
    else:
        (file,) = tmp_path.iterdir()
        file.write_bytes(file.read_bytes()[:-100])
    progress = Interruption(after=99)
    resumed = RQVAETokenizer(settings, RUN).fit(items, vectors, progress=progress, checkpoints=tmp_path)
    assert progress.told[0] == ("RQ-VAE epochs", 0, 4)
    assert resumed.losses == RQVAETokenizer(settings, RUN).fit(items, vectors).losses


def test_a_finished_training_is_not_repeated(tmp_path: Path, catalogue: MakeCatalogue) -> None:
    items, vectors = catalogue(100, 12)
    first = RQVAETokenizer(SMALL, RUN).fit(items, vectors, checkpoints=tmp_path)
    progress = Interruption(after=99)
    second = RQVAETokenizer(SMALL, RUN).fit(items, vectors, progress=progress, checkpoints=tmp_path)
    assert progress.told == [("RQ-VAE epochs", 4, 4)]
    assert np.array_equal(first.encode(items, vectors), second.encode(items, vectors))


@pytest.mark.parametrize("count", [1, 2, 10])
def test_a_catalogue_smaller_than_the_codebook(count: int, catalogue: MakeCatalogue) -> None:
    items, vectors = catalogue(count, 12)
    tokenizer = RQVAETokenizer(small(level_sizes=(64, 64)), RUN).fit(items, vectors)
    assert tokenizer.level_sizes == (count, 1)
    assert sorted(tokenizer.encode(items, vectors)[:, 0].tolist()) == list(range(count))


def test_identical_vectors_have_one_code_a_level(catalogue: MakeCatalogue) -> None:
    items, vectors = catalogue(150, 12)
    same = np.repeat(vectors[:1], 150, axis=0)
    tokenizer = RQVAETokenizer(SMALL, RUN).fit(items, same)
    assert tokenizer.level_sizes == (1, 1)
    assert not tokenizer.encode(items, same).any()


def test_dead_codes_are_restarted(catalogue: MakeCatalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Codes that start far from every item come to be used."""
    items, vectors = catalogue(300, 12)

    def far_codebooks(latents: npt.NDArray[np.float32], *_: object) -> tuple[npt.NDArray[np.float32], ...]:
        codebook = 1_000 + np.arange(16, dtype=np.float32)[:, None] * np.ones(latents.shape[1], np.float32)
        codebook[0] = latents.mean(axis=0)
        return (codebook,)

    monkeypatch.setattr("shelfwalk.tokenizers.rqvae_training.fit_codebooks", far_codebooks)
    tokenizer = RQVAETokenizer(small(level_sizes=(16,)), RUN).fit(items, vectors)
    assert len(np.unique(tokenizer.encode(items, vectors))) >= 13
    assert np.abs(tokenizer.codebooks[0]).max() < 100


def test_round_trip_without_torch(
    tmp_path: Path, catalogue: MakeCatalogue, folder_content: Callable[..., dict[str, bytes]]
) -> None:
    items, vectors = catalogue(100, 12)
    tokenizer = RQVAETokenizer(SMALL, RUN).fit(items, vectors)
    tokenizer.save(tmp_path / "first")
    opened = open_tokenizer(tmp_path / "first")
    assert isinstance(opened, RQVAETokenizer)
    assert (opened.settings, opened.run) == (SMALL, RUN)
    assert opened.losses == tokenizer.losses
    opened.save(tmp_path / "second")
    assert folder_content(tmp_path / "first") == folder_content(tmp_path / "second")
    np.save(tmp_path / "vectors.npy", vectors)
    script = (
        "import sys, numpy, pyarrow, pathlib\n"
        "from shelfwalk.tokenizers.saved_tokenizer import open_tokenizer\n"
        "tokenizer = open_tokenizer(pathlib.Path(sys.argv[1]))\n"
        "items = pyarrow.table({'item_id': [str(number) for number in range(100)]})\n"
        "print(tokenizer.encode(items, numpy.load(sys.argv[2])).tolist(), 'torch' in sys.modules)\n"
    )
    arguments = [str(tmp_path / "first"), str(tmp_path / "vectors.npy")]
    ran = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == f"{tokenizer.encode(items, vectors).tolist()} False"


def test_encoding_before_fitting() -> None:
    with pytest.raises(ValueError, match="not fitted"):
        RQVAETokenizer().encode(pa.table({"item_id": ["a"]}), np.ones((1, 4), np.float32))
    assert RQVAETokenizer().level_sizes == (256, 256, 256)


@pytest.mark.parametrize(
    "wrong", [{"epochs": 0}, {"batch": -1}, {"latent_width": 0}, {"hidden_widths": (8, 0)}, {"level_sizes": (256, 0)}]
)
def test_settings_that_make_no_tokeniser(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        small(**wrong)

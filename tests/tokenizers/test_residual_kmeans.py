"""Residual k-means: what it learns, tiny and degenerate catalogues, the same result every time, round trip."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from shelfwalk.errors import UserError
from shelfwalk.tokenizers import residual_kmeans
from shelfwalk.tokenizers.residual_kmeans import ResidualKMeansTokenizer, fit_codebooks, sampled_rows
from shelfwalk.tokenizers.saved_tokenizer import open_tokenizer

Catalogue = tuple[pa.Table, npt.NDArray[np.float32]]
MakeCatalogue = Callable[..., Catalogue]


def reconstruction(
    tokenizer: ResidualKMeansTokenizer, items: pa.Table, vectors: npt.NDArray[np.float32]
) -> list[float]:
    """Mean squared error after one level, after two, and so on."""
    codes = tokenizer.encode(items, vectors)
    residual, errors = vectors.astype(np.float64), []
    for level, codebook in enumerate(tokenizer.codebooks):
        residual = residual - codebook[codes[:, level]]
        errors.append(float((residual**2).sum(axis=1).mean()))
    return errors


def test_separate_clusters_get_a_code_each(catalogue: MakeCatalogue) -> None:
    items, _ = catalogue(60, 3)
    cluster = np.arange(60) % 3
    vectors = np.eye(3, dtype=np.float32)[cluster] + 0.01 * np.random.default_rng(0).normal(size=(60, 3))
    tokenizer = ResidualKMeansTokenizer((3, 4)).fit(items, vectors)
    codes = tokenizer.encode(items, vectors)
    assert len({(a, b) for a, b in zip(cluster, codes[:, 0].tolist(), strict=True)}) == 3
    centres = np.stack([vectors[cluster == number].mean(axis=0) for number in range(3)])
    assert np.allclose(tokenizer.codebooks[0][codes[:3, 0]], centres, atol=1e-5)


def test_every_level_lowers_the_error_and_uses_its_codes(catalogue: MakeCatalogue) -> None:
    items, vectors = catalogue(800, 16)
    tokenizer = ResidualKMeansTokenizer((32, 16, 8)).fit(items, vectors)
    errors = reconstruction(tokenizer, items, vectors)
    assert errors[0] > errors[1] > errors[2] > 0
    codes = tokenizer.encode(items, vectors)
    assert codes.dtype == np.int32
    assert codes.shape == (800, 3)
    assert tokenizer.level_sizes == (32, 16, 8)
    assert [len(np.unique(column)) for column in codes.T] == [32, 16, 8]


def test_codes_are_centres_of_their_points(catalogue: MakeCatalogue) -> None:
    """The fixed point of k-means: with enough iterations each code is the mean of the points that it is nearest to."""
    items, vectors = catalogue(300, 8)
    tokenizer = ResidualKMeansTokenizer((6,), iterations=200).fit(items, vectors)
    codes = tokenizer.encode(items, vectors)[:, 0]
    means = np.stack([vectors[codes == code].mean(axis=0) for code in range(6)])
    assert np.allclose(tokenizer.codebooks[0], means, atol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 10])
def test_a_catalogue_smaller_than_the_codebook(count: int, catalogue: MakeCatalogue) -> None:
    items, vectors = catalogue(count, 8)
    tokenizer = ResidualKMeansTokenizer((256, 256, 256)).fit(items, vectors)
    assert tokenizer.level_sizes == (count, 1, 1)
    codes = tokenizer.encode(items, vectors)
    assert sorted(codes[:, 0].tolist()) == list(range(count))
    assert reconstruction(tokenizer, items, vectors)[-1] == 0


def test_identical_vectors_have_one_code_a_level(catalogue: MakeCatalogue) -> None:
    items, vectors = catalogue(500, 8)
    same = np.repeat(vectors[:1], 500, axis=0)
    tokenizer = ResidualKMeansTokenizer((4, 4)).fit(items, same)
    assert tokenizer.level_sizes == (1, 1)
    assert not tokenizer.encode(items, same).any()


@pytest.mark.parametrize("size", [5, 8])
def test_few_different_vectors_among_many_items(size: int, catalogue: MakeCatalogue) -> None:
    items, vectors = catalogue(500, 8)
    repeated = vectors[np.arange(500) % 5]
    tokenizer = ResidualKMeansTokenizer((size, 8)).fit(items, repeated)
    assert tokenizer.level_sizes == (5, 1)
    assert len(np.unique(tokenizer.encode(items, repeated), axis=0)) == 5


def test_few_items_a_code_bring_no_warning(catalogue: MakeCatalogue, capfd: pytest.CaptureFixture[str]) -> None:
    items, vectors = catalogue(60, 8)
    ResidualKMeansTokenizer((50, 59, 60)).fit(items, vectors)
    assert capfd.readouterr() == ("", "")


def test_seeds_decide_and_threads_do_not(catalogue: MakeCatalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    _, vectors = catalogue(3_000, 32)
    fits, used = {}, set()
    train = faiss.Kmeans.train

    def watched(kmeans: faiss.Kmeans, points: npt.NDArray[np.float32]) -> None:
        used.add(faiss.omp_get_max_threads())
        train(kmeans, points)

    monkeypatch.setattr(faiss.Kmeans, "train", watched)
    threads = faiss.omp_get_max_threads()
    try:
        for number in (1, 2, 3):
            faiss.omp_set_num_threads(number)
            fits[number] = fit_codebooks(vectors.copy(), (32, 32), seed=5, iterations=10)
            assert faiss.omp_get_max_threads() == number, "the caller's number of threads was not put back"
    finally:
        faiss.omp_set_num_threads(threads)
    # Often several threads give the same as well, so the results alone would not show it.
    assert used == {1}
    for level in range(2):
        assert np.array_equal(fits[1][level], fits[2][level])
        assert np.array_equal(fits[1][level], fits[3][level])
    assert not np.array_equal(fits[1][0], fit_codebooks(vectors.copy(), (32,), seed=6, iterations=10)[0])


def test_an_item_has_the_same_code_alone_and_among_others(catalogue: MakeCatalogue) -> None:
    items, vectors = catalogue(400, 24)
    tokenizer = ResidualKMeansTokenizer((16, 16, 16)).fit(items, vectors)
    whole = tokenizer.encode(items, vectors)
    alone = [tokenizer.encode(items.slice(row, 1), vectors[row : row + 1])[0].tolist() for row in range(400)]
    assert alone == whole.tolist()


def test_fitting_leaves_the_vectors_as_they_were(catalogue: MakeCatalogue) -> None:
    items, vectors = catalogue(100, 8)
    before = vectors.copy()
    ResidualKMeansTokenizer((4, 4)).fit(items, vectors)
    assert np.array_equal(vectors, before)


def test_very_many_points_are_sampled_by_seed(monkeypatch: pytest.MonkeyPatch, catalogue: MakeCatalogue) -> None:
    monkeypatch.setattr(residual_kmeans, "FEWEST_SAMPLED_POINTS", 20)
    monkeypatch.setattr(residual_kmeans, "SAMPLED_POINTS_A_CODE", 8)
    _, vectors = catalogue(100, 4)
    rows = {row.tobytes() for row in vectors}
    sample = sampled_rows(vectors, (2, 4), seed=0)
    assert sample.shape == (32, 4)
    assert len({row.tobytes() for row in sample} & rows) == 32
    assert np.array_equal(sample, sampled_rows(vectors, (2, 4), seed=0))
    assert not np.array_equal(sample, sampled_rows(vectors, (2, 4), seed=1))
    assert len(sampled_rows(vectors, (2,), seed=0)) == 20
    assert np.array_equal(sampled_rows(vectors[:20], (2,), seed=0), vectors[:20])


def test_progress_is_told_of_every_level(catalogue: MakeCatalogue) -> None:
    items, vectors = catalogue(50, 4)
    told: list[tuple[str, int, int]] = []
    ResidualKMeansTokenizer((4, 4)).fit(items, vectors, progress=lambda *what: told.append(what))
    assert told == [("residual k-means", done, 2) for done in range(3)]


def test_round_trip(tmp_path: Path, catalogue: MakeCatalogue, folder_content: Callable[..., dict[str, bytes]]) -> None:
    items, vectors = catalogue(200, 8)
    tokenizer = ResidualKMeansTokenizer((16, 300), seed=4, iterations=7).fit(items, vectors)
    tokenizer.save(tmp_path / "first")
    opened = open_tokenizer(tmp_path / "first")
    assert isinstance(opened, ResidualKMeansTokenizer)
    assert opened.level_sizes == tokenizer.level_sizes
    assert np.array_equal(opened.encode(items, vectors), tokenizer.encode(items, vectors))
    opened.save(tmp_path / "second")
    assert folder_content(tmp_path / "first") == folder_content(tmp_path / "second")


def test_opening_and_encoding_need_no_torch(tmp_path: Path, catalogue: MakeCatalogue) -> None:
    items, vectors = catalogue(30, 8)
    ResidualKMeansTokenizer((4, 4)).fit(items, vectors).save(tmp_path)
    script = (
        "import sys, numpy, pyarrow, pathlib\n"
        "from shelfwalk.tokenizers.saved_tokenizer import open_tokenizer\n"
        "tokenizer = open_tokenizer(pathlib.Path(sys.argv[1]))\n"
        "tokenizer.encode(pyarrow.table({'item_id': ['a']}), numpy.ones((1, 8), numpy.float32))\n"
        "print([name for name in ('torch', 'transformers', 'faiss', 'safetensors') if name in sys.modules])\n"
    )
    ran = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize("sizes", [(), (4, 0), (-1,)])
def test_level_sizes_that_make_no_identifier(sizes: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="at least one level"):
        ResidualKMeansTokenizer(sizes)


def test_no_items_to_learn_from(catalogue: MakeCatalogue) -> None:
    items, vectors = catalogue(1, 4)
    with pytest.raises(UserError, match="no items"):
        ResidualKMeansTokenizer((4,)).fit(items.slice(1), vectors[1:])
    assert ResidualKMeansTokenizer((4,)).fit(items, vectors).encode(items.slice(1), vectors[1:]).shape == (0, 1)


def test_vectors_that_do_not_fit(catalogue: MakeCatalogue) -> None:
    items, vectors = catalogue(10, 4)
    tokenizer = ResidualKMeansTokenizer((4,))
    with pytest.raises(ValueError, match="not fitted"):
        tokenizer.encode(items, vectors)
    tokenizer.fit(items, vectors)
    with pytest.raises(ValueError, match="10 items"):
        tokenizer.encode(items, vectors[:9])
    with pytest.raises(ValueError, match="4 dimensions, not 3"):
        tokenizer.encode(items, vectors[:, :3])
    broken = vectors.copy()
    broken[7, 2] = np.nan
    with pytest.raises(ValueError, match="row 7"):
        tokenizer.fit(items, broken)

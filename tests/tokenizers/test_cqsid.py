"""CQ-SID as a tokeniser: categories in level 1, queries that draw items together, the same every time, resumable."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from shelfwalk.data.query_item_pairs import QueryItemPairs
from shelfwalk.errors import UserError
from shelfwalk.tokenizers.cqsid import CQSIDTokenizer
from shelfwalk.tokenizers.cqsid_training import CQSIDData, train_cqsid
from shelfwalk.tokenizers.item_tokenizer import Vectors
from shelfwalk.tokenizers.learning_pairs import LearningPairs
from shelfwalk.tokenizers.rqvae_encoder import latents_of
from shelfwalk.tokenizers.saved_tokenizer import open_tokenizer
from shelfwalk.tokenizers.settings import CqSidSettings
from shelfwalk.tokenizers.training_run import TrainingRun

RUN = TrainingRun(bfloat16=False)


def small(**changes: Any) -> CqSidSettings:
    """Settings of a tokeniser that is soon fitted."""
    sizes = {"level_sizes": (16, 8, 4), "hidden_widths": (24,), "latent_width": 8, "epochs": 4, "batch": 64}
    return CqSidSettings(**{**sizes, **changes})


SMALL = small()
Shop = tuple[pa.Table, Vectors, LearningPairs]


def shop(items: int = 400, kinds: int = 6, dimensions: int = 16, seed: int = 0) -> Shop:
    """Items of several kinds, every tenth without a category, and for every other item a query that is near it."""
    random = np.random.default_rng(seed)
    kind = random.integers(kinds, size=items)
    vectors = random.normal(size=(kinds, dimensions))[kind] + 0.5 * random.normal(size=(items, dimensions))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    paths = [[] if row % 10 == 0 else ["All", f"kind {kind[row]}"] for row in range(items)]
    table = pa.table({"item_id": [f"i{row}" for row in range(items)], "category": pa.array(paths)})
    rows = np.arange(0, items, 2, dtype=np.int32)
    queries = vectors[rows] + 0.1 * random.normal(size=(len(rows), dimensions)).astype(np.float32)
    names = tuple(f"query {row}" for row in rows)
    return table, vectors, LearningPairs(QueryItemPairs(names, np.arange(len(rows), dtype=np.int32), rows), queries)


@pytest.fixture(scope="module")
def fitted() -> tuple[CQSIDTokenizer, Shop]:
    data = shop()
    return CQSIDTokenizer(SMALL, RUN).fit(*data), data


def test_level_1_is_the_category_of_every_item_that_has_one(fitted: tuple[CQSIDTokenizer, Shop]) -> None:
    tokenizer, (items, vectors, _) = fitted
    codes = tokenizer.encode(items, vectors)
    assert tokenizer.categories is not None
    number = {path: code for code, path in enumerate(tokenizer.categories.paths)}
    expected = [number.get(tuple(path), -1) for path in items["category"].to_pylist()]
    known = np.array(expected) >= 0
    assert known.sum() == 360
    assert codes[known, 0].tolist() == [code for code in expected if code >= 0]
    assert len(number) == 6


def test_the_codes_are_those_of_a_slow_search(fitted: tuple[CQSIDTokenizer, Shop]) -> None:
    """Nearest of all codes where no category is known, and nearest to what is left at the levels below."""
    tokenizer, (items, vectors, _) = fitted
    assert tokenizer.categories is not None
    forced = tokenizer.categories.codes_of(items)
    values = vectors.astype(np.float64)
    for number, (weight, bias) in enumerate(tokenizer._known.layers):
        values = (np.maximum(values, 0) if number else values) @ weight.T.astype(np.float64) + bias
    for row, code in enumerate(tokenizer.encode(items, vectors)):
        residual = values[row].astype(np.float32)
        for level, codebook in enumerate(tokenizer.codebooks):
            distances = ((residual.astype(np.float64) - codebook) ** 2).sum(axis=1)
            if level or forced[row] < 0:
                assert distances[code[level]] <= distances.min() + 1e-9
            residual = residual - codebook[code[level]]


def test_an_item_has_the_same_code_alone_and_among_others(fitted: tuple[CQSIDTokenizer, Shop]) -> None:
    tokenizer, (items, vectors, _) = fitted
    alone = [tokenizer.encode(items.slice(row, 1), vectors[row : row + 1])[0].tolist() for row in range(100)]
    assert alone == tokenizer.encode(items, vectors)[:100].tolist()


def test_an_item_of_a_new_category_counts_as_one_without(fitted: tuple[CQSIDTokenizer, Shop]) -> None:
    tokenizer, (_, vectors, _) = fitted
    items = [pa.table({"item_id": ["x"], "category": pa.array([path])}) for path in ([], ["All", "kind 99"])]
    first, second = (tokenizer.encode(table, vectors[5:6]).tolist() for table in items)
    assert first == second


def test_spare_codes_are_for_items_without_a_category(fitted: tuple[CQSIDTokenizer, Shop]) -> None:
    tokenizer, (items, vectors, pairs) = fitted
    assert tokenizer.level_sizes == (16, 8, 4)
    complete = items.set_column(
        1, "category", pa.array([path or ["All", "rest"] for path in items["category"].to_pylist()])
    )
    assert CQSIDTokenizer(SMALL, RUN).fit(complete, vectors, pairs).level_sizes == (7, 8, 4)


def test_without_forcing_every_level_is_the_nearest_code(fitted: tuple[CQSIDTokenizer, Shop]) -> None:
    items, vectors, pairs = fitted[1]
    tokenizer = CQSIDTokenizer(small(force_category=False), RUN).fit(items, vectors, pairs)
    assert tokenizer.categories is None
    without = items.drop_columns(["category"])
    assert np.array_equal(tokenizer.encode(items, vectors), tokenizer.encode(without, vectors))


@pytest.mark.parametrize("before", [False, True])
def test_the_query_item_loss_sees_what_queries_ask_for(before: bool) -> None:
    """Items look alike by their loud style, but are asked for by their quiet purpose: codes follow the purpose."""
    random = np.random.default_rng(1)
    style, purpose = random.integers(4, size=(2, 400))
    vectors = np.eye(16)[style] + 0.4 * np.eye(16)[8 + purpose] + 0.05 * random.normal(size=(400, 16))
    asked = random.permutation(400)
    queries = np.eye(16)[random.integers(4, size=400)] + 0.4 * np.eye(16)[8 + purpose[asked]]
    rows = np.arange(400, dtype=np.int32)
    pairs = LearningPairs(QueryItemPairs(("",) * 400, rows, asked.astype(np.int32)), queries.astype(np.float32))
    items = pa.table({"item_id": [str(row) for row in rows]})

    def purity(contrast: float) -> float:
        """The share of items whose first code is mostly that of their purpose."""
        settings = small(
            level_sizes=(4, 4),
            force_category=False,
            contrast=contrast,
            contrast_before_quantisation=before,
            epochs=30,
        )
        tokenizer = CQSIDTokenizer(settings, RUN).fit(items, vectors.astype(np.float32), pairs)
        first = tokenizer.encode(items, vectors.astype(np.float32))[:, 0]
        return sum(np.bincount(purpose[first == code]).max() for code in np.unique(first)) / 400

    assert purity(0.0) < 0.5
    assert purity(1.0) > 0.7


def test_the_losses_fall(fitted: tuple[CQSIDTokenizer, Shop]) -> None:
    losses = CQSIDTokenizer(small(epochs=12, contrast=0.1), RUN).fit(*fitted[1]).losses
    assert len(losses) == 12
    assert losses[0].commitment == 0, "the first epoch has codes already"
    assert losses[-1].reconstruction < 0.8 * losses[1].reconstruction
    assert losses[-1].contrast < losses[1].contrast
    assert {loss.category_contrast for loss in losses} == {0.0}


def test_with_a_commitment_of_their_own_queries_stay_near_their_codes(fitted: tuple[CQSIDTokenizer, Shop]) -> None:
    """The contrast alone never holds a query's latent back: it looks at codes, and at directions only."""
    _, vectors, pairs = fitted[1]
    # Queries that have nothing of their items, so that nothing brings them to the items' codes.
    queries = np.random.default_rng(0).normal(size=pairs.query_vectors.shape).astype(np.float32)
    settings = small(epochs=20, contrast=1.0, force_category=False, learning_rate=5e-3)

    def length(query_commitment: float | None) -> float:
        """Of the queries' latents, where that of the items' is 1."""
        data = CQSIDData(vectors, None, replace(pairs, query_vectors=queries))
        trained = train_cqsid(data, settings.model_copy(update={"query_commitment": query_commitment}), RUN)
        assert (trained.losses[-1].query_commitment > 0) == (query_commitment is not None)
        of_queries, of_items = (latents_of(side, trained.layers) for side in (queries, vectors))
        return float(np.linalg.norm(of_queries, axis=1).mean() / np.linalg.norm(of_items, axis=1).mean())

    assert length(None) > 1.5 * length(1.0)


@pytest.mark.parametrize("before", [False, True])
def test_the_contrast_between_categories_draws_items_of_one_together(before: bool) -> None:
    """Items look alike by their loud style; their category is the quiet rest of them."""
    random = np.random.default_rng(1)
    style, category = random.integers(4, size=(2, 400))
    noise = 0.05 * random.normal(size=(400, 16))
    vectors = (np.eye(16)[style] + 0.4 * np.eye(16)[8 + category] + noise).astype(np.float32)
    data = CQSIDData(vectors, category.astype(np.int32), None)

    def nearness(weight: float) -> float:
        """By how much the mean cosine of items' latents is greater within categories than between them."""
        settings = small(level_sizes=(4, 4), epochs=20, contrast_before_quantisation=before, category_contrast=weight)
        trained = train_cqsid(data, settings, RUN)
        first, last = trained.losses[1].category_contrast, trained.losses[-1].category_contrast
        assert last < 0.9 * first if weight else first == last == 0
        latents = latents_of(vectors, trained.layers)
        latents /= np.linalg.norm(latents, axis=1, keepdims=True)
        cosines, same = latents @ latents.T, category[:, None] == category
        return float(cosines[same].mean() - cosines[~same].mean())

    assert nearness(1.0) > nearness(0.0) + 0.3


def test_without_the_loss_queries_say_only_how_often_an_item_is_seen(fitted: tuple[CQSIDTokenizer, Shop]) -> None:
    items, vectors, pairs = fitted[1]
    settings = small(contrast=0.0)
    codes = []
    for query_vectors in (pairs.query_vectors, -pairs.query_vectors):
        tokenizer = CQSIDTokenizer(settings, RUN).fit(items, vectors, replace(pairs, query_vectors=query_vectors))
        assert {loss.contrast for loss in tokenizer.losses} == {0.0}
        codes.append(tokenizer.encode(items, vectors))
    assert np.array_equal(*codes)
    assert CQSIDTokenizer(settings, RUN).fit(items, vectors).level_sizes == (16, 8, 4), "no pairs are needed"


def test_the_same_seed_gives_the_same_tokeniser(fitted: tuple[CQSIDTokenizer, Shop]) -> None:
    tokenizer, data = fitted
    again = CQSIDTokenizer(SMALL, RUN).fit(*data)
    assert again.losses == tokenizer.losses
    for one, other in zip(again.codebooks, tokenizer.codebooks, strict=True):
        assert np.array_equal(one, other)
    assert CQSIDTokenizer(SMALL, replace(RUN, seed=1)).fit(*data).losses != tokenizer.losses


@pytest.mark.parametrize("after", [0, 1, 3])
def test_resuming_gives_what_an_uninterrupted_training_gives(
    after: int, tmp_path: Path, fitted: tuple[CQSIDTokenizer, Shop]
) -> None:
    tokenizer, data = fitted

    def stop(what: str, done: int, total: int) -> None:
        if done == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        CQSIDTokenizer(SMALL, RUN).fit(*data, progress=stop, checkpoints=tmp_path)
    told: list[int] = []
    resumed = CQSIDTokenizer(SMALL, RUN).fit(
        *data, progress=lambda what, done, total: told.append(done), checkpoints=tmp_path
    )
    assert told == list(range(after, 5))
    assert resumed.losses == tokenizer.losses
    assert np.array_equal(resumed.encode(*data[:2]), tokenizer.encode(*data[:2]))


@pytest.mark.parametrize("change", ["pairs", "query vectors", "categories", "settings"])
def test_a_checkpoint_of_another_training_is_not_taken(change: str, tmp_path: Path) -> None:
    items, vectors, pairs = shop(100)
    CQSIDTokenizer(SMALL, RUN).fit(items, vectors, pairs, checkpoints=tmp_path)
    settings = SMALL
    if change == "pairs":
        pairs = replace(pairs, pairs=pairs.pairs.take(np.arange(20)))
    elif change == "query vectors":
        pairs = replace(pairs, query_vectors=pairs.query_vectors[::-1].copy())
    elif change == "categories":
        items = items.set_column(1, "category", pa.array(items["category"].to_pylist()[::-1]))
    else:
        settings = small(temperature=0.2)
    told: list[int] = []
    CQSIDTokenizer(settings, RUN).fit(
        items, vectors, pairs, progress=lambda what, done, total: told.append(done), checkpoints=tmp_path
    )
    assert told == [0, 1, 2, 3, 4]


def test_round_trip_without_torch(
    tmp_path: Path, fitted: tuple[CQSIDTokenizer, Shop], folder_content: Callable[..., dict[str, bytes]]
) -> None:
    tokenizer, (items, vectors, _) = fitted
    tokenizer.save(tmp_path / "first")
    opened = open_tokenizer(tmp_path / "first")
    assert isinstance(opened, CQSIDTokenizer)
    assert (opened.settings, opened.run) == (SMALL, RUN)
    assert (opened.losses, opened.categories) == (tokenizer.losses, tokenizer.categories)
    opened.save(tmp_path / "second")
    assert folder_content(tmp_path / "first") == folder_content(tmp_path / "second")
    np.save(tmp_path / "vectors.npy", vectors)
    with pa.OSFile(str(tmp_path / "items"), "wb") as sink, pa.ipc.new_file(sink, items.schema) as writer:
        writer.write_table(items)
    script = (
        "import sys, numpy, pyarrow, pathlib\n"
        "from shelfwalk.tokenizers.saved_tokenizer import open_tokenizer\n"
        "items = pyarrow.ipc.open_file(sys.argv[2]).read_all()\n"
        "codes = open_tokenizer(pathlib.Path(sys.argv[1])).encode(items, numpy.load(sys.argv[3]))\n"
        "print(codes.tolist(), 'torch' in sys.modules)\n"
    )
    arguments = [str(tmp_path / "first"), str(tmp_path / "items"), str(tmp_path / "vectors.npy")]
    ran = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == f"{tokenizer.encode(items, vectors).tolist()} False"


@pytest.mark.parametrize("count", [2, 3, 10])
def test_a_catalogue_smaller_than_the_codebook(count: int) -> None:
    items, vectors, pairs = shop(count, 20)
    tokenizer = CQSIDTokenizer(small(force_category=False), RUN).fit(items, vectors, pairs)
    assert tokenizer.level_sizes == (count, 1, 1)
    assert len(np.unique(tokenizer.encode(items, vectors), axis=0)) == count


def no_progress(what: str, done: int, total: int) -> None:
    raise AssertionError("something long was started")


@pytest.mark.parametrize("pairs", [None, LearningPairs(QueryItemPairs.of([]), np.empty((0, 16), np.float32))])
def test_no_query_pairs(pairs: LearningPairs | None) -> None:
    items, vectors, _ = shop(20)
    with pytest.raises(UserError, match="no pair of a query and an item"):
        CQSIDTokenizer(SMALL, RUN).fit(items, vectors, pairs, progress=no_progress)


def test_what_cannot_be_learnt_from_is_refused_first() -> None:
    items, vectors, pairs = shop(40)
    with pytest.raises(UserError, match="names the item of row 20, but there are 20"):
        CQSIDTokenizer(SMALL, RUN).fit(items.slice(0, 20), vectors[:20], pairs, progress=no_progress)
    with pytest.raises(UserError, match=r"6 categories, but level 1 .* has 5"):
        CQSIDTokenizer(small(level_sizes=(5, 4), category_depth=2), RUN).fit(
            items, vectors, pairs, progress=no_progress
        )
    with pytest.raises(UserError, match="No item has a category"):
        CQSIDTokenizer(SMALL, RUN).fit(items.drop_columns(["category"]), vectors, pairs, progress=no_progress)
    with pytest.raises(UserError, match="no items"):
        CQSIDTokenizer(SMALL, RUN).fit(items.slice(0, 0), vectors[:0], pairs, progress=no_progress)


def test_encoding_before_fitting() -> None:
    with pytest.raises(ValueError, match="not fitted"):
        CQSIDTokenizer().encode(*shop(3)[:2])
    assert CQSIDTokenizer().level_sizes == (512, 16, 16)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"hidden_widths": (8, 0)},
        {"contrast_batch": 1},
        {"decay": 1.0},
        {"temperature": 0.0},
        {"epochs": 2, "warm_up_epochs": 2},
        {"level_sizes": ()},
    ],
)
def test_settings_that_make_no_tokeniser(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        small(**wrong)


def test_queries_are_encoded_into_the_space_of_the_items(fitted: tuple[CQSIDTokenizer, Shop]) -> None:
    """A query with the vector of an item has the codes of that item, had this no category."""
    tokenizer, (items, vectors, pairs) = fitted
    without = items.set_column(1, "category", pa.array([[]] * len(items), pa.list_(pa.string())))
    codes = tokenizer.encode_queries(vectors)
    assert codes.dtype == np.int32
    assert (codes == tokenizer.encode(without, vectors)).all()
    asked = tokenizer.encode_queries(pairs.query_vectors)
    assert asked.shape == (len(pairs.query_vectors), 3)
    assert (asked < np.array(tokenizer.level_sizes)).all()
    assert (tokenizer.encode_queries(pairs.query_vectors[5:6]) == asked[5]).all()
    assert tokenizer.encode_queries(vectors[:0]).shape == (0, 3)


def test_query_vectors_that_do_not_fit_are_refused(fitted: tuple[CQSIDTokenizer, Shop]) -> None:
    tokenizer, (_, vectors, _) = fitted
    for wrong in (vectors[:, :-1], vectors[0], np.where(np.eye(*vectors.shape) > 0, np.nan, vectors)):
        with pytest.raises(ValueError, match="query vectors must be finite"):
            tokenizer.encode_queries(wrong)


def test_the_contrast_brings_a_query_to_the_codes_of_its_item() -> None:
    """What DSIRM learns its shared space for: with the loss, more queries have their item's codes than without it."""

    def agreement(contrast: float) -> float:
        items, vectors, pairs = shop(600, kinds=12)
        settings = small(force_category=False, contrast=contrast, epochs=12)
        # The queries' vectors lie elsewhere, as words of shoppers lie elsewhere than titles.
        moved = pairs.query_vectors + 0.6 * np.sign(np.arange(16) % 2 - 0.5).astype(np.float32) / 4
        pairs = LearningPairs(pairs.pairs, moved.astype(np.float32))
        tokenizer = CQSIDTokenizer(settings, replace(RUN, seed=2)).fit(items, vectors, pairs)
        asked = tokenizer.encode_queries(pairs.query_vectors)
        return float((asked[:, 0] == tokenizer.encode(items, vectors)[pairs.pairs.item_rows, 0]).mean())

    assert agreement(1.0) > agreement(0.0)

"""Two towers: the pretrained vectors before training, the words of a log after it, and the same without torch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.data.query_item_pairs import QueryItemPairs
from shelfwalk.encoders.two_tower import Tower
from shelfwalk.encoders.two_tower_settings import TwoTowerSettings
from shelfwalk.encoders.two_tower_training import (
    Side,
    TowerNetwork,
    TwoTowerData,
    mean_recall,
    no_negatives,
    train_two_towers,
    validation_cutoff,
)
from shelfwalk.encoders.word_hashing import hash_texts
from shelfwalk.errors import UserError

WIDTH = 16
SMALL = TwoTowerSettings(
    buckets=256,
    piece_width=16,
    hidden_width=32,
    batch=32,
    random_items=16,
    steps=200,
    learning_rate=0.03,
    validate_every=50,
    dropout=0,
)


def unit(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def shop_with_a_house_word(seed: int = 0, items_of_a_kind: int = 10, kinds: int = 40) -> TwoTowerData:
    """Items whose pretrained vectors say nothing of their kinds; a log asks for each kind by a word of its own."""
    random = np.random.default_rng(seed)
    titles = [f"thing{row % kinds} number {row}" for row in range(items_of_a_kind * kinds)]
    items = Side(titles, unit(random.normal(size=(len(titles), WIDTH))))
    texts = tuple(f"nickname{kind} {form}" for kind in range(kinds) for form in ("please", "cheap", "new"))
    queries = Side(texts, unit(random.normal(size=(len(texts), WIDTH))))
    query_rows = np.repeat(np.arange(len(texts), dtype=np.int32), 5)
    item_rows = (query_rows // 3 + kinds * random.integers(0, items_of_a_kind, len(query_rows))).astype(np.int32)
    pairs = QueryItemPairs(texts, query_rows, item_rows)
    last = query_rows % 3 == 2
    return TwoTowerData(queries, items, pairs.where(~last), QueryItemPairs.of(()), pairs.where(last))


def test_before_training_a_tower_is_the_pretrained_encoder() -> None:
    vectors = unit(np.random.default_rng(1).normal(size=(3, WIDTH)))
    tower = TowerNetwork(WIDTH, SMALL).trained()
    np.testing.assert_allclose(tower.vectors(["usb hub", "", "?"], vectors), vectors, atol=1e-6)


def test_towers_learn_what_a_log_shows_and_generalise_to_queries_they_have_not_seen() -> None:
    data = shop_with_a_house_word()
    query_tower, item_tower, report = train_two_towers(data, SMALL, seed=0)
    rows = np.unique(data.held_out.query_rows)
    asked = query_tower.vectors([data.queries.texts[row] for row in rows], data.queries.vectors[rows])
    items = item_tower.vectors(data.items.texts, data.items.vectors)
    nearest = np.argsort(-(asked @ items.T), axis=1)[:, :10]
    # Of 400 items ten are right: a guess finds one in forty.
    right = np.mean((nearest % 40) == (rows // 3)[:, None])
    assert right > 0.3
    assert report.recall_before < 0.5 < max(report.recalls)
    assert report.best_step % SMALL.validate_every == 0


def test_the_same_seed_gives_the_same_towers_and_another_does_not() -> None:
    settings = SMALL.model_copy(update={"steps": 20, "validate_every": 10})
    data = shop_with_a_house_word()
    first, second, other = (train_two_towers(data, settings, seed)[1] for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.table, second.table)
    np.testing.assert_array_equal(first.out_weight, second.out_weight)
    assert not np.array_equal(first.hidden_weight, other.hidden_weight)


def test_the_best_validation_is_returned_and_training_stops_when_nothing_improves() -> None:
    data = shop_with_a_house_word()
    # A rate that destroys what it learns.
    settings = SMALL.model_copy(update={"learning_rate": 5.0, "patience": 1, "steps": 400})
    query_tower, item_tower, report = train_two_towers(data, settings, seed=0)
    assert report.steps < 400
    queries = np.unique(data.held_out.query_rows)
    found = mean_recall(
        queries,
        query_tower.vectors([data.queries.texts[row] for row in queries], data.queries.vectors[queries]),
        item_tower.vectors(data.items.texts, data.items.vectors),
        data.held_out,
        validation_cutoff(len(data.items.texts)),
    )
    assert found == pytest.approx(max(report.recall_before, *report.recalls), abs=0.01)


def test_a_shop_of_fewer_items_than_a_long_list_learns_too() -> None:
    data = shop_with_a_house_word(items_of_a_kind=4, kinds=10)
    query_tower, item_tower, report = train_two_towers(data, SMALL, seed=0)
    assert report.best_step > 0
    assert report.recall_before < 0.5 < max(report.recalls)
    # A tower whose last layer is as it was made adds nothing to the pretrained vector.
    assert query_tower.out_weight.any()
    assert item_tower.out_weight.any()


@pytest.mark.parametrize(("items", "cutoff"), [(1, 1), (9, 1), (40, 4), (999, 99), (1_000, 100), (5_000_000, 100)])
def test_a_validation_looks_at_a_hundred_items_and_at_no_more_than_a_tenth(items: int, cutoff: int) -> None:
    assert validation_cutoff(items) == cutoff


def test_with_no_pair_held_out_every_step_is_run_and_the_last_weights_are_kept() -> None:
    data = shop_with_a_house_word()
    without = replace(data, held_out=QueryItemPairs.of(()))
    impatient = SMALL.model_copy(update={"steps": 120, "patience": 1})
    found = train_two_towers(without, impatient, seed=0)
    assert (found[2].steps, found[2].best_step) == (120, 120)
    # Validated once, where it has learnt: the same steps, and the weights after the last of them.
    expected = train_two_towers(data, impatient.model_copy(update={"validate_every": 120}), seed=0)
    assert expected[2].best_step == 120
    for ours, theirs in zip(found[:2], expected[:2], strict=True):
        for field in fields(Tower):
            np.testing.assert_array_equal(getattr(ours, field.name), getattr(theirs, field.name))


class Killed(BaseException):
    """What ends a process, which nothing may catch."""


@pytest.mark.parametrize("holds_out", [True, False])
def test_an_interrupted_training_goes_on_from_its_last_validation(tmp_path: Path, holds_out: bool) -> None:
    data, settings = shop_with_a_house_word(), SMALL.model_copy(update={"dropout": 0.1, "patience": 2})
    data = data if holds_out else replace(data, held_out=QueryItemPairs.of(()))

    def killed_at(last: int) -> Callable[[int, float], None]:
        def advance(step: int, loss: float) -> None:
            if step == last:
                raise Killed

        return advance

    for last in (20, 70, 130):
        with pytest.raises(Killed):
            train_two_towers(data, settings, 3, killed_at(last), tmp_path)
    steps: list[int] = []
    resumed = train_two_towers(data, settings, 3, lambda step, loss: steps.append(step), tmp_path)
    whole = train_two_towers(data, settings, 3)
    assert steps[0] == 101
    assert resumed[2] == whole[2]
    for ours, theirs in zip(resumed[:2], whole[:2], strict=True):
        for field in fields(Tower):
            np.testing.assert_array_equal(getattr(ours, field.name), getattr(theirs, field.name))


def test_a_checkpoint_of_another_training_is_left_alone(tmp_path: Path) -> None:
    data, settings = shop_with_a_house_word(), SMALL.model_copy(update={"steps": 20, "validate_every": 10})
    train_two_towers(data, settings, 3, checkpoints=tmp_path)
    steps: list[int] = []
    for seed, other in ((4, settings), (3, settings.model_copy(update={"temperature": 0.1}))):
        train_two_towers(data, other, seed, lambda step, loss: steps.append(step), tmp_path)
    assert steps == [*range(1, 21)] * 2


def test_nothing_to_learn_from() -> None:
    data = shop_with_a_house_word()
    nothing = QueryItemPairs.of(())
    with pytest.raises(UserError, match="no pair"):
        train_two_towers(TwoTowerData(data.queries, data.items, nothing, nothing, nothing), SMALL, 0)


def test_numpy_gives_what_torch_gives() -> None:
    torch.manual_seed(0)
    network = TowerNetwork(WIDTH, SMALL).eval()
    torch.nn.init.normal_(network.out.weight)
    texts = ["usb c hub", "", "Ünï", "hub " * 200]
    vectors = unit(np.random.default_rng(2).normal(size=(4, WIDTH)))
    hashed = hash_texts(texts, SMALL.buckets)
    with torch.no_grad():
        expected = network(
            torch.from_numpy(hashed.pieces), torch.from_numpy(hashed.offsets[:-1]), torch.from_numpy(vectors)
        )
    np.testing.assert_allclose(network.trained().vectors(texts, vectors), expected.numpy(), atol=1e-5)


def test_a_saved_tower_is_the_same_and_opens_without_torch(tmp_path: Path) -> None:
    tower = train_two_towers(shop_with_a_house_word(), SMALL.model_copy(update={"steps": 5}), 0)[0]
    tower.save(tmp_path / "tower")
    vectors = unit(np.random.default_rng(3).normal(size=(2, WIDTH)))
    expected = tower.vectors(["usb hub", "lamp"], vectors)
    np.testing.assert_array_equal(Tower.open(tmp_path / "tower").vectors(["usb hub", "lamp"], vectors), expected)
    code = "import sys; from pathlib import Path; from shelfwalk.encoders.two_tower import Tower; "
    code += "Tower.open(Path(sys.argv[1])); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code, tmp_path / "tower"], check=False).returncode == 0


rows = st.lists(st.integers(0, 4), min_size=1, max_size=6)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=6), rows)
def test_no_negatives_is_what_it_says(pairs: list[tuple[int, int]], random: list[int]) -> None:
    queries, items = np.array(pairs, np.int32).T
    candidates = np.concatenate((items, np.array(random, np.int32)))
    masked = no_negatives(queries, items, candidates)
    for pair, (query, item) in enumerate(pairs):
        for place, candidate in enumerate(candidates.tolist()):
            of_same_query = place < len(pairs) and pairs[place][0] == query
            assert masked[pair, place] == (place != pair and (candidate == item or of_same_query))


def test_mean_recall_is_the_mean_of_the_shares_of_each_query() -> None:
    items = np.eye(4, dtype=np.float32)
    right = QueryItemPairs(("a", "b", "c"), np.array([0, 0, 2], np.int32), np.array([0, 3, 1], np.int32))
    assert mean_recall(np.array([0, 2], np.int32), items[[0, 2]], items, right) == 1.0
    many = np.zeros((300, 4), np.float32)
    many[:150, 0], many[150:, 1] = 1, 1
    some = QueryItemPairs(("a",), np.zeros(3, np.int32), np.array([0, 1, 299], np.int32))
    found = mean_recall(np.array([0], np.int32), items[:1], many, some)
    assert found in (0.0, 1 / 3, 2 / 3)

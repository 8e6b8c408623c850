"""A query tower of several heads that knows the shopper: DSSM without both, and what both are good for."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.data.query_item_pairs import QueryItemPairs
from shelfwalk.encoders.best_head import nearest_by_best_head
from shelfwalk.encoders.shopper_tower import ShopperTower, between
from shelfwalk.encoders.shopper_tower_training import Asks, ShopperData, ShopperNetwork, train_shopper_towers
from shelfwalk.encoders.two_tower import Tower
from shelfwalk.encoders.two_tower_settings import ShopperTowerSettings, TwoTowerSettings
from shelfwalk.encoders.two_tower_training import Side, TwoTowerData, mean_recall, train_two_towers
from shelfwalk.encoders.word_hashing import hash_texts
from shelfwalk.errors import UserError

WIDTH = 16
SMALL = TwoTowerSettings(
    buckets=256, piece_width=16, hidden_width=32, batch=32, random_items=16, steps=60, learning_rate=0.03,
    validate_every=20, dropout=0,
)  # fmt: skip
NOBODY = QueryItemPairs.of(())


def unit(*shape: int, seed: int = 0) -> npt.NDArray[np.float32]:
    vectors = np.random.default_rng(seed).normal(size=shape)
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def shop_of_colours() -> ShopperData:
    """300 things in 30 colours; everybody asks for a "thing", and wants the colour that they wanted before."""
    random = np.random.default_rng(5)
    colours = np.arange(300) % 30
    seen = unit(30, WIDTH, seed=6)[colours] + 0.5 * unit(300, WIDTH, seed=1)
    seen /= np.linalg.norm(seen, axis=1, keepdims=True)
    items = Side([f"thing in colour{colour}" for colour in colours], seen)
    queries = Side(["thing", "some thing"], unit(2, WIDTH, seed=2))
    wanted = random.integers(0, 30, 600)
    histories = (wanted[:, None] + 30 * random.integers(0, 10, (600, 4))).astype(np.int32)
    histories[random.random(600) < 0.3, 2:] = -1
    asks = Asks(np.tile(np.array([0, 1], np.int32), 300), histories)
    rows = np.arange(600, dtype=np.int32)
    pairs = QueryItemPairs(tuple(queries.texts), rows, (wanted + 30 * random.integers(0, 10, 600)).astype(np.int32))
    return ShopperData(queries, items, pairs.where(rows < 500), NOBODY, pairs.where(rows >= 500), asks)


def random_network(shopper: ShopperTowerSettings) -> ShopperNetwork:
    torch.manual_seed(3)
    network = ShopperNetwork(WIDTH, SMALL, shopper).eval()
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return network


def test_one_head_without_a_history_is_dssm_to_the_last_bit() -> None:
    data = shop_of_colours()
    kinds = [f"thing in colour{number}" for number in range(60)]
    queries = Side(kinds, unit(60, WIDTH, seed=4))
    rows = np.arange(240, dtype=np.int32)
    pairs = QueryItemPairs(tuple(kinds), rows % 60, rows)
    plain = TwoTowerData(
        queries, data.items, pairs.where(rows < 200), pairs.where(rows >= 220), pairs.where(rows > 190)
    )
    asks = Asks.of_nobody(60, 0)
    of_shoppers = ShopperData(**{field.name: getattr(plain, field.name) for field in fields(plain)}, asks=asks)
    one = ShopperTowerSettings(heads=1, history_length=0)
    with_dropout = SMALL.model_copy(update={"dropout": 0.1})
    query_tower, item_tower, report = train_two_towers(plain, with_dropout, 7)
    shopper_tower, other_item_tower, other_report = train_shopper_towers(of_shoppers, with_dropout, one, 7)
    assert other_report == report
    assert report.best_step > 0
    for ours, theirs in ((shopper_tower.text, query_tower), (other_item_tower, item_tower)):
        for field in fields(Tower):
            np.testing.assert_array_equal(getattr(ours, field.name), getattr(theirs, field.name))
    expected = query_tower.vectors(kinds, queries.vectors)
    nobody = np.empty((60, 0), np.int32)
    heads = shopper_tower.heads(kinds, queries.vectors, nobody, data.items.vectors)
    np.testing.assert_allclose(heads[:, 0], expected, atol=1e-6)
    np.testing.assert_allclose(shopper_tower.vectors(kinds, queries.vectors), expected, atol=1e-6)


def test_an_interrupted_training_goes_on_with_the_items_as_they_were(tmp_path: Path) -> None:
    data, shopper = shop_of_colours(), ShopperTowerSettings(heads=2, history_length=4)

    def killed(step: int, loss: float) -> None:
        if step == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_shopper_towers(data, SMALL, shopper, 1, killed, tmp_path)
    resumed = train_shopper_towers(data, SMALL, shopper, 1, checkpoints=tmp_path)
    whole = train_shopper_towers(data, SMALL, shopper, 1)
    assert resumed[2] == whole[2]
    np.testing.assert_array_equal(resumed[0].attention, whole[0].attention)
    np.testing.assert_array_equal(resumed[0].text.table, whole[0].text.table)
    np.testing.assert_array_equal(resumed[1].table, whole[1].table)


def test_with_no_pair_held_out_histories_are_read_by_the_items_as_they_are_at_every_validation() -> None:
    data, shopper = shop_of_colours(), ShopperTowerSettings(heads=2, history_length=4)
    expected = train_shopper_towers(data, SMALL, shopper, 1)
    found = train_shopper_towers(replace(data, held_out=NOBODY), SMALL.model_copy(update={"patience": 1}), shopper, 1)
    # Both keep the last weights, the one as the best and the other for want of a choice.
    assert expected[2].best_step == found[2].best_step == found[2].steps == SMALL.steps
    np.testing.assert_array_equal(found[0].attention, expected[0].attention)
    np.testing.assert_array_equal(found[0].history_weight, expected[0].history_weight)
    np.testing.assert_array_equal(found[1].table, expected[1].table)


@pytest.mark.parametrize("pooling", ["attention", "mean"])
@pytest.mark.parametrize("heads", [1, 3])
def test_numpy_gives_what_torch_gives(pooling: str, heads: int) -> None:
    network = random_network(ShopperTowerSettings(heads=heads, history_length=4, history_pooling=pooling))
    texts = ["usb c hub", "", "Ünï", "hub " * 200]
    vectors, items = unit(4, WIDTH, seed=1), unit(9, WIDTH, seed=2)
    histories = np.array([[3, 1, 8, 0], [5, -1, -1, -1], [-1, -1, -1, -1], [2, 2, 7, -1]], np.int32)
    hashed = hash_texts(texts, SMALL.buckets)
    with torch.no_grad():
        expected = network.heads(
            torch.from_numpy(hashed.pieces),
            torch.from_numpy(hashed.offsets[:-1]),
            torch.from_numpy(vectors),
            torch.from_numpy(items[np.maximum(histories, 0)]),
            torch.from_numpy(histories >= 0),
        )
    tower = network.trained_heads()
    found = tower.heads(texts, vectors, histories, items)
    assert found.shape == (4, heads, WIDTH)
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 1, atol=1e-5)
    # A history that is shorter, or longer than is looked at, means the same as one cut and filled up.
    longer = np.concatenate((histories, np.full((4, 3), 6, np.int32)), axis=1)
    np.testing.assert_allclose(tower.heads(texts, vectors, longer, items), found, atol=1e-6)
    short = tower.heads(texts[1:2], vectors[1:2], histories[1:2, :1], items)
    np.testing.assert_allclose(short, found[1:2], atol=1e-5)
    nobody = tower.heads(texts[2:3], vectors[2:3], np.empty((1, 0), np.int32), items)
    np.testing.assert_allclose(nobody, found[2:3], atol=1e-5)


def test_the_mean_does_not_know_the_order_of_a_history_and_attention_does() -> None:
    vectors, items = unit(1, WIDTH, seed=1), unit(9, WIDTH, seed=2)
    both = np.array([[3, 1, 8]], np.int32), np.array([[8, 1, 3]], np.int32)
    for pooling, same in (("mean", True), ("attention", False)):
        tower = random_network(ShopperTowerSettings(history_length=3, history_pooling=pooling)).trained_heads()
        first, second = (tower.heads(["hub"], vectors, history, items) for history in both)
        assert np.allclose(first, second, atol=1e-6) == same


def test_a_history_tells_what_a_query_does_not() -> None:
    data = shop_of_colours()
    shopper = ShopperTowerSettings(heads=2, history_length=4)
    tower, item_tower, report = train_shopper_towers(data, SMALL.model_copy(update={"steps": 200}), shopper, 0)
    items = item_tower.vectors(data.items.texts, data.items.vectors)
    asks = np.unique(data.held_out.query_rows)
    rows = data.asks.query_rows[asks]
    texts, vectors = [data.queries.texts[row] for row in rows], data.queries.vectors[rows]

    def right(histories: npt.NDArray[np.int32]) -> float:
        nearest = nearest_by_best_head(tower.heads(texts, vectors, histories, items), items, 10)[1]
        wanted = data.held_out.item_rows % 30
        return float(np.mean([np.mean(rows % 30 == colour) for rows, colour in zip(nearest, wanted, strict=True)]))

    # One colour in thirty is right: nobody can guess it, and everybody's own past tells.
    assert right(data.asks.histories[asks]) > 0.5 > 0.2 > right(np.empty((len(asks), 0), np.int32))
    assert report.recall_before < max(report.recalls)


def test_heads_become_different_and_the_vector_between_them_is_near_to_all() -> None:
    data = shop_of_colours()
    tower = train_shopper_towers(data, SMALL, ShopperTowerSettings(heads=3, history_length=4), 0)[0]
    heads = tower.heads(data.queries.texts, data.queries.vectors, data.asks.histories[:2], data.items.vectors)
    alike = np.einsum("qhd,qgd->qhg", heads, heads)
    assert alike[:, 0, 1].max() < 0.999
    middle = between(heads)
    np.testing.assert_allclose(np.linalg.norm(middle, axis=-1), 1, atol=1e-5)
    assert np.einsum("qhd,qd->qh", heads, middle).min() >= alike.min() - 1e-6


def test_the_same_seed_gives_the_same_towers_and_nothing_to_learn_from_is_a_sentence() -> None:
    data = shop_of_colours()
    shopper, short = ShopperTowerSettings(history_length=4), SMALL.model_copy(update={"steps": 20})
    first, second, other = (train_shopper_towers(data, short, shopper, seed)[0] for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.more_weight, second.more_weight)
    np.testing.assert_array_equal(first.attention, second.attention)
    assert not np.array_equal(first.history_weight, other.history_weight)
    with pytest.raises(UserError, match="no pair"):
        train_shopper_towers(replace(data, logged=NOBODY), short, shopper, 0)


def test_a_saved_tower_is_the_same_and_opens_without_torch(tmp_path: Path) -> None:
    tower = random_network(ShopperTowerSettings(heads=2, history_length=3)).trained_heads()
    tower.save(tmp_path / "tower")
    arguments = (["usb hub", "lamp"], unit(2, WIDTH), np.array([[4, 0], [-1, -1]], np.int32), unit(5, WIDTH, seed=9))
    opened = ShopperTower.open(tmp_path / "tower")
    assert opened.length == 3
    np.testing.assert_array_equal(opened.heads(*arguments), tower.heads(*arguments))
    code = "import sys; from pathlib import Path; from shelfwalk.encoders.shopper_tower import ShopperTower; "
    code += "ShopperTower.open(Path(sys.argv[1])); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code, tmp_path / "tower"], check=False).returncode == 0


@given(
    seed=st.integers(0, 2**32), heads=st.integers(1, 5), items=st.integers(0, 200), k=st.sampled_from([1, 7, 100, 300])
)
def test_the_nearest_by_the_best_head_are_the_highest_of_all_products(
    seed: int, heads: int, items: int, k: int
) -> None:
    random = np.random.default_rng(seed)
    # Whole numbers: products are exact, and many are equal.
    queries = random.integers(-2, 3, (3, heads, 4)).astype(np.float32)
    vectors = random.integers(-2, 3, (items, 4)).astype(np.float32)
    scores, rows = nearest_by_best_head(queries, vectors, k)
    for query, found, kept in zip(queries, scores, rows, strict=True):
        products = (vectors @ query.T).max(axis=1)
        assert found.tolist() == sorted(products.tolist(), reverse=True)[:k] == products[kept].tolist()
        assert len(set(kept.tolist())) == len(kept)


def test_mean_recall_of_heads_is_of_the_nearest_to_any() -> None:
    items = np.eye(4, dtype=np.float32)
    many = np.repeat(items, 100, axis=0)
    right = QueryItemPairs(("a",), np.zeros(2, np.int32), np.array([0, 399], np.int32))
    only = np.array([0], np.int32)
    assert mean_recall(only, items[None, [0]], many, right) == 0.5
    assert mean_recall(only, np.stack([[items[0], 2 * items[3]]]), many, right) == 0.5
    few = QueryItemPairs(("a",), np.zeros(2, np.int32), np.array([0, 3], np.int32))
    assert mean_recall(only, items[None, [0, 3]], items, few) == 1.0

"""The two-tower baselines are no straw men: what they read and learn from is what the generative recipes do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from shelfwalk.data.query_item_pairs import QueryItemPairs
from shelfwalk.encoders import two_tower_training
from shelfwalk.encoders.shopper_tower_training import Asks, ShopperData, train_shopper_towers
from shelfwalk.encoders.two_tower_training import Side, TwoTowerData, train_two_towers
from shelfwalk.evaluation.claims import read_claims
from shelfwalk.evaluation.tuning import read_tries
from shelfwalk.recipes.recipe import load_recipe

TRIES = Path(__file__).parents[2] / "benchmarks/results/tuning/standard-market.jsonl"
TEMPERATURE = "two_tower.temperature"
SHARED = {"text", "encoder", "pseudo_queries", "bm25"}


@pytest.mark.parametrize("baseline", ["dssm", "dpsr"])
@pytest.mark.parametrize("generative", ["rqkmeans", "tiger", "cqsid-query"])
def test_the_baselines_read_what_the_generative_recipes_read(baseline: str, generative: str) -> None:
    first, second = (load_recipe(name).model_dump(include=SHARED) for name in (baseline, generative))
    assert first == second
    assert first.keys() == SHARED


@pytest.mark.parametrize("baseline", ["dssm", "dpsr"])
def test_the_temperature_is_the_best_of_those_tried(baseline: str) -> None:
    """By what benchmarks/tuning.py has written down of the standard market, one seed, all else equal."""
    recipe, market = load_recipe(baseline), read_claims().data["standard-market"]
    tried = [one for one in read_tries(TRIES) if (one.recipe, list(one.tried)) == (baseline, [TEMPERATURE])]
    assert {(one.data_hash, one.seed) for one in tried} == {(market.hash, 0)}
    recalls = {one.tried[TEMPERATURE]: one.held_out_recall for one in tried}
    assert len(recalls) >= 3
    assert recipe.two_tower is not None
    assert recipe.two_tower.temperature == max(recalls, key=lambda temperature: recalls[temperature])


@pytest.mark.parametrize("baseline", ["dssm", "dpsr"])
def test_negatives_are_of_the_batch_and_of_the_whole_catalogue(baseline: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = load_recipe(baseline)
    assert recipe.two_tower is not None
    small = {"steps": 3, "buckets": 64, "piece_width": 4, "hidden_width": 8}
    settings = recipe.two_tower.model_copy(update=small)
    seen: list[tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]] = []
    plainly = two_tower_training.no_negatives

    def listening(
        queries: npt.NDArray[np.int32], items: npt.NDArray[np.int32], candidates: npt.NDArray[np.int32]
    ) -> npt.NDArray[np.bool_]:
        seen.append((items, candidates))
        return plainly(queries, items, candidates)

    monkeypatch.setattr(two_tower_training, "no_negatives", listening)
    vectors = np.random.default_rng(0).normal(size=(900, 4)).astype(np.float32)
    texts = tuple(f"thing {row}" for row in range(900))
    rows = np.arange(30, dtype=np.int32)
    pairs, nothing = QueryItemPairs(texts[:30], rows, rows), QueryItemPairs.of(())
    sides = (Side(texts[:30], vectors[:30]), Side(texts, vectors))
    if recipe.shopper_tower is None:
        train_two_towers(TwoTowerData(*sides, pairs, nothing, nothing), settings, 0)
    else:
        asks = Asks.of_nobody(30, recipe.shopper_tower.history_length)
        train_shopper_towers(ShopperData(*sides, pairs, nothing, nothing, asks), settings, recipe.shopper_tower, 0)
    assert len(seen) == 3
    for items, candidates in seen:
        assert len(items) == settings.batch
        assert candidates[: len(items)].tolist() == items.tolist()
        drawn = candidates[len(items) :]
        assert len(drawn) == settings.random_items >= 500
        # Items that no pair has are negatives as well, wherever they stand in the catalogue.
        assert drawn.max() > 800
        assert np.mean(drawn >= 30) > 0.9
    assert not np.array_equal(seen[0][1], seen[1][1])

"""Training on a toy problem: it learns, keeps the best weights, and says what went wrong."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy_training import Toy, asked_with, assert_equal_weights, make_toy, trainer_of, weights_of

from shelfwalk.constraints.trie import Trie
from shelfwalk.data.query_item_pairs import QueryItemPairs
from shelfwalk.errors import UserError
from shelfwalk.generators import training
from shelfwalk.generators.beam_search import beam_search
from shelfwalk.generators.decoder import IdentifierDecoder
from shelfwalk.generators.decoder_backbone import DecoderBackbone
from shelfwalk.generators.examples import Asked
from shelfwalk.generators.training import Trainer

NO_PAIRS = QueryItemPairs.of(())


@pytest.fixture(scope="module")
def toy() -> Toy:
    return make_toy()


def decoder_of(trainer: Trainer) -> IdentifierDecoder:
    assert isinstance(trainer.backbone, DecoderBackbone)
    return trainer.backbone.decoder


def test_held_out_queries_come_to_generate_their_identifiers(toy: Toy, tmp_path: Path) -> None:
    trainer = trainer_of(toy.examples(), tmp_path, steps=100)
    before = trainer.held_out_loss()
    report = trainer.run()
    assert before > 0.8 * math.log(12)
    assert report.held_out_loss < 0.2 * before
    asked = asked_with(toy.query_vectors[toy.held_out.query_rows])
    best = beam_search(trainer.backbone.generator(), Trie.build(toy.codes), asked, width=3).codes[:, 0]
    assert (best == toy.codes[toy.held_out.item_rows]).all(axis=1).mean() >= 0.9


def test_items_alone_teach_items(toy: Toy, tmp_path: Path) -> None:
    """With a single pair to train on, what is learned of the other items comes from the items themselves."""
    one = QueryItemPairs(toy.train.queries, toy.train.query_rows[:1], toy.train.item_rows[:1])
    with_items = trainer_of(toy.examples(train=one, item_share=0.9), tmp_path / "with").run()
    without = trainer_of(toy.examples(train=one, item_share=0.0), tmp_path / "without").run()
    assert with_items.held_out_loss < 0.5 < without.held_out_loss


def test_the_report_and_the_progress_tell_every_step(toy: Toy, tmp_path: Path) -> None:
    told: list[tuple[int, float]] = []
    trainer = trainer_of(toy.examples(), tmp_path, steps=50)
    report = trainer.run(lambda step, loss: told.append((step, loss)))
    assert [step for step, _ in told] == list(range(1, 51))
    assert report.train_losses == tuple(loss for step, loss in told if step in {20, 40, 50})
    assert (report.steps, report.stopped_early, len(report.held_out_losses)) == (50, False, 3)
    assert report.held_out_loss == min(report.held_out_losses)
    assert report.best_step == (20, 40, 50)[int(np.argmin(report.held_out_losses))]


def test_training_stops_early_and_keeps_the_best_weights(toy: Toy, tmp_path: Path) -> None:
    # What is held out contradicts what is trained on: the better one is learned, the worse the other.
    wrong = QueryItemPairs(toy.held_out.queries, toy.held_out.query_rows, np.roll(toy.held_out.item_rows, 1))
    trainer = trainer_of(toy.examples(held_out_pairs=wrong), tmp_path, steps=500, validate_every=10, patience=3)
    seen: dict[int, dict[str, torch.Tensor]] = {}
    report = trainer.run(lambda step, _: seen.update({step: weights_of(trainer)}))
    assert report.stopped_early
    assert report.steps == report.best_step + 30 < 500
    assert report.held_out_losses[-1] > report.held_out_loss
    assert_equal_weights(weights_of(trainer), seen[report.best_step])
    assert trainer.held_out_loss() == report.held_out_loss


def test_without_held_out_pairs_the_training_loss_decides(toy: Toy, tmp_path: Path) -> None:
    report = trainer_of(toy.examples(held_out_pairs=NO_PAIRS), tmp_path).run()
    assert report.held_out_losses == report.train_losses


def test_without_a_pair_there_is_nothing_to_train_on(toy: Toy, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^There is no pair of a query and an item to train on: .*\.$"):
        trainer_of(toy.examples(train=NO_PAIRS), tmp_path)


def not_a_number(toy: Toy, pairs: QueryItemPairs) -> Asked:
    vectors = toy.query_vectors.copy()
    vectors[pairs.query_rows] = np.nan
    return Asked(pairs.queries, vectors)


@pytest.mark.parametrize("case", ["learning rate", "training vectors", "held-out vectors"])
def test_a_loss_that_is_no_number_ends_training_in_a_sentence(toy: Toy, tmp_path: Path, case: str) -> None:
    changed: dict[str, Any] = {
        "learning rate": {},
        "training vectors": {"queries": not_a_number(toy, toy.train)},
        "held-out vectors": {"queries": not_a_number(toy, toy.held_out)},
    }[case]
    settings = {"learning_rate": 1e12} if case == "learning rate" else {}
    trainer = trainer_of(toy.examples(**changed), tmp_path, **settings)
    with pytest.raises(
        UserError, match=r"^Training diverged after \d+ steps \(loss (nan|inf)\): lower training\."
    ) as told:
        trainer.run()
    assert str(told.value).endswith("learning_rate in the recipe.")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("batch", "item_share", "items"), [(32, 0.125, 4), (32, 0.0, 0), (10, 0.99, 9), (1, 0.9, 0)])
def test_a_batch_is_pairs_and_items_that_ask_for_themselves(
    toy: Toy, tmp_path: Path, batch: int, item_share: float, items: int
) -> None:
    settings = {"batch": batch, "steps": 3, "validate_every": 3}
    trainer = trainer_of(toy.examples(held_out_pairs=NO_PAIRS, item_share=item_share), tmp_path, **settings)
    batches: list[tuple[torch.Tensor, torch.Tensor]] = []
    decoder_of(trainer).register_forward_pre_hook(lambda _, given: batches.append(given))
    trainer.run()
    asked = {
        (toy.query_vectors[query].tobytes(), tuple(toy.codes[item]))
        for query, item in zip(toy.train.query_rows, toy.train.item_rows, strict=True)
    }
    own = {(vector.tobytes(), tuple(codes)) for vector, codes in zip(toy.item_vectors, toy.codes, strict=True)}
    assert len(batches) == 3
    for vectors, codes in batches:
        rows = [(vector.numpy().tobytes(), tuple(code.tolist())) for vector, code in zip(vectors, codes, strict=True)]
        assert len(rows) == batch
        assert set(rows[: batch - items]) <= asked
        assert set(rows[batch - items :]) <= own
    assert not torch.equal(batches[0][0], batches[1][0])


def test_vectors_that_are_memory_mapped_train_alike_without_a_warning(toy: Toy, tmp_path: Path) -> None:
    np.save(tmp_path / "items.npy", toy.item_vectors)
    np.save(tmp_path / "queries.npy", toy.query_vectors)
    items, queries = (np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("items", "queries"))
    in_memory = trainer_of(toy.examples(), tmp_path / "memory")
    in_memory.run()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        names = toy.examples().items.texts
        mapped = trainer_of(
            toy.examples(items=Asked(names, items), queries=Asked(toy.train.queries, queries)), tmp_path / "mapped"
        )
        mapped.run()
    assert_equal_weights(weights_of(in_memory), weights_of(mapped))


def held_out_loss(toy: Toy, folder: Path, **settings: Any) -> float:
    return trainer_of(toy.examples(), folder, **settings).held_out_loss()


def test_the_held_out_loss_is_the_mean_over_its_pairs_whatever_the_batch(toy: Toy, tmp_path: Path) -> None:
    trainer: Trainer = trainer_of(toy.examples(), tmp_path)
    trainer.backbone.eval()
    vectors = torch.from_numpy(toy.query_vectors[toy.held_out.query_rows])
    codes = torch.from_numpy(toy.codes[toy.held_out.item_rows].astype(np.int64))
    with torch.no_grad():
        levels = [level.log_softmax(dim=-1).numpy() for level in decoder_of(trainer)(vectors, codes)]
    slow = [
        -sum(float(level[row, code]) for level, code in zip(levels, path, strict=True))
        for row, path in enumerate(codes)
    ]
    for batch in (1, 7, 1_000):
        assert held_out_loss(toy, tmp_path, batch=batch) == pytest.approx(np.mean(slow), rel=0.01)


def test_of_many_held_out_pairs_always_the_same_are_taken(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = held_out_loss(toy, tmp_path)
    monkeypatch.setattr(training, "_VALIDATION_EXAMPLES", 10)
    assert held_out_loss(toy, tmp_path) == held_out_loss(toy, tmp_path) != everything


@pytest.mark.parametrize("warm_up", [0, 1, 10, 200])
def test_the_learning_rate_rises_then_falls_and_never_dies(warm_up: int) -> None:
    rates = [training._schedule(step, 100, warm_up) for step in range(100)]
    peak = int(np.argmax(rates))
    assert 0 < min(rates) <= max(rates) <= 1
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    if warm_up < 100:
        assert peak == max(warm_up - 1, 0)
        assert rates[-1] == pytest.approx(0.02, abs=0.001)

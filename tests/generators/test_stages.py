"""Stages one after the other: interrupted anywhere they end as if they never were, and no other tokeniser's go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from test_stage_examples import shopper_examples, target_examples
from toy_training import LEVEL_SIZES, Toy, make_toy, small_decoder

from shelfwalk.data.query_item_pairs import QueryItemPairs
from shelfwalk.errors import UserError
from shelfwalk.generators.decoder import DecoderShape, IdentifierDecoder
from shelfwalk.generators.decoder_backbone import DecoderBackbone
from shelfwalk.generators.examples import ItemExamples
from shelfwalk.generators.settings import TrainingSettings
from shelfwalk.generators.stages import IdentifierCard, Stage, StageReport, run_stages
from shelfwalk.generators.training import Trainer

STEPS = 20
NAMES = ("items", "queries", "shoppers")


@pytest.fixture(scope="module")
def toy() -> Toy:
    return make_toy()


def reading_backbone(seed: int = 0) -> DecoderBackbone:
    shape = DecoderShape(12, LEVEL_SIZES, width=16, layers=1, heads=2, memory_tokens=2, history_length=3)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return DecoderBackbone(IdentifierDecoder(shape))


def settings_with(**chosen: Any) -> TrainingSettings:
    sizes = {"steps": STEPS, "batch": 16, "learning_rate": 0.01, "warm_up_steps": 2, "validate_every": 10}
    return TrainingSettings(**(sizes | chosen))


def three_stages(toy: Toy) -> list[Stage]:
    plain = toy.examples()
    sources = (
        ItemExamples(plain.queries, plain.items, toy.codes, toy.held_out),
        target_examples(toy),
        shopper_examples(toy, 0.2),
    )
    return [Stage(name, source, settings_with()) for name, source in zip(NAMES, sources, strict=True)]


class Told:
    """A progress that presses Ctrl-C at one step of one stage."""

    def __init__(self, name: str = "", step: int = 0) -> None:
        self.at = (name, step)
        self.steps: list[tuple[str, int]] = []

    def __call__(self, stage: Stage, step: int, loss: float, speed: float) -> None:
        assert np.isfinite(loss) and speed > 0
        self.steps.append((stage.name, step))
        if self.steps[-1] == self.at:
            raise KeyboardInterrupt


def run(toy: Toy, folder: Path, told: Told, backbone: DecoderBackbone | None = None) -> tuple[Any, list[StageReport]]:
    backbone = backbone or reading_backbone()
    reports = run_stages(backbone, three_stages(toy), IdentifierCard.of(toy.codes, LEVEL_SIZES), 3, folder, told)
    return {name: tensor.clone() for name, tensor in backbone.state_dict().items()}, reports


@pytest.fixture(scope="module")
def uninterrupted(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, list[StageReport], Path]:
    folder = tmp_path_factory.mktemp("whole")
    told = Told()
    result = run(toy, folder, told)
    assert told.steps == [(name, step + 1) for name in NAMES for step in range(STEPS)]
    return (*result, folder)


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


@pytest.mark.parametrize(
    ("stops", "first"),
    [
        ([("items", 15)], ("items", 11)),
        # Before the validation of the last step of a stage, and after the first of the next.
        ([("items", 20)], ("items", 11)),
        ([("queries", 1)], ("queries", 1)),
        ([("items", 3), ("queries", 12), ("shoppers", 19)], ("shoppers", 11)),
    ],
)
def test_interrupted_in_any_stage_equals_uninterrupted(
    toy: Toy,
    tmp_path: Path,
    uninterrupted: tuple[Any, list[StageReport], Path],
    stops: list[tuple[str, int]],
    first: tuple[str, int],
) -> None:
    for stop in stops:
        with pytest.raises(KeyboardInterrupt):
            run(toy, tmp_path, Told(*stop))
    told = Told()
    weights, reports = run(toy, tmp_path, told)
    assert told.steps[0] == first
    assert told.steps[-1] == ("shoppers", STEPS)
    assert_same(weights, uninterrupted[0])
    assert [report.training for report in reports] == [report.training for report in uninterrupted[1]]
    assert all(report.examples_per_second > 0 for report in reports)


def test_finished_stages_are_only_loaded(
    toy: Toy, uninterrupted: tuple[Any, list[StageReport], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, reports, folder = uninterrupted
    monkeypatch.setattr(Trainer, "_train_one", lambda self: pytest.fail("a finished stage was trained again"))
    again, told_again = run(toy, folder, Told(), reading_backbone(seed=9))
    assert_same(again, weights)
    assert told_again == reports


def test_a_stage_starts_from_the_best_weights_of_the_last(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[dict[str, torch.Tensor]] = []
    run_one = Trainer.run

    def watched(self: Trainer, *given: Any) -> Any:
        started.append({name: tensor.clone() for name, tensor in self.backbone.state_dict().items()})
        return run_one(self, *given)

    monkeypatch.setattr(Trainer, "run", watched)
    run(toy, tmp_path, Told())
    for number, name in enumerate(NAMES[:-1]):
        best = load_file(tmp_path / f"{number + 1}-{name}" / "best.safetensors")
        assert_same(started[number + 1], best)


def test_histories_are_learned_from_in_their_stage_and_help_there(toy: Toy, tmp_path: Path) -> None:
    """In this shop the history alone says what is wanted: the same again as last time."""
    visits = shopper_examples(toy).visits
    known = visits.histories[:, 0] >= 0
    same = np.stack((np.flatnonzero(known), visits.histories[known, 0])).astype(np.int32)
    examples = shopper_examples(toy, unknown_share=0.3, item_share=0.0)
    object.__setattr__(examples.visits, "train", same)
    object.__setattr__(examples.visits, "held_out", same)
    backbone = reading_backbone()
    stages = [Stage("shoppers", examples, settings_with(steps=150, validate_every=50))]
    report = run_stages(backbone, stages, IdentifierCard.of(toy.codes, LEVEL_SIZES), 0, tmp_path, Told())[0]
    drawn = examples.held_out_examples(np.arange(examples.held_out))
    backbone.eval()
    codes = torch.from_numpy(drawn.codes.astype(np.int64))
    with torch.no_grad():
        unknown = float(backbone(type(drawn.prompts).of(drawn.prompts.texts, drawn.prompts.vectors), codes))
    assert report.training.held_out_loss < 0.5 * unknown
    # Of a shopper of whom nothing is known it is not sure of something wrong.
    assert unknown < 1.5 * np.log(12)


@pytest.mark.parametrize("change", ["codes", "sizes"])
def test_checkpoints_of_other_identifiers_are_refused(toy: Toy, tmp_path: Path, change: str) -> None:
    codes, sizes = toy.codes, LEVEL_SIZES
    with pytest.raises(KeyboardInterrupt):
        run(toy, tmp_path, Told("items", 12))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    if change == "codes":
        codes = codes[::-1]
    else:
        sizes = (5, 3)
    with pytest.raises(UserError) as refused:
        run_stages(reading_backbone(), three_stages(toy), IdentifierCard.of(codes, sizes), 3, tmp_path, Told())
    assert "another tokeniser" in str(refused.value) and "4 × 3 codes there" in str(refused.value)
    assert str(refused.value).count("\n") == 0
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_stage_without_anything_to_learn_from_is_refused_before_the_first_is_trained(
    toy: Toy, tmp_path: Path
) -> None:
    empty = toy.examples(train=QueryItemPairs.of(()))
    stages = [*three_stages(toy)[:1], Stage("queries", empty, settings_with())]
    with pytest.raises(UserError, match=r"^The training stage queries has nothing to learn from: .*\.$"):
        run_stages(reading_backbone(), stages, IdentifierCard.of(toy.codes, LEVEL_SIZES), 3, tmp_path, Told())
    assert not list(tmp_path.glob("*-*"))


def test_a_single_stage_is_the_trainers_own_run(toy: Toy, tmp_path: Path) -> None:
    """Recipes without stages give the losses that they gave before there were any."""
    examples, settings = toy.examples(), settings_with()
    alone = Trainer(DecoderBackbone(small_decoder()), examples, settings, 5, tmp_path / "alone").run()
    card = IdentifierCard.of(toy.codes, LEVEL_SIZES)
    stage = Stage("pairs", examples, settings)
    reports = run_stages(DecoderBackbone(small_decoder()), [stage], card, 5, tmp_path / "stages", Told())
    assert reports[0].training == alone

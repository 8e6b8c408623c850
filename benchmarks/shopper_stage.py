"""What the stage of a generator's training that learns from shoppers' visits makes of their histories.

    python benchmarks/shopper_stage.py demo/standard-market-shelves/cqsid-user-seed0.shelf --name standard-market \\
        --try '{}' '{"query_share": 0}' '{"query_share": 0, "learning_rate": 3e-4, "steps": 400}'

takes the steps that the build of a shelf has left, trains the stages before the last one once more, and then the last
one anew for every set of settings; an interrupted run goes on where it was. For each it tells the held-out loss,
validation by validation, and of the best weights the loss on held-out visits with their own histories, with none and
with those of other visits. A line for each goes to benchmarks/results/shopper-stage/NAME.jsonl.

Also told, from the best weights of each: how far the loss with no history can be lowered, level by level, by favouring
the codes of the own history, all by the same factor. That is what an identifier's own codes say of shoppers at least.
"""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from shelfwalk.evaluation.results import Machine, append_result, this_machine
from shelfwalk.generators.shopper_examples import ShopperExamples, identifiers_of
from shelfwalk.generators.stages import IdentifierCard, Stage, run_stages
from shelfwalk.recipes.recipe import Recipe
from shelfwalk.shelf import layout
from shelfwalk.shelf.backbones import make_backbone
from shelfwalk.shelf.build import Build
from shelfwalk.shelf.shelf import Shelf
from shelfwalk.shelf.stage_examples import GeneratorInputs, StageExamples
from shelfwalk.shelf.steps import RECORD, StepResult, Steps
from shelfwalk.shelf.vectors import Vectors

if TYPE_CHECKING:
    from shelfwalk.generators.backbone import Backbone
    from shelfwalk.generators.decoder_backbone import DecoderBackbone

RESULTS = Path(__file__).parent / "results" / "shopper-stage"
FACTORS = np.arange(0.0, 3.01, 0.25)
"""Added to the log-probability of a code that the history holds."""
BATCH = 1_024


@dataclass(frozen=True)
class Outcome:
    """One training of the stage; losses in nats an identifier, `told` in nats a level."""

    data: str
    recipe: str
    seed: int
    tried: dict[str, Any]
    held_out_losses: list[float]
    best_step: int
    losses: dict[str, float]
    told: dict[str, list[float]]
    visits: int
    recipe_hash: str
    kind: str = "shopper-stage"
    machine: Machine = field(default_factory=this_machine)


class LeftSteps:
    """The steps that the build of a shelf has left, and the examples of its stages."""

    def __init__(self, place: Path, work: Path, threads: int) -> None:
        self._steps = place / "building" / "steps"
        shelf = Shelf.open(place)
        self.recipe, self.seed = Recipe(**shelf.recipe), int(shelf.recorded["seed"])
        items = pa.ipc.open_file(pa.memory_map(str(self._steps / "catalogue" / layout.ITEMS))).read_all()
        self.build = Build(items, self.recipe, Path(), self.seed, threads, lambda *_: None, Steps(work / "steps", ""))
        vectors, pairs, identifiers, visits = map(self._step, ("vectors", "pairs", "identifiers", "visits"))
        encoder = vectors.folder / layout.TEXT_ENCODER
        inputs = GeneratorInputs(Vectors(vectors, pairs), encoder, identifiers, pairs, visits)
        self.sizes = tuple(identifiers.facts["level_sizes"])
        self.width = inputs.vectors.items().shape[1]
        self.made = StageExamples(self.build, inputs, work / "examples", texts=False)
        self.card = IdentifierCard.of(self.made.codes, self.sizes)

    def _step(self, name: str) -> StepResult:
        folder = self._steps / name
        return StepResult(name, folder, json.loads((folder / RECORD).read_text(encoding="utf-8"))["facts"], reused=True)

    def backbone(self) -> DecoderBackbone:
        """A new one, as the build starts from."""
        from shelfwalk.generators.decoder_backbone import DecoderBackbone

        torch.manual_seed(self.seed)
        backbone = make_backbone(self.build, self.width, self.sizes)
        assert isinstance(backbone, DecoderBackbone)
        return backbone

    def stages(self, tried: dict[str, Any]) -> list[Stage]:
        """All stages, the last one with other settings."""
        training = self.recipe.training
        assert training.stages is not None
        *earlier, last = training.stages
        every = [*earlier, type(last)(**(last.model_dump(exclude_none=True) | tried))]
        settings = [training.of_stage(stage) for stage in every]
        return [Stage(stage.kind, self.made.of(stage, of), of) for stage, of in zip(every, settings, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shelf", type=Path, help="built by a recipe whose last stage is one of shoppers")
    parser.add_argument("--name", required=True, help="of the data and the results file")
    parser.add_argument("--try", dest="tried", nargs="+", type=json.loads, default=[{}], metavar="JSON")
    parser.add_argument("--work", type=Path, default=Path("demo/shopper-stage"))
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    left = LeftSteps(arguments.shelf, arguments.work, arguments.threads)
    earlier = arguments.work / "earlier"
    run_stages(left.backbone(), left.stages({})[:-1], left.card, left.seed, earlier, shown)
    for tried in arguments.tried:
        folder = arguments.work / (",".join(f"{name}={value}" for name, value in tried.items()) or "as-is")
        if not folder.exists():
            shutil.copytree(earlier, folder)
        backbone, stages = left.backbone(), left.stages(tried)
        report = run_stages(backbone, stages, left.card, left.seed, folder, shown)[-1].training
        examples = stages[-1].examples
        assert isinstance(examples, ShopperExamples)
        outcome = Outcome(
            arguments.name,
            left.recipe.name,
            left.seed,
            tried,
            list(report.held_out_losses),
            report.best_step,
            losses_by_history(backbone, examples),
            told_by_codes(backbone, examples),
            examples.held_out,
            left.recipe.hash,
        )
        append_result(RESULTS / f"{arguments.name}.jsonl", outcome)
        print(json.dumps(asdict(outcome), indent=1), flush=True)


def shown(stage: Stage, step: int, loss: float, speed: float) -> None:
    if step % 50 == 0:
        print(f"{stage.name}, step {step}: loss {loss:.3f}, {speed:,.0f} examples/s", flush=True)


@torch.no_grad()
def losses_by_history(backbone: Backbone, examples: ShopperExamples) -> dict[str, float]:
    """The loss on all held-out visits by what is told of their shoppers."""
    backbone.eval()
    visits, chosen = examples.visits.held_out
    own = identifiers_of(examples.codes, examples.visits.histories[visits])
    told = {"own": own, "none": np.full_like(own, -1), "another's": np.roll(own, 1, axis=0)}
    codes = torch.from_numpy(examples.codes[chosen].astype(np.int64))
    found = {}
    for name, histories in told.items():
        prompts, total = examples.queries.prompts(examples.visits.query_rows[visits], histories), 0.0
        for start in range(0, len(chosen), BATCH):
            rows = np.arange(start, min(start + BATCH, len(chosen)))
            total += backbone(prompts.take(rows), codes[rows]).item() * len(rows)
        found[name] = total / len(chosen)
    return found


@torch.no_grad()
def told_by_codes(backbone: DecoderBackbone, examples: ShopperExamples) -> dict[str, list[float]]:
    """How far the loss of each level falls at most when the codes of a history are favoured, whoever's it is."""
    visits, chosen = examples.visits.held_out
    vectors = torch.from_numpy(np.array(examples.queries.vectors[examples.visits.query_rows[visits]]))
    codes = examples.codes[chosen]
    logits = backbone.decoder(vectors, torch.from_numpy(codes.astype(np.int64)))
    own = np.asarray(examples.visits.histories[visits])
    found = {}
    for name, histories in (("own", own), ("another's", np.roll(own, 1, axis=0))):
        favoured = in_history(examples.codes, codes, histories, [level.shape[1] for level in logits])
        found[name] = [
            _largest_fall(level.numpy(), there, codes[:, number])
            for number, (level, there) in enumerate(zip(logits, favoured, strict=True))
        ]
    return found


def in_history(
    codes: npt.NDArray[np.int32],
    asked: npt.NDArray[np.int32],
    histories: npt.NDArray[np.int32],
    sizes: list[int],
) -> list[npt.NDArray[np.bool_]]:
    """For each level bool [visits, codes]: whether the history holds an item with that code after the same codes.

    `codes` [items, levels] of the catalogue, `asked` [visits, levels], `histories` [visits, length], −1 for none.
    """
    found = [np.zeros((len(asked), size), bool) for size in sizes]
    for place in range(histories.shape[1]):
        rows = np.flatnonzero(histories[:, place] >= 0)
        for level, there in enumerate(found):
            of_item = codes[histories[rows, place], level]
            there[rows, of_item] = True
            rows = rows[of_item == asked[rows, level]]
    return found


def _largest_fall(
    logits: npt.NDArray[np.float32], there: npt.NDArray[np.bool_], wanted: npt.NDArray[np.int32]
) -> float:
    losses = []
    for factor in FACTORS:
        favoured = torch.from_numpy(logits + factor * there)
        losses.append(float(torch.nn.functional.cross_entropy(favoured, torch.from_numpy(wanted.astype(np.int64)))))
    return losses[0] - min(losses)


if __name__ == "__main__":
    main()

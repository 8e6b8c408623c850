"""Interrupted builds: what is finished stays, what is not is made again, and the result is that of one go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from shelfwalk.errors import UserError
from shelfwalk.generators.onnx_generator import OnnxGenerator
from shelfwalk.generators.prompts import Prompts
from shelfwalk.recipes.recipe import Recipe
from shelfwalk.shelf.building import build_shelf
from shelfwalk.shelf.shelf import Shelf
from small_shop import SmallShop, files_of

STEPS = ("catalogue", "vectors", "pairs", "identifiers", "generator", "bm25", "weights")
INTERRUPTIONS = (
    # The stage and how much of it is told when Ctrl-C comes, and the steps that are then finished.
    ("Exporting the encoder", 0, 1),
    ("Encoding items", 120, 1),
    ("Making pseudo-queries", 1, 2),
    ("Encoding queries", 485, 2),
    ("residual k-means", 1, 3),
    ("Training the generator", 5, 4),
    ("Training the generator", 25, 4),
    ("Training the generator", 40, 4),
    ("Exporting the generator", 0, 4),
    ("Indexing words", 1, 5),
    ("Settling weights", 2, 6),
)
TRAINED_BY_THE_SEED = ("generator/memory.onnx", "generator/step.onnx")


class Interrupted:
    """A progress callback that presses Ctrl-C where told, and remembers what it was told before."""

    def __init__(self, stage: str | None = None, done: int = 0) -> None:
        self.stage = stage
        self.done = done
        self.told: list[tuple[str, int]] = []

    def __call__(self, stage: str, done: int, total: int) -> None:
        name = stage.split(" (")[0]
        self.told.append((name, done))
        if name == self.stage and done >= self.done:
            raise KeyboardInterrupt

    def stages(self) -> list[str]:
        return list(dict.fromkeys(name for name, _ in self.told))


def finished_steps(shelf: Path) -> dict[str, tuple[int, int]]:
    """The finished steps of a build, each with what changes when it is made again."""
    records = {path.parent.name: path.stat() for path in (shelf / "building" / "steps").glob("*/step.json")}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in records.items() if name in STEPS}


def test_a_build_interrupted_in_every_step(small_shop: SmallShop, shop_cache: Path, tmp_path: Path) -> None:
    shelf = tmp_path / "my.shelf"
    # The vectors go: each is encoded anew, by what the first attempt that gets so far leaves.
    for path in (shop_cache / "vectors").glob("*/*"):
        path.unlink()
    before: dict[str, tuple[int, int]] = {}
    for stage, done, finished in INTERRUPTIONS:
        progress = Interrupted(stage, done)
        with pytest.raises(KeyboardInterrupt):
            build_shelf(small_shop.items(), small_shop.recipe, shelf, threads=1, progress=progress)
        now = finished_steps(shelf)
        assert tuple(name for name in STEPS if name in now) == STEPS[:finished], stage
        assert {name: now[name] for name in before} == before, f"{stage}: a finished step was made again"
        assert progress.stages()[-1] == stage
        before = now
        assert not (shelf / "CURRENT").exists()
    progress = Interrupted()
    build_shelf(small_shop.items(), small_shop.recipe, shelf, threads=1, progress=progress)
    assert progress.stages() == ["Settling weights"]
    check_same_shelf(small_shop.shelf, shelf)


def check_same_shelf(expected: Path, actual: Path) -> None:
    """Two builds of one seed: the same bytes, but for models that hold traces of their export; they act the same."""
    one, other = Shelf.open(expected), Shelf.open(actual)
    assert one.manifest.files.keys() == other.manifest.files.keys()
    for name, entry in one.manifest.files.items():
        if name not in TRAINED_BY_THE_SEED:
            assert entry == other.manifest.files[name], name
    facts = [
        {key: value for key, value in shelf.recorded.items() if key not in ("seconds", "examples_per_second")}
        for shelf in (one, other)
    ]
    assert facts[0] == facts[1]
    vectors = np.asarray(one.vectors[:16])
    scores = []
    for shelf in (one, other):
        generator = OnnxGenerator(shelf.folder / "generator")
        memory = generator.encode(Prompts.of([""] * len(vectors), vectors))
        first, cache = generator.step(memory, generator.start(len(vectors)), None, 0)
        second, _ = generator.step(memory, cache, np.full((len(vectors), 1), 3, np.int32), 1)
        scores.append((first, second))
    for level in range(2):
        np.testing.assert_allclose(scores[0][level], scores[1][level], rtol=0, atol=1e-5)


def test_training_goes_on_from_its_last_checkpoint(small_shop: SmallShop, shop_cache: Path, tmp_path: Path) -> None:
    own = small_shop.copy_of_shelf(tmp_path)
    steps = own / "building" / "steps"
    for name in ("generator", "weights"):
        for path in sorted((steps / name).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (steps / name).rmdir()
    for stop, first in ((25, 1), (33, 21), (40, 31)):
        progress = Interrupted("Training the generator", stop)
        with pytest.raises(KeyboardInterrupt):
            build_shelf(small_shop.items(), small_shop.recipe, own, threads=1, progress=progress)
        assert [done for _, done in progress.told] == list(range(first, stop + 1))


def test_another_build_begins_anew_and_the_shelf_stays(small_shop: SmallShop, shop_cache: Path, tmp_path: Path) -> None:
    """Steps of another seed are of no use; the published generation is not touched by what is then interrupted."""
    own = small_shop.copy_of_shelf(tmp_path)
    published = files_of(own / "generations")
    progress = Interrupted("residual k-means")
    with pytest.raises(KeyboardInterrupt):
        build_shelf(small_shop.items(), small_shop.recipe, own, seed=1, threads=1, progress=progress)
    assert set(finished_steps(own)) == {"catalogue", "vectors", "pairs"}
    assert files_of(own / "generations") == published
    assert Shelf.open(own).search("desk lamp").results == Shelf.open(small_shop.shelf).search("desk lamp").results


@pytest.mark.parametrize(
    ("section", "change", "stages"),
    [
        ("fusion", {"weights": {"bm25": 1, "dense": 1, "generative": 1}}, ["Settling weights"]),
        ("generative", {"beam": 20}, ["Settling weights"]),
        ("bm25", {"k1": 1.2}, ["Indexing words", "Settling weights"]),
        ("training", {"steps": 41}, ["Training the generator"]),
        ("pseudo_queries", {"title_pieces": 3}, ["Making pseudo-queries", "Encoding queries"]),
        ("tokenizer", {"level_sizes": [8, 7]}, ["residual k-means", "Training the generator"]),
        ("text", {"encoder_attribute_values": 1}, ["Exporting the encoder", "Encoding items"]),
    ],
)
def test_only_what_a_changed_recipe_asks_for_is_made_again(
    small_shop: SmallShop, shop_cache: Path, tmp_path: Path, section: str, change: dict[str, object], stages: list[str]
) -> None:
    own = small_shop.copy_of_shelf(tmp_path)
    values = small_shop.recipe.model_dump()
    recipe = Recipe.model_validate({**values, section: {**values[section], **change}})
    # Ctrl-C before the export of the generator: the test is of what comes first.
    progress = Interrupted(stages[-1], 1)
    with pytest.raises(KeyboardInterrupt):
        build_shelf(small_shop.items(), recipe, own, threads=1, progress=progress)
    assert progress.stages() == stages


def test_weights_that_changed_in_their_folder_are_used(small_shop: SmallShop, shop_cache: Path, tmp_path: Path) -> None:
    """An encoder folder of the same name with other files is another encoder."""
    own = small_shop.copy_of_shelf(tmp_path)
    encoder = Path(small_shop.recipe.encoder.model)
    settings = encoder / "sentence_bert_config.json"
    original = settings.read_bytes()
    progress = Interrupted("Exporting the encoder")
    try:
        settings.write_bytes(original + b"\n")
        with pytest.raises(KeyboardInterrupt):
            build_shelf(small_shop.items(), small_shop.recipe, own, threads=1, progress=progress)
    finally:
        settings.write_bytes(original)
    assert progress.stages() == ["Exporting the encoder"]


def test_ctrl_c_on_the_real_command(small_shop: SmallShop, tmp_path: Path) -> None:
    """Everything anew, with an empty cache, in processes of their own: nothing but one sentence is ever printed."""
    shelf = tmp_path / "my.shelf"
    # A process started in the background ignores Ctrl-C, and so would all that it starts.
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code += "from shelfwalk.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "build"]
    command += ["--items", str(small_shop.items_file), "--recipe", str(small_shop.recipe_file), "--out", str(shelf)]
    command += ["--threads", "1", "--quiet"]
    environment = {**os.environ, "SHELFWALK_CACHE": str(tmp_path / "cache")}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, text=True, **pipes) as process:
        while not (shelf / "building" / "steps" / "catalogue").is_dir():
            assert process.poll() is None
            time.sleep(0.01)
        # As a person does: again if nothing happens, since a library that is being imported may swallow the first.
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=3)
        out, err = process.communicate()
    sentence = "shelfwalk: stopped; nothing half-made is left, and a build goes on where it was.\n"
    assert (process.returncode, out, err) == (130, "", sentence)
    assert "catalogue" in finished_steps(shelf)
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert len(Shelf.open(shelf).search("usb hub").results) == 10


def test_what_took_long_stays_where_a_first_build_is_refused_in_the_middle(
    small_shop: SmallShop, shop_cache: Path, tmp_path: Path
) -> None:
    shelf, recipe = tmp_path / "my.shelf", small_shop.recipe
    diverging = recipe.model_copy(update={"training": recipe.training.model_copy(update={"learning_rate": 1e30})})
    with pytest.raises(UserError, match=r"lower training\.learning_rate"):
        build_shelf(small_shop.items(), diverging, shelf, threads=1)
    before = finished_steps(shelf)
    assert tuple(name for name in STEPS if name in before) == STEPS[:4]
    build_shelf(small_shop.items(), recipe, shelf, threads=1)
    after = finished_steps(shelf)
    assert {name: after[name] for name in before} == before

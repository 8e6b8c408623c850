"""The hourglass (arXiv 2407.21488) and its cures, measured on several catalogues.

    python benchmarks/hourglass.py codes icecat=../shared/data/icecat_chorus standard-market=demo/standard-market
    python benchmarks/hourglass.py trained icecat=../shared/data/icecat_chorus --seeds 0 1 2

`codes` fits residual k-means of several shapes on each catalogue's text vectors, whole and reduced to their first
principal components, and appends to benchmarks/results/hourglass/codes.jsonl how evenly each level is used and what
each cure does to the identifiers; with `--made-up` also on two made-up sets of vectors, and with `--shelf NAME=SHELF`
on the vectors of a built shelf (its two towers'). No generator is trained.

`trained` builds one shelf a cure, order and seed with a short training, evaluates it, and appends to
benchmarks/results/hourglass/NAME.jsonl as any evaluation, and to probes.jsonl what the probes find
(evaluation/hourglass_probes.py). Data without queries (Online Retail) is asked *constructed* ones: nobody typed them.

Both skip what their files hold already, so that an interrupted run goes on where it was.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shelfwalk.data.adapter import Dataset

RESULTS = Path(__file__).parent / "results" / "hourglass"
SHAPES = ((64, 64, 32), (64, 64, 64), (128, 128, 128))
COMPONENTS = (32, 8)
MADE_UP_SHAPE = (4, 16, 16)
ARMS = {
    "plain": ("rqkmeans", "", ""),
    "removal": ("hourglass-removal", "", ""),
    "top-k": ("hourglass", "share = 0.2", "most_used = 4"),
    "share": ("hourglass", "", ""),
    "swapped": ("hourglass-swapped", "", ""),
}
"""The recipe that each arm is, and what is put in place of what in it."""
Named = tuple[str, str, NDArray[np.float32]]
"""Name of the data, hash of its content, vectors."""


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def named_folder(text: str) -> tuple[str, Path]:
    name, _, folder = text.partition("=")
    if not folder:
        raise argparse.ArgumentTypeError(f"{text} is not NAME=FOLDER")
    return name, Path(folder)


def text_vectors(dataset: Dataset) -> NDArray[np.float32]:
    """What a shelf's encoder makes of the items; remembered by the encoder's cache."""
    from shelfwalk.encoders.weights import find_weights
    from shelfwalk.recipes.recipe import load_recipe
    from shelfwalk.shelf import layout
    from shelfwalk.shelf.build import Build
    from shelfwalk.shelf.catalogue_steps import encode_items
    from shelfwalk.shelf.steps import Steps
    from shelfwalk.terminal import shown_progress

    with tempfile.TemporaryDirectory() as folder, shown_progress() as progress:
        recipe = load_recipe("rqkmeans")
        steps = Steps(Path(folder) / "steps", "")
        weights = find_weights(recipe.encoder.model)
        encode_items(Build(dataset.items, recipe, weights, 0, 1, progress, steps), Path(folder))
        return np.load(Path(folder) / layout.VECTORS, allow_pickle=False)


def measure_all(named: Named, vectors: str, shapes: Sequence[tuple[int, ...]], seeds: Sequence[int]) -> None:
    """Measure every shape and seed that the file lacks."""
    from shelfwalk.evaluation.hourglass_codes import KIND, CodesMeasurement, level_figures, measure_codes
    from shelfwalk.evaluation.measurements import read_measurements
    from shelfwalk.evaluation.results import append_result

    file = RESULTS / "codes.jsonl"
    done = {CodesMeasurement(**line).key for line in read_measurements(file, KIND)}
    data, data_hash, points = named
    empty = CodesMeasurement(KIND, "", data, data_hash, vectors, len(points), [], 0, None, 0.0, [], [])
    for shape in shapes:
        for seed in seeds:
            asked = replace(empty, level_sizes=list(shape), seed=seed)
            if asked.key in done:
                continue
            found, cures = measure_codes(points, shape, seed)
            levels = level_figures(found)
            measured = replace(asked, time=now(), waist=found.waist, gap=found.gap, levels=levels, cures=cures)
            append_result(file, measured)
            ginis = ", ".join(f"{level['gini']:.3f}" for level in levels)
            print(f"{data}, {vectors}, {shape}, seed {seed}: Gini {ginis}, waist {found.waist}", flush=True)


def codes(arguments: argparse.Namespace) -> None:
    from shelfwalk.data.dataset import open_dataset
    from shelfwalk.data.hashing import content_hash
    from shelfwalk.evaluation.hourglass_codes import evenly_spread, mixture_with_outliers, principal_components
    from shelfwalk.shelf.shelf import Shelf

    if arguments.made_up:
        for seed in arguments.seeds:
            for name, made in (("even", evenly_spread(seed)), ("mixture with outliers", mixture_with_outliers(seed))):
                measure_all((f"made up: {name}", f"made up: {name}", made), "as made", [MADE_UP_SHAPE], [seed])
    for name, folder in arguments.data:
        dataset = open_dataset(folder)
        points = text_vectors(dataset)
        kinds = {"text": points}
        kinds |= {f"text, {count} components": principal_components(points, count) for count in COMPONENTS}
        for kind, of_kind in kinds.items():
            measure_all((name, content_hash(dataset.items), of_kind), kind, SHAPES, arguments.seeds)
    for name, folder in arguments.shelf:
        shelf = Shelf.open(folder)
        of_shelf = np.asarray(shelf.vectors)
        measure_all((name, shelf.recorded["data_hash"], of_shelf), shelf.recipe["name"], SHAPES, arguments.seeds)


def short_recipe(arm: str, steps: int, folder: Path) -> Path:
    """A recipe file of an arm with a training of so many steps, in `folder`; its name says how many."""
    from shelfwalk.recipes.recipe import recipe_text

    source, old, new = ARMS[arm]
    text = recipe_text(source).replace(f'name = "{source}"', f'name = "hourglass-{arm}-{steps}"').replace(old, new)
    file = folder / f"hourglass-{arm}-{steps}.toml"
    file.write_text(f"{text}\n[training]\nsteps = {steps}\n", encoding="utf-8")
    return file


def dataset_with_queries(folder: Path, queries: int | None) -> Dataset:
    """The data with at most so many queries, evenly spaced; with constructed ones where it has none of its own."""
    from shelfwalk.data.constructed_searches import constructed_searches
    from shelfwalk.data.dataset import open_dataset

    dataset = open_dataset(folder)
    if dataset.queries is None or dataset.judgements is None:
        return constructed_searches(dataset, 0, queries or 500)
    return dataset.with_fewer_queries(queries)


def trained(arguments: argparse.Namespace) -> None:
    for name, folder in arguments.data:
        dataset = dataset_with_queries(folder, arguments.queries)
        for note in dataset.notes:
            print(f"{name}: {note}")
        arguments.work_folder.mkdir(parents=True, exist_ok=True)
        for seed in arguments.seeds:
            for arm in arguments.arms:
                recipe = short_recipe(arm, arguments.steps, arguments.work_folder)
                run_arm(name, dataset, recipe, seed, arguments)


def run_arm(name: str, dataset: Dataset, recipe: Path, seed: int, arguments: argparse.Namespace) -> None:
    """Build, evaluate and probe one shelf, as far as the results lack it."""
    from shelfwalk.evaluation.hourglass_probes import KIND, probe_hourglass
    from shelfwalk.evaluation.measurements import read_measurements
    from shelfwalk.evaluation.recipe_runs import dataset_hash, run_recipe
    from shelfwalk.evaluation.results import append_result, read_results
    from shelfwalk.recipes.recipe import load_recipe
    from shelfwalk.shelf.shelf import Shelf
    from shelfwalk.terminal import shown_progress

    loaded, results, probes = load_recipe(str(recipe)), arguments.out / f"{name}.jsonl", arguments.out / "probes.jsonl"
    key = (dataset_hash(dataset), loaded.hash, seed)
    records = read_results(results).records if results.exists() else ()
    done = {(record.data_hash, record.recipe_hash, record.seed) for record in records}
    work = arguments.work_folder / name
    with shown_progress() as progress:
        if key not in done:
            threads = arguments.threads
            run_recipe(dataset, str(recipe), seed, work=work, results=results, threads=threads, progress=progress)
        probed = {(line["data_hash"], line["recipe_hash"], line["seed"]) for line in read_measurements(probes, KIND)}
        if key not in probed and (work / f"{loaded.name}-seed{seed}.shelf").exists():
            shelf = Shelf.open(work / f"{loaded.name}-seed{seed}.shelf")
            found = probe_hourglass(shelf, dataset.queries, dataset.judgements, progress=progress)
            about = {"data": name, "data_hash": key[0], "recipe": loaded.name, "recipe_hash": loaded.hash}
            append_result(probes, found.measurement(time=now(), seed=seed, **about))
    print(f"{name}: {loaded.name}, seed {seed} done.", flush=True)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    works = made.add_subparsers(required=True)
    of_codes = works.add_parser("codes", help="the codes alone")
    of_codes.add_argument("data", nargs="*", type=named_folder, metavar="NAME=FOLDER")
    of_codes.add_argument("--made-up", action="store_true", help="measure the made-up vectors as well")
    of_codes.add_argument("--shelf", action="append", default=[], type=named_folder, metavar="NAME=SHELF")
    of_codes.set_defaults(work=codes)
    of_trained = works.add_parser("trained", help="shelves with a short training")
    of_trained.add_argument("data", nargs="+", type=named_folder, metavar="NAME=FOLDER")
    of_trained.add_argument("--arms", nargs="+", choices=tuple(ARMS), default=list(ARMS))
    of_trained.add_argument("--steps", type=int, default=400, help="of the decoder's training")
    of_trained.add_argument("--queries", type=int, help="at most so many [default: all; of constructed ones 500]")
    of_trained.add_argument("--work-folder", type=Path, default=Path("demo/hourglass-shelves"))
    of_trained.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    of_trained.add_argument("--threads", type=int, default=2)
    of_trained.set_defaults(work=trained)
    for work in (of_codes, of_trained):
        work.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    return made


def main() -> None:
    arguments = parser().parse_args()
    arguments.work(arguments)


if __name__ == "__main__":
    main()

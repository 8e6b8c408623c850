"""Judges claims, after making the results that are missing.

In: `Claims`, the folder of the results, and folders of the data that claims name. Out: verdicts. The content of a data
folder must be what the claims file says, so that a figure of one data never answers for another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from shelfwalk.data.dataset import Dataset, open_dataset
from shelfwalk.data.personal_queries import personal_queries
from shelfwalk.errors import UserError
from shelfwalk.evaluation.claims import Claims
from shelfwalk.evaluation.evidence import MissingRun, missing_runs, read_evidence
from shelfwalk.evaluation.verdicts import ClaimVerdict, judge

RESULTS = Path("benchmarks/results")
"""Where results are looked for, if there, when no folder is named."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class JudgedClaims:
    """The verdicts in the order of the claims, and a sentence for each file that was no results file."""

    verdicts: tuple[ClaimVerdict, ...]
    notices: tuple[str, ...]


def judge_claims(
    claims: Claims,
    results: Path | None,
    folders: Mapping[str, Path],
    *,
    run: bool,
    work: Path,
    threads: int = 2,
    progress: Progress = lambda stage, done, total: None,
) -> JudgedClaims:
    """Judge claims by the results in the folder `results`; with `run`, make what is missing on the data in `folders`.

    Raises UserError for a folder that is not there, data that no claim names, or a folder with another content than the
    claims file says.
    """
    datasets = {name: _opened(claims, name, folder) for name, folder in folders.items()}
    hashes = {name: data.hash for name, data in claims.data.items()}
    hashes |= {name: _checked_hash(claims, name, dataset) for name, dataset in datasets.items()}
    place = results or (RESULTS if RESULTS.is_dir() else None)
    evidence = read_evidence(place)
    if run and datasets:
        missing = missing_runs(claims, evidence, {name: hashes[name] for name in datasets})
        for number, wanted in enumerate(missing):
            progress("Runs", number, len(missing))
            _make(wanted, datasets[wanted.data], work, place or RESULTS, threads, progress)
        progress("Runs", len(missing), len(missing))
        evidence = read_evidence(place or RESULTS) if missing else evidence
    return JudgedClaims(judge(claims, evidence, hashes), evidence.notices)


def _opened(claims: Claims, name: str, folder: Path) -> Dataset:
    if name not in claims.data:
        raise UserError(f"No claim is about data {name}: name one of {', '.join(claims.data)} with --data.")
    visits = claims.data[name].visits
    return open_dataset(folder) if visits is None else personal_queries(folder, visits)


def _checked_hash(claims: Claims, name: str, dataset: Dataset) -> str:
    from shelfwalk.evaluation.recipe_runs import dataset_hash

    found, claimed = dataset_hash(dataset), claims.data[name].hash
    if claimed and found != claimed:
        raise UserError(
            f"The folder given for {name} holds other data: its content is {found}, the claims are about {claimed}; "
            "give the right folder, or a claims file about this one."
        )
    return found


def _make(wanted: MissingRun, dataset: Dataset, work: Path, results: Path, threads: int, progress: Progress) -> None:
    from shelfwalk.evaluation.recipe_runs import run_recipe

    told = f"{wanted.data}, {wanted.recipe}, seed {wanted.seed}: "
    run_recipe(
        dataset,
        wanted.recipe,
        wanted.seed,
        work=work / wanted.data,
        results=results / f"{wanted.data}.jsonl",
        threads=threads,
        progress=lambda stage, done, total: progress(told + stage, done, total),
    )

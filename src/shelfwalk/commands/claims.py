"""The verb `claims`: what became of the published claims here.

In: arguments. Out: every claim with a verdict on standard output (JSON with --json), progress on standard error.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from shelfwalk.errors import UserError


def claims(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A claims file. [default: the one that comes with shelfwalk]")
    ] = None,
    no_run: Annotated[bool, typer.Option("--no-run", help="Report from the results at hand alone.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list and nothing else.")] = False,
    results: Annotated[
        Path | None,
        typer.Option(help="The folder of the results files; new results go there. [default: benchmarks/results]"),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FOLDER",
            help="Where data of the claims is, as standard-market=market/; what is missing is run on it. Repeatable.",
        ),
    ] = None,
    work: Annotated[Path, typer.Option(help="Where shelves that have to be built go.")] = Path("demo/claims"),
    threads: Annotated[int, typer.Option(min=1, help="Cores that a build has to itself.")] = 2,
) -> None:
    """Show for every published claim whether it holds here.

    A claim holds where the whole interval of our figure lies in its band, does not hold where it lies outside; else it
    cannot be told, and why is said. Without --no-run, results that claims need on the data given are made first: a
    build and an evaluation a recipe and seed, which can take hours and goes on where it was.

    Example: shelfwalk claims --data standard-market=market/ --results results/
    """
    from shelfwalk.evaluation.claim_runs import judge_claims
    from shelfwalk.evaluation.claims import read_claims
    from shelfwalk.terminal import shown_progress

    asked = read_claims(file)
    folders = _folders(data)
    with shown_progress() as progress:
        judged = judge_claims(asked, results, folders, run=not no_run, work=work, threads=threads, progress=progress)
    for notice in judged.notices:
        print(notice, file=sys.stderr)
    if as_json:
        print(json.dumps([verdict.to_json() for verdict in judged.verdicts], ensure_ascii=False))
        return
    from rich.console import Console

    from shelfwalk.evaluation.claims_text import print_claims

    print_claims(judged.verdicts, Console(highlight=False, soft_wrap=True))


def _folders(data: list[str] | None) -> dict[str, Path]:
    """The `--data NAME=FOLDER` options as a dictionary."""
    folders: dict[str, Path] = {}
    for option in data or ():
        name, equals, folder = option.partition("=")
        if not (name and equals and folder):
            raise UserError(f'--data "{option}" is not of the form NAME=FOLDER, as in --data standard-market=market/.')
        if name in folders:
            raise UserError(f"--data names {name} twice: give one folder for each data.")
        folders[name] = Path(folder)
    return folders

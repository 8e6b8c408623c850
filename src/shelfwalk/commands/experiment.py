"""The verb `experiment`: two systems before the shoppers of a simulated market.

In: arguments. Out: tables on standard output (one JSON object with --json), progress on standard error, and with --out
a line appended to a results file.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from shelfwalk.errors import UserError


def experiment(
    first: Annotated[Path, typer.Argument(metavar="A.shelf", help="The folder of the first shelf.")],
    second: Annotated[Path, typer.Argument(metavar="B.shelf", help="The second; the same to compare its channels.")],
    market: Annotated[Path, typer.Option(help="A folder that `shelfwalk market` made.")],
    channel_a: Annotated[
        str, typer.Option(help="The first shelf's channel: bm25, dense, generative, bm25+dense or fused.")
    ] = "fused",
    channel_b: Annotated[str, typer.Option(help="The second shelf's channel.")] = "fused",
    sessions: Annotated[int, typer.Option(min=1, max=200_000, help="Sessions to draw from the market.")] = 20_000,
    method: Annotated[str, typer.Option(help="ab, interleaving or both.")] = "both",
    runs_aa: Annotated[int, typer.Option(min=0, max=10_000, help="A/A runs of each test, 0 for none.")] = 1_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for experiments.jsonl, to which a line is appended.")] = None,
) -> None:
    """Compare two systems online, on a simulated market.

    Half of the shoppers see A and half B (A/B test: click-through, conversion, GMV per session), and all see both mixed
    (team-draft interleaving). A/A runs show how often the tests cry wolf, channel shares what each channel
    contributed, and counterfactual estimates what a log of A would have said of B.

    Example: shelfwalk experiment my.shelf my.shelf --market market/ --channel-a bm25+dense --channel-b fused
    """
    from shelfwalk.channels.names import CHANNELS, RANKED

    for channel in (channel_a, channel_b):
        if channel not in (*CHANNELS, RANKED):
            raise UserError(f'There is no channel "{channel}": take one of {", ".join((*CHANNELS, RANKED))}.')
    if method not in ("ab", "interleaving", "both"):
        raise UserError(f'There is no method "{method}": take ab, interleaving or both.')
    from shelfwalk.market.market import Market
    from shelfwalk.shelf.shelf import Shelf

    shop = Market.open(market)
    shelves = [Shelf.open(first)]
    shelves.append(shelves[0] if first.resolve() == second.resolve() else Shelf.open(second))
    if out is not None:
        # A folder that cannot be made is better known now than after the searches.
        out.mkdir(parents=True, exist_ok=True)
    from shelfwalk.evaluation.experiment import Contender, run_experiment
    from shelfwalk.terminal import shown_progress

    with shown_progress() as progress:
        found = run_experiment(
            Contender(shelves[0], channel_a, str(first)),
            Contender(shelves[1], channel_b, str(second)),
            shop,
            sessions=sessions,
            method=method,
            runs_aa=runs_aa,
            seed=seed,
            progress=progress,
        )
    if out is not None:
        from shelfwalk.evaluation.experiment_record import EXPERIMENTS, experiment_record
        from shelfwalk.evaluation.results import append_result

        append_result(out / EXPERIMENTS, experiment_record(found))
    if as_json:
        print(json.dumps(asdict(found), ensure_ascii=False))
        return
    from rich.console import Console

    from shelfwalk.evaluation.experiment_table import print_experiment

    print_experiment(found, Console(highlight=False))

"""The verb `compare`: systems in results files against a baseline.

In: arguments. Out: a table with verdict marks on standard output, as text or Markdown, and with --html a page.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from shelfwalk.errors import UserError


def compare(
    results: Annotated[list[Path], typer.Argument(metavar="RESULTS...", help="Files that `shelfwalk evaluate` wrote.")],
    baseline: Annotated[
        str | None,
        typer.Option(help="What to compare with: a system's name, as fused or tiger/fused. [default: bm25+dense]"),
    ] = None,
    measure: Annotated[
        list[str] | None, typer.Option(help="A measure to compare, as R@100. Repeatable. [default: R@100, nDCG@10]")
    ] = None,
    part: Annotated[
        list[str] | None,
        typer.Option(
            help="Part of the queries: all, head, middle, tail, seen, unseen, cold start, … Repeatable. [default: all]"
        ),
    ] = None,
    data: Annotated[str | None, typer.Option(help="The data hash to look at, where the files hold several.")] = None,
    text: Annotated[bool, typer.Option("--text", help="Print tables for the terminal. [default]")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables as Markdown.")] = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page with pictures.")] = None,
) -> None:
    """Compare the systems in results files, with verdicts.

    A system is a channel of a recipe; its seeds are averaged for each query, and the difference to the baseline is
    tested over queries, corrected for the number of tests in the table (Holm). All results must be on the same data.

    Example: shelfwalk compare results/*.jsonl --baseline bm25+dense --measure R@100 --part head --part tail
    """
    if text and markdown:
        raise UserError("--text and --markdown exclude one another: give one of them.")
    from shelfwalk.evaluation.compare import COMPARED_MEASURES, compare_systems
    from shelfwalk.evaluation.comparison_table import comparison_markdown, print_comparison
    from shelfwalk.evaluation.strata import ALL
    from shelfwalk.evaluation.systems import read_systems

    comparison = compare_systems(
        read_systems(results, data), baseline=baseline, measures=measure or COMPARED_MEASURES, parts=part or (ALL,)
    )
    if html is not None:
        from shelfwalk.evaluation.comparison_page import write_comparison_page

        write_comparison_page(html, comparison)
        print(f"Written: {html}", file=sys.stderr)
    if markdown:
        print(comparison_markdown(comparison), end="")
        return
    from rich.console import Console

    print_comparison(comparison, Console(highlight=False))

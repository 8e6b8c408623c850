"""What people see on the terminal: progress of long steps, answers, and what is in a shelf.

In: results of other rooms. Out: text through rich; progress goes to standard error, so that standard output is clean.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from shlex import quote
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from shelfwalk.evaluation.shelf_evaluation import ShelfEvaluation
    from shelfwalk.shelf.shelf import Answer, Shelf


@contextmanager
def shown_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar a stage on standard error; gives the function that is told of (stage, done, total).

    A stage may carry a remark in brackets that changes as it goes on.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    bars = Progress(*columns, console=Console(stderr=True))
    tasks: dict[str, Any] = {}

    def tell(stage: str, done: int, total: int) -> None:
        name = stage.split(" (")[0]
        if name not in tasks:
            tasks[name] = bars.add_task(stage, total=total)
            # Not before there is something to show: it would leave an empty line.
            bars.start()
        bars.update(tasks[name], description=stage, completed=done, total=total)

    try:
        yield tell
    finally:
        if tasks:
            bars.stop()


@contextmanager
def silent() -> Iterator[Callable[[str, int, int], None]]:
    """Show nothing."""
    yield lambda stage, done, total: None


def print_answer(answer: Answer, console: Console) -> None:
    """Print the ranked items of an answer, and under each why it is there if that was asked for."""
    if not answer.results:
        console.print(Text(f'Nothing found for "{answer.query}" in channel {answer.channel}.'))
        return
    for result in answer.results:
        console.print(
            Text.assemble((f"{result.rank:>3}. ", "dim"), result.title, (f"  [{result.item_id}]", "dim")),
            soft_wrap=True,
        )
        for part in result.evidence:
            console.print(Text(f"       {part.channel} rank {part.rank}: {part.reason}", style="dim"), soft_wrap=True)
    console.print(Text(f"{answer.channel}, {answer.milliseconds:.1f} ms", style="dim"))


def print_built(out: Path) -> None:
    """Print what a finished build made, and how to go on."""
    from shelfwalk.shelf.shelf import Shelf

    shelf = Shelf.open(out, verify=False)
    facts = shelf.recorded
    console = Console(highlight=False)
    if shelf.is_generative:
        console.print(_levels(shelf))
    seconds = ", ".join(f"{name} {taken:.0f}" for name, taken in facts["seconds"].items())
    console.print(Text(f"Published {shelf.folder} ({facts['items']:,} items). Seconds: {seconds}."), soft_wrap=True)
    console.print(Text(f'Next: shelfwalk search {quote(str(out))} "your query" --explain'), soft_wrap=True)


def print_evaluation(result: ShelfEvaluation, out: Path) -> None:
    """Print the tables of an evaluation, what coincided with pseudo-queries, latency, and where the files are."""
    from shelfwalk.evaluation.table import print_means, print_tables

    console = Console(highlight=False)
    print_tables(result.evaluation, console)
    console.print(Text(str(result.coincidence)))
    if result.without_coinciding is not None:
        console.print(Text("The same without these queries:"))
        print_means(result.without_coinciding, console)
    for latency in result.latencies:
        beam = "" if latency.beam is None else f" at beam {latency.beam}"
        times = f"median {latency.median:.1f} ms, p99 {latency.p99:.1f} ms"
        console.print(Text(f"Shelf.search{beam}: {times} ({latency.queries} searches, one thread)."))
    console.print(
        Text(f"Report: {out / 'report.html'}; results: {out / 'results.jsonl'}; TREC runs: {out}/*.run"), soft_wrap=True
    )


def print_shelf(shelf: Shelf, console: Console) -> None:
    """Print what is in a shelf: facts, the use of each level, cluster sizes, and every file with its checksum."""
    summary = Table(title=str(shelf.folder), show_header=False, title_justify="left")
    for name, value in shelf.facts():
        summary.add_row(name, Text(value))
    console.print(summary)
    if shelf.is_generative:
        console.print(_levels(shelf))
    files = Table(title="files", title_justify="left")
    for heading in ("file", "bytes", "sha256"):
        files.add_column(heading, justify="right" if heading == "bytes" else "left")
    for name, entry in shelf.manifest.files.items():
        files.add_row(name, f"{entry.bytes:,}", entry.sha256[:16])
    console.print(files)


def _levels(shelf: Shelf) -> Table:
    diagnosis = shelf.recorded["tokenizer"]
    levels = Table(title="codebook use", title_justify="left")
    for heading in ("level", "codes used", "of", "perplexity", "Gini"):
        levels.add_column(heading, justify="right")
    for number, level in enumerate(diagnosis["levels"], start=1):
        levels.add_row(
            str(number),
            f"{level['used']:,}",
            f"{level['size']:,}",
            f"{level['perplexity']:.1f}",
            f"{level['gini']:.2f}",
        )
    levels.caption = (
        f"{diagnosis['distinct_share']:.1%} distinct identifiers; clusters of {diagnosis['mean_cluster']:.1f} items on "
        f"average, {diagnosis['largest_cluster']:,} in the largest"
    )
    return levels

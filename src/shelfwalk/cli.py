"""The command line: one verb a step of the flow.

In: arguments. Out: text on standard output (JSON with --json), progress on standard error, and the exit status: 0, 2
for a mistake of the user's (one sentence on standard error), 130 after Ctrl-C. Every verb imports what it needs when it
runs.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from errno import EACCES, EDQUOT, EEXIST, EIO, EISDIR, ELOOP, ENAMETOOLONG, ENOSPC, ENOTDIR, EPERM, EROFS
from pathlib import Path
from typing import Annotated, Any

import typer

from shelfwalk.commands.claims import claims
from shelfwalk.commands.compare import compare
from shelfwalk.commands.experiment import experiment
from shelfwalk.commands.market import market
from shelfwalk.commands.options import ColumnOption, column_mapping
from shelfwalk.errors import UserError
from shelfwalk.processes import process_index
from shelfwalk.shelf.seeds import MOST_SEED

application = typer.Typer(
    help="Generative retrieval for e-commerce search, beside BM25 and dense retrieval.",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_INTERRUPTED = 130
"""The exit status of a command stopped by Ctrl-C, by the custom of shells."""
_PLACE_ERRORS = (EACCES, EDQUOT, EEXIST, EIO, EISDIR, ELOOP, ENAMETOOLONG, ENOSPC, ENOTDIR, EPERM, EROFS)
"""What the place that a user named, and no fault of ours, answers with."""
_RECIPE_NAME = re.compile(r"^name = .*$", re.MULTILINE)

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
SkipOption = Annotated[
    bool,
    typer.Option(
        "--skip-bad-rows",
        help="Go on without bad rows, and write them to <file name>.bad-rows.jsonl: beside --out of a build, in --out "
        "of an evaluation.",
    ),
]
ShelfArgument = Annotated[Path, typer.Argument(metavar="SHELF", help="The folder of a shelf.")]


@application.callback()
def print_help(context: typer.Context) -> None:
    """Print the help where no verb was named."""
    if context.invoked_subcommand is None:
        print(context.get_help())


@application.command()
def build(
    items: Annotated[
        Path, typer.Option(help="The catalogue: .csv, .tsv, .jsonl or .parquet, or a folder of a known layout.")
    ],
    out: Annotated[Path, typer.Option(help="Where the shelf goes; an existing shelf gets a new generation.")],
    recipe: Annotated[
        str, typer.Option(help="A recipe's name (see `shelfwalk recipes`) or a .toml file.")
    ] = "rqkmeans",
    column: ColumnOption = None,
    queries: Annotated[Path | None, typer.Option(help="Queries of the training judgements.")] = None,
    judgements: Annotated[Path | None, typer.Option(help="Judgements to train on.")] = None,
    events: Annotated[Path | None, typer.Option(help="A search log to train on, in UBI columns.")] = None,
    evaluation_queries: Annotated[
        Path | None,
        typer.Option(help="Queries kept for evaluation: training on one of them, in any spelling, is refused."),
    ] = None,
    encoder: Annotated[
        Path | None, typer.Option(help="A sentence-transformers folder, in place of the recipe's.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=MOST_SEED, help="Seed of everything random.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Cores that the build has to itself.")] = 2,
    skip_bad_rows: SkipOption = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but mistakes.")] = False,
) -> None:
    """Build a shelf from a catalogue.

    Reads and checks the items, encodes them, fits their identifiers, trains the generator on pseudo-queries made from
    the catalogue (and on judgements or a log where given), and publishes the result. Run it again after Ctrl-C and it
    goes on where it was.

    Example: shelfwalk build --items products.csv --column item_id=sku --out my.shelf
    """
    from shelfwalk.recipes.recipe import load_recipe
    from shelfwalk.tables_from_files import TableFiles

    # The first of several processes tells for all.
    quiet = quiet or process_index() > 0
    chosen = load_recipe(recipe)
    if encoder is not None:
        chosen = chosen.model_copy(update={"encoder": chosen.encoder.model_copy(update={"model": str(encoder)})})
    files = TableFiles(column_mapping(column), skip_bad_rows, out.parent)
    tables = files.items_and_training(items, queries, judgements, events, evaluation_queries)
    from shelfwalk.shelf.building import build_shelf
    from shelfwalk.terminal import print_built, shown_progress, silent

    def tell(notice: str) -> None:
        if not quiet:
            print(notice, file=sys.stderr)

    for notice in files.notices:
        tell(notice)
    with silent() if quiet else shown_progress() as progress:
        build_shelf(
            tables.items,
            chosen,
            out,
            tables=tables.training,
            seed=seed,
            threads=threads,
            progress=progress,
            notice=tell,
        )
    if not quiet:
        print_built(out)


@application.command()
def search(
    shelf: ShelfArgument,
    query: Annotated[str, typer.Argument(help="What to search for.")],
    k: Annotated[int, typer.Option("-k", "--k", help="How many items, 1 to 1,000.")] = 10,
    channel: Annotated[
        str | None,
        typer.Option(
            help="bm25, dense, generative, bm25+dense, fused or ranked. [default: ranked, or fused without a ranker]"
        ),
    ] = None,
    beam: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Identifiers to generate. [default: the recipe's]")
    ] = None,
    within: Annotated[
        float | None,
        typer.Option(help="Milliseconds for a search: takes the widest beam that keeps to them, and says which."),
    ] = None,
    in_stock: Annotated[bool, typer.Option("--in-stock", help="Only items that are available.")] = False,
    category: Annotated[
        str | None, typer.Option(help='Only items of this category or below it, as "Computers > Hubs".')
    ] = None,
    brand: Annotated[list[str] | None, typer.Option(help="Only items of this brand. Repeatable.")] = None,
    price_from: Annotated[float | None, typer.Option(min=0, help="Only items of this price or more.")] = None,
    price_to: Annotated[float | None, typer.Option(min=0, help="Only items of this price or less.")] = None,
    shopper_history: Annotated[
        list[str] | None,
        typer.Option(help="The id of an item that the shopper clicked or bought. Repeatable, most recent first."),
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say why each item is there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Search a shelf.

    Example: shelfwalk search my.shelf "usb c hub" -k 5 --in-stock --price-to 40 --explain
    """
    from shelfwalk.shelf.shelf import Shelf

    if beam is not None and within is not None:
        raise UserError("Both --beam and --within say how wide to search: give one of them.")
    path = _category_path(category)
    opened = Shelf.open(shelf, beam=beam)
    if within is not None:
        opened, choice = opened.within(within)
        kept = "most searches take at most" if choice.fits else "none keeps to that time, the narrowest takes"
        print(f"Beam {choice.width}: {kept} {choice.milliseconds:.1f} ms on this machine now.", file=sys.stderr)
    item_filter = opened.filters.matching(in_stock, path, brand or (), price_from, price_to)
    if item_filter is not None and not item_filter.count:
        raise UserError(
            "No item of this shelf passes the filter: check the spelling of brand and category, and the prices."
        )
    shopper = shopper_history or ()
    answer = opened.search(
        _readable(query), k, channel, item_filter=item_filter, shopper=shopper, explain=explain or as_json
    )
    if shopper and not opened.reads_history:
        print(f"Recipe {opened.recipe['name']} reads no history: --shopper-history changes nothing.", file=sys.stderr)
    if as_json:
        _print_json(asdict(answer))
        return
    from rich.console import Console

    from shelfwalk.terminal import print_answer

    print_answer(answer, Console(highlight=False))


@application.command()
def evaluate(
    shelf: ShelfArgument,
    queries: Annotated[Path, typer.Option(help="The queries: query_id, query, and history if there is any.")],
    judgements: Annotated[Path, typer.Option(help="The judgements: query_id, item_id, grade.")],
    out: Annotated[Path, typer.Option(help="Folder for results.jsonl, TREC runs and report.html.")],
    column: ColumnOption = None,
    events: Annotated[
        Path | None, typer.Option(help="A log in UBI columns, for the share of what was shown that identifiers cover.")
    ] = None,
    relevant_grade: Annotated[
        int | None,
        typer.Option(min=1, help="The lowest grade that is relevant. [default: 2 if grades go above 1, else 1]"),
    ] = None,
    skip_bad_rows: SkipOption = False,
    as_json: JsonOption = False,
) -> None:
    """Measure every channel of a shelf against judgements.

    Prints each measure with its 95 % interval, paired comparisons, hit rates, and what each channel alone found; writes
    results.jsonl (appended), one TREC run a channel and report.html.

    Example: shelfwalk evaluate my.shelf --queries q.parquet --judgements r.parquet --column grade=rating --out results/
    """
    from shelfwalk.shelf.shelf import Shelf
    from shelfwalk.tables_from_files import TableFiles

    files = TableFiles(column_mapping(column), skip_bad_rows, out)
    tables = files.queries_and_judgements(queries, judgements, events)
    opened = Shelf.open(shelf)
    for notice in files.notices:
        print(notice, file=sys.stderr)
    from shelfwalk.evaluation.shelf_evaluation import evaluate_shelf
    from shelfwalk.terminal import print_evaluation, shown_progress

    with shown_progress() as progress:
        result = evaluate_shelf(
            opened,
            tables.queries,
            tables.judgements,
            out,
            relevant_grade=relevant_grade,
            events=tables.events,
            progress=progress,
        )
    if as_json:
        _print_json(result.to_json())
    else:
        print_evaluation(result, out)


@application.command()
def inspect(
    shelf: ShelfArgument,
    as_json: JsonOption = False,
    hourglass: Annotated[
        bool, typer.Option("--hourglass", help="Show how evenly the levels are used, and what a repair would do.")
    ] = False,
    picture: Annotated[
        Path | None, typer.Option(help="With --hourglass: draw the items from level to level, to this SVG file.")
    ] = None,
    probe: Annotated[
        Path | None,
        typer.Option(help="With --hourglass: the folder of data with queries, to probe which levels are hard."),
    ] = None,
) -> None:
    """Show what is in a shelf: recipe, sizes, codebook use per level, cluster sizes, checksums.

    Every file is compared with its checksum on the way.
    """
    from shelfwalk.shelf.shelf import Shelf

    if picture is not None and not hourglass:
        raise UserError("--picture is the picture of the hourglass: give --hourglass as well.")
    if probe is not None and not hourglass:
        raise UserError("--probe probes the hourglass: give --hourglass as well.")
    if as_json and hourglass:
        raise UserError("--json prints the manifest and --hourglass prints tables: give one of them.")
    opened = Shelf.open(shelf)
    if as_json:
        _print_json(json.loads(opened.manifest.text()))
        return
    if hourglass:
        from shelfwalk.commands.hourglass import print_hourglass, print_probes, probe_data, refuse_unfit_picture

        # Both are looked at before the first table is printed.
        refuse_unfit_picture(picture)
        data = probe_data(probe)
        print_hourglass(opened, picture=picture)
        if data is not None:
            print_probes(opened, data)
        return
    from rich.console import Console

    from shelfwalk.terminal import print_shelf

    print_shelf(opened, Console(highlight=False))


for verb in (market, experiment, compare, claims):
    application.command()(verb)

recipes_application = typer.Typer(
    help="List the recipes, show one, or copy one to change it.", invoke_without_command=True, rich_markup_mode=None
)
application.add_typer(recipes_application, name="recipes")


@recipes_application.callback()
def list_recipes(context: typer.Context) -> None:
    """List the recipes that come with shelfwalk."""
    if context.invoked_subcommand is None:
        from shelfwalk.recipes.recipe import recipe_names

        print("\n".join(recipe_names()))


@recipes_application.command("show")
def show_recipe(name: Annotated[str, typer.Argument(help="The name of a recipe.")]) -> None:
    """Print a recipe."""
    from shelfwalk.recipes.recipe import recipe_text

    print(recipe_text(name), end="")


@recipes_application.command("copy")
def copy_recipe(
    name: Annotated[str, typer.Argument(help="The name of a recipe.")],
    file: Annotated[Path, typer.Argument(help="The .toml file to write; it must not exist.")],
) -> None:
    """Copy a recipe to a file of your own, to change it and build with --recipe FILE; it is named after the file."""
    from shelfwalk.files import write_whole
    from shelfwalk.recipes.recipe import recipe_text

    text = recipe_text(name)
    if file.suffix != ".toml":
        raise UserError(f"{file} does not end in .toml: give the copy that ending, builds know recipe files by it.")
    if file.exists():
        raise UserError(f"{file} exists already: name a new file.")
    named = f"name = {json.dumps(_readable(file.stem), ensure_ascii=False)}"
    write_whole(file, _RECIPE_NAME.sub(lambda _: named, text, count=1))


def _readable(text: str) -> str:
    """The text without lone surrogates: a terminal hands over broken UTF-8 as such, which nothing can print."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _category_path(category: str | None) -> list[str]:
    """The levels of the category that `--category` names, none without it."""
    path = [name.strip() for name in (category or "").split(">") if name.strip()]
    if category is not None and not path:
        raise UserError('--category names no category: give one as "Computers > Hubs", or leave it out.')
    return path


def _print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False))


def run(command: typer.Typer, arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return the exit status; mistakes of the user's become one sentence."""
    try:
        status = command(args=arguments, standalone_mode=False)
    except UserError as error:
        print(f"shelfwalk: {error}", file=sys.stderr)
        return 2
    except typer.TyperException as error:
        print(f"shelfwalk: {error.format_message().rstrip('.')} (see shelfwalk --help).", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        if error.errno not in _PLACE_ERRORS:
            raise
        print(f"shelfwalk: {error.filename}: {error.strerror}: choose another place or mend this one.", file=sys.stderr)
        return 2
    if status == _INTERRUPTED:
        print("shelfwalk: stopped; nothing half-made is left, and a build goes on where it was.", file=sys.stderr)
    return status if isinstance(status, int) else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command `shelfwalk`."""
    return run(application, arguments)

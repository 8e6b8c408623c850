"""Tables in the docs, made from results files and never by hand.

In: Markdown documents with markers, and the folder of the results files. Out: the documents with what the results say
between the markers; or, with `--check`, which of them say something else.

    <!-- table: icecat; measures: R@100, nDCG@10; baseline: bm25+dense; show: means -->
    (replaced)
    <!-- end -->

compares the systems in icecat.jsonl; `a, b` reads two files. Settings, all optional: measures, baseline, systems
(names or patterns, as `cqsid-*/generative`; `!*/fused` leaves out), parts (all, head, …), data (its hash), show (means,
differences, seeds; by part: the means of a measure with a column a part).
`<!-- table: claims -->` shows the verdicts on the published claims that can be tested, `engine` what `make bench` has
measured, `hourglass-codes` and `hourglass-cures` what benchmarks/hourglass.py has, `<!-- table: relevance NAME -->` the
relevance models of relevance/NAME.jsonl, `<!-- table: costs NAME -->` what recipes cost on that data, and
`<!-- table: tuning NAME -->` which settings were tried on it.

    python -m shelfwalk.evaluation.document_tables README.md docs/results.md --write
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from shelfwalk.errors import UserError
from shelfwalk.evaluation.claims import read_claims
from shelfwalk.evaluation.claims_text import claims_grid
from shelfwalk.evaluation.compare import COMPARED_MEASURES, compare_systems
from shelfwalk.evaluation.comparison_table import KINDS, comparison_markdown
from shelfwalk.evaluation.costs import FOLDER, costs_table
from shelfwalk.evaluation.engine_table import engine_tables
from shelfwalk.evaluation.evidence import read_evidence
from shelfwalk.evaluation.grids import markdown_table
from shelfwalk.evaluation.hourglass_tables import codes_tables, retrieval_tables
from shelfwalk.evaluation.relevance_results import relevance_table
from shelfwalk.evaluation.strata import ALL
from shelfwalk.evaluation.systems import read_systems
from shelfwalk.evaluation.tuning import KIND as TUNING
from shelfwalk.evaluation.tuning import tuning_table
from shelfwalk.evaluation.verdicts import judge
from shelfwalk.files import write_whole

RESULTS = Path("benchmarks/results")
_CLAIMS = "claims"
_OF_BENCHMARKS: dict[str, Callable[[Path], str]] = {
    "engine": engine_tables,
    "hourglass-codes": codes_tables,
    "hourglass-cures": retrieval_tables,
}
"""Tables of a benchmark's own, made from its folder below the results."""
_RELEVANCE = "relevance"
"""Also the folder of these results: their lines are other than those of evaluations."""
_COSTS = "costs"
_SETTINGS = ("measures", "baseline", "systems", "parts", "data", "show")
_START = re.compile(r"^<!-- table: (?P<name>[^;\n]+?)(?P<settings>(?:;[^;\n]*?)*) -->$", re.MULTILINE)
_END = "<!-- end -->"


def with_tables(text: str, results: Path, source: str) -> str:
    """Return the text of a document with every table made anew; `source` names the document in messages.

    Raises UserError for a table without an end, a setting that does not exist, or results that make no table.
    """
    parts, place = [], 0
    for start in _START.finditer(text):
        where = f"{source}, line {text.count(chr(10), 0, start.start()) + 1}"
        following = _START.search(text, start.end())
        end = text.find(_END, start.end(), following.start() if following else len(text))
        if end < 0:
            raise UserError(f"{where}: the table {start['name']} has no {_END} after it; add that line.")
        table = _table(start["name"], _settings(start["settings"], where), results)
        parts += [text[place : start.end()], "\n\n", table.strip(), "\n\n"]
        place = end
    return "".join((*parts, text[place:]))


def differing(documents: Sequence[Path], results: Path) -> list[Path]:
    """Return the documents in which a table is not what the results say."""
    return [path for path in documents if (text := _read(path)) != with_tables(text, results, str(path))]


def _settings(words: str, where: str) -> dict[str, str]:
    settings = {}
    for word in words.split(";")[1:]:
        name, _, value = (part.strip() for part in word.partition(":"))
        if name not in _SETTINGS or not value:
            known = ", ".join(_SETTINGS)
            raise UserError(f'{where}: "{word.strip()}" is no setting of a table; known are {known}, as name: value.')
        settings[name] = value
    return settings


def _table(name: str, settings: Mapping[str, str], results: Path) -> str:
    if name == _CLAIMS:
        claims = read_claims()
        hashes = {data: found.hash for data, found in claims.data.items()}
        grid = claims_grid(judge(claims, read_evidence(results), hashes), built_only=True)
        return f"{markdown_table(grid)}\n\n{grid.note}"
    if name in _OF_BENCHMARKS:
        return _OF_BENCHMARKS[name](results)
    if name.startswith(f"{_RELEVANCE} "):
        return relevance_table(results / _RELEVANCE / f"{name.removeprefix(_RELEVANCE).strip()}.jsonl")
    if name.startswith(f"{_COSTS} "):
        data = name.removeprefix(_COSTS).strip()
        return costs_table(results / FOLDER / f"{data}.jsonl", data)
    if name.startswith(f"{TUNING} "):
        return tuning_table(results / TUNING / f"{name.removeprefix(TUNING).strip()}.jsonl")
    systems = read_systems([results / f"{file.strip()}.jsonl" for file in name.split(",")], settings.get("data"))
    systems = systems.only(_listed(settings, "systems", ("*",)))
    comparison = compare_systems(
        systems,
        baseline=settings.get("baseline"),
        measures=_listed(settings, "measures", COMPARED_MEASURES),
        parts=_listed(settings, "parts", (ALL,)),
    )
    return comparison_markdown(comparison, _listed(settings, "show", KINDS))


def _listed(settings: Mapping[str, str], name: str, default: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(value.strip() for value in settings[name].split(",")) if name in settings else default


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The document {path} cannot be read ({type(error).__name__}): check the path.") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns 0, 1 where `--check` found a table that differs, 2 for a mistake of the user's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("documents", type=Path, nargs="+")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the results files")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--check", action="store_true", help="say which documents differ from the results")
    action.add_argument("--write", action="store_true", help="put the tables into the documents")
    asked = parser.parse_args(arguments)
    try:
        changed = differing(asked.documents, asked.results)
        for path in changed if asked.write else ():
            write_whole(path, with_tables(_read(path), asked.results, str(path)))
    except UserError as error:
        print(f"shelfwalk: {error}", file=sys.stderr)
        return 2
    for path in changed:
        print(f"{path}: {'written' if asked.write else 'a table differs from the results, run with --write'}.")
    return int(asked.check and bool(changed))


if __name__ == "__main__":
    sys.exit(main())

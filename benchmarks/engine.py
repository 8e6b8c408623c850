"""The engine beside its peers: constraints and beam search on one thread of this machine.

    python benchmarks/engine.py [--data ../shared/data/icecat_chorus] [--shelf demo/icecat_chorus.shelf]    (make bench)

prints a Markdown table, the ratio first, and writes benchmarks/results/engine.json; with --parts, the rows of other
parts stay there as they are. Peers are published packages (pip install -e '.[bench]'); rows of a peer that is not
installed are left out, and a peer that is no package is compared with by a figure of its own, which the row says.
Refuses a machine that is busy with something else.
"""

from __future__ import annotations

import argparse
import json
from importlib.util import find_spec
from pathlib import Path

from measuring import Row, pin_threads, refuse_busy_machine, save_and_print

RESULTS = Path(__file__).parent / "results" / "engine.json"
PARTS = ("trie", "spans", "search", "shelf")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--data", type=Path, help="a dataset whose titles the span indexes are built from")
    parser.add_argument("--shelf", type=Path, help="a shelf for the row of the default backbone")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--largest", type=int, default=10_000_000, help="identifiers of the largest trie")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--busy", action="store_true", help="measure all the same, and say so in the notes")
    arguments = parser.parse_args()
    pin_threads(1)
    notes = ["One thread each for numpy, numba and torch; runs interleaved after a warm-up; medians."]
    if arguments.busy:
        notes.append("Taken on a busy machine: no figure to quote.")
    else:
        refuse_busy_machine()
    rows = []
    if "trie" in arguments.parts:
        from engine_trie import trie_rows

        rows += trie_rows(arguments.rounds, arguments.largest)
    if "spans" in arguments.parts and arguments.data is not None:
        from engine_spans import span_rows
        from shelfwalk.data.dataset import open_dataset

        rows += span_rows(open_dataset(arguments.data).items["title"].to_pylist())
    elif "spans" in arguments.parts:
        notes.append("No data was given: no row of span indexes.")
    if "search" in arguments.parts and find_spec("transformers") and find_spec("torch"):
        import torch

        from engine_search import search_rows

        torch.set_num_threads(1)
        rows += search_rows(arguments.rounds)
    elif "search" in arguments.parts:
        notes.append("transformers is not installed: no row of whole searches.")
    if "shelf" in arguments.parts and arguments.shelf is not None:
        from engine_shelf import shelf_rows

        rows += shelf_rows(arguments.shelf, arguments.rounds)
    elif "shelf" in arguments.parts:
        notes.append("No shelf was given: no row of the default backbone.")
    if len(arguments.parts) < len(PARTS):
        rows = [*kept_rows(arguments.out, rows), *rows]
    save_and_print(rows, arguments.out, notes)


def kept_rows(path: Path, rows: list[Row]) -> list[Row]:
    """What an earlier run has left of parts that are not measured again: each row is a comparison of its own."""
    if not path.exists():
        return []
    again = {(one.work, one.setting, one.peer_name) for one in rows}
    before = [Row(**one) for one in json.loads(path.read_text(encoding="utf-8"))["rows"]]
    return [one for one in before if (one.work, one.setting, one.peer_name) not in again]


if __name__ == "__main__":
    main()

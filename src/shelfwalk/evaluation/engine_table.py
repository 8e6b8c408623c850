"""The engine beside its peers, as a table for the docs.

In: engine.json, which `make bench` writes. Out: Markdown, one table a kind of work, the ratio first.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from shelfwalk.errors import UserError
from shelfwalk.evaluation.grids import Grid, markdown_table

FILE = "engine.json"
_HEADER = ("work", "setting", "ratio", "ours", "p99", "peer", "p99 of the peer", "unit", "peer is", "aim")


def engine_tables(results: Path) -> str:
    """The tables of engine.json in the folder `results`, and its notes; raises UserError if it is not whole."""
    path = results / FILE
    try:
        content = json.loads(path.read_bytes())
        rows, notes = content["rows"], content["notes"]
        kinds: dict[str, list[tuple[str, ...]]] = {}
        for row in rows:
            kinds.setdefault(_kind(row), []).append(_cells(row))
    except (OSError, ValueError, TypeError, KeyError):
        raise UserError(f"{path} holds no table of the engine: make it with make bench.") from None
    tables = [f"**{kind}**\n\n{markdown_table(Grid(kind, _HEADER, tuple(cells), ''))}" for kind, cells in kinds.items()]
    return "\n\n".join((*tables, *notes))


def _kind(row: dict[str, Any]) -> str:
    return str(row["work"]).partition(":")[0]


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    work = str(row["work"]).partition(": ")[2] or str(row["work"])
    ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f} ×"
    figures = [_figure(row[name]) for name in ("ours", "ours_p99", "peer", "peer_p99")]
    return (work, row["setting"], ratio, *figures, row["unit"], row["peer_name"], row["reach"])


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if value < 1000 else f"{value:,.0f}"

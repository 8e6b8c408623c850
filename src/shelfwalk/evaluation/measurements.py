"""Files of measurements that are no evaluations of a shelf: JSON lines, only ever appended to, a finished one kept.

In: a frozen dataclass whose fields name what was measured and what came out. Out: lines that later runs skip and tables
of the docs are made from. Writing is that of results.py: whole or not at all.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from shelfwalk.errors import UserError


def read_measurements(path: Path, kind: str) -> list[dict[str, Any]]:
    """The lines of a file whose field `kind` is the one given, in their order; none where there is no file.

    A half-written last line is left out. Raises UserError for a line that is no measurement.
    """
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            plain = json.loads(line)
        except ValueError:
            if number == len(lines):
                continue
            raise UserError(f"{path}, line {number} is no JSON: take it out, its measurement is made anew.") from None
        if not isinstance(plain, dict) or "kind" not in plain:
            raise UserError(f"{path}, line {number} is no measurement: name a file that a benchmark wrote.")
        if plain["kind"] == kind:
            found.append(plain)
    return found

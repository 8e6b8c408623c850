"""What became of the claims, in words: for the terminal and for the docs.

In: `ClaimVerdict`s. Out: text. Claims that are not built are counted and, on the terminal, listed last by name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from shelfwalk.evaluation.grids import Grid
from shelfwalk.evaluation.verdicts import ClaimVerdict, Verdict, counts

_STYLES: dict[Verdict, str] = {"holds": "green", "does not hold": "red", "cannot tell": "yellow", "not built": "dim"}


def print_claims(verdicts: Sequence[ClaimVerdict], console: Console) -> None:
    """Print every claim with what was published, ours, and the verdict with its reason."""
    for found in verdicts:
        console.print(Text.assemble((found.verdict, f"bold {_STYLES[found.verdict]}"), f": {found.claim}"))
        console.print(Text(f"    {found.source}; published {_number(found.published)}; ours {ours(found)}"))
        console.print(Text(f"    {found.id}: {found.why}", style="dim"))
    console.print()
    console.print(Text(summary(verdicts)))


def summary(verdicts: Sequence[ClaimVerdict]) -> str:
    """Return e.g. `80 claims: 4 hold, 1 does not, 5 cannot be told, 70 are not built yet.`"""
    found = counts(verdicts)
    parts = (
        _counted(found["holds"], "holds", "hold"),
        _counted(found["does not hold"], "does not", "do not"),
        f"{found['cannot tell']} cannot be told",
        _counted(found["not built"], "is not built yet", "are not built yet"),
    )
    return f"{len(verdicts)} claims: {', '.join(parts)}."


def _counted(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"


def claims_grid(verdicts: Sequence[ClaimVerdict], *, built_only: bool = False) -> Grid:
    """Return the claims as one table; with `built_only` without those that are not built, which the note counts."""
    rows = tuple(
        (f"{found.claim} ({found.source})", _number(found.published), ours(found), found.verdict, found.why)
        for found in verdicts
        if not (built_only and found.verdict == "not built")
    )
    return Grid("Published claims", ("claim", "published", "ours", "verdict", "why"), rows, summary(verdicts))


def ours(found: ClaimVerdict) -> str:
    """Return e.g. `1.312 [1.204, 1.431], 3 seeds`, or a dash where nothing was measured."""
    if found.ours is None:
        return "–"
    word = "seeds" if found.seeds > 1 else "seed"
    high = "never" if found.high == math.inf else f"{found.high:.3f}"
    return f"{found.ours:.3f} [{found.low:.3f}, {high}], {found.seeds} {word}"


def _number(published: float | str) -> str:
    return published if isinstance(published, str) else f"{published:g}"

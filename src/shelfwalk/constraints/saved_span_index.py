"""Opens whichever span index a folder holds.

In: a folder that some index's `save` wrote. Out: that index, memory-mapped.
"""

from __future__ import annotations

from pathlib import Path

from shelfwalk.constraints.fm_index import FMIndex
from shelfwalk.constraints.index_files import DESCRIPTION, read_index
from shelfwalk.constraints.span_index import SpanIndex
from shelfwalk.constraints.suffix_array_index import SuffixArrayIndex
from shelfwalk.errors import UserError


def open_span_index(folder: Path) -> SpanIndex:
    """Open a saved index; raises UserError if a file is missing, damaged, newer, or of a kind that is not known."""
    saved = read_index(folder)
    for known in (FMIndex, SuffixArrayIndex):
        if saved.kind == known.kind:
            return known.of_saved(saved)
    raise UserError(
        f"{folder / DESCRIPTION} names the span index '{saved.kind}', which this version of shelfwalk lacks."
    )

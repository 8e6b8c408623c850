"""shelfwalk: generative retrieval for e-commerce search, beside BM25 and dense retrieval.

`from shelfwalk import Shelf, UserError`; the rest is in the rooms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shelfwalk.errors import UserError
from shelfwalk.version import __version__

if TYPE_CHECKING:
    from shelfwalk.shelf.shelf import Shelf

__all__ = ["Shelf", "UserError", "__version__"]


def __getattr__(name: str) -> Any:
    # Late, so that `import shelfwalk` costs nothing.
    if name == "Shelf":
        from shelfwalk.shelf.shelf import Shelf

        return Shelf
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""shelfwalk: generative retrieval for e-commerce search, beside BM25 and dense retrieval."""

from __future__ import annotations

__version__ = "0.1.0"

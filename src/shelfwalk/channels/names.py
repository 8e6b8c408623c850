"""The names of the channels, in results and on the command line."""

from __future__ import annotations

BASE_CHANNELS = ("bm25", "dense", "generative")
"""The channels that answer by themselves."""
BASELINE = "bm25+dense"
"""The fusion without the generative channel: what the fusion with it is judged against."""
FUSED = "fused"
RANKED = "ranked"
"""The fused list, reordered by the ranker of a shelf that has one."""
CHANNELS = (*BASE_CHANNELS, BASELINE, FUSED)

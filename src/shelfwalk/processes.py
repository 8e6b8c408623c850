"""Which of several processes this is, where `accelerate launch` or `torchrun` has started them."""

from __future__ import annotations

import os


def process_index() -> int:
    """0 for the first of the processes, or the only one: the one that writes."""
    return int(os.environ["RANK"]) if process_count() > 1 else 0


def process_count() -> int:
    """How many processes work together."""
    return int(os.environ.get("WORLD_SIZE", "1"))

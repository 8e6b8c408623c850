"""How many threads torch uses while something trains: with one, other work delays it little and cores change nothing.

In: a number of threads. Out: a context in which torch uses that many.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Let torch use this many threads inside, and as many as before outside."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)

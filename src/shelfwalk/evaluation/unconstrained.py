"""How often a generator without a constraint makes up an identifier that no item has.

In: a shelf, requests. Out: the share of the best so many identifiers that do not exist, as TIGER reports it (arXiv
2305.05065, section 4.5: 0.1 % to 1.6 % of the top ten). What shelfwalk serves is always constrained.
"""

from __future__ import annotations

from collections.abc import Iterable

from shelfwalk.channels.channel import Request
from shelfwalk.shelf.shelf import Shelf

TOP = 10


def invalid_share(shelf: Shelf, requests: Iterable[Request], top: int = TOP) -> float:
    """The mean over requests of the share of the `top` identifiers of a free search that no item of the shelf has."""
    existing = set(map(tuple, shelf.generative.trie.paths().tolist()))
    shares = []
    for request in requests:
        # One by one: a free step scores every code of every beam, and all requests at once would take gigabytes.
        found = shelf.generative.generate_unconstrained([request], top).codes[0].tolist()
        shares.append(sum(tuple(codes) not in existing for codes in found) / len(found))
    return sum(shares) / len(shares)

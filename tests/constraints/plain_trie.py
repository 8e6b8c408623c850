"""The trie as one would write it first: a dictionary of dictionaries, for comparison.

In: the identifiers of a catalogue, and which items may be seen. Out: the same answers as `Trie` gives, by obvious means
and slowly. The compiled trie is held against it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from shelfwalk.constraints.constraint import END

Prefix = tuple[int, ...]


class PlainTrie:
    """The tokens that may follow every prefix, and the items of every path."""

    def __init__(self, identifiers: Mapping[int, Prefix], levels: int, allowed: Iterable[int] | None = None) -> None:
        """`identifiers`: the codes of each catalogue row, without what fills up short ones.

        Only rows in `allowed` are seen, all by default.
        """
        seen = identifiers.keys() if allowed is None else identifiers.keys() & set(allowed)
        self.items: dict[Prefix, list[int]] = {}
        for row in sorted(seen):
            self.items.setdefault(identifiers[row], []).append(row)
        self._next: dict[Prefix, set[int]] = {(): set()}
        for path in self.items:
            for length, code in enumerate(path):
                self._next.setdefault(path[:length], set()).add(code)
            if len(path) < levels:
                self._next.setdefault(path, set()).add(END)

    def allowed(self, prefix: Prefix) -> list[int]:
        """What may follow a prefix, ascending; `END` where a path shorter than the longest possible is whole."""
        return sorted(self._next.get(prefix, ()))

    def prefixes(self) -> list[Prefix]:
        """All prefixes with something behind them, the shorter ones first, those of one length in order."""
        return sorted(self._next, key=lambda prefix: (len(prefix), prefix))

"""Probes of the hourglass on a shelf: which levels of an identifier are hard to generate, and for which items.

In: a shelf, queries and judgements. Out: `HourglassProbes`. Two of the publication's three probes (arXiv 2407.21488,
named there without figures; how they are made is ours):

    head and tail     hit rate and recall of relevant items whose middle code is among the commonest, that together
                      have a share of the items, and of the others
    a given level     hit rate when the true code of one level is given: only identifiers with it are walked, so what is
                      left to generate is the rest; the score is that of whole identifiers, as the given code's own
                      probability has to tell apart the first codes that it can follow

The third, the swapped order, is a recipe (tokenizers/swapped.py). A given code leaves fewer identifiers, among which a
beam hits more by chance alone: that is told beside each hit rate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shelfwalk.channels.channel import Request
from shelfwalk.constraints.item_filter import ItemFilter
from shelfwalk.errors import UserError
from shelfwalk.evaluation.judgements import grade_queries
from shelfwalk.evaluation.shelf_codes import codes_by_level
from shelfwalk.evaluation.significance import Interval, mean_interval
from shelfwalk.shelf.shelf import Shelf
from shelfwalk.tokenizers.item_tokenizer import Codes
from shelfwalk.tokenizers.level_removal import Removal

KIND = "hourglass probes"
BEAMS = (1, 10, 100)
CUTOFF = 100
HEAD_SHARE = 0.5
MIDDLE = 2
MOST_QUERIES = 300
MOST_TARGETS = 5
"""Relevant identifiers a query for which a code is given: each is a search of its own."""


@dataclass(frozen=True)
class Probe:
    """Hit rates by beam and recall at 100 on one kind of target, means over queries that have such.

    `chance`: the same hit rates of as many identifiers drawn at random; `recall` is None where it was not measured.
    """

    name: str
    queries: int
    hit_rates: dict[int, Interval]
    chance: dict[int, float]
    recall: Interval | None


@dataclass(frozen=True)
class HourglassProbes:
    """`head_codes` of the middle level have `head_share` of the items; `given[0]` is with nothing given."""

    level: int
    head_codes: int
    head_share: float
    parts: tuple[Probe, ...]
    given: tuple[Probe, ...]

    def measurement(
        self, *, time: str, data: str, data_hash: str, recipe: str, recipe_hash: str, seed: int
    ) -> ProbesMeasurement:
        """The line of a file of measurements."""
        probes = [asdict(probe) for probe in (*self.parts, *self.given)]
        return ProbesMeasurement(
            KIND, time, data, data_hash, recipe, recipe_hash, seed, self.level, self.head_codes, self.head_share, probes
        )


@dataclass(frozen=True)
class ProbesMeasurement:
    """The probes of one shelf as a line; `probes` as plain values, beams as words once they are read again."""

    kind: str
    time: str
    data: str
    data_hash: str
    recipe: str
    recipe_hash: str
    seed: int
    level: int
    head_codes: int
    head_share: float
    probes: list[dict[str, Any]]


@dataclass(frozen=True)
class _Asked:
    """A query that counts: its request and the catalogue rows that are relevant."""

    request: Request
    rows: NDArray[np.int64]


def probe_hourglass(
    shelf: Shelf,
    queries: pa.Table,
    judgements: pa.Table,
    *,
    level: int = MIDDLE,
    relevant_grade: int | None = None,
    most_targets: int = MOST_TARGETS,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> HourglassProbes:
    """Probe `shelf` with at most `MOST_QUERIES` of the queries that have a relevant item, evenly spaced.

    `level`, counted from 1, is the middle one; `most_targets` relevant identifiers a query are given codes of. Raises
    UserError for a shelf without identifiers or such a level, and where no query has a relevant item in the catalogue.
    """
    codes, sizes = codes_by_level(shelf)
    if not 1 <= level <= len(sizes):
        raise UserError(f"The identifiers of this shelf have {len(sizes)} levels and no level {level}: give one.")
    asked = _asked(shelf, queries, judgements, relevant_grade)
    middle = codes[:, level - 1]
    head = Removal(level, share=HEAD_SHARE).head_of(np.bincount(middle[middle >= 0], minlength=sizes[level - 1]))
    in_head = np.isin(middle, head)
    of_head, of_tail, given = _Sums("head"), _Sums("tail"), [_Sums("nothing given")]
    given += [_Sums(f"level {number} given") for number in range(1, len(sizes) + 1)]
    walks = _Walks(shelf, codes)
    for number, one in enumerate(asked):
        reached, found = walks.places(one.request, one.rows), walks.returned(one.request)
        for sums, chosen in ((of_head, in_head[one.rows]), (of_tail, ~in_head[one.rows])):
            if chosen.any():
                recall = np.isin(one.rows[chosen], found).sum() / min(int(chosen.sum()), CUTOFF)
                sums.add(reached[chosen], np.full(int(chosen.sum()), walks.identifiers), recall)
        targets = one.rows[walks.one_of_each_identifier(one.rows, most_targets)]
        given[0].add(walks.places(one.request, targets), np.full(len(targets), walks.identifiers))
        for place, sums in enumerate(given[1:]):
            sums.add(*walks.places_given(one.request, targets, place))
        progress("Probing", number + 1, len(asked))
    parts = tuple(sums.probe() for sums in (of_head, of_tail) if sums.hits)
    return HourglassProbes(level, len(head), float(in_head.mean()), parts, tuple(sums.probe() for sums in given))


def _asked(shelf: Shelf, queries: pa.Table, judgements: pa.Table, relevant_grade: int | None) -> list[_Asked]:
    graded = grade_queries(judgements, relevant_grade)
    row_of = {item_id: row for row, item_id in enumerate(shelf.items["item_id"].to_pylist())}
    found = []
    for query_id, text in zip(queries["query_id"].to_pylist(), queries["query"].to_pylist(), strict=True):
        relevant = graded.relevant(query_id) if query_id in graded.grades else set()
        rows = sorted(row_of[item] for item in relevant if item in row_of)
        if rows:
            found.append((text, np.array(rows, np.int64)))
    if not found:
        raise UserError("No query has a relevant item in this shelf: give the judgements of this catalogue.")
    found = [found[place] for place in np.linspace(0, len(found) - 1, min(len(found), MOST_QUERIES)).astype(int)]
    vectors = shelf.encoder.encode([text for text, _ in found])
    return [_Asked(Request(text, vector), rows) for (text, rows), vector in zip(found, vectors, strict=True)]


class _Walks:
    """Searches of a shelf, with or without a given code."""

    def __init__(self, shelf: Shelf, codes: Codes) -> None:
        self._channel = shelf.generative
        self._codes = codes
        self._leaves = self._channel.trie.leaf_of_item
        self._filters: dict[tuple[int, int], tuple[ItemFilter, int]] = {}
        self.identifiers = self._channel.trie.leaves

    def returned(self, request: Request) -> NDArray[np.int64]:
        """The rows that the channel returns."""
        return self._channel.search(request, CUTOFF).rows

    def places(self, request: Request, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The place of each row's identifier in the widest beam, from 0; beyond the widest beam where it is not."""
        return np.asarray(self._places([request], rows[None])[0])

    def places_given(
        self, request: Request, rows: NDArray[np.int64], level: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The same for each row with its own code of `level`, from 0, given; and how many identifiers have that."""
        filters, left = zip(*(self._given(level, int(self._codes[row, level])) for row in rows), strict=True)
        requests = [Request(request.query, request.vector, item_filter) for item_filter in filters]
        return self._places(requests, rows[:, None])[:, 0], np.array(left)

    def one_of_each_identifier(self, rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
        """Places of rows of different identifiers, at most so many and evenly spaced."""
        _, first = np.unique(self._leaves[rows], return_index=True)
        first = np.sort(first)
        spaced = np.linspace(0, len(first) - 1, min(len(first), most)).astype(int)
        return np.asarray(first[spaced], np.int64)

    def _places(self, requests: Sequence[Request], rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """For each request the places of its rows, [requests, rows of each]."""
        states = self._channel.generate(requests, BEAMS[-1]).states[:, :, 0]
        leaves = np.where(states >= 0, states - self._channel.trie.first_leaf, -1)
        same = leaves[:, None, :] == self._leaves[rows][:, :, None]
        return np.asarray(np.where(same.any(axis=2), same.argmax(axis=2), BEAMS[-1]), np.int64)

    def _given(self, level: int, code: int) -> tuple[ItemFilter, int]:
        """A filter that leaves the items with a code, kept so that the trie is narrowed once; and their identifiers."""
        if (level, code) not in self._filters:
            allowed = self._codes[:, level] == code
            self._filters[level, code] = ItemFilter(allowed), len(np.unique(self._leaves[allowed]))
        return self._filters[level, code]


@dataclass
class _Sums:
    """The values per query of one probe while it is made."""

    name: str
    hits: list[list[float]] = field(default_factory=list)
    chance: list[list[float]] = field(default_factory=list)
    recalls: list[float] = field(default_factory=list)

    def add(self, places: NDArray[np.int64], left: NDArray[np.int64], recall: float | None = None) -> None:
        """A query whose targets are at these places of the beam, out of so many identifiers."""
        self.hits.append([float((places < beam).mean()) for beam in BEAMS])
        self.chance.append([float(np.minimum(beam / left, 1).mean()) for beam in BEAMS])
        if recall is not None:
            self.recalls.append(recall)

    def probe(self) -> Probe:
        """The means over queries."""
        hits, chance = np.array(self.hits), np.array(self.chance).mean(axis=0)
        return Probe(
            self.name,
            len(hits),
            {beam: mean_interval(hits[:, place]) for place, beam in enumerate(BEAMS)},
            dict(zip(BEAMS, chance.tolist(), strict=True)),
            mean_interval(np.array(self.recalls)) if self.recalls else None,
        )

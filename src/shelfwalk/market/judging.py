"""True judgements: the grade of every item for the queries that systems are evaluated on.

In: queries and all visits. Out: rows (query, item, grade) of grade 1 and more. One text can stand for several intents
("bat"); an item's grade for a text is the mean of its grades for the intents behind it, each weighed by its share of
the visits with that text, rounded half up. Of a text with more intents than `INTENTS`, the most frequent count. Of a
query with more items than a cap, those of the highest grades are kept, of equal ones the more popular.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfwalk.market.catalogue import Catalogue
from shelfwalk.market.grades import graded_items
from shelfwalk.market.item_index import ItemIndex, index_items
from shelfwalk.market.needs import Visits
from shelfwalk.market.wishes import Wishes

INTENTS = 20
RELEVANT = 2
"""The lowest grade of an item that a shopper would call a find."""
COLD_SHARE = 0.1

_Wish = tuple[int, int, tuple[int, ...], float, float]


@dataclass(frozen=True, eq=False)
class Judgements:
    """`query`, `item` int64 and `grade` int32, all [judgements]: rows of the queries and of the catalogue, grade 1 to
    3."""

    query: npt.NDArray[np.int64]
    item: npt.NDArray[np.int64]
    grade: npt.NDArray[np.int32]


def judge(
    texts: Sequence[str],
    visits: Visits,
    catalogue: Catalogue,
    most: int,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> Judgements:
    """Judge all items for distinct texts, at most `most` items each; a query's items stand from the best down."""
    index = index_items(catalogue.tree, catalogue.features)
    popularity = catalogue.features.popularity
    parts = []
    for number, intents in enumerate(_intents(texts, visits)):
        rows, grade = _mean_grades(visits.intents, intents, catalogue, index)
        best = np.lexsort((rows, -popularity[rows], -grade))[:most]
        parts.append((np.full(len(best), number), rows[best], grade[best]))
        progress("Judging queries", number + 1, len(texts))
    if not parts:
        return Judgements(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int32))
    query, item, grades = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Judgements(query, item, grades.astype(np.int32))


def is_cold(judgements: Judgements, queries: int, appears_later: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Tell of each query whether at least `COLD_SHARE` of its items of grade 2 or 3 appear after the split, bool
    [queries].

    `appears_later` bool [items]. With one such item among many, most queries would be cold and their figures show
    nothing.
    """
    relevant = judgements.grade >= RELEVANT
    found = np.bincount(judgements.query[relevant], minlength=queries)
    later = np.bincount(judgements.query[relevant & appears_later[judgements.item]], minlength=queries)
    return (later > 0) & (later >= COLD_SHARE * found)


def _intents(texts: Sequence[str], visits: Visits) -> list[list[tuple[int, int]]]:
    """For each text, a visit of each of its most frequent intents, with the number of visits of that intent."""
    number_of = {text: number for number, text in enumerate(texts)}
    counts: list[Counter[_Wish]] = [Counter() for _ in texts]
    visit_of: list[dict[_Wish, int]] = [{} for _ in texts]
    for visit, text in enumerate(visits.queries):
        number = number_of.get(text)
        if number is not None:
            wish = _key(visits.intents, visit)
            counts[number][wish] += 1
            visit_of[number].setdefault(wish, visit)
    return [
        [(visit_of[number][wish], count) for wish, count in counter.most_common(INTENTS)]
        for number, counter in enumerate(counts)
    ]


def _key(wishes: Wishes, row: int) -> _Wish:
    values = tuple(sorted(wishes.values[row].tolist()))
    return (
        int(wishes.category[row]),
        int(wishes.brand[row]),
        values,
        float(wishes.price_low[row]),
        float(wishes.price_high[row]),
    )


def _mean_grades(
    wishes: Wishes, intents: Sequence[tuple[int, int]], catalogue: Catalogue, index: ItemIndex
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows of the items with a rounded mean grade of 1 or more, ascending, and these grades."""
    found = [(*graded_items(wishes, row, catalogue, index), count) for row, count in intents]
    rows, places = np.unique(np.concatenate([items for items, _, _ in found]), return_inverse=True)
    weights = np.concatenate([grade.astype(np.int64) * count for _, grade, count in found])
    sums = np.bincount(places, weights, len(rows)).astype(np.int64)
    total = sum(count for _, _, count in found)
    mean = (2 * sums + total) // (2 * total)
    return rows[mean > 0], mean[mean > 0]

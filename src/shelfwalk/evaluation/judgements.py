"""Human grades per query, checked once, in the shape that measures need.

In: the judgements table (query_id, item_id, grade). Out: `GradedQueries`: grades by query, the grade from which an item
counts as relevant, and the queries that count, which are those with at least one relevant item: a query without one has
no recall.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pyarrow as pa

from shelfwalk.errors import UserError

_COLUMNS = ("query_id", "item_id", "grade")


@dataclass(frozen=True)
class GradedQueries:
    """`grades[query_id][item_id]` is a grade ≥ 0; an item is relevant from `relevant_grade` on."""

    grades: Mapping[str, Mapping[str, int]]
    relevant_grade: int

    def relevant(self, query_id: str) -> set[str]:
        """Return the relevant items of a query; empty when it has none or was not judged."""
        judged = self.grades.get(query_id, {})
        return {item_id for item_id, grade in judged.items() if grade >= self.relevant_grade}

    def counted(self) -> list[str]:
        """Return the queries with at least one relevant item, in the order of the judgements."""
        return [query_id for query_id in self.grades if self.relevant(query_id)]


def grade_queries(judgements: pa.Table, relevant_grade: int | None = None) -> GradedQueries:
    """Check a judgements table and group it by query.

    `relevant_grade` is by default 2 when some grade goes above 1, else 1. Raises UserError for a missing column, an
    empty cell, a grade that is no integer ≥ 0, the same pair twice, an empty table, or no relevant item at all.
    """
    _check_columns(judgements)
    grades: dict[str, dict[str, int]] = {}
    columns = (judgements.column(name).to_pylist() for name in _COLUMNS)
    for row, (query_id, item_id, grade) in enumerate(zip(*columns, strict=True), start=1):
        if query_id is None or item_id is None or grade is None or grade < 0:
            raise UserError(
                f"Judgements, row {row}: query_id {query_id!r}, item_id {item_id!r}, grade {grade!r}; "
                "none may be empty and a grade is an integer from 0 up."
            )
        judged = grades.setdefault(query_id, {})
        if item_id in judged:
            raise UserError(
                f"Judgements, row {row}: item {item_id!r} is graded twice for query {query_id!r}; keep one grade."
            )
        judged[item_id] = grade
    highest = max((grade for judged in grades.values() for grade in judged.values()), default=None)
    if highest is None:
        raise UserError("The judgements are empty; nothing can be measured without graded items.")
    return GradedQueries(grades, _relevant_grade(relevant_grade, highest))


def refuse_unknown_queries(graded: GradedQueries, known: Collection[str], owner: str) -> None:
    """Raise UserError when a judged query is not among `known`; `owner` says in words whose queries those are."""
    names = set(known)
    unknown = [query_id for query_id in graded.grades if query_id not in names]
    if unknown:
        raise UserError(
            f"The judgements name queries that are not in {owner} ({len(unknown)} of them, the first {unknown[0]!r}); "
            "give the queries and judgements that belong together."
        )


def _check_columns(judgements: pa.Table) -> None:
    missing = [name for name in _COLUMNS if name not in judgements.column_names]
    if missing:
        raise UserError(
            f"The judgements have no column {missing[0]!r}, only {', '.join(judgements.column_names)}; "
            "name the right one with --column."
        )
    kind = judgements.schema.field("grade").type
    if not pa.types.is_integer(kind) and judgements.num_rows:
        raise UserError(f"The grades of the judgements are of type {kind}; integers from 0 up were expected.")


def _relevant_grade(asked: int | None, highest: int) -> int:
    level = asked if asked is not None else (2 if highest > 1 else 1)
    if level < 1:
        raise UserError(f"An item cannot count as relevant from grade {level} on; the least sensible level is 1.")
    if highest < level:
        raise UserError(
            f"No judged item is relevant: the highest grade is {highest}, and an item counts as relevant from "
            f"{level} on; nothing can be measured."
        )
    return level

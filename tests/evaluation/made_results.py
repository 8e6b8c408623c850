"""Made-up results: records with values per query as a test wants them, and files of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shelfwalk.evaluation.query_values import QueryValues
from shelfwalk.evaluation.results import Machine, Result, ResultRecord, append_evaluation

DATA = "d" * 16


def made_result(
    values: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    recipe: str = "rqkmeans",
    recipe_hash: str = "",
    seed: int = 0,
    data_hash: str = DATA,
    time: str = "2030-01-01T00:00:00+00:00",
    labels: Mapping[str, Sequence[str]] | None = None,
    identifiers: Mapping[str, Any] | None = None,
    prefix: str = "q",
) -> Result:
    """One result whose queries are called `prefix`0, `prefix`1, …; without a hash the recipe's name stands for it."""
    arrays = {
        channel: {measure: np.asarray(found, dtype=np.float64) for measure, found in measured.items()}
        for channel, measured in values.items()
    }
    count = len(next(iter(next(iter(arrays.values())).values())))
    kept = QueryValues(
        tuple(f"{prefix}{number}" for number in range(count)),
        tuple(f"words {number}" for number in range(count)),
        {kind: np.array(found) for kind, found in (labels or {}).items()},
        arrays,
    )
    figures = {
        channel: {measure: float(np.nanmean(found)) for measure, found in measured.items()}
        for channel, measured in arrays.items()
    }
    record = ResultRecord(
        time=time,
        data_hash=data_hash,
        queries_hash=kept.queries_hash,
        recipe=recipe,
        recipe_hash=recipe_hash or f"{recipe:0>16}"[:16],
        seed=seed,
        versions={"python": "3.11"},
        machine=Machine("made up", 2, 1 << 34),
        queries=count,
        left_out=0,
        relevant_grade=1,
        values="",
        identifiers=dict(identifiers or {}),
        figures=figures,
        intervals={},
        comparisons=[],
    )
    return Result(record, kept)


def write_made_results(path: Path, results: Sequence[Result]) -> Path:
    for result in results:
        append_evaluation(path, result)
    return path

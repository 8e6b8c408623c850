"""Relevance models with and without the match feature of DSIRM (arXiv 2606.04374), compared on built shelves.

    shelfwalk market --standard --out demo/standard-market
    python benchmarks/recipes.py demo/standard-market --name standard-market \\
        --recipes dsirm-no-feature dsirm-dsi dsirm-tiger dsirm-no-contrast dsirm-no-category dsirm
    python benchmarks/dsirm.py demo/standard-market --name standard-market \\
        --shelves demo/standard-market-shelves/dsirm*.shelf

asks the model of every shelf about the judged pairs of the evaluation queries, and prints and appends to
benchmarks/results/relevance/NAME.jsonl, one line a recipe: the area under the ROC curve with its interval, the share of
relevant pairs by depth of agreement, how much of a next day's traffic the cache of queries answers, and how long a
query's identifiers take from the cache and live.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    from shelfwalk.evaluation.cache_traffic import DayHits
    from shelfwalk.shelf.shelf import Shelf

RESULTS = Path(__file__).parent / "results" / "relevance"
CAPACITIES = (1_000, 5_000, 20_000)
TIMED = 200
"""Queries that are timed."""


def main() -> None:
    from rich.console import Console

    from shelfwalk.data.dataset import open_dataset
    from shelfwalk.evaluation.grids import print_grids
    from shelfwalk.evaluation.recipe_runs import dataset_hash
    from shelfwalk.evaluation.relevance import score_relevance
    from shelfwalk.evaluation.relevance_results import ScoredShelf, append_record, compared, relevance_grid
    from shelfwalk.shelf.shelf import Shelf
    from shelfwalk.terminal import shown_progress

    arguments = _arguments()
    dataset = open_dataset(arguments.data)
    found, shelves = [], {}
    for path in arguments.shelves:
        shelf = Shelf.open(path)
        with shown_progress() as progress:
            scores = score_relevance(shelf, dataset.queries, dataset.judgements, progress=progress)
        name = str(shelf.recipe["name"])
        shelves.setdefault(name, shelf)
        found.append(ScoredShelf(name, str(shelf.recorded["recipe_hash"]), int(shelf.recorded["seed"]), scores))
    cache = {} if dataset.searches is None else _cache_traffic(dataset.searches, arguments.data)
    records = [
        replace(record, cache=cache, milliseconds=_milliseconds(shelves[record.recipe], dataset.queries))
        for record in compared(found, dataset_hash(dataset))
    ]
    for record in records:
        append_record(RESULTS / f"{arguments.name}.jsonl", record)
    grid = relevance_grid(records)
    print_grids(grid.note, (grid,), Console())
    for record in records:
        print(record.recipe, *(f"{name} {taken:.3g} ms" for name, taken in record.milliseconds.items()))
    print("cache:", cache)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder of the data, with queries and judgements")
    parser.add_argument("--name", required=True, help="of the results file")
    parser.add_argument("--shelves", type=Path, nargs="+", required=True, help="shelves with a ranker, on that data")
    return parser.parse_args()


def _cache_traffic(events: pa.Table, data: Path) -> dict[str, Any]:
    """The hit ratios of caches of several sizes: over the last days of the log, and on the first day after it."""
    from shelfwalk.evaluation.cache_traffic import hits_of_days, hits_of_next_day

    later = _later_events(data)
    found: dict[str, Any] = {}
    for capacity in CAPACITIES:
        days = hits_of_days(events, capacity, 14)
        found[str(capacity)] = {"days": len(days), "mean_ratio": sum(day.ratio for day in days) / len(days)}
        if later is not None:
            found[str(capacity)]["next_day"] = _plain(hits_of_next_day(events, later, capacity))
    return found


def _plain(day: DayHits) -> dict[str, Any]:
    return {"day": day.day.isoformat(), "visits": day.visits, "hits": day.hits, "ratio": day.ratio}


def _later_events(data: Path) -> pa.Table | None:
    import pyarrow.parquet as pq

    path = data / "truth" / "later_events.parquet"
    return pq.read_table(path) if path.exists() else None


def _milliseconds(shelf: Shelf, queries: pa.Table) -> dict[str, float]:
    """Medians and 99th percentiles: a query's identifiers live and from a cache of just these, and a whole search."""
    import numpy as np

    from shelfwalk.channels.channel import Request
    from shelfwalk.ranking.query_identifiers import QueryCache, QueryIdentifiers

    texts = queries["query"].to_pylist()[:TIMED]
    times: dict[str, list[float]] = {"search": [_timed(lambda text=text: shelf.search(text)) for text in texts]}
    match = shelf.ranker.features.match
    if match is not None:
        requests = [Request(text, shelf.encoder.encode([text])[0]) for text in texts]
        times["live"] = [_timed(lambda one=one: match.live([one])) for one in requests]
        every = match.live(requests)
        codes, scores = (np.stack([getattr(one, name) for one in every]) for name in ("codes", "log_probabilities"))
        cache = QueryCache.of(texts, QueryIdentifiers(codes, scores))
        times["cached"] = [_timed(lambda text=text: cache.find(text)) for text in texts]
    return {
        f"{name}_{word}": float(np.percentile(taken, percentile))
        for name, taken in times.items()
        for word, percentile in (("median", 50), ("p99", 99))
    }


def _timed(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return 1e3 * (time.perf_counter() - started)


if __name__ == "__main__":
    main()

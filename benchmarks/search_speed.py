"""How fast a shelf answers, and what a cold start costs.

    python benchmarks/search_speed.py demo/icecat_chorus.shelf ../shared/data/icecat_chorus

prints a Markdown table and writes benchmarks/results/search_speed.json: the median and p99 of `Shelf.search` over the
data's queries at several beams with one thread, the bare parts of one search, and wall seconds and peak memory of
`shelfwalk search` as a process of its own (the median of five, after one to warm the disk cache). Refuses a machine
that is busy with something else.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from measuring import refuse_busy_machine

RESULTS = Path(__file__).parent / "results" / "search_speed.json"
BEAMS = (10, 50, 100, 500)
COLD_STARTS = 5


def milliseconds(function: Callable[[str], object], queries: Sequence[str]) -> tuple[float, float]:
    """The median and p99 of a function over the queries, three rounds after a warm-up."""
    for query in queries[:10]:
        function(query)
    times = []
    for query in [*queries] * 3:
        started = time.perf_counter()
        function(query)
        times.append(1e3 * (time.perf_counter() - started))
    return float(np.median(times)), float(np.percentile(times, 99))


def cold_start(shelf: Path) -> dict[str, float]:
    """Wall seconds and peak memory in MB of `shelfwalk search` from nothing; medians."""
    seconds, memory = [], []
    for _ in range(COLD_STARTS + 1):
        started = time.perf_counter()
        process = subprocess.Popen(
            [Path(sys.executable).parent / "shelfwalk", "search", shelf, "usb hub"], stdout=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit("shelfwalk search failed")
        seconds.append(time.perf_counter() - started)
        memory.append(usage.ru_maxrss / 1024)
    return {"seconds": statistics.median(seconds[1:]), "peak_mb": statistics.median(memory[1:])}


def main() -> None:
    from shelfwalk.channels.channel import Request
    from shelfwalk.data.dataset import open_dataset
    from shelfwalk.shelf.shelf import Shelf

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shelf", type=Path)
    parser.add_argument("data", type=Path)
    arguments = parser.parse_args()
    refuse_busy_machine()
    dataset = open_dataset(arguments.data)
    if dataset.queries is None:
        sys.exit(f"{arguments.data} has no queries.")
    queries = dataset.queries["query"].to_pylist()
    # First: what this process holds would be counted as the peak of those that it starts.
    cold = cold_start(arguments.shelf)
    shelf = Shelf.open(arguments.shelf)
    rows = []
    for beam in BEAMS:
        of_beam = shelf.with_beam(beam)
        median, p99 = milliseconds(of_beam.search, queries)
        rows.append({"work": f"Shelf.search, fused, beam {beam}", "median_ms": median, "p99_ms": p99})
    parts: dict[str, Callable[[str], object]] = {
        "query vector": lambda query: shelf.encoder.encode([query]),
        "bm25": lambda query: shelf.bm25.search(Request(query, np.empty(0, np.float32)), 300),
    }
    vectors = dict(zip(queries, shelf.encoder.encode(queries), strict=True))
    parts["dense"] = lambda query: shelf.dense.search(Request(query, vectors[query]), 300)
    for beam in (50, 500):
        channel = shelf.with_beam(beam).generative
        parts[f"generative, beam {beam}"] = lambda query, channel=channel: channel.search(
            Request(query, vectors[query]), 300
        )
    for name, function in parts.items():
        median, p99 = milliseconds(function, queries)
        rows.append({"work": name, "median_ms": median, "p99_ms": p99})
    result = {"rows": rows, "cold_start": cold, "threads": 1}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print("| work | median ms | p99 ms |\n|---|---:|---:|")
    for row in rows:
        print(f"| {row['work']} | {row['median_ms']:.1f} | {row['p99_ms']:.1f} |")
    print(f"\nshelfwalk search from a cold start: {cold['seconds']:.1f} s, {cold['peak_mb']:.0f} MB at its peak.")


if __name__ == "__main__":
    main()

"""What all benchmarks share: pinned threads, a quiet machine, interleaved runs, rows and their table."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

BUSY = 0.3
"""Cores used by others from which a figure is none."""


@dataclass(frozen=True)
class Timing:
    """Milliseconds of a call."""

    median: float
    p99: float


@dataclass(frozen=True)
class Row:
    """One line of a table: ours beside a peer's figure; `ratio` above 1 is in our favour.

    `ours` and `peer` are medians in `unit`; `peer` is None where there is only a reach. `reach` says what is aimed at.
    """

    work: str
    setting: str
    ours: float
    peer: float | None
    peer_name: str
    ratio: float | None
    reach: str
    unit: str
    threads: int
    ours_p99: float | None = None
    peer_p99: float | None = None


def row(
    work: str,
    setting: str,
    ours: Timing | float,
    peer: Timing | float | None,
    peer_name: str,
    reach: str = "",
    unit: str = "ms",
    threads: int = 1,
) -> Row:
    """A row of which less is better."""
    own, own_p99 = (ours.median, ours.p99) if isinstance(ours, Timing) else (ours, None)
    other, other_p99 = (peer.median, peer.p99) if isinstance(peer, Timing) else (peer, None)
    ratio = None if other is None or own == 0 else other / own
    return Row(work, setting, own, other, peer_name, ratio, reach, unit, threads, own_p99, other_p99)


def pin_threads(threads: int) -> None:
    """Call before numpy, torch or numba is imported: starts the program again with the libraries' threads set."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    if any(os.environ.get(name) != str(threads) for name in names):
        environment = os.environ | dict.fromkeys(names, str(threads))
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)


def refuse_busy_machine() -> None:
    """Exit if other processes use the cores: a figure taken then is none."""
    before, started = _busy_seconds(), time.perf_counter()
    time.sleep(1.0)
    used = (_busy_seconds() - before) / (time.perf_counter() - started)
    if used > BUSY:
        sys.exit(f"The machine is busy ({used:.2f} cores used by others): measure when it is quiet.")


def _busy_seconds() -> float:
    fields = [int(field) for field in Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0].split()[1:]]
    idle = fields[3] + fields[4]
    return (sum(fields) - idle) / os.sysconf("SC_CLK_TCK")


def interleaved(functions: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 3) -> dict[str, Timing]:
    """Time each function once a round, in turn, so that what disturbs the machine disturbs all alike."""
    taken: dict[str, list[float]] = {name: [] for name in functions}
    for number in range(warm_up + rounds):
        for name, function in functions.items():
            started = time.perf_counter()
            function()
            elapsed = 1e3 * (time.perf_counter() - started)
            if number >= warm_up:
                taken[name].append(elapsed)
    return {name: Timing(float(np.median(times)), float(np.percentile(times, 99))) for name, times in taken.items()}


def save_and_print(rows: Sequence[Row], path: Path, notes: Sequence[str]) -> None:
    """Write the rows as JSON and print them as a Markdown table, the ratio first."""
    path.parent.mkdir(exist_ok=True)
    content = {"rows": [asdict(one) for one in rows], "notes": list(notes), "cores": os.cpu_count()}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print("| ratio | work | setting | ours | p99 | peer | p99 | unit | peer's name | reach |")
    print("|---:|---|---|---:|---:|---:|---:|---|---|---|")
    for one in rows:
        ratio = "" if one.ratio is None else f"{one.ratio:.2f} ×"
        figures = [_figure(value) for value in (one.ours, one.ours_p99, one.peer, one.peer_p99)]
        print("|", " | ".join([ratio, one.work, one.setting, *figures, one.unit, one.peer_name, one.reach]), "|")
    for note in notes:
        print(f"\n{note}")


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if value < 1000 else f"{value:,.0f}"

"""The README's table is the text that the benchmark makes of its results file."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_readme_shows_the_measured_table() -> None:
    specification = importlib.util.spec_from_file_location("icecat_benchmark", ROOT / "benchmarks" / "icecat.py")
    assert specification is not None and specification.loader is not None
    benchmark = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(benchmark)
    lines = benchmark.RESULTS.read_text(encoding="utf-8").splitlines()
    table = benchmark.table([json.loads(line) for line in lines])
    assert table in (ROOT / "README.md").read_text(encoding="utf-8")

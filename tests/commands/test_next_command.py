"""The command that a verb prints as the next one can be copied into a shell."""

from __future__ import annotations

import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest

from shelfwalk.commands.market import _print_made


def test_the_build_of_a_market_whose_path_has_spaces(capsys: pytest.CaptureFixture[str]) -> None:
    manifest = SimpleNamespace(counts={"visits_before_split": 1}, name="", hash="0", notes=())
    _print_made(SimpleNamespace(path=Path("my market"), manifest=manifest))  # type: ignore[arg-type]
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Next: ")]
    arguments = shlex.split(line)
    assert {"my market/items.parquet", "my market/events.parquet"} <= set(arguments)

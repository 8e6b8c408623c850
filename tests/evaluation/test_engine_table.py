"""The engine's table in the docs: what the benchmark wrote, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shelfwalk.errors import UserError
from shelfwalk.evaluation.document_tables import with_tables


def row(work: str, **changed: Any) -> dict[str, Any]:
    plain = {"work": work, "setting": "100 beams", "ours": 2.0, "peer": 5.0, "peer_name": "a peer", "ratio": 2.5}
    return plain | {"reach": "", "unit": "ms", "threads": 1, "ours_p99": None, "peer_p99": 7_000.0} | changed


def document(folder: Path, rows: list[dict[str, Any]]) -> list[str]:
    (folder / "engine.json").write_text(json.dumps({"rows": rows, "notes": ["Taken at night."], "cores": 2}))
    return with_tables("<!-- table: engine -->\n<!-- end -->\n", folder, "x.md").splitlines()


def test_every_row_is_there_once_under_its_kind(tmp_path: Path) -> None:
    rows = [row("trie: build"), row("filter: prepare"), row("trie: size", ratio=None, peer=None, peer_p99=None)]
    lines = document(tmp_path, rows)
    kinds = [line for line in lines if line.startswith("**")]
    assert kinds == ["**trie**", "**filter**"]
    trie = lines[lines.index("**trie**") : lines.index("**filter**")]
    assert "| build | 100 beams | 2.50 × | 2 |  | 5 | 7,000 | ms | a peer |  |" in trie
    assert "| size | 100 beams |  | 2 |  |  |  | ms | a peer |  |" in trie
    assert lines[-3:] == ["Taken at night.", "", "<!-- end -->"]


@pytest.mark.parametrize("content", [None, "", "[]", '{"rows": [{"work": "trie: build"}], "notes": []}'])
def test_what_is_no_table_is_refused_in_a_sentence(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "engine.json").write_text(content)
    with pytest.raises(UserError, match=r"engine\.json holds no table of the engine: make it with make bench\.$"):
        with_tables("<!-- table: engine -->\n<!-- end -->\n", tmp_path, "x.md")

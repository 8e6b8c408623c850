"""Identifiers written as plain rows are read back as the same trie, and rows that are none are refused."""

from __future__ import annotations

import csv
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from catalogues import Codes, catalogues, path_of
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfwalk.constraints.plain_rows import read_plain_rows, write_plain_rows
from shelfwalk.constraints.trie import Trie
from shelfwalk.errors import UserError


@settings(max_examples=60)
@given(catalogues(), st.randoms(use_true_random=False))
def test_rows_say_what_the_trie_holds_and_make_it_again(codes: Codes, random: object) -> None:
    rows = np.random.default_rng(len(codes)).permutation(100)[: len(codes)]
    trie = Trie.build(codes, rows)
    with TemporaryDirectory() as name:
        path = Path(name, "rows.csv")
        write_plain_rows(trie, path)
        with path.open(encoding="utf-8", newline="") as file:
            read = {
                int(line.pop("row")): [int(cell) for cell in line.values() if cell] for line in csv.DictReader(file)
            }
        assert {row: tuple(path) for row, path in read.items()} == {
            row: path_of(own) for row, own in zip(rows.tolist(), codes.tolist(), strict=True)
        }
        # In any order.
        header, *lines = path.read_text(encoding="utf-8").splitlines()
        path.write_text("\n".join([header, *reversed(lines)]), encoding="utf-8")
        again = read_plain_rows(path, trie.level_sizes)
    for name in ("children", "tokens", "posting_offsets", "posting_items"):
        np.testing.assert_array_equal(getattr(again, name), getattr(trie, name))
    assert again.level_sizes == trie.level_sizes


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("row,code_1,code_2\n0,1\n", "Expected 3 columns, got 2"),
        ("row,code_1\n0,1\n1,1,1\n", "Expected 2 columns, got 3"),
        ("row,code_1\n0,x\n", "code_1 that is no code"),
        ("row,code_1\n0,-1\n", "code_1 that is no code"),
        ("row,code_1\n0,1.5\n", "code_1 that is no code"),
        ("row,code_1\n0,3000000000\n", "code_1 that is no code"),
        ("row,code_1\n,1\n", "line without a row"),
        ("row,code_1\nx,1\n", "row that is no whole number"),
        ("row,code_1\n0,1\n0,2\n", "two identifiers"),
        ("row,code_1,code_2\n0,,2\n", "of item 0 does not fit"),
        ("row,code_1\n0,9\n", "level 1 has the codes 0 to 4"),
        ("row,code_2\n0,9\n", "call them row, code_1"),
        ("row\n0\n", "empty"),
        ("row,code_1\n", "empty"),
        ("", "no table of identifiers"),
    ],
)
def test_refuses_rows_that_are_no_identifiers(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "rows.csv").write_text(text, encoding="utf-8")
    sizes = (5,) if "code_2" not in text else (5, 5)
    with pytest.raises(UserError, match=said) as raised:
        read_plain_rows(tmp_path / "rows.csv", sizes if "code_1" in text and said != "empty" else None)
    assert "rows.csv" in str(raised.value) and "\n" not in str(raised.value)


def test_refuses_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_plain_rows(tmp_path / "none.csv")

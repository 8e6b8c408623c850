"""What was tried of settings: one line a try, one row a recipe and its settings."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from shelfwalk.errors import UserError
from shelfwalk.evaluation.document_tables import with_tables
from shelfwalk.evaluation.results import append_result
from shelfwalk.evaluation.tuning import Try, read_tries

TOWERS = Try("d", "dssm", 0, {"two_tower.temperature": 0.02}, 0.71, 200.4)
WALKER = Try("d", "walker", 0, {"training.learning_rate": 0.003, "training.steps": 1200}, 0.5, 400.0, 4.25)


def written(folder: Path, *tries: Try) -> Path:
    for one in tries:
        append_result(folder / "tuning" / "shop.jsonl", one)
    return folder / "tuning" / "shop.jsonl"


def table(folder: Path) -> list[str]:
    return with_tables("<!-- table: tuning shop -->\n<!-- end -->\n", folder, "x.md").splitlines()[4:-4]


def test_a_recipe_has_a_row_with_all_that_was_tried_and_the_best_of_it(tmp_path: Path) -> None:
    other = replace(TOWERS, tried={"two_tower.temperature": 0.05}, held_out_recall=0.734, seconds=180.0)
    third = replace(TOWERS, tried={"two_tower.temperature": 0.1}, held_out_recall=0.5, seconds=190.0)
    written(tmp_path, WALKER, TOWERS, other, third)
    assert table(tmp_path) == [
        "| dssm | two_tower.temperature | 0.02: 0.7100, 0.05: 0.7340, 0.1: 0.5000 |  | 0.05 | 570 |",
        "| walker | training.learning_rate, training.steps "
        "| 0.003 and 1200: 0.5000 | 0.003 and 1200: 4.2500 | 0.003 and 1200 | 400 |",
    ]


def test_of_generators_the_least_loss_is_the_best(tmp_path: Path) -> None:
    other = replace(WALKER, tried={"training.learning_rate": 0.001, "training.steps": 1200}, held_out_recall=0.6)
    written(tmp_path, replace(other, held_out_loss=4.5), WALKER)
    assert table(tmp_path)[0].split(" | ")[3:5] == ["0.001 and 1200: 4.5000, 0.003 and 1200: 4.2500", "0.003 and 1200"]


def test_of_generators_with_other_identifiers_the_highest_recall_is_the_best(tmp_path: Path) -> None:
    """Fewer codes are easier to guess, whatever they find."""
    fine = replace(WALKER, tried={"tokenizer.level_sizes": [64, 64]}, held_out_recall=0.6, held_out_loss=4.0)
    coarse = replace(WALKER, tried={"tokenizer.level_sizes": [2]}, held_out_recall=0.4, held_out_loss=0.3)
    written(tmp_path, coarse, fine)
    assert table(tmp_path)[0].split(" | ")[2:5] == ["[2]: 0.4000, [64, 64]: 0.6000", "", "[64, 64]"]


def test_settings_that_were_tried_apart_are_rows_of_their_own(tmp_path: Path) -> None:
    written(tmp_path, TOWERS, replace(TOWERS, tried={"two_tower.steps": 600}))
    assert [line.split(" | ")[1] for line in table(tmp_path)] == ["two_tower.steps", "two_tower.temperature"]


def test_a_try_of_bm25_is_of_no_recipe(tmp_path: Path) -> None:
    written(tmp_path, replace(TOWERS, tried={"bm25.k1": 1.2, "bm25.b": 0.5}))
    assert table(tmp_path) == ["| all (BM25) | bm25.k1, bm25.b | 1.2 and 0.5: 0.7100 |  | 1.2 and 0.5 | 200 |"]


def test_tries_come_back_as_they_were_and_are_known_again(tmp_path: Path) -> None:
    (back,) = read_tries(written(tmp_path, WALKER))
    assert back == WALKER
    assert back.is_of(replace(WALKER, held_out_recall=0.0, seconds=0.0, time=""))
    for change in ({"data_hash": "e"}, {"recipe": "x"}, {"seed": 1}, {"tried": {"training.learning_rate": 0.003}}):
        assert not back.is_of(replace(WALKER, **change))


def test_what_is_no_try_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, WALKER)
    file.write_text(json.dumps({"kind": "tuning", "recipe": "dssm"}) + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"no try: make it with benchmarks/tuning\.py"):
        table(tmp_path)
    file.unlink()
    with pytest.raises(UserError, match="holds no tries"):
        table(tmp_path)

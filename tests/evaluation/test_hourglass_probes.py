"""The probes of the hourglass against all identifiers of a small shop in the order of their scores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from shelfwalk.channels.channel import Request
from shelfwalk.errors import UserError
from shelfwalk.evaluation.hourglass_probes import BEAMS, HourglassProbes, probe_hourglass
from shelfwalk.evaluation.judgements import grade_queries
from shelfwalk.shelf.shelf import Shelf
from small_shop import Ran, SmallShop


@pytest.fixture(scope="module")
def shelf(small_shop: SmallShop) -> Shelf:
    return Shelf.open(small_shop.shelf)


@pytest.fixture(scope="module")
def tables(small_shop: SmallShop) -> tuple[pa.Table, pa.Table]:
    return pa.csv.read_csv(small_shop.queries_file), pa.csv.read_csv(small_shop.judgements_file)


@pytest.fixture(scope="module")
def probes(shelf: Shelf, tables: tuple[pa.Table, pa.Table]) -> HourglassProbes:
    return probe_hourglass(shelf, *tables, most_targets=100)


def paths_and_targets(shelf: Shelf, tables: tuple[pa.Table, pa.Table]) -> list[tuple[list[tuple[int, ...]], list[int]]]:
    """For each query that counts all identifiers, best first (fewer than the widest beam), and its relevant rows."""
    graded = grade_queries(tables[1])
    row_of = {item: row for row, item in enumerate(shelf.items["item_id"].to_pylist())}
    found = []
    for query_id, text in zip(*(tables[0][name].to_pylist() for name in ("query_id", "query")), strict=True):
        rows = sorted(row_of[item] for item in graded.relevant(query_id))
        if rows:
            request = Request(text, shelf.encoder.encode([text])[0])
            found.append(([tuple(path) for path in shelf.generative.generate([request], 100).codes[0].tolist()], rows))
    assert len(found) == 9
    return found


def codes_of(shelf: Shelf) -> list[tuple[int, ...]]:
    trie = shelf.generative.trie
    return [tuple(path) for path in trie.paths()[trie.leaf_of_item].tolist()]


def test_a_given_code_leaves_the_identifiers_that_have_it_in_their_order(
    shelf: Shelf, tables: tuple[pa.Table, pa.Table], probes: HourglassProbes
) -> None:
    codes = codes_of(shelf)
    assert [probe.name for probe in probes.given] == ["nothing given", "level 1 given", "level 2 given"]
    for place, probe in enumerate(probes.given):
        values, chances = [], []
        for paths, rows in paths_and_targets(shelf, tables):
            targets = list(dict.fromkeys(codes[row] for row in rows))
            left = [[path for path in paths if not place or path[place - 1] == of[place - 1]] for of in targets]
            places = [identifiers.index(of) for identifiers, of in zip(left, targets, strict=True)]
            values.append([np.mean([found < beam for found in places]) for beam in BEAMS])
            chances.append([np.mean([min(beam / len(identifiers), 1) for identifiers in left]) for beam in BEAMS])
        assert [probe.hit_rates[beam].mean for beam in BEAMS] == pytest.approx(np.mean(values, axis=0))
        assert [probe.chance[beam] for beam in BEAMS] == pytest.approx(np.mean(chances, axis=0))
        assert (probe.queries, probe.recall) == (9, None)


def test_knowing_a_code_never_makes_it_harder(probes: HourglassProbes) -> None:
    nothing, *given = probes.given
    for probe in given:
        assert all(probe.hit_rates[beam].mean >= nothing.hit_rates[beam].mean for beam in BEAMS)
        assert all(probe.chance[beam] >= nothing.chance[beam] for beam in BEAMS)


def test_head_and_tail_share_the_targets_between_them(
    shelf: Shelf, tables: tuple[pa.Table, pa.Table], probes: HourglassProbes
) -> None:
    codes = codes_of(shelf)
    counts = np.bincount([of[1] for of in codes], minlength=8)
    head = set(np.argsort(-counts, kind="stable")[: probes.head_codes].tolist())
    share = sum(of[1] in head for of in codes) / len(codes)
    assert probes.head_share == pytest.approx(share)
    assert share >= 0.5 > share - min(counts[code] for code in head) / len(codes)
    for probe, is_head in zip(probes.parts, (True, False), strict=True):
        values, recalls = [], []
        for (paths, rows), text in zip(paths_and_targets(shelf, tables), tables[0]["query"].to_pylist(), strict=False):
            chosen = [row for row in rows if (codes[row][1] in head) == is_head]
            if chosen:
                values.append(np.mean([paths.index(codes[row]) < 10 for row in chosen]))
                answer = shelf.hits(text, 100, ("generative",))["generative"].rows
                recalls.append(len(set(chosen) & set(answer.tolist())) / len(chosen))
        assert probe.queries == len(values)
        assert probe.hit_rates[10].mean == pytest.approx(np.mean(values))
        assert probe.recall is not None
        assert probe.recall.mean == pytest.approx(np.mean(recalls))


def test_another_middle_level_and_one_that_there_is_not(shelf: Shelf, tables: tuple[pa.Table, pa.Table]) -> None:
    assert probe_hourglass(shelf, *tables, level=1).level == 1
    with pytest.raises(UserError, match="have 2 levels and no level 3"):
        probe_hourglass(shelf, *tables, level=3)


def test_judgements_of_another_catalogue_are_refused(shelf: Shelf, tables: tuple[pa.Table, pa.Table]) -> None:
    judgements = pa.table({"query_id": ["q0"], "item_id": ["elsewhere"], "grade": [2]})
    with pytest.raises(UserError, match="No query has a relevant item in this shelf"):
        probe_hourglass(shelf, tables[0], judgements)


def test_the_command_prints_every_probe(
    small_shop: SmallShop, tables: tuple[pa.Table, pa.Table], tmp_path: Path, run_command: Callable[..., Ran]
) -> None:
    pq.write_table(small_shop.items(), tmp_path / "items.parquet")
    for name, table in zip(("queries", "judgements"), tables, strict=True):
        pq.write_table(table, tmp_path / f"{name}.parquet")
    ran = run_command("inspect", small_shop.shelf, "--hourglass", "--probe", tmp_path)
    assert ran.status == 0
    for words in ("head", "tail", "nothing given", "level 2 given", "commonest codes of level 2"):
        assert words in ran.out


def test_the_command_refuses_what_it_cannot_probe(
    small_shop: SmallShop, tmp_path: Path, run_command: Callable[..., Ran]
) -> None:
    run_command("inspect", small_shop.shelf, "--probe", tmp_path).refused("--hourglass")
    pq.write_table(small_shop.items(), tmp_path / "items.parquet")
    ran = run_command("inspect", small_shop.shelf, "--hourglass", "--probe", tmp_path)
    assert ran.status == 2
    assert "has no queries with judgements" in ran.err

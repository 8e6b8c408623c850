"""Values per query on the disk: they come back as they were, and a file that is not theirs is noticed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_results import made_result

from shelfwalk.errors import UserError
from shelfwalk.evaluation.evaluate import Evaluation
from shelfwalk.evaluation.query_values import (
    QueryValues,
    encode_query_values,
    query_values,
    read_query_values,
    values_id,
    values_path,
)

NUMBERS = st.one_of(st.floats(0, 1), st.just(float("nan")))


def written(folder: Path, values: QueryValues) -> str:
    content = encode_query_values(values)
    path = values_path(folder, values_id(content))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return values_id(content)


def same(first: QueryValues, second: QueryValues) -> None:
    assert (first.query_ids, first.texts) == (second.query_ids, second.texts)
    assert {kind: labels.tolist() for kind, labels in first.labels.items()} == {
        kind: labels.tolist() for kind, labels in second.labels.items()
    }
    assert list(first.values) == list(second.values)
    for channel, measured in first.values.items():
        assert list(measured) == list(second.values[channel])
        for measure, values in measured.items():
            np.testing.assert_array_equal(values, second.values[channel][measure])


@settings(max_examples=25)
@given(st.data(), st.integers(1, 5))
def test_round_trip_to_the_last_digit(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, count: int
) -> None:
    # A measure without any value is none at all, so each keeps one that is finite.
    column = st.lists(NUMBERS, min_size=count, max_size=count).filter(lambda found: any(x == x for x in found))
    measures = st.dictionaries(st.sampled_from(["R@100", "pvr@10", "x y"]), column, min_size=1)
    values = data.draw(st.dictionaries(st.sampled_from(["bm25", "a+b"]), measures, min_size=1))
    labels = {"band": data.draw(st.lists(st.sampled_from(["head", ""]), min_size=count, max_size=count))}
    made = made_result(values, labels=labels).values
    folder = tmp_path_factory.mktemp("values")
    found = read_query_values(folder, written(folder, made))
    # The order of measures is that in which the channels first bring them.
    for channel, measured in made.values.items():
        assert set(found.values[channel]) == set(measured)
    same(found, replace(made, values={c: {m: made.values[c][m] for m in found.values[c]} for c in made.values}))


def test_the_values_of_an_evaluation_come_back(evaluation: Evaluation, tmp_path: Path) -> None:
    values = query_values(evaluation)
    found = read_query_values(tmp_path, written(tmp_path, values))
    same(found, values)
    assert set(found.labels) == {"band", "length"}
    assert encode_query_values(found) == encode_query_values(values), "the same values give the same file"


def test_what_pairs_is_told_by_one_hash() -> None:
    first = made_result({"bm25": {"RR": [1, 0]}}).values
    assert (
        first.queries_hash
        == made_result({"dense": {"R@10": [0, 0]}}, labels={"band": ["head", ""]}).values.queries_hash
    )
    assert first.queries_hash != made_result({"bm25": {"RR": [1, 0, 0]}}).values.queries_hash
    assert first.queries_hash != made_result({"bm25": {"RR": [1, 0]}}, prefix="p").values.queries_hash


@pytest.mark.parametrize("damage", ["missing", "changed", "swapped"])
def test_a_file_that_is_not_the_one_written_is_refused(tmp_path: Path, damage: str) -> None:
    name = written(tmp_path, made_result({"bm25": {"RR": [1, 0]}}).values)
    path = values_path(tmp_path, name)
    if damage == "missing":
        path.unlink()
    elif damage == "changed":
        path.write_bytes(path.read_bytes()[:-1])
    else:
        path.write_bytes(encode_query_values(made_result({"bm25": {"RR": [0, 1]}}).values))
    with pytest.raises(
        UserError, match="keep the folder values" if damage == "missing" else "checksum differs"
    ) as refused:
        read_query_values(tmp_path, name)
    assert str(path) in str(refused.value)

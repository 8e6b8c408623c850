"""Parts of the query set: sizes, ties, what is known and what not, and means over the members only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.data.readers import read_evaluation_queries
from shelfwalk.errors import UserError
from shelfwalk.evaluation.metrics import PerQuery
from shelfwalk.evaluation.strata import PARTS, popularity_labels, query_labels, strata

PLACES = {"head": 0, "middle": 1, "tail": 2}


def queries(texts: dict[str, str], **columns: list[object]) -> pa.Table:
    return pa.table({"query_id": list(texts), "query": list(texts.values()), **columns})


def test_thirds_by_frequency() -> None:
    labels = popularity_labels(np.array([5.0, 90.0, 1.0, 7.0, 50.0, 2.0]))
    assert labels.tolist() == ["middle", "head", "tail", "middle", "head", "tail"]


@given(st.lists(st.integers(0, 6), min_size=1))
def test_more_frequent_is_never_in_a_later_part_and_equal_ones_share_theirs(frequencies: list[int]) -> None:
    places = [PLACES[label] for label in popularity_labels(np.array(frequencies, dtype=np.float64)).tolist()]
    for one, place in zip(frequencies, places, strict=True):
        for other, other_place in zip(frequencies, places, strict=True):
            if one == other:
                assert place == other_place
            if one > other:
                assert place <= other_place
    assert 0 in places


def test_means_are_over_the_members_of_each_part() -> None:
    table = queries({"a": "usb", "b": "usb hub", "c": " ink ", "d": ""}, frequency=[9, 5, 5, None])
    scored = {"x": PerQuery("x", tuple("abcd"), {"RR": np.array([1.0, 0.5, 0.2, 0.0])}, 0)}
    parts = {part.name: part for part in strata(scored, query_labels(table, tuple("abcd")))}
    assert {name: part.queries for name, part in parts.items()} == {
        "head": 3, "tail": 1, "one word": 3, "several words": 1,
    }  # fmt: skip
    assert parts["one word"].figures["x"]["RR"] == pytest.approx(0.4)
    assert parts["several words"].figures["x"]["RR"] == 0.5
    assert parts["tail"].figures["x"]["RR"] == 0.0, "a query of no known frequency is in the tail"


def test_without_frequencies_only_the_lengths_are_parted() -> None:
    assert list(query_labels(queries({"a": "usb hub"}), ["a"])) == ["length"]


FLAGS = st.sampled_from([True, False, None])


@given(
    st.lists(st.tuples(FLAGS, FLAGS, st.sampled_from(["head", "tail", "", None])), min_size=1, max_size=8), st.data()
)
def test_what_is_not_known_of_a_query_puts_it_in_no_part(
    rows: list[tuple[bool | None, bool | None, str | None]], data: st.DataObject
) -> None:
    names = [f"q{number}" for number in range(len(rows))]
    seen, cold, band = (list(column) for column in zip(*rows, strict=True))
    columns = {
        "seen": pa.array(seen, pa.bool_()),
        "cold": pa.array(cold, pa.bool_()),
        "band": pa.array(band, pa.string()),
        "frequency": pa.array([7.0] * len(rows)),
    }
    table = pa.table({"query_id": names, "query": ["two words"] * len(rows), **columns})
    asked = data.draw(st.permutations(names))
    labels = query_labels(table, asked)
    for place, name in enumerate(asked):
        row = names.index(name)
        for kind, flag in (("seen", seen[row]), ("cold", cold[row])):
            if kind in labels:
                assert labels[kind][place] == ("" if flag is None else PARTS[kind][not flag])
            else:
                assert flag is None
        assert labels["band"][place] == ((band[row] or "") if any(band) else "head"), "given bands go before frequency"
    assert set(labels) <= set(PARTS)


def test_a_measure_without_a_value_is_averaged_over_the_others() -> None:
    labels = {"band": np.array(["head", "head", "tail"])}
    scored = {"x": PerQuery("x", tuple("abc"), {"pvr@10": np.array([0.5, np.nan, np.nan])}, 0)}
    parts = {part.name: part.figures["x"] for part in strata(scored, labels)}
    assert parts == {"head": {"pvr@10": 0.5}, "tail": {}}


def test_a_band_of_another_name_is_refused() -> None:
    with pytest.raises(UserError, match='band "torso": write head, middle or tail') as refused:
        query_labels(queries({"a": "usb"}, band=["torso"]), ["a"])
    assert "\n" not in str(refused.value)


def test_a_queries_file_may_bring_what_is_known(tmp_path: Path) -> None:
    path = tmp_path / "queries.csv"
    path.write_text(
        "query_id,query,asked,seen,note\na,usb hub,12,true,x\nb,ink,,no,y\nc,paper,3,,z\n", encoding="utf-8"
    )
    read = read_evaluation_queries(path, {"frequency": "asked"})
    assert read.ignored_columns == ("note",)
    assert read.table["frequency"].to_pylist() == [12.0, None, 3.0]
    assert read.table["seen"].to_pylist() == [True, False, None]
    assert read.table["cold"].to_pylist() == [None, None, None]
    labels = query_labels(read.table, ["c", "b"])
    assert labels["seen"].tolist() == ["", "unseen"]
    assert "cold" not in labels


def test_a_flag_that_is_none_is_refused_with_its_row(tmp_path: Path) -> None:
    path = tmp_path / "queries.csv"
    path.write_text("query_id,query,seen\na,usb hub,perhaps\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"row 1, column 'seen'"):
        read_evaluation_queries(path)

"""Hit rate @ beam against loops over sets, and what it means at its ends."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.evaluation.beams import BeamHits, beam_values
from shelfwalk.evaluation.judgements import GradedQueries


@st.composite
def searched(draw: st.DrawFn) -> tuple[BeamHits, GradedQueries]:
    clusters = draw(st.integers(1, 12))
    sizes = np.array(draw(st.lists(st.integers(1, 9), min_size=clusters, max_size=clusters)))
    width = draw(st.integers(1, 12))
    queries = tuple(f"q{number}" for number in range(draw(st.integers(1, 4))))
    beams = np.full((len(queries), width), -1)
    for row in beams:
        found = draw(st.permutations(range(clusters)))[:width]
        row[: len(found)] = found
    items = [f"i{number}" for number in range(20)]
    cluster_of_item = draw(st.dictionaries(st.sampled_from(items), st.integers(0, clusters - 1)))
    grades = {name: draw(st.dictionaries(st.sampled_from(items), st.integers(0, 2))) | {"i0": 1} for name in queries}
    return BeamHits(queries, beams, cluster_of_item, sizes), GradedQueries(grades, 1)


@given(searched())
def test_equals_the_obvious_count(case: tuple[BeamHits, GradedQueries]) -> None:
    beams, graded = case
    asked = list(reversed(beams.query_ids))
    values = beam_values(beams, graded, asked, widths=(1, 2, 10))
    for width in (1, 2, 10):
        for position, query_id in enumerate(asked):
            row = beams.clusters[beams.query_ids.index(query_id)].tolist()[:width]
            reached = [cluster for cluster in row if cluster != -1]
            relevant = [item for item, grade in graded.grades[query_id].items() if grade >= 1]
            hit = [
                item for item in relevant if item in beams.cluster_of_item and beams.cluster_of_item[item] in reached
            ]
            assert values[f"HitRate@beam{width}"][position] == len(hit) / len(relevant)
            assert values[f"Items@beam{width}"][position] == sum(int(beams.cluster_sizes[c]) for c in reached)


@given(searched())
def test_a_wider_beam_never_hits_less(case: tuple[BeamHits, GradedQueries]) -> None:
    beams, graded = case
    values = beam_values(beams, graded, beams.query_ids, widths=range(1, 13))
    for kind in ("HitRate", "Items"):
        assert np.all(np.diff(np.stack([values[f"{kind}@beam{width}"] for width in range(1, 13)]), axis=0) >= 0)


def test_a_single_cluster_of_everything_hits_all_and_shows_its_price() -> None:
    beams = BeamHits(("q",), np.array([[0, -1]]), {"a": 0, "b": 0}, np.array([19406]))
    values = beam_values(beams, GradedQueries({"q": {"a": 2, "b": 2}}, 2), ["q"], widths=(10,))
    assert (values["HitRate@beam10"].tolist(), values["Items@beam10"].tolist()) == ([1.0], [19406.0])


@pytest.mark.parametrize(
    ("clusters", "complaint"),
    [
        ([0, 1], "queries, width"),
        ([[0], [1]], "queries, width"),
        ([[3, 0]], "no size"),
        ([[-2, 0]], "no size"),
        ([[1, 0, 1]], "same cluster twice"),
    ],
)
def test_beams_that_cannot_be_are_refused(clusters: list[object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        BeamHits(("q",), np.array(clusters), {}, np.array([4, 4, 4]))

"""Hit rate at an item budget against opening every cluster in every order."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.evaluation.beams import BeamHits, beam_values
from shelfwalk.evaluation.item_budget import budget_values
from shelfwalk.evaluation.judgements import GradedQueries


@st.composite
def shelves(draw: st.DrawFn) -> tuple[BeamHits, GradedQueries, list[list[str]]]:
    """Beams over up to four clusters of up to four items, all items known."""
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    members = [[f"c{cluster}i{number}" for number in range(size)] for cluster, size in enumerate(sizes)]
    cluster_of_item = {item: cluster for cluster, items in enumerate(members) for item in items}
    order = draw(st.permutations(range(len(sizes))))[: draw(st.integers(0, len(sizes)))]
    beam = np.array([[*order, *[-1] * (len(sizes) - len(order))]])
    relevant = draw(st.sets(st.sampled_from([*cluster_of_item, "elsewhere"]), min_size=1))
    beams = BeamHits(("q",), beam, cluster_of_item, np.array(sizes))
    return beams, GradedQueries({"q": dict.fromkeys(relevant, 1)}, 1), [members[cluster] for cluster in order]


@given(shelves(), st.integers(1, 17))
def test_equals_the_mean_over_every_order_inside_the_clusters(
    case: tuple[BeamHits, GradedQueries, list[list[str]]], budget: int
) -> None:
    beams, graded, opened = case
    relevant = graded.relevant("q")
    hits = [
        len(relevant & set([item for cluster in orders for item in cluster][:budget])) / len(relevant)
        for orders in itertools.product(*(itertools.permutations(items) for items in opened))
    ]
    taken = [sum(len(items) for items in opened[:place]) for place in range(len(opened))]
    values = budget_values(beams, graded, ["q"], (budget,))
    assert values[f"HitRate@items{budget}"][0] == pytest.approx(sum(hits) / len(hits))
    assert values[f"Beams@items{budget}"][0] == sum(before < budget for before in taken)


@given(shelves())
def test_a_budget_of_everything_is_the_widest_beam_and_more_is_never_less(
    case: tuple[BeamHits, GradedQueries, list[list[str]]],
) -> None:
    beams, graded, opened = case
    everything = sum(map(len, opened)) + 1
    values = budget_values(beams, graded, ["q"], range(1, everything + 1))
    rates = [values[f"HitRate@items{budget}"][0] for budget in range(1, everything + 1)]
    assert all(one <= more + 1e-12 for one, more in itertools.pairwise(rates))
    width = beams.clusters.shape[1]
    assert rates[-1] == pytest.approx(beam_values(beams, graded, ["q"], (width,))[f"HitRate@beam{width}"][0])


def test_larger_clusters_gain_nothing_from_their_size() -> None:
    """One cluster of a hundred items hits all at beam 1, and a tenth within ten items."""
    items = {f"i{number}": 0 for number in range(100)}
    beams = BeamHits(("q",), np.array([[0]]), items, np.array([100]))
    graded = GradedQueries({"q": dict.fromkeys(items, 1)}, 1)
    assert beam_values(beams, graded, ["q"], (1,))["HitRate@beam1"][0] == 1.0
    assert math.isclose(budget_values(beams, graded, ["q"], (10,))["HitRate@items10"][0], 0.1)

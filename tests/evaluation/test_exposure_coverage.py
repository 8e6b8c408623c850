"""pvr@k against a count by hand, and which impressions count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.evaluation.beams import BeamHits
from shelfwalk.evaluation.evaluate import evaluate
from shelfwalk.evaluation.exposures import exposed_items, exposure_values
from shelfwalk.evaluation.table import to_markdown

if TYPE_CHECKING:
    from conftest import MadeUpShop

ITEMS = [f"i{number}" for number in range(10)]


@given(
    st.lists(st.sets(st.sampled_from(ITEMS)), min_size=1, max_size=4),
    st.dictionaries(st.sampled_from(ITEMS), st.integers(0, 4)),
    st.integers(1, 6),
    st.randoms(use_true_random=False),
)
def test_equals_the_obvious_count(
    shown: list[set[str]], cluster_of_item: dict[str, int], width: int, random: np.random.RandomState
) -> None:
    names = tuple(f"q{number}" for number in range(len(shown)))
    rows = [random.sample([0, 1, 2, 3, 4, -1], 5) for _ in names]  # type: ignore[attr-defined]
    beams = BeamHits(names, np.array(rows), cluster_of_item, np.ones(5, int))
    exposed = {name: items for name, items in zip(names, shown, strict=True) if items}
    found = exposure_values(beams, exposed, names[::-1], (width,))[f"pvr@{width}"]
    for value, row, items in zip(found, rows[::-1], shown[::-1], strict=True):
        reached = {cluster for cluster in row[:width] if cluster >= 0}
        covered = [item for item in items if cluster_of_item.get(item) in reached]
        if items:
            assert value == len(covered) / len(items)
        else:
            assert np.isnan(value)


def test_what_was_shown_for_exactly_the_text_counts_once() -> None:
    rows = [
        ("usb hub", "impression", "a"),
        ("usb hub", "impression", "a"),
        ("usb hub", "impression", "b"),
        ("usb hub", "click", "c"),
        ("USB hub", "impression", "d"),
        ("ink", "impression", "e"),
    ]
    columns = zip(("user_query", "action_name", "object_id"), map(list, zip(*rows, strict=True)), strict=True)
    queries = pa.table({"query_id": ["q1", "q2", "q3"], "query": ["usb hub", "usb hub", "paper"]})
    assert exposed_items(pa.table(dict(columns)), queries) == {"q1": {"a", "b"}, "q2": {"a", "b"}}


def test_an_evaluation_averages_over_the_queries_with_exposures(shop: MadeUpShop) -> None:
    exposures = {"q1": ["i1", "i2"], "q5": ["i3"], "q65": ["i4"]}
    found = evaluate(shop.channels, shop.judgements, shop.queries, shop.beams, exposures=exposures, resamples=50)
    values = found.per_query["generative"].values["pvr@10"]
    assert np.isfinite(values).sum() == 2, "q65 has no relevant item, so that it does not count"
    assert found.figures["generative"]["pvr@10"] == pytest.approx(np.nanmean(values))
    assert all("pvr@10" not in measured for channel, measured in found.figures.items() if channel != "generative")
    assert f"the top k cover pvr@10 {np.nanmean(values):.3f}" in to_markdown(found)


def test_exposures_of_other_queries_add_nothing(shop: MadeUpShop) -> None:
    found = evaluate(shop.channels, shop.judgements, shop.queries, shop.beams, exposures={"x": ["i1"]}, resamples=50)
    assert "pvr@10" not in found.figures["generative"]

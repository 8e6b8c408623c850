"""Ids that no item or query has are counted, the first is named, and nothing is said where all are there."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.data.unknown_ids import notes_on_events, notes_on_judgements

IDS = st.sampled_from(["a", "b", "c", "d"])
ITEMS = pa.table({"item_id": pa.chunked_array([["a"], ["b"]])})


@given(st.lists(st.tuples(IDS, IDS)))
def test_judgements(pairs: list[tuple[str, str]]) -> None:
    judgements = pa.table(
        {
            "query_id": pa.array([query for query, _ in pairs], pa.string()),
            "item_id": pa.array([item for _, item in pairs], pa.string()),
        }
    )
    notes = notes_on_judgements(ITEMS, pa.table({"query_id": ["b", "c"]}), judgements)
    strange = [(query, item) for query, item in pairs if query not in "bc" or item not in "ab"]
    if not strange:
        assert notes == ()
        return
    (note,) = notes
    assert note.startswith(f"{len(strange)} of {len(pairs)} judgements ")
    assert note.endswith(f'query "{strange[0][0]}" and item "{strange[0][1]}".')


@given(st.lists(st.tuples(IDS, st.sampled_from(["impression", "click", "add_to_cart", "purchase"]))))
def test_events(events: list[tuple[str, str]]) -> None:
    log = pa.table(
        {
            "object_id": pa.array([item for item, _ in events], pa.string()),
            "action_name": pa.array([action for _, action in events], pa.string()),
        }
    )
    notes = notes_on_events(ITEMS, log)
    chosen = [item for item, action in events if action != "impression"]
    strange = [item for item in chosen if item not in "ab"]
    if not strange:
        assert notes == ()
        return
    (note,) = notes
    assert note.startswith(f"{len(strange)} of the log's {len(chosen)} clicks, carts and purchases ")
    assert note.endswith(f'the first is on "{strange[0]}".')

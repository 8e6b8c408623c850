"""The efficiency of items, by which CQ-SID orders what its identifiers stand for (arXiv 2605.14434).

In: the catalogue, and where there is one a log in the columns of UBI. Out: float32 [items], more is better.

The publication names an "efficiency score" and says nothing of what it is made of. DEFAULT here: with a log that shows
impressions, the share of them that were clicked, carted or bought, drawn towards the share of all items as if each item
had been seen `PRIOR_IMPRESSIONS` times more,

    (c_i + m · C / N) / (n_i + m)        c, n of the item; C, N of all; m = PRIOR_IMPRESSIONS

so that one lucky click makes no best seller; without, the catalogue's popularity. The log is the one that the shelf is
trained on, and so ends before what is evaluated.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shelfwalk.data.query_item_pairs import LOGGED_ACTIONS

PRIOR_IMPRESSIONS = 50
"""How many impressions of an average item each item is given beforehand."""


def efficiency_of(items: pa.Table, events: pa.Table | None = None) -> npt.NDArray[np.float32]:
    """The efficiency of every item of `items` [items], from `events` if they hold an impression of any, else from
    the column popularity."""
    if events is not None:
        shown = _counts(items, events, ("impression",))
        if shown.any():
            liked = _counts(items, events, LOGGED_ACTIONS)
            overall = liked.sum() / shown.sum()
            shares = (liked + PRIOR_IMPRESSIONS * overall) / (shown + PRIOR_IMPRESSIONS)
            return np.asarray(shares, np.float32)
    return np.asarray(items["popularity"].fill_null(0.0), np.float32)


def _counts(items: pa.Table, events: pa.Table, actions: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """How many events of these actions each item has; those on items that are not there count for none."""
    chosen = events.filter(pc.is_in(events["action_name"], pa.array(actions)))["object_id"]
    places = pc.index_in(chosen, items["item_id"].combine_chunks()).drop_null()
    return np.bincount(np.asarray(places, np.int64), minlength=items.num_rows)

"""What came last before each of many moments: the different items, most recent first.

In: moments and events of shoppers, as arrays. Out: for every moment the last different items of its own shopper's
events that are strictly earlier. One pass over both in the order of time, with one list of recent items that is begun
anew for each shopper: time grows with events and moments, never with the square of a busy shopper's.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int32]
Numbers = npt.NDArray[np.int64]

NEVER = np.iinfo(np.int64).min
"""The time of what has not happened; it is before all others."""


def recent_items(
    shoppers: Numbers, moments: Numbers, event_shoppers: Numbers, event_times: Numbers, event_items: Rows, length: int
) -> tuple[Rows, Numbers]:
    """The items before each moment, int32 [moments, length], most recent first, padded at the end with -1.

    With them when the most recent event before each moment was, int64 [moments], `NEVER` where there is none.

    `shoppers` and `moments` int64 [moments]; `event_shoppers`, `event_times` int64 [events] in the same units;
    `event_items` int32 [events]. An item stands where its last event puts it; of events of one time the one that stands
    later in the arrays is the more recent. A negative shopper is nobody and has no history.
    """
    found = np.full((len(shoppers), length), -1, np.int32)
    latest = np.full(len(shoppers), NEVER)
    asked = np.lexsort((moments, shoppers))
    happened = np.lexsort((event_times, event_shoppers))
    events = (event_shoppers[happened], event_times[happened], event_items[happened])
    _walk(asked, shoppers[asked], moments[asked], *events, found, latest)
    return found, latest


@numba.njit(cache=True, nogil=True)
def _walk(
    places: Numbers,
    shoppers: Numbers,
    moments: Numbers,
    event_shoppers: Numbers,
    event_times: Numbers,
    event_items: Rows,
    found: Rows,
    latest: Numbers,
) -> None:
    """Fill `found[places]` and `latest[places]`; moments and events each stand by shopper and then by time."""
    recent = np.full(found.shape[1], -1, np.int32)
    last = NEVER
    event = 0
    for row in range(len(places)):
        shopper = shoppers[row]
        if shopper < 0:
            continue
        if row == 0 or shoppers[row - 1] != shopper:
            recent[:] = -1
            last = NEVER
            while event < len(event_shoppers) and event_shoppers[event] < shopper:
                event += 1
        while event < len(event_shoppers) and event_shoppers[event] == shopper and event_times[event] < moments[row]:
            if len(recent):
                _put_first(recent, event_items[event])
            last = event_times[event]
            event += 1
        found[places[row]] = recent
        latest[places[row]] = last


@numba.njit(cache=True, nogil=True)
def _put_first(recent: Rows, item: int) -> None:
    """Move an item to the front of the list, or put it there and drop the last."""
    place = 0
    while place < len(recent) - 1 and recent[place] != item:
        place += 1
    for later in range(place, 0, -1):
        recent[later] = recent[later - 1]
    recent[0] = item

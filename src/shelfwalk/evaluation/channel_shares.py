"""Channel shares: how much of what was shown, clicked and bought each channel recalled.

In: which channels recalled each shown item, and what happened to it. Out: for exposures, clicks and purchases the share
that each channel recalled, and the share that only it recalled, with intervals over shoppers.

The CQ-SID report states such shares of its generative channel without saying how an item recalled by several channels
counts. Here: an *exposure* is an item shown on a page, a *click* or *purchase* one of an item shown there; a channel
*recalled* an item if the item is in the list that the channel handed to fusion for this query; *only* it recalled the
item if no other channel of the fusion did. So shares of "recalled" add up to more than 1, shares of "only" to less. A
share is no lift: it does not say what would have been sold without the channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfwalk.evaluation.shopper_means import Estimate, mean_over_shoppers


@dataclass(frozen=True)
class ChannelShare:
    """The share of a channel in one kind of event, such as clicks, of which there were `events`."""

    channel: str
    kind: str
    events: int
    recalled: Estimate
    only: Estimate


def channel_shares(
    channels: Sequence[str],
    recalled: npt.NDArray[np.uint8],
    events: dict[str, npt.NDArray[np.bool_]],
    shopper: npt.NDArray[np.int32],
) -> tuple[ChannelShare, ...]:
    """Return the shares of every channel in every kind of event that happened at all.

    `recalled` uint8 [sessions, places]: bit n is set where `channels[n]` recalled the shown item. `events` by kind:
    bool [sessions, places]. `shopper` [sessions].
    """
    happened = {kind: of_kind for kind, of_kind in events.items() if of_kind.any()}
    return tuple(
        _share(channel, np.uint8(1 << number), recalled, kind, of_kind, shopper)
        for kind, of_kind in happened.items()
        for number, channel in enumerate(channels)
    )


def _share(
    channel: str,
    bit: np.uint8,
    recalled: npt.NDArray[np.uint8],
    kind: str,
    events: npt.NDArray[np.bool_],
    shopper: npt.NDArray[np.int32],
) -> ChannelShare:
    counts = events.sum(axis=1)
    found = (events & (recalled & bit > 0)).sum(axis=1)
    alone = (events & (recalled == bit)).sum(axis=1)
    shares = [mean_over_shoppers(part, shopper, counts) for part in (found, alone)]
    return ChannelShare(channel, kind, int(counts.sum()), *shares)

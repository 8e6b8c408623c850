"""Channel shares of sessions small enough to count by hand, and what must hold of any."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.evaluation.channel_shares import ChannelShare, channel_shares

CHANNELS = ("bm25", "dense", "generative")
BM25, DENSE, GENERATIVE = 1, 2, 4


def by_name(shares: tuple[ChannelShare, ...]) -> dict[tuple[str, str], ChannelShare]:
    return {(share.kind, share.channel): share for share in shares}


def test_shares_counted_by_hand() -> None:
    recalled = np.array([[BM25 | DENSE, GENERATIVE, DENSE], [DENSE | GENERATIVE, BM25, 0]], np.uint8)
    events = {
        "exposures": np.array([[True, True, True], [True, True, False]]),
        "clicks": np.array([[True, True, False], [True, False, False]]),
        "purchases": np.zeros((2, 3), bool),
    }
    shares = by_name(channel_shares(CHANNELS, recalled, events, np.array([4, 4], np.int32)))
    assert {kind for kind, _ in shares} == {"exposures", "clicks"}
    exposed, clicked = (
        {name: (shares[kind, name].recalled.mean, shares[kind, name].only.mean) for name in CHANNELS}
        for kind in ("exposures", "clicks")
    )
    assert exposed == {"bm25": (0.4, 0.2), "dense": (0.6, 0.2), "generative": (0.4, 0.2)}
    assert clicked["generative"] == pytest.approx((2 / 3, 1 / 3))
    assert clicked["dense"] == pytest.approx((2 / 3, 0))
    assert shares["exposures", "bm25"].events == 5
    assert shares["clicks", "bm25"].events == 3


@given(st.integers(0, 2**32 - 1))
def test_shares_of_anything(seed: int) -> None:
    rng = np.random.default_rng(seed)
    recalled = rng.integers(1, 8, (30, 4)).astype(np.uint8)
    shown = rng.random((30, 4)) < 0.8
    shown[0, 0] = True
    shares = channel_shares(CHANNELS, recalled, {"exposures": shown}, rng.integers(0, 9, 30).astype(np.int32))
    assert sum(share.recalled.mean for share in shares) >= 1 - 1e-9
    assert sum(share.only.mean for share in shares) <= 1 + 1e-9
    for share in shares:
        assert 0 <= share.only.mean <= share.recalled.mean <= 1
        assert share.events == shown.sum()


def test_a_channel_alone_has_everything() -> None:
    shown = np.ones((3, 2), bool)
    (share,) = channel_shares(("bm25",), np.ones((3, 2), np.uint8), {"clicks": shown}, np.arange(3, dtype=np.int32))
    assert (share.recalled.mean, share.only.mean, share.only.error) == (1, 1, 0)


def test_the_interval_is_over_shoppers() -> None:
    rng = np.random.default_rng(1)
    # Every shopper's items come from one channel: two hundred sessions tell no more than their twenty shoppers.
    shopper = np.repeat(np.arange(20, dtype=np.int32), 10)
    recalled = np.where(rng.random(20) < 0.5, BM25, DENSE).astype(np.uint8)[shopper][:, None]
    shown = np.ones((200, 1), bool)
    few = channel_shares(CHANNELS[:2], recalled, {"exposures": shown}, shopper)[0].recalled
    many = channel_shares(CHANNELS[:2], recalled, {"exposures": shown}, np.arange(200, dtype=np.int32))[0].recalled
    assert few.mean == many.mean
    assert few.error == pytest.approx(many.error * np.sqrt(10), rel=0.05)

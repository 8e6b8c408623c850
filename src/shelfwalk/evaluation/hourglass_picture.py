"""The picture of how items flow through the levels of their identifiers, where an hourglass shows as a waist.

In: codes, int32 [items, levels], −1 where a level is absent. Out: a `Picture`, and the same as an SVG file of its own.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shelfwalk.evaluation.drawing import FAINT, INK, SERIES, draw
from shelfwalk.evaluation.pictures import Picture
from shelfwalk.tokenizers.hourglass import hourglass_sentence, measure_hourglass

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TENTHS = 10
"""Blocks of a level: each is a tenth of its codes, so that levels of any size compare."""
_BLOCK_WIDTH = 0.08
_GAP = 0.008
_PAGE = {"ink": "#1c2024", "faint": "#80868c"} | {
    f"series-{number}": colour
    for number, colour in enumerate(("#0067b1", "#c8500a", "#00805a", "#a63d88", "#8a6d00", "#4b5563"), start=1)
}
"""What a page defines and a file of its own must."""


def item_flow(codes: NDArray[np.int32], level_sizes: tuple[int, ...]) -> Picture:
    """Draw tenths of each level's codes as blocks, as high as their share of the items, and the items between them."""
    hourglass = measure_hourglass(codes, level_sizes)
    blocks = [_blocks(codes[:, level], size) for level, size in enumerate(level_sizes)]
    tallest = "; ".join(
        f"level {number}: {_heights(block)[0]:.0%} of the items on the commonest tenth of the codes"
        for number, block in enumerate(blocks, start=1)
    )
    caption = (
        f"Items from level to level. Each block is a tenth of a level's codes, the commonest at the bottom, as high as "
        f"its share of the items: of even use all are alike. {tallest}. {hourglass_sentence(hourglass)}"
    )

    def paint(axes: Axes) -> None:
        for level, (here, there) in enumerate(pairwise(blocks)):
            _paint_flow(axes, level, _heights(here), _heights(there), _flow(here, there))
        for level, places in enumerate(blocks):
            heights = _heights(places)
            colours = [SERIES[0]] * TENTHS + [FAINT]
            axes.bar([level] * len(heights), heights, _BLOCK_WIDTH, _bottoms(heights), color=colours, linewidth=0)
        axes.set_xticks(range(len(blocks)), [f"level {level + 1}" for level in range(len(blocks))])
        axes.set(xlim=(-0.15, len(blocks) - 0.85), ylabel="share of the items, stacked")
        axes.set_yticks([])
        axes.tick_params(length=0)
        axes.spines[["left", "bottom"]].set_visible(False)

    return Picture("Items from level to level", caption, draw("flow", caption, (1.8 * len(blocks) + 1, 3.6), paint))


def svg_file(picture: Picture) -> str:
    """The picture as an SVG document that needs no page around it."""
    style = "".join(f"--{name}:{colour};" for name, colour in _PAGE.items())
    opening, rest = picture.svg.split(">", 1)
    opening = opening.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
    return f"{opening}><style>svg{{{style}background:#ffffff;font-family:sans-serif}}</style>{rest}\n"


def _blocks(codes: NDArray[np.int32], size: int) -> NDArray[np.int64]:
    """The block of each item: 0 for the commonest tenth of the codes and so on, `TENTHS` for an absent code."""
    counts = np.bincount(codes[codes >= 0], minlength=size)
    block = np.full(size + 1, TENTHS)
    block[np.argsort(-counts, kind="stable")] = np.arange(size) * TENTHS // size
    # The last entry is where −1 points.
    return block[codes]


def _heights(blocks: NDArray[np.int64]) -> NDArray[np.float64]:
    """The share of the items in each block: [TENTHS + 1]."""
    return np.bincount(blocks, minlength=TENTHS + 1) / len(blocks)


def _bottoms(heights: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.cumsum(heights) - heights + _GAP * np.arange(len(heights))


def _flow(here: NDArray[np.int64], there: NDArray[np.int64]) -> NDArray[np.float64]:
    """The share of the items that go from each block to each of the next level: [TENTHS + 1, TENTHS + 1]."""
    wide = TENTHS + 1
    return (np.bincount(here * wide + there, minlength=wide * wide) / len(here)).reshape(wide, wide)


def _paint_flow(
    axes: Axes, level: int, left: NDArray[np.float64], right: NDArray[np.float64], flow: NDArray[np.float64]
) -> None:
    """Bands from the right side of a level's blocks to the left side of the next level's."""
    step = np.linspace(0, 1, 24)
    x = level + _BLOCK_WIDTH / 2 + step * (1 - _BLOCK_WIDTH)
    bend = step * step * (3 - 2 * step)
    leaving, arriving = _bottoms(left), _bottoms(right)
    for source in range(len(left)):
        for target in range(len(right)):
            share = flow[source, target]
            if share > 0:
                low = leaving[source] + bend * (arriving[target] - leaving[source])
                axes.fill_between(x, low, low + share, color=INK, alpha=0.3 if source == 0 else 0.1, linewidth=0)
                leaving[source] += share
                arriving[target] += share

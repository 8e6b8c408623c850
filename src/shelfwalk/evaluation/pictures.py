"""The pictures of the report.

In: an `Evaluation` and plain arrays about the identifiers. Out: `Picture`s: a title, a caption that says what one
sees, and a drawing as inline SVG.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shelfwalk.evaluation.drawing import FAINT, INK, SERIES, draw, drawing_name, label
from shelfwalk.evaluation.evaluate import CURVE_CUTOFFS, Evaluation
from shelfwalk.evaluation.significance import value_differences

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WINS_MEASURE = "R@100"
_SHOWN_EACH_WAY = 12
_WIDTH = 4.5
_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))


@dataclass(frozen=True)
class Picture:
    """A drawing (`svg`, an `<svg>` element) with its title and the caption, which is also its alternative text."""

    title: str
    caption: str
    svg: str


def recall_curves(evaluation: Evaluation) -> Picture:
    """Draw mean R@k of every channel for k = 1 … 300 on a logarithmic axis."""
    ends = ", ".join(f"{channel} {curve[-1]:.3f}" for channel, curve in evaluation.curves.items())
    caption = (
        f"Share of the relevant items among the first k results, k from 1 to 300 on a logarithmic axis, mean over "
        f"{len(evaluation.query_ids)} queries. At k = 300: {ends}."
    )

    def paint(axes: Axes) -> None:
        for number, (channel, curve) in enumerate(evaluation.curves.items()):
            axes.plot(CURVE_CUTOFFS, curve, label=label(channel), **_line(number))
        axes.set(xscale="log", xlim=(1, 300), ylim=(0, 1), xlabel="k, items looked at", ylabel="recall @ k")
        _plain_ticks(axes, [1, 3, 10, 30, 100, 300])
        axes.grid()
        axes.legend(loc="upper left")

    return Picture("Recall by depth", caption, draw("recall", caption, (_WIDTH, 3.3), paint))


def channel_overlap(evaluation: Evaluation) -> Picture:
    """Draw how many relevant items each set of channels found: dots say which channels, bars how many."""
    found = evaluation.overlap
    pairs = sum(group.pairs for group in found.found_by)
    alone = ", ".join(
        f"{group.channels[0]} {group.pairs / pairs:.1%}" for group in found.found_by if len(group.channels) == 1
    )
    missed = sum(group.pairs for group in found.found_by if not group.channels) / pairs
    caption = (
        f"Which channels have a relevant item among their first {found.cutoff} results, over all {pairs:,} relevant "
        f"pairs of query and item. Filled dots: the channels that found it. Found by one channel only: "
        f"{alone or 'nothing'}; missed by all: {missed:.1%}."
    )

    def paint(axes: Axes) -> None:
        rows = range(len(found.found_by))
        # Dots stand left of zero in the units of the bars, one column a channel, so both share one pair of axes.
        longest = found.found_by[0].pairs / pairs
        columns = [-0.13 * longest * (len(found.channels) - number) for number in range(len(found.channels))]
        for row, group in enumerate(found.found_by):
            filled = [x for x, channel in zip(columns, found.channels, strict=True) if channel in group.channels]
            axes.scatter(columns, [row] * len(columns), s=34, facecolors="none", edgecolors=FAINT, linewidths=0.8)
            axes.plot(filled, [row] * len(filled), "o-", color=INK, markersize=6)
            axes.text(group.pairs / pairs + 0.02 * longest, row, f"{group.pairs / pairs:.1%}", va="center")
        axes.barh(list(rows), [group.pairs / pairs for group in found.found_by], color=SERIES[0], height=0.6)
        axes.set(xlim=(columns[0] - 0.1 * longest, 1.15 * longest), ylim=(len(found.found_by) - 0.4, -0.6))
        axes.set_xticks(columns, [label(channel) for channel in found.channels], rotation=35, ha="right")
        axes.set_yticks([])
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.tick_params(length=0)

    height = 1.3 + 0.3 * len(found.found_by)
    return Picture("Who finds what", caption, draw("overlap", caption, (_WIDTH, height), paint))


def codebook_use(counts: Sequence[NDArray[np.integer]]) -> Picture:
    """Draw how evenly each level's codes are used; `counts[level]` int [codes] is the number of items per code."""
    used = "; ".join(
        f"level {level} uses {int((use > 0).sum())} of {len(use)} codes, the largest has {use.max() / use.sum():.1%}"
        for level, use in enumerate(counts, start=1)
    )
    caption = (
        f"Items per code, codes sorted from most to least used, one line a level; a flat line is even use, and a code "
        f"that no item has ends the line. Here {used}."
    )

    def paint(axes: Axes) -> None:
        for level, use in enumerate(counts):
            live = np.sort(use[use > 0])[::-1]
            axes.plot(np.arange(1, len(live) + 1), live, label=f"level {level + 1}", **_line(level))
        axes.set(yscale="log", xlabel="code, by falling use", ylabel="items", xlim=(1, max(2, *map(len, counts))))
        _plain_numbers(axes.yaxis)
        axes.grid()
        axes.legend(loc="upper right")

    return Picture("Codebook use", caption, draw("codebook", caption, (_WIDTH, 3.1), paint))


def cluster_sizes(sizes: NDArray[np.integer]) -> Picture:
    """Draw how many clusters have how many items; `sizes` int [clusters], empty clusters not counted."""
    sizes = sizes[sizes > 0]
    caption = (
        f"How many identifiers stand for how many items, both axes logarithmic. {len(sizes):,} clusters hold "
        f"{int(sizes.sum()):,} items: {sizes.mean():.2f} on average, {int(sizes.max()):,} in the largest; "
        f"{(sizes == 1).mean():.0%} of the clusters hold one item."
    )

    def paint(axes: Axes) -> None:
        edges = np.unique(np.rint(np.geomspace(1, int(sizes.max()) + 1, 24))) - 0.5
        axes.hist(sizes, bins=edges.tolist(), color=SERIES[0], edgecolor="none", rwidth=0.9)
        axes.set(xscale="log", yscale="log", xlabel="items in the cluster", ylabel="clusters")
        axes.set_ylim(bottom=0.7)
        _plain_numbers(axes.xaxis)
        _plain_numbers(axes.yaxis)
        axes.grid(axis="y")

    return Picture("Cluster sizes", caption, draw("clusters", caption, (_WIDTH, 3.1), paint))


def wins_and_losses(evaluation: Evaluation, first: str, second: str) -> Picture:
    """Draw per query how much more (or less) of the relevant items `first` finds than `second`, R@100, sorted."""
    values = evaluation.per_query
    differences = value_differences(values[first].values[WINS_MEASURE], values[second].values[WINS_MEASURE])
    return query_differences(first, second, WINS_MEASURE, differences, evaluation.texts)


def query_differences(
    first: str, second: str, measure: str, differences: NDArray[np.float64], texts: Sequence[str]
) -> Picture:
    """Draw the `differences` of a measure, first − second, float64 [queries], largest and smallest with their text."""
    wins, losses = int((differences > 0).sum()), int((differences < 0).sum())
    order = np.argsort(-differences, kind="stable")
    shown = [*order[:wins][:_SHOWN_EACH_WAY], *order[len(order) - losses :][-_SHOWN_EACH_WAY:]]
    caption = (
        f"{measure} of {first} minus that of {second}, query by query: higher on {wins}, lower on {losses}, equal "
        f"on {len(differences) - wins - losses} queries. Bars: the largest differences, at most {_SHOWN_EACH_WAY} "
        "each way."
    )

    def paint(axes: Axes) -> None:
        rows = np.arange(len(shown))
        heights = differences[shown]
        axes.barh(rows, heights, color=[SERIES[0] if height > 0 else SERIES[1] for height in heights], height=0.7)
        axes.set_yticks(rows, [label(texts[position]) for position in shown])
        axes.set(ylim=(len(shown) - 0.4, -0.6), xlabel=f"difference in {measure}")
        axes.axvline(0, color=FAINT, linewidth=0.8)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x")

    name = drawing_name("wins", first, second, measure)
    svg = draw(name, caption, (_WIDTH, 1.0 + 0.22 * max(len(shown), 3)), paint)
    return Picture(f"Wins and losses: {first} against {second}", caption, svg)


def _line(number: int) -> dict[str, Any]:
    """Return the style of the line of that number: dashes too, so that colour is never the only difference."""
    return {"color": SERIES[number % len(SERIES)], "linestyle": _DASHES[number % len(_DASHES)], "linewidth": 1.8}


def _plain_ticks(axes: Axes, ticks: list[int]) -> None:
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()


def _plain_numbers(axis: object) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:,.0f}" if number >= 1 else ""))  # type: ignore[attr-defined]
    axis.set_minor_formatter(NullFormatter())  # type: ignore[attr-defined]

"""How a market's log looks beside published ones: the figures of docs/market.md.

In: the folder of a market. Out: `Figures`, counted from its log and its truth a row group at a time, and as a Markdown
table beside what was published (docs/market.md names the sources):

    python -m shelfwalk.market.believability market/ [--json]

Published figures are of other shops, other pages and other times; they are there to be compared with, not to be met.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import typer

from shelfwalk.market.log_writing import EVENTS_FILE, EXPOSURES_FILE, LATER_EVENTS_FILE, NEEDS_FILE
from shelfwalk.market.market import JUDGEMENTS_FILE, Market

_ANY_ORDER = (2, 5, 10)
"""Places whose examination is compared with that of the first."""


@dataclass(frozen=True)
class Figures:
    """Means, and shares from 0 to 1, over both parts of a log; a figure is 0 where there is nothing to count.

    `examined`: of each place, how much more rarely it is looked at than the first.
    """

    market: str
    words: float
    short: float
    once: float
    most_frequent: float
    without_items: float
    items_shown: float
    items_right: float
    first_place: float
    first_three: float
    first_ten: float
    examined: dict[int, float]
    clicks: float
    without_click: float
    carts_per_click: float
    purchases_per_click: float
    searches_with_purchase: float


_ROWS = (
    ("words", "words in a query, mean", "{:.1f}", "2.35 on the web [1]; 3.4 at Wayfair [2]"),
    ("short", "queries of fewer than four words", "{:.0%}", "75–90 % in several shops [3]; 61 % at Wayfair [2]"),
    ("once", "distinct queries that are asked once", "{:.0%}", "64 % on the web, in six weeks [1]"),
    ("most_frequent", "searches for the 25 most frequent queries", "{:.1%}", "1.5 % on the web [1]"),
    ("without_items", "searches that find nothing", "{:.1%}", ""),
    ("items_shown", "items shown for a query, mean", "{:.1f}", ""),
    ("items_right", "items of grade 3 for an evaluation query, mean", "{:.0f}", "53 “Exact” of 42,994 at Wayfair [2]"),
    ("first_place", "clicks on place 1", "{:.0%}", ""),
    ("first_three", "clicks on places 1 to 3", "{:.0%}", ""),
    ("first_ten", "clicks on places 1 to 10", "{:.0%}", ""),
    ("examined", "examination of places 2, 5, 10 against place 1", "", "0.50, 0.20, 0.10 assumed [4]"),
    ("clicks", "clicks a search, mean", "{:.2f}", ""),
    ("without_click", "searches without a click", "{:.0%}", ""),
    ("carts_per_click", "carts a click", "{:.1%}", "2.6 % of views [5]; 8.7 % [6]"),
    ("purchases_per_click", "purchases a click", "{:.1%}", "0.8 % of views [5]; 2.6 % [6]"),
    ("searches_with_purchase", "searches that end in a purchase", "{:.1%}", "5.5 % of sessions [7]"),
)
"""Field, what it is, how it is written, and what was published; sources are numbered as in docs/market.md."""


def figures_of(folder: Path) -> Figures:
    """Count the figures of a market; raises UserError where there is none."""
    market = Market.open(folder, check=False)
    queries = pq.read_table(folder / NEEDS_FILE, columns=["query"])["query"].combine_chunks()
    exposures = pq.read_table(folder / EXPOSURES_FILE, columns=["explored", "items"])
    shown = pc.list_value_length(exposures["items"]).to_numpy()
    log = _count_log(folder, exposures["explored"].to_numpy(), market.settings.page_size)
    counted = np.sort(pc.value_counts(queries).field("counts").to_numpy())[::-1]
    words = pc.add(pc.count_substring(queries, " "), 1).to_numpy(zero_copy_only=False)
    clicks, searches = log.clicks.sum(), len(queries)
    return Figures(
        market=market.manifest.name or market.hash,
        words=_ratio(words.sum(), searches),
        short=_ratio((words < 4).sum(), searches),
        once=_ratio((counted == 1).sum(), len(counted)),
        most_frequent=_ratio(counted[:25].sum(), searches),
        without_items=_ratio((shown == 0).sum(), searches),
        items_shown=_ratio(shown.sum(), searches),
        items_right=_ratio(_right_items(folder), market.manifest.counts["evaluation_queries"]),
        first_place=_ratio(log.clicks[:1].sum(), clicks),
        first_three=_ratio(log.clicks[:3].sum(), clicks),
        first_ten=_ratio(log.clicks[:10].sum(), clicks),
        examined={place: log.examination(place) for place in _ANY_ORDER if place <= len(log.clicks)},
        clicks=_ratio(clicks, searches),
        without_click=1 - _ratio(log.searches_with_click, searches),
        carts_per_click=_ratio(log.carts, clicks),
        purchases_per_click=_ratio(log.purchases, clicks),
        searches_with_purchase=_ratio(log.searches_with_purchase, searches),
    )


def markdown(figures: Figures) -> str:
    """Return the figures as a Markdown table beside the published ones."""
    values = asdict(figures)
    values["examined"] = ", ".join(f"{ratio:.2f}" for ratio in figures.examined.values())
    lines = [f"| | simulated ({figures.market}) | published |", "|---|---:|---|"]
    for field, title, shape, published in _ROWS:
        value = shape.format(values[field]) if shape else values[field]
        lines.append(f"| {title} | {value.replace('%', ' %')} | {published or '–'} |")
    return "\n".join(lines)


@dataclass
class _LogCounts:
    """`clicks`, and `explored_clicks` of `explored_shown` on pages in an order by chance, int64 [places]."""

    clicks: npt.NDArray[np.int64]
    explored_clicks: npt.NDArray[np.int64]
    explored_shown: npt.NDArray[np.int64]
    carts: int = 0
    purchases: int = 0
    searches_with_click: int = 0
    searches_with_purchase: int = 0

    def examination(self, place: int) -> float:
        """Clicks an impression at a place, against those at the first: on pages in any order all else is equal."""
        rates = [_ratio(self.explored_clicks[k], self.explored_shown[k]) for k in (place - 1, 0)]
        return _ratio(rates[0], rates[1])


def _count_log(folder: Path, explored: npt.NDArray[np.bool_], places: int) -> _LogCounts:
    counts = _LogCounts(np.zeros(places, np.int64), np.zeros(places, np.int64), np.zeros(places, np.int64))
    for rows in _row_groups(folder / EVENTS_FILE, folder / LATER_EVENTS_FILE):
        place = rows["ordinal"].to_numpy() - 1
        in_any_order = explored[pc.utf8_slice_codeunits(rows["query_id"], 1).cast(pa.int64()).to_numpy()]
        click, shown, cart, purchase = (
            pc.equal(rows["action_name"], name).to_numpy()
            for name in ("click", "impression", "add_to_cart", "purchase")
        )
        counts.clicks += np.bincount(place[click], minlength=places)
        counts.explored_clicks += np.bincount(place[click & in_any_order], minlength=places)
        counts.explored_shown += np.bincount(place[shown & in_any_order], minlength=places)
        counts.carts += int(cart.sum())
        counts.purchases += int(purchase.sum())
        # No visit lies in two row groups.
        counts.searches_with_click += pc.count_distinct(rows["query_id"].filter(pa.array(click))).as_py()
        counts.searches_with_purchase += pc.count_distinct(rows["query_id"].filter(pa.array(purchase))).as_py()
    return counts


def _row_groups(*paths: Path) -> Iterator[pa.Table]:
    for path in paths:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                yield file.read_row_group(group, columns=["query_id", "action_name", "ordinal"])


def _right_items(folder: Path) -> int:
    grades = pq.read_table(folder / JUDGEMENTS_FILE, columns=["grade"])["grade"]
    return int(pc.sum(pc.equal(grades, 3)).as_py() or 0)


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else 0.0


def compare_with_published(
    folder: Annotated[Path, typer.Argument(metavar="MARKET", help="The folder of a market.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Print the distributions of a market's log beside published ones."""
    figures = figures_of(folder)
    print(json.dumps(asdict(figures)) if as_json else markdown(figures))


def main() -> int:
    """Run the command and return the exit status."""
    from shelfwalk.errors import UserError

    application = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    application.command()(compare_with_published)
    try:
        application(standalone_mode=False)
    except UserError as error:
        print(f"shelfwalk: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

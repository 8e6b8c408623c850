"""Constructed examples of personalised search: real purchase histories, but queries made from the bought item's title.

In: items and purchases (of a log without queries, such as online_retail.py), settings and a seed. Out: a table of
*constructed* examples (history, constructed query, bought item), split by time. Nobody typed these queries: their words
come from the title of the very item that is to be found, which flatters lexical matching. The examples are for
comparing ways of using the history, and every result on them must be called constructed.

A constructed query: the title in lower case without counts ("set of 6", "pack/12"), single letters and joining words;
each colour and size word is dropped with a probability; of what is left, 1 to 3 words in a row. Mostly these are the
last words of the head phrase (what stands before "with", "in", "for" and the like: "recipe box" of "recipe box with
metal heart"), else they come from anywhere in the title. Colours and sizes alone give way to the last two other words.

The history of an example holds what its customer bought strictly before the invoice: nothing of the invoice itself, nor
of another one of the same minute.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from shelfwalk.data.tables import TIMESTAMP_TYPE
from shelfwalk.errors import UserError
from shelfwalk.settings import Settings

CONSTRUCTED_EXAMPLES = pa.schema(
    [
        ("customer", pa.string()),
        ("at", TIMESTAMP_TYPE),
        ("history", pa.list_(pa.string())),
        ("query", pa.string()),
        ("item_id", pa.string()),
        ("part", pa.string()),
    ],
    metadata={"note": "constructed: the queries are made from the titles of the bought items; nobody typed them"},
)

_COUNT = re.compile(r"\b(?:set|pack|s)[ /]*(?:of[ /]*)?\d+\b|\b(?:set|pack)s? of\b|\b\d+\b(?: *(?:pcs?|pieces?)\b)?")
_WORD = re.compile(r"[^\W_]+(?:['\-][^\W_]+)*")
_LETTERS = re.compile(r"[^\W\d_]{2}")
_HEAD_ENDS = frozenset(("with", "w", "in", "for", "from", "on", "by"))
_JOINING = _HEAD_ENDS | frozenset(("a", "an", "and", "at", "of", "or", "the", "to"))
_COLOURS = "black blue brown cream gold green grey ivory lilac orange pink purple red silver turquoise white yellow"
_SIZES = "assorted asstd big extra giant jumbo large long medium mini short small tall tiny"
_VARIANTS = frozenset(f"{_COLOURS} {_SIZES} colour colours coloured size".split())
_LENGTHS = (0.2, 0.5, 0.3)
"""Shares of constructed queries of 1, 2 and 3 words."""
_HEAD_SHARE = 0.6


class ConstructedExampleSettings(Settings):
    """Which purchases become constructed examples, and how their queries are made."""

    test_days: int = Field(default=70, ge=1)
    """The last so many days of the log are the test part."""
    longest_history: int = Field(default=50, ge=1)
    fewest_before: int = Field(default=1, ge=0)
    """Purchases that a customer must have made before."""
    most_of_an_invoice: int = Field(default=10, ge=1)
    """Wholesalers' invoices have hundreds of items; of a longer one so many are drawn."""
    dropped_variants: float = Field(default=0.7, ge=0, le=1)
    """Probability that a colour or size word of the title is not in the query."""


def constructed_examples(
    items: pa.Table, events: pa.Table, settings: ConstructedExampleSettings, seed: int
) -> pa.Table:
    """Make the constructed examples of the purchases in `events` that have a customer and an item of `items`.

    Gives the schema `CONSTRUCTED_EXAMPLES`, by time: customer, at (time of the invoice), history (item ids, newest
    last), query (constructed), item_id (what was bought), part ("train" or "test"). The same tables, settings and seed
    give the same examples. Raises UserError where a part would be empty.
    """
    bought = _purchases_by_customer(items, events)
    if not bought.num_rows:
        raise UserError("No purchase of the log has a customer and an item of the catalogue to make examples of.")
    generator = np.random.default_rng(seed)
    times = bought["timestamp"].cast(pa.int64()).to_numpy()
    starts, ends = _histories(_numbers(bought["client_id"]), times)
    drawn = _drawn(_numbers(bought["session_id"]), settings.most_of_an_invoice, generator)
    rows = np.flatnonzero(drawn & (ends - starts >= settings.fewest_before))
    rows = rows[np.argsort(times[rows], kind="stable")]
    ids = bought["object_id"].combine_chunks()
    first_test = first_test_moment(events, settings)
    columns = {
        "customer": bought["client_id"].take(rows),
        "at": bought["timestamp"].take(rows),
        "history": _lists(ids, np.maximum(starts, ends - settings.longest_history)[rows], ends[rows]),
        "query": _queries(items, ids.take(pa.array(rows)), settings, generator),
        "item_id": ids.take(pa.array(rows)),
        "part": np.where(times[rows] < first_test.timestamp() * 1_000_000, "train", "test"),
    }
    examples = pa.table(columns, schema=CONSTRUCTED_EXAMPLES)
    examples = examples.filter(pc.not_equal(examples["query"], ""))
    _refuse_empty_parts(examples, first_test, settings)
    return examples


def _refuse_empty_parts(examples: pa.Table, first_test: datetime, settings: ConstructedExampleSettings) -> None:
    for part, side in (("train", "before"), ("test", "from")):
        if part not in examples["part"].unique().to_pylist():
            raise UserError(
                f"No constructed example is of the time {side} {first_test:%Y-%m-%d}: the log is too short for a test"
                f" part of {settings.test_days} days and at least {settings.fewest_before} purchases before."
            )


def first_test_moment(events: pa.Table, settings: ConstructedExampleSettings) -> datetime:
    """The midnight (UTC) at which the test part begins: `test_days` back, with the day of the last event counted in."""
    last: datetime = pc.max(events["timestamp"]).as_py()
    midnight = datetime(last.year, last.month, last.day, tzinfo=UTC)
    return midnight - timedelta(days=settings.test_days - 1)


def constructed_query(title: str, dropped_variants: float, generator: np.random.Generator) -> str:
    """A query that could have led to an item of this title; "" for a title without a word of letters."""
    words = _words(title)
    ends = [place for place, word in enumerate(words) if word in _HEAD_ENDS and place]
    at_head = generator.random() < _HEAD_SHARE
    if at_head and ends:
        words = words[: ends[0]]
    words = [word for word in words if word not in _JOINING and _LETTERS.search(word)]
    kept = [word for word in words if word not in _VARIANTS or generator.random() >= dropped_variants]
    length = min(int(generator.choice(len(_LENGTHS), p=_LENGTHS)) + 1, len(kept))
    start = len(kept) - length
    if not at_head:
        start = int(generator.integers(start + 1))
    query = kept[start : start + length]
    if all(word in _VARIANTS for word in query):
        # Colours and sizes alone would ask for half the shop.
        query = ([word for word in words if word not in _VARIANTS] or words)[-2:]
    return " ".join(query)


def _words(title: str) -> list[str]:
    return _WORD.findall(_COUNT.sub(" ", title.lower()))


def _purchases_by_customer(items: pa.Table, events: pa.Table) -> pa.Table:
    """The usable purchases, customer by customer, each by time and then as they stand in the log."""
    usable = pc.and_(pc.equal(events["action_name"], "purchase"), pc.not_equal(events["client_id"], ""))
    usable = pc.and_(usable, pc.is_in(events["object_id"], items["item_id"].combine_chunks()))
    bought = events.filter(usable)
    return bought.take(pc.sort_indices(bought, [("client_id", "ascending"), ("timestamp", "ascending")]))


def _numbers(names: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """A number for every distinct name."""
    encoded = names.combine_chunks().dictionary_encode()
    return np.asarray(encoded.indices.to_numpy(), np.int64)


def _histories(
    customers: npt.NDArray[np.int64], times: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """First row and end of the whole history of every purchase; rows stand by customer and time."""
    other_customer = np.concatenate([[True], customers[1:] != customers[:-1]])
    later = np.concatenate([[True], times[1:] != times[:-1]])
    rows = np.arange(len(customers))
    starts = np.maximum.accumulate(np.where(other_customer, rows, 0))
    ends = np.maximum.accumulate(np.where(other_customer | later, rows, 0))
    return starts, ends


def _drawn(invoices: npt.NDArray[np.int64], most: int, generator: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Draw at most so many purchases of every invoice, bool [purchases]."""
    order = np.lexsort((generator.random(len(invoices)), invoices))
    ordered = invoices[order]
    rows = np.arange(len(invoices))
    first = np.maximum.accumulate(np.where(np.concatenate([[True], ordered[1:] != ordered[:-1]]), rows, 0))
    drawn = np.zeros(len(invoices), bool)
    drawn[order] = rows - first < most
    return drawn


def _queries(
    items: pa.Table, bought: pa.Array, settings: ConstructedExampleSettings, generator: np.random.Generator
) -> list[str]:
    titles = items["title"].take(pc.index_in(bought, items["item_id"].combine_chunks()))
    return [constructed_query(title, settings.dropped_variants, generator) for title in titles.to_pylist()]


def _lists(values: pa.Array, starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> pa.Array:
    """The stretches of an array from each start to before its end, as lists."""
    lengths = ends - starts
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    places = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values.take(pa.array(places)))

"""The layout online_retail: the transactions of a giftware shop (UCI "Online Retail", Chen 2015), without any query.

In: a folder with transactions.parquet (invoice_no, stock_code, description, quantity, invoice_date, unit_price,
customer_id; a line an item of an invoice). Out: a `Dataset` of items and of events that are purchases and nothing else.

An item is a stock code (upper and lower case are one): its title is the description that most of its sale lines have,
its price the median unit price, its popularity the number of its buyers. An event is an item of an invoice, once
however often the invoice names it; session_id is the invoice, user_query is empty. What was taken back is matched with
the purchases (`_after_returns`); what is no sale of a product is left out and counted in the notes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shelfwalk.data.adapter import Dataset, LayoutFile, changed, filtered, read_layout
from shelfwalk.data.coercion import is_text
from shelfwalk.data.tables import EVENTS, ITEM_CONTRACT, ITEMS, TIMESTAMP_TYPE, Contract
from shelfwalk.data.validation import Block
from shelfwalk.errors import UserError

FILES = ("transactions.parquet",)

_LINES = Contract(
    "transactions",
    pa.schema(
        [
            ("timestamp", TIMESTAMP_TYPE),
            ("session_id", pa.string()),
            ("client_id", pa.string()),
            ("object_id", pa.string()),
            ("title", pa.string()),
            ("quantity", pa.int32()),
            ("price", pa.float64()),
            ("cancelled", pa.bool_()),
            ("adjusted", pa.bool_()),
        ]
    ),
    obligatory=("timestamp", "session_id", "object_id", "quantity", "price"),
    not_blank=("session_id", "object_id"),
    unique=(),
    defaults={"client_id": "", "title": ""},
)
_COLUMNS = {
    "timestamp": "invoice_date",
    "session_id": "invoice_no",
    "client_id": "customer_id",
    "object_id": "stock_code",
    "title": "description",
    "quantity": "quantity",
    "price": "unit_price",
}
# Blank codes pass, so that they are refused as bad rows and not taken for postage.
_PRODUCT_CODE = r"^(\d{5}[A-Z]{0,2}|DCGS\w+|\s*)$"
_SERVICES = pa.array(["22016", "23444", "23702"])
"""Codes in the form of a product's that are a gift voucher, a carriage charge and an image file."""
_SHOWN_CODES = 8


@dataclass
class _LineReader:
    """Turns blocks of transactions into lines of products, and counts the lines of every code that is no product."""

    path: Path
    left_out: Counter[str] = field(default_factory=Counter)

    def change(self, block: Block) -> Block:
        self._refuse_types(block)
        quantity = block.columns["quantity"]
        codes = pc.utf8_upper(block.columns["object_id"].cast(pa.string()))
        is_product = pc.and_(pc.match_substring_regex(codes, _PRODUCT_CODE), pc.invert(pc.is_in(codes, _SERVICES)))
        is_product = pc.fill_null(is_product, True)
        self.left_out.update(codes.filter(pc.invert(is_product)).to_pylist())
        cancelled = pc.starts_with(block.columns["session_id"].cast(pa.string()), "C")
        lines = {
            "object_id": codes,
            "title": _cleaned(block.columns["title"]),
            "quantity": pc.abs(quantity),
            "cancelled": cancelled,
            "adjusted": pc.and_(pc.less_equal(quantity, 0), pc.invert(cancelled)),
        }
        return filtered(changed(block, lines), is_product)

    def _refuse_types(self, block: Block) -> None:
        """Raise UserError for a column that cannot be read below; the others are looked at with the contract."""
        wanted = {"quantity": (pa.types.is_integer, "whole numbers")}
        wanted |= dict.fromkeys(("session_id", "object_id", "title"), (is_text, "text"))
        for name, (is_wanted, kind) in wanted.items():
            if not is_wanted(found := block.columns[name].type):
                raise UserError(f"{self.path}: the column '{_COLUMNS[name]}' holds values of type {found}, not {kind}.")

    def note(self) -> str:
        """One sentence on what was left out; the codes with most lines are named."""
        shown = ", ".join(f"{code} {count}" for code, count in self.left_out.most_common(_SHOWN_CODES))
        more = len(self.left_out) - _SHOWN_CODES
        others = f" and {more} more" if more > 0 else ""
        return (
            f"{self.left_out.total()} lines of {len(self.left_out)} codes that are no products are left out"
            f" ({shown}{others})."
        )


def _cleaned(descriptions: pa.Array) -> pa.Array:
    """Single spaces between words; no asterisk, full stop or comma at either end."""
    spaced = pc.replace_substring_regex(descriptions.cast(pa.string()), r"\s+", " ")
    return pc.utf8_trim(spaced, " .,*")


def open_online_retail(folder: Path, bad_rows_folder: Path | None = None) -> Dataset:
    """Open a folder in this layout; bad rows are refused, or set aside if there is a folder for them.

    `queries` and `judgements` are None. Raises UserError where no line is the sale of a product.
    """
    path = folder / FILES[0]
    reader = _LineReader(path)
    lines, bad_notes = read_layout(LayoutFile(path, _COLUMNS, reader.change), _LINES, bad_rows_folder)
    sales = _sales(lines)
    if not sales.num_rows:
        raise UserError(f"{path} has no line with a product, a quantity and a price, so nothing was sold.")
    bought = _purchases(sales)
    kept, returns = _after_returns(bought, lines.filter(lines["cancelled"]))
    events = _events(bought.filter(pa.array(kept)))
    items = with_buyers(_items(sales), events)
    notes = (
        "There are no queries, impressions or clicks: the events are purchases only, with an empty user_query.",
        "There is no category, brand or description beyond the title: these columns are empty.",
        "The price is the median unit price in GBP, the popularity the number of buyers over the whole period.",
        "Times are the shop's local ones, taken as UTC.",
        reader.note(),
        *_line_notes(lines, sales, bought),
        returns.note(),
        _buyer_note(events),
        *bad_notes,
    )
    return Dataset("online_retail", items, None, None, events, notes)


def _sales(lines: pa.Table) -> pa.Table:
    sold = pc.invert(pc.or_(lines["cancelled"], lines["adjusted"]))
    return lines.filter(pc.and_(sold, pc.greater(lines["price"], 0)))


def _line_notes(lines: pa.Table, sales: pa.Table, bought: pa.Table) -> tuple[str, ...]:
    cancelled, adjusted = (pc.sum(lines[name]).as_py() for name in ("cancelled", "adjusted"))
    unpaid = lines.num_rows - cancelled - adjusted - sales.num_rows
    codes, named = (pc.count_distinct(table["object_id"]).as_py() for table in (lines, sales))
    return (
        f"{adjusted} lines that change the stock and {unpaid} lines without a price are left out, and with them"
        f" {codes - named} product codes that were never sold.",
        f"{sales.num_rows - bought.num_rows} of {sales.num_rows} sale lines name an item that their invoice has already"
        " and are joined with it.",
    )


def _buyer_note(events: pa.Table) -> str:
    anonymous = pc.sum(pc.equal(events["client_id"], "")).as_py()
    return (
        f"{anonymous} of {events.num_rows} purchases have no customer; each of their invoices counts as a buyer of its"
        " own."
    )


def with_buyers(items: pa.Table, events: pa.Table) -> pa.Table:
    """The items with the number of their buyers in `events` as popularity.

    A buyer is a customer, or an invoice that names none. With the events before a split, popularity knows nothing of
    what came after.
    """
    anonymous = pc.equal(events["client_id"], "")
    invoices = pc.binary_join_element_wise("invoice ", events["session_id"], "")
    buyers = pa.table({"item": events["object_id"], "buyer": pc.if_else(anonymous, invoices, events["client_id"])})
    counts = buyers.group_by("item", use_threads=False).aggregate([("buyer", "count_distinct")])
    places = pc.index_in(items["item_id"], counts["item"].combine_chunks())
    popularity = pc.fill_null(counts["buyer_count_distinct"].take(places), 0).cast(pa.float64())
    return items.set_column(items.schema.get_field_index("popularity"), "popularity", popularity)


def _items(sales: pa.Table) -> pa.Table:
    """One row a stock code in order of the codes; of descriptions with as many lines, the first by the alphabet."""
    counts = sales.group_by(["object_id", "title"], use_threads=False).aggregate([([], "count_all")])
    ranked = counts.sort_by([("object_id", "ascending"), ("count_all", "descending"), ("title", "ascending")])
    best = ranked.filter(pc.not_equal(ranked["title"], "")).group_by("object_id", use_threads=False)
    titles = best.aggregate([("title", "first")])
    ids = titles["object_id"]
    medians = _medians(sales)
    columns = {"item_id": ids, "title": titles["title_first"], "price": [medians[code] for code in ids.to_pylist()]}
    defaults = ITEM_CONTRACT.defaults
    filled = {name: columns.get(name, [defaults.get(name)] * len(ids)) for name in ITEMS.names}
    return pa.table(filled, schema=ITEMS)


def _medians(sales: pa.Table) -> dict[str, float]:
    """The exact median unit price of the sale lines of every stock code."""
    by_price = sales.select(["object_id", "price"]).sort_by([("object_id", "ascending"), ("price", "ascending")])
    prices = by_price["price"].to_numpy()
    codes = by_price["object_id"].to_numpy(zero_copy_only=False)
    starts = np.flatnonzero(np.concatenate([[True], codes[1:] != codes[:-1]]))
    ends = np.append(starts[1:], len(codes))
    middles = (prices[(starts + ends - 1) // 2] + prices[(starts + ends) // 2]) / 2
    return dict(zip(codes[starts].tolist(), middles.tolist(), strict=True))


def _purchases(sales: pa.Table) -> pa.Table:
    """One row an item of an invoice, by time and then by place in the file; every row has its invoice's first time."""
    keys = ["session_id", "client_id", "object_id"]
    joined = sales.group_by(keys, use_threads=False).aggregate([("quantity", "sum")])
    times = sales.group_by("session_id", use_threads=False).aggregate([("timestamp", "min")])
    places = pc.index_in(joined["session_id"], times["session_id"].combine_chunks())
    joined = joined.append_column("timestamp", times["timestamp_min"].take(places))
    return joined.take(pc.sort_indices(joined, [("timestamp", "ascending")]))


def _events(bought: pa.Table) -> pa.Table:
    rows = bought.num_rows
    columns = {name: bought[name] for name in ("timestamp", "session_id", "client_id", "object_id")}
    columns |= {"query_id": [""] * rows, "user_query": [""] * rows, "action_name": ["purchase"] * rows}
    return pa.table(columns | {"ordinal": pa.nulls(rows, pa.int32())}).select(EVENTS.names).cast(EVENTS)


@dataclass
class _Returns:
    """How the lines of cancelled invoices were matched with purchases."""

    paired: int = 0
    spread: int = 0
    unmatched: int = 0
    removed: int = 0

    def note(self) -> str:
        return (
            f"Of {self.paired + self.spread + self.unmatched} returned lines {self.paired} have a purchase of the same"
            f" customer, item and quantity, {self.spread} were taken from purchases of other quantities,"
            f" {self.unmatched} have no purchases to cover them; {self.removed} purchases of which nothing was left"
            " are taken out."
        )


def _after_returns(bought: pa.Table, returned: pa.Table) -> tuple[npt.NDArray[np.bool_], _Returns]:
    """Which purchases are left when returns are taken from them, bool [purchases], and how the returns were matched.

    A return is taken from purchases of the same customer and item that are not later: from the latest of the same
    quantity if there is one, else from the latest ones until its quantity is used up. Where that is not enough (the
    purchase is older than the file), what there is is taken. A purchase of which some is left stays.
    """
    left = bought["quantity_sum"].to_numpy().copy()
    times = bought["timestamp"].cast(pa.int64()).to_pylist()
    known = returned.filter(pc.not_equal(returned["client_id"], "")).sort_by("timestamp")
    wanted = list(zip(known["client_id"].to_pylist(), known["object_id"].to_pylist(), strict=True))
    rows_of: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for row, key in enumerate(zip(bought["client_id"].to_pylist(), bought["object_id"].to_pylist(), strict=True)):
        rows_of[key].append(row)
    returns = _Returns(unmatched=returned.num_rows - known.num_rows)
    moments = known["timestamp"].cast(pa.int64()).to_pylist()
    for key, moment, quantity in zip(wanted, moments, known["quantity"].to_pylist(), strict=True):
        earlier = [row for row in reversed(rows_of.get(key, ())) if times[row] <= moment and left[row]]
        _take_back(left, earlier, quantity, returns)
    kept = left > 0
    returns.removed = int(np.count_nonzero(~kept))
    return kept, returns


def _take_back(left: npt.NDArray[np.int64], earlier: list[int], quantity: int, returns: _Returns) -> None:
    """Take one return from the purchases `earlier`, latest first."""
    if same := [row for row in earlier if left[row] == quantity]:
        left[same[0]] = 0
        returns.paired += 1
        return
    for row in earlier:
        taken = min(quantity, int(left[row]))
        left[row] -= taken
        quantity -= taken
    if quantity:
        returns.unmatched += 1
    else:
        returns.spread += 1

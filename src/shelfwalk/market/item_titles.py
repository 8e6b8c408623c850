"""Titles of generated items, in the disorder that real ones have.

In: the facts of a chunk of items. Out: a title each.

A title holds the kind, in one of its names, and by chance brand, product line, model number, some attribute values, an
adjective, more names of the kind, and selling words. Brands have habits in the order of these, kept two times of three;
some titles have no order at all. Separators and capitals vary, brands and values stand under nicknames now and then,
some words are misspelt. The shares are our own choice.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shelfwalk.market.item_facts import ItemFacts
from shelfwalk.market.item_features import NONE
from shelfwalk.market.misspellings import misspelt
from shelfwalk.market.text_pieces import TextPieces, joined

MISSPELT_SHARE = 0.04

_BRAND, _MODEL, _NOUN, _ADJECTIVE, _SYNONYM, _TAIL, _SERIES = range(7)
_VALUES = 7
"""Place of the first attribute value; the others follow."""
_SHARES = np.array([0.88, 0.85, 0.95, 0.25, 0.1, 0.22, 0.6])
_VALUE_SHARE = 0.5
_RANGE_NAMED = 0.4
"""Share of the tails that name the group or department, so that what shoppers call these stands in titles too."""
_FIRST_NOUN, _FIRST_BRAND, _FIRST_VALUE = 0.64, 0.9, 0.82
_ORDERS = np.array(
    [
        # brand model noun adjective synonym tail series values
        [0, 2, 4, 3, 8, 9, 1, 6],
        [0, 7, 2, 1, 8, 9, 3, 5],
        [2, 4, 1, 0, 8, 9, 3, 6],
        [3, 5, 2, 0, 8, 9, 4, 1],
        [0, 4, 3, 2, 8, 9, 1, 6],
        [6, 5, 1, 0, 8, 9, 4, 2],
    ],
    float,
)
_HABIT = 0.65
_NO_ORDER = 0.05
_STYLES = (
    # before the tail, before another name of the kind, before a value, before anything else
    (" ", " ", " ", " "),
    (" - ", ", ", ", ", " "),
    (" | ", " | ", " ", " "),
    (" - ", " / ", " / ", " "),
    (", ", ", ", ", ", ", "),
)
_STYLE_SHARES = np.cumsum([0.6, 0.18, 0.08, 0.07, 0.07])
_CAPITALS = 0.7
_ALL_SMALL, _ALL_CAPITALS = 0.05, 0.02

Rows = npt.NDArray[np.int64]


def write_titles(
    facts: ItemFacts, pieces: TextPieces, models: list[str], generator: np.random.Generator
) -> pa.StringArray:
    """Write the title of each item; `models` are the model numbers, "" where there is none."""
    pool = pa.concat_arrays([pieces.pool, pa.array(models, pa.string())])
    model = np.where(np.array(models) == "", NONE, len(pieces.pool) + np.arange(len(facts)))
    chosen = _chosen_pieces(facts, pieces, model, generator)
    order = _orders(facts.brand, chosen.shape[1], generator)
    separators = _separators(pieces, chosen.shape, generator)
    titles = joined(
        pool,
        np.take_along_axis(chosen, order, axis=1),
        np.take_along_axis(separators, order, axis=1),
        pieces.separators[""],
    )
    return _with_slips(_in_odd_case(titles, generator), generator)


def _chosen_pieces(facts: ItemFacts, pieces: TextPieces, model: Rows, generator: np.random.Generator) -> Rows:
    """The piece at each place of each title before ordering, int64 [items, places]; NONE where there is none."""
    count, values = facts.values[:, :-1].shape
    draws = generator.random((count, _VALUES + values))
    tail = _any_of(pieces.tails.first, draws[:, _TAIL])
    of_range = pieces.ranges.choose(facts.leaf, draws[:, _TAIL], 0.1)
    series = pieces.values.choose(facts.values[:, -1], draws[:, _SERIES], _FIRST_VALUE)
    noun = pieces.nouns.choose(facts.leaf, draws[:, _NOUN], _FIRST_NOUN)
    chosen = np.column_stack(
        [
            pieces.brands.choose(facts.brand, draws[:, _BRAND], _FIRST_BRAND),
            model,
            noun,
            _any_of(pieces.adjectives.first, draws[:, _ADJECTIVE]),
            pieces.nouns.choose(facts.leaf, draws[:, _SYNONYM], 0.2),
            np.where(generator.random(count) < _RANGE_NAMED, of_range, tail),
            series,
            pieces.values.choose(facts.values[:, :-1], draws[:, _VALUES:], _FIRST_VALUE),
        ]
    )
    kept = generator.random(chosen.shape) < np.concatenate([_SHARES, np.full(values, _VALUE_SHARE)])
    # Something must say what it is.
    kept[:, _NOUN] |= (chosen[:, _BRAND] == NONE) | ~kept[:, _BRAND]
    kept[:, _SYNONYM] &= chosen[:, _SYNONYM] != noun
    capitals = generator.random((count, 1)) < _CAPITALS
    phrase = (chosen != NONE) & (chosen < pieces.capital_step)
    chosen = chosen + np.where(phrase & capitals, pieces.capital_step, 0)
    return np.where(kept, chosen, NONE)


def _any_of(rows: Rows, draws: npt.NDArray[np.float64]) -> Rows:
    return rows[(draws * len(rows)).astype(np.int64)]


def _orders(brand: npt.NDArray[np.int32], places: int, generator: np.random.Generator) -> Rows:
    """The order of the places in each title, int64 [items, places]."""
    count = len(brand)
    any_order = generator.integers(0, len(_ORDERS), count)
    order = np.where(generator.random(count) < _HABIT, brand % len(_ORDERS), any_order)
    keys = _ORDERS[order][:, [*range(_VALUES), *[_VALUES] * (places - _VALUES)]]
    draws = generator.random((count, places))
    keys[:, _VALUES:] += draws[:, _VALUES:]
    keys = np.where(generator.random((count, 1)) < _NO_ORDER, draws, keys)
    return np.argsort(keys, axis=1, kind="stable")


def _separators(pieces: TextPieces, shape: tuple[int, ...], generator: np.random.Generator) -> Rows:
    """What stands before each place of each title if another place is before it, int64 [items, places]."""
    table = np.empty((len(_STYLES), shape[1]), np.int64)
    for row, style in zip(table, _STYLES, strict=True):
        tail, synonym, value, other = (pieces.separators[separator] for separator in style)
        row[:] = other
        row[_TAIL], row[_SYNONYM], row[_VALUES:] = tail, synonym, value
    styles = np.searchsorted(_STYLE_SHARES[:-1], generator.random(shape[0]), side="right")
    return table[styles]


def _in_odd_case(titles: pa.StringArray, generator: np.random.Generator) -> pa.StringArray:
    draws = generator.random(len(titles))
    small, capital = pa.array(draws < _ALL_SMALL), pa.array(draws >= 1 - _ALL_CAPITALS)
    return pc.if_else(small, pc.utf8_lower(titles), pc.if_else(capital, pc.utf8_upper(titles), titles))


def _with_slips(titles: pa.StringArray, generator: np.random.Generator) -> pa.StringArray:
    chosen = generator.random(len(titles)) < MISSPELT_SHARE
    slips = misspelt(titles.filter(pa.array(chosen)).to_pylist(), generator)
    return pc.replace_with_mask(titles, pa.array(chosen), pa.array(slips, pa.string()))

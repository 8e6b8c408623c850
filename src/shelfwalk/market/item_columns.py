"""The rows of the items table, made of facts.

In: the facts of a chunk of items. Out: a record batch in the `ITEMS` schema. What the shop's data says is not all of
what is true: some attributes are left out, some brands, some descriptions.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shelfwalk.data.tables import ATTRIBUTES_TYPE, CATEGORY_TYPE, ITEMS
from shelfwalk.market.assortment import Assortment
from shelfwalk.market.item_facts import ItemFacts
from shelfwalk.market.item_features import NONE
from shelfwalk.market.item_titles import write_titles
from shelfwalk.market.text_pieces import TextPieces, joined

MODEL = "Model"
"""Attribute of model numbers, which no value stands for."""

_HAS_MODEL = 0.6
_LISTED = 0.88
_BRAND_LISTED = 0.97
_DESCRIBED = 0.82
_DESCRIBED_VALUES = 0.6
_SENTENCES = (0.8, 0.4)
_FIRST_PHRASE = 0.85


def item_rows(
    facts: ItemFacts, first: int, assortment: Assortment, pieces: TextPieces, generator: np.random.Generator
) -> pa.RecordBatch:
    """Make the rows of the items from number `first` on."""
    models = _model_numbers(facts.brand, assortment, generator)
    brand_known = (facts.brand != NONE) & (generator.random(len(facts)) < _BRAND_LISTED)
    names = pa.array([*(phrases[0] for phrases in assortment.lexicon.brands), ""])
    paths = pa.array([assortment.tree.paths[node] for node in assortment.leaves.node.tolist()], CATEGORY_TYPE)
    columns = [
        _identifiers(first, len(facts)),
        write_titles(facts, pieces, models, generator),
        _descriptions(facts, pieces, generator),
        names.take(pa.array(np.where(brand_known, facts.brand, len(names) - 1))),
        paths.take(pa.array(facts.leaf)),
        _attributes(facts, models, assortment, generator),
        pa.array(facts.cents / 100),
        pa.array(facts.sales),
        pa.array(facts.available),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=ITEMS)


def _identifiers(first: int, count: int) -> pa.StringArray:
    numbers = pc.cast(pa.array(np.arange(first + 1, first + count + 1)), pa.string())
    return pc.binary_join_element_wise("i", pc.ascii_lpad(numbers, 8, "0"), "")


def _model_numbers(brand: npt.NDArray[np.int32], assortment: Assortment, generator: np.random.Generator) -> list[str]:
    """A model number such as "VM-210" or "VM 4350B" of some branded items, "" for the others."""
    prefixes = [_prefix(phrases[0]) for phrases in assortment.lexicon.brands]
    has = (brand != NONE) & (generator.random(len(brand)) < _HAS_MODEL)
    digits = 10 ** generator.integers(2, 5, len(brand))
    numbers = (generator.random(len(brand)) * 0.9 * digits + digits / 10).astype(np.int64)
    shapes = generator.integers(0, 6, len(brand))
    joints, suffixes = ("-", "-", " ", "", "", "-"), ("", "", "", "B", "X", "S")
    rows = zip(has.tolist(), brand.tolist(), numbers.tolist(), shapes.tolist(), strict=True)
    return [
        f"{prefixes[b]}{joints[shape]}{number}{suffixes[shape]}" if there else "" for there, b, number, shape in rows
    ]


def _prefix(name: str) -> str:
    """The first letter and the next consonant: "Velmar" gives "VL"."""
    letters = name.split()[0].upper()
    return letters[0] + next((letter for letter in letters[1:] if letter not in "AEIOU"), letters[-1])


def _descriptions(facts: ItemFacts, pieces: TextPieces, generator: np.random.Generator) -> pa.StringArray:
    """One to three plain sentences, or "" where the shop has no description."""
    count, values = facts.values.shape
    draws = generator.random((count, 4 + values))
    sentences = pieces.sentences.first[(draws[:, 2:4] * len(pieces.sentences.first)).astype(np.int64)]
    sentences = np.where(generator.random(sentences.shape) < _SENTENCES, sentences, NONE)
    said = pieces.values.choose(facts.values, draws[:, 4:], _FIRST_PHRASE)
    said = np.where(generator.random(said.shape) < _DESCRIBED_VALUES, said, NONE)
    chosen = np.column_stack(
        [
            pieces.nouns.choose(facts.leaf, draws[:, 0], _FIRST_PHRASE) + pieces.capital_step,
            pieces.brands.choose(facts.brand, draws[:, 1], 1.0 - 1e-9),
            said,
            sentences,
            np.full(count, pieces.separators["."]),
        ]
    )
    chosen[generator.random(count) >= _DESCRIBED] = NONE
    glue = pieces.separators
    before = np.array([glue[""], glue[" by "], *[glue[", "]] * values, glue[". "], glue[". "], glue[""]])
    separators = np.broadcast_to(before, chosen.shape).copy()
    # The first value opens the list.
    opening = (chosen != NONE)[:, 2 : 2 + values] & (np.cumsum(chosen[:, 2 : 2 + values] != NONE, axis=1) == 1)
    separators[:, 2 : 2 + values][opening] = glue[". Features: "]
    return joined(pieces.pool, chosen, separators, glue[""])


def _attributes(
    facts: ItemFacts, models: list[str], assortment: Assortment, generator: np.random.Generator
) -> pa.MapArray:
    """The attributes that the shop has of each item, in any order that the kind has them, model numbers last."""
    lexicon = assortment.lexicon
    listed = np.where(generator.random(facts.values.shape) < _LISTED, facts.values, NONE)
    names = pa.array([*lexicon.value_attributes, MODEL])
    texts = pa.concat_arrays([pa.array([phrases[0] for phrases in lexicon.values]), pa.array(models, pa.string())])
    model = np.where(np.array(models) == "", NONE, len(lexicon.values) + np.arange(len(facts)))
    entries = np.column_stack([listed, model])
    present = entries != NONE
    flat = entries[present]
    offsets = np.concatenate(([0], np.cumsum(present.sum(axis=1)))).astype(np.int32)
    keys = names.take(pa.array(np.minimum(flat, len(lexicon.values))))
    return pa.MapArray.from_arrays(pa.array(offsets), keys, texts.take(pa.array(flat)), ATTRIBUTES_TYPE)

"""What is derived from a real catalogue: everything that its table says, and a sentence for what it lacks."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from shelfwalk.data.tables import ITEMS
from shelfwalk.errors import UserError
from shelfwalk.market.catalogue import Catalogue
from shelfwalk.market.item_features import NONE
from shelfwalk.market.real_catalogue import describe_catalogue
from small_shop import catalogue, product, products

START, SPLIT, END = 1_000_000, 2_000_000, 3_000_000


def described(rows: list[dict[str, object]], seed: int = 1) -> tuple[Catalogue, tuple[str, ...]]:
    return describe_catalogue(catalogue(rows), seed, START, SPLIT, END)


def rows(count: int, **values: object) -> list[dict[str, object]]:
    """So many products of two categories; a value may be a function of the number."""
    return [
        product(
            f"p{number}",
            f"thing {number} in red",
            **{
                "category": ["Home", "Lamps" if number % 2 else "Rugs"],
                "price": 5.0 + number,
                "popularity": float(number),
                **{name: value(number) if callable(value) else value for name, value in values.items()},
            },
        )
        for number in range(count)
    ]


def test_a_whole_shop_is_described_without_a_note() -> None:
    table = list(products())
    for number, row in enumerate(table):
        row["popularity"] = number % 7
    found, notes = described(table)
    assert notes == ()
    features, tree, lexicon = found.features, found.tree, found.lexicon
    assert tree.paths[:3] == (("Computers",), ("Computers", "Hubs"), ("Computers", "Mice"))
    for row, item in enumerate(table):
        assert list(tree.paths[features.category[row]]) == item["category"]
        assert lexicon.brands[features.brand[row]][0] == item["brand"]
        assert features.price[row] == np.float32(item["price"])
        values = features.values[features.value_offsets[row] : features.value_offsets[row + 1]]
        true = {(lexicon.value_attributes[value], lexicon.values[value][0]) for value in values.tolist()}
        assert true <= set(item["attributes"])
        assert ("Variant", dict(item["attributes"])["Variant"]) in true
    assert len(lexicon.categories) == len(tree)
    assert features.popularity.sum() == pytest.approx(1, abs=1e-5)
    assert features.popularity.min() > 0


def test_the_types_are_those_of_a_generated_catalogue() -> None:
    features = described(rows(30))[0].features
    types = {name: column.dtype.name for name, column in vars(features).items()}
    assert types == {
        "category": "int32", "brand": "int32", "price": "float32", "price_level": "float32", "popularity": "float32",
        "quality": "float32", "value_offsets": "int64", "values": "int32", "appears": "int64",
    }  # fmt: skip
    assert len(features.value_offsets) == 31


def test_a_catalogue_without_categories_is_refused_in_one_sentence() -> None:
    for category in ([], [" "], ["", ""]):
        with pytest.raises(UserError, match=r"^No item of the catalogue has a category.* 'category'[^.]*\.$"):
            described(rows(5, category=category))
    empty = pa.Table.from_pylist([], schema=ITEMS)
    with pytest.raises(UserError, match="category"):
        describe_catalogue(empty, 1, START, SPLIT, END)


def test_items_without_a_category_stay_and_are_counted() -> None:
    found, notes = described(rows(8, category=lambda number: ["Home", " Lamps "] if number else []))
    assert notes == ("1 of 8 items have no category.",)
    assert found.features.category.tolist() == [NONE] + [1] * 7
    assert found.tree.paths == (("Home",), ("Home", "Lamps"))


def test_without_prices_they_are_drawn_by_category_and_a_note_says_so() -> None:
    found, notes = described(rows(4_000, price=None))
    assert notes == ("The catalogue has no prices: they are drawn, log-normal by category.",)
    price, category = found.features.price, found.features.category
    assert (price > 0).all()
    spreads = [np.log(price[category == node]).std() for node in set(category.tolist())]
    assert spreads == pytest.approx([0.4, 0.4], abs=0.03)
    means = [np.log(price[category == node]).mean() for node in set(category.tolist())]
    assert means[0] != pytest.approx(means[1], abs=0.05)


def test_single_missing_prices_are_drawn_near_those_of_the_category() -> None:
    def price(number: int) -> float | None:
        return None if number < 400 else 0.0 if number < 500 else (1_000.0 if number % 2 else 2.0)

    found, notes = described(rows(2_000, price=price))
    assert notes == ("500 of 2,000 items have no price: theirs are drawn around the median of their category.",)
    drawn, category = found.features.price[:500], found.features.category[:500]
    lamps = np.array([found.tree.paths[node][-1] == "Lamps" for node in category])
    assert np.median(drawn[lamps]) == pytest.approx(1_000, rel=0.15)
    assert np.median(drawn[~lamps]) == pytest.approx(2, rel=0.15)
    assert (found.features.price[500:] == [1_000.0 if number % 2 else 2.0 for number in range(500, 2_000)]).all()


def test_a_category_without_any_price_takes_the_usual_one() -> None:
    found, _ = described(rows(1_000, price=lambda number: None if number % 2 else 50.0))
    assert np.median(found.features.price[1::2]) == pytest.approx(50, rel=0.1)


def test_popularity_is_taken_or_drawn() -> None:
    taken, notes = described(rows(50))
    assert notes == ()
    popularity = taken.features.popularity
    assert popularity[0] == pytest.approx(popularity[1] / 2)
    assert popularity[40] == pytest.approx(40 * popularity[1])
    drawn, notes = described(rows(5_000, popularity=0.0))
    assert notes == ("The catalogue has no popularity: it is drawn, with a long tail.",)
    shares = np.sort(drawn.features.popularity)[::-1]
    assert 0.5 < shares[:1_000].sum() < 0.9


def test_the_seed_decides_what_is_drawn_and_nothing_else() -> None:
    ours, again, other = (described(rows(200, price=None, popularity=0.0), seed)[0] for seed in (1, 1, 2))
    for name, column in vars(ours.features).items():
        assert (column == getattr(again.features, name)).all()
    for name in ("price", "popularity", "quality", "appears"):
        assert (getattr(ours.features, name) != getattr(other.features, name)).any()
    assert (ours.features.values == other.features.values).all()
    assert ours.lexicon == other.lexicon


def test_some_items_appear_later() -> None:
    appears = described(rows(4_000))[0].features.appears
    assert (appears > SPLIT).mean() == pytest.approx(0.05, abs=0.015)
    assert ((appears > START) & (appears <= SPLIT)).mean() == pytest.approx(0.1, abs=0.02)
    assert appears.max() < END
    never = describe_catalogue(catalogue(rows(50)), 1, START, SPLIT, END, new_share=0, cold_share=0)[0]
    assert (never.features.appears == 0).all()


def test_writings_of_a_brand_are_one_brand() -> None:
    names = ["Tripp Lite", "TRIPP LITE", " Tripp Lite ", "Acme", "", "Acme"]
    found, _ = described(rows(6, brand=lambda number: names[number]))
    assert found.lexicon.brands[0][0] == "Tripp Lite"
    assert {"tripplite", "tl", "tripp"} <= set(found.lexicon.brands[0])
    brand = found.features.brand
    assert brand[0] == brand[1] == brand[2] != brand[3] == brand[5]
    assert brand[4] == NONE


def test_values_are_those_that_several_items_share_and_a_title_mentions() -> None:
    def attributes(number: int) -> list[tuple[str, str]]:
        found = [("Colour", "red"), ("Country", "Utopia")] if number < 10 else [("Colour", "red ")]
        found += [("Size", "10 cm")] if number == 3 else []
        return [*found, ("Certified", "yes"), ("Made for", "thing"), ("Number", f"thing {number}")]

    found, _ = described(rows(25, attributes=attributes))
    # All have "yes" and most are "red": such a value says nothing; nobody speaks of Utopia; each number is its own.
    assert found.lexicon.values == ()
    assert found.features.values.tolist() == []

    found, _ = described(rows(60, attributes=lambda number: attributes(number) if number < 25 else []))
    assert found.lexicon.values == (("red",), ("thing",))
    assert found.lexicon.value_attributes == ("Colour", "Made for")
    assert found.features.value_offsets.tolist() == [*range(0, 51, 2), *[50] * 35]
    assert found.features.values.tolist() == [0, 1] * 25


def test_a_slice_of_a_table_is_described_like_a_table_of_its_own() -> None:
    colours = rows(60, attributes=lambda number: [("Colour", "red")] if number % 3 == 0 else [], price=None)
    whole = catalogue(colours)
    cut = describe_catalogue(pa.concat_tables([whole.slice(20, 17), whole.slice(37)]), 5, START, SPLIT, END)
    own = describe_catalogue(catalogue(colours[20:]), 5, START, SPLIT, END)
    assert cut[0].lexicon == own[0].lexicon
    for name, column in vars(own[0].features).items():
        assert (getattr(cut[0].features, name) == column).all(), name

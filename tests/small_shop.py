"""A made-up shop, small enough to be built in seconds: its products, queries, judgements and recipe, and its files.

120 products: 8 kinds in 5 brands and 3 variants each. `SmallShop` names the files of the shop as a user would have
them; `copy_of` gives a test a shelf of its own.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from shelfwalk.data.tables import ITEMS
from shelfwalk.recipes.recipe import Recipe, load_recipe

KINDS = {
    "usb hub": ("Computers", "Hubs", ("4 ports", "7 ports", "10 ports")),
    "usb c charger": ("Power", "Chargers", ("30 watt", "65 watt", "100 watt")),
    "laptop sleeve": ("Computers", "Sleeves", ("grey felt", "black neoprene", "blue canvas")),
    "wireless mouse": ("Computers", "Mice", ("silent", "vertical", "travel")),
    "desk lamp": ("Home", "Lamps", ("warm white", "dimmable", "clamp")),
    "coffee grinder": ("Home", "Grinders", ("ceramic burr", "steel burr", "hand crank")),
    "printer paper": ("Office", "Paper", ("recycled", "glossy", "heavy")),
    "ink cartridge": ("Office", "Ink", ("black", "cyan", "yellow")),
}
BRANDS = ("Altomar", "Brennik", "Cordwell", "Dunlo", "Evanta")


@dataclass(frozen=True)
class SmallShop:
    """The shop's files, and its shelf, which no test may change.

    `recipe_file` builds it; `judgements` grade every item of a query's kind 2 and those of its brand 1.
    """

    folder: Path
    recipe: Recipe
    shelf: Path

    @property
    def items_file(self) -> Path:
        return self.folder / "items.parquet"

    @property
    def recipe_file(self) -> Path:
        return self.folder / "small.toml"

    @property
    def queries_file(self) -> Path:
        return self.folder / "queries.csv"

    @property
    def judgements_file(self) -> Path:
        return self.folder / "judgements.csv"

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    def items(self) -> pa.Table:
        return pq.read_table(self.items_file, schema=ITEMS)

    def copy_of_shelf(self, folder: Path) -> Path:
        """A shelf of the caller's own, with all that the build left in it: the same build again takes no time."""
        return Path(shutil.copytree(self.shelf, folder / "own.shelf"))


@dataclass(frozen=True)
class Ran:
    """What a command left: its exit status and what it printed."""

    status: int
    out: str
    err: str

    def refused(self, *words: str) -> None:
        """Assert that it ended as a mistake of the user's must: status 2 and one sentence with these words."""
        assert self.status == 2, self
        assert self.out == ""
        sentence, *more = self.err.splitlines()
        assert not more
        assert sentence.startswith("shelfwalk: ")
        assert sentence.endswith(".")
        for word in words:
            assert word in sentence


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def product(item_id: str, title: str, **values: object) -> dict[str, object]:
    """One row of a catalogue."""
    return {
        "item_id": item_id,
        "title": title,
        "description": "",
        "brand": "",
        "category": [],
        "attributes": [],
        "price": None,
        "popularity": 0.0,
        "available": True,
        **values,
    }


def products() -> Iterable[dict[str, object]]:
    for kind, (root, leaf, variants) in KINDS.items():
        for brand in BRANDS:
            for number, variant in enumerate(variants):
                yield product(
                    f"{kind.replace(' ', '-')}-{brand.lower()}-{number}",
                    f"{brand} {kind} {variant}",
                    description=f"A {variant} {kind} made by {brand} for the office and at home.",
                    brand=brand,
                    category=[root, leaf],
                    attributes=[("Variant", variant), ("Size", f"{number + 1} cm")],
                    price=10.0 + number,
                )


def catalogue(rows: Iterable[dict[str, object]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=ITEMS)


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def write_shop(folder: Path, encoder: Path) -> SmallShop:
    """Write the shop's files into `folder`; its shelf is not built yet."""
    shop = SmallShop(folder, _write_recipe(folder / "small.toml", encoder), folder / "small.shelf")
    rows = list(products())
    pq.write_table(catalogue(rows), shop.items_file)
    kinds = list(KINDS)
    # Spelt as no pseudo-query is, so that they are about the shop and yet not made from it.
    queries = [(f"q{number}", f"best {kind} for a {BRANDS[number % 5]} fan") for number, kind in enumerate(kinds)]
    write_csv(shop.queries_file, ("query_id", "query"), [*queries, ("q8", "usb hub"), ("q9", "nothing of this shop")])
    graded = [
        (f"q{number}", row["item_id"], 2 if kind in str(row["title"]) else 1)
        for number, kind in [*enumerate(kinds), (8, "usb hub")]
        for row in rows
        if kind in str(row["title"]) or row["brand"] == BRANDS[number % 5]
    ]
    write_csv(shop.judgements_file, ("query_id", "item_id", "grade"), [*graded, ("q9", rows[0]["item_id"], 0)])
    return shop


def _write_recipe(path: Path, encoder: Path) -> Recipe:
    path.write_text(
        f"""name = "small"
[encoder]
model = "{encoder}"
[tokenizer]
kind = "residual_kmeans"
level_sizes = [8, 8]
[generator]
width = 32
layers = 1
heads = 2
[pseudo_queries]
held_out = 0.1
[training]
steps = 40
batch = 64
warm_up_steps = 5
validate_every = 10
[generative]
beam = 10
""",
        encoding="utf-8",
    )
    return load_recipe(str(path))

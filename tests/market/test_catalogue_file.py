"""The file of a generated catalogue: it keeps the contract, agrees with the features, comes out the same again."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from generated_catalogues import END, SPLIT, START, Generated, generated
from pydantic import ValidationError

from shelfwalk.data.readers import read_items
from shelfwalk.data.tables import ITEMS
from shelfwalk.market import catalogue as catalogue_module
from shelfwalk.market.assortment import draw_assortment
from shelfwalk.market.catalogue import CatalogueSettings, draw_chunk, generate_catalogue
from shelfwalk.market.item_columns import MODEL
from shelfwalk.market.item_facts import AppearanceLaw
from shelfwalk.market.item_features import NONE
from shelfwalk.market.text_pieces import gather_pieces


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Generated:
    return generated(tmp_path_factory.mktemp("catalogue"), 3_000)


def test_the_file_keeps_the_contract_of_items(shop: Generated) -> None:
    read = read_items(shop.path)
    assert read.bad_rows == 0
    assert read.notices() == ()
    assert shop.items.schema.equals(ITEMS)
    # Nothing needed mending on the way in.
    assert read.table.equals(shop.items)
    assert shop.items.num_rows == len(shop.catalogue.features) == 3_000


def test_features_and_rows_say_the_same(shop: Generated) -> None:
    features, lexicon, tree = shop.catalogue.features, shop.catalogue.lexicon, shop.catalogue.tree
    listed_brands = listed_values = 0
    for row, item in enumerate(shop.items.to_pylist()):
        assert tuple(item["category"]) == tree.paths[features.category[row]]
        assert features.price[row] == np.float32(item["price"])
        brand = lexicon.brands[features.brand[row]][0] if features.brand[row] != NONE else ""
        assert item["brand"] in ("", brand)
        listed_brands += item["brand"] != ""
        values = features.values[features.value_offsets[row] : features.value_offsets[row + 1]]
        assert (np.diff(values) > 0).all()
        true = {(lexicon.value_attributes[value], lexicon.values[value][0]) for value in values.tolist()}
        told = {(name, text) for name, text in item["attributes"] if name != MODEL}
        assert told <= true
        assert len({name for name, _ in item["attributes"]}) == len(item["attributes"])
        listed_values += len(told)
        if features.appears[row]:
            assert item["popularity"] == 0
    # Some of what is true is left out, most is not.
    assert 0.9 * (features.brand != NONE).sum() < listed_brands < (features.brand != NONE).sum()
    assert 0.8 * len(features.values) < listed_values < 0.95 * len(features.values)


def test_features_are_what_they_promise(shop: Generated) -> None:
    features, lexicon = shop.catalogue.features, shop.catalogue.lexicon
    assert len(lexicon.categories) == len(shop.catalogue.tree)
    assert len(lexicon.values) == len(lexicon.value_attributes)
    assert (features.price > 0).all()
    assert (features.popularity > 0).all()
    assert features.popularity.sum(dtype=np.float64) == pytest.approx(1, abs=1e-5)
    assert features.quality.mean(dtype=np.float64) == pytest.approx(0, abs=1e-4)
    assert features.quality.std(dtype=np.float64) == pytest.approx(1, abs=1e-4)
    assert features.value_offsets[0] == 0
    assert features.value_offsets[-1] == len(features.values)
    assert features.values.min() >= 0
    assert features.values.max() < len(lexicon.values)
    assert features.brand.min() == NONE
    assert features.brand.max() < len(lexicon.brands)
    types = {name: column.dtype.name for name, column in vars(features).items()}
    assert types == {
        "category": "int32", "brand": "int32", "price": "float32", "price_level": "float32", "popularity": "float32",
        "quality": "float32", "value_offsets": "int64", "values": "int32", "appears": "int64",
    }  # fmt: skip


def test_some_items_appear_during_the_log_and_some_after_its_split(shop: Generated) -> None:
    appears = shop.catalogue.features.appears
    cold, new = appears > SPLIT, (appears > START) & (appears <= SPLIT)
    assert (appears[~cold & ~new] == 0).all()
    assert appears.max() < END
    assert cold.mean() == pytest.approx(0.05, abs=0.015)
    assert new.mean() == pytest.approx(0.1, abs=0.02)


def test_the_same_seed_gives_the_same_bytes_whatever_the_hash_seed(tmp_path: Path) -> None:
    ours = generated(tmp_path, 300, seed=11)
    script = (
        "import sys; from pathlib import Path; from shelfwalk.market.catalogue import *;"
        f"generate_catalogue(CatalogueSettings(items=300), 11, Path(sys.argv[1]), {START}, {SPLIT}, {END})"
    )
    theirs = tmp_path / "theirs.parquet"
    environment = {**os.environ, "PYTHONHASHSEED": "4711"}
    subprocess.run([sys.executable, "-c", script, str(theirs)], check=True, env=environment)
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (ours.path, theirs)]
    assert digests[0] == digests[1]
    assert generated(tmp_path, 300, seed=12).path.read_bytes() != theirs.read_bytes()


def test_a_chunk_depends_on_its_number_alone_and_is_a_row_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue_module, "CHUNK", 200)
    shop = generated(tmp_path, 900)
    file = pq.ParquetFile(shop.path)
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [200, 200, 200, 200, 100]
    assortment = draw_assortment(900, 3)
    appearance = AppearanceLaw(0.1, 0.05, START, SPLIT, END)
    facts, rows = draw_chunk(assortment, gather_pieces(assortment), appearance, 3, 2, 200)
    assert rows.to_pylist() == shop.items.slice(400, 200).to_pylist()
    assert (facts.brand == shop.catalogue.features.brand[400:600]).all()
    assert (facts.appears == shop.catalogue.features.appears[400:600]).all()
    assert shop.items["title"].slice(0, 200) != shop.items["title"].slice(200, 200)


def test_what_breaks_off_leaves_no_file(tmp_path: Path) -> None:
    def interrupted(stage: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "items.parquet"
    with pytest.raises(KeyboardInterrupt):
        generate_catalogue(CatalogueSettings(items=100), 1, path, START, SPLIT, END, interrupted)
    assert list(tmp_path.iterdir()) == []
    path.write_bytes(b"the former one")
    with pytest.raises(KeyboardInterrupt):
        generate_catalogue(CatalogueSettings(items=100), 1, path, START, SPLIT, END, interrupted)
    assert path.read_bytes() == b"the former one"


def test_progress_is_told_chunk_by_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue_module, "CHUNK", 200)
    told: list[tuple[str, int, int]] = []
    path = tmp_path / "items.parquet"
    generate_catalogue(CatalogueSettings(items=500), 1, path, START, SPLIT, END, lambda *step: told.append(step))
    assert told == [("Generating items", done, 500) for done in (200, 400, 500)]


@pytest.mark.parametrize(
    "impossible",
    [{"items": 0}, {"items": 99}, {"items": 10_000_001}, {"items": -5}, {"cold_share": 0.9}, {"new_share": -0.1}],
)
def test_impossible_sizes_are_refused(impossible: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(impossible))):
        CatalogueSettings(**impossible)  # type: ignore[arg-type]


@pytest.mark.parametrize("items", [100, 101, 137])
def test_the_smallest_catalogues_are_whole(tmp_path: Path, items: int) -> None:
    shop = generated(tmp_path, items)
    assert read_items(shop.path).table.num_rows == items
    assert len(set(shop.items["item_id"].to_pylist())) == items
    assert (np.bincount(shop.catalogue.features.category)[shop.assortment.leaves.node] > 0).all()

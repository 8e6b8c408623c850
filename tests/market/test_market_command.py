"""The verb `market`: what it makes, what it prints, and one sentence for each mistake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import typer

from shelfwalk.cli import run
from shelfwalk.commands.market import market
from shelfwalk.market.market import Market
from shelfwalk.market.settings import STANDARD, STANDARD_SEED
from small_shop import Ran, SmallShop, catalogue, files_of, product, products, write_csv

Run = Callable[..., Ran]
SIZES = ("--items", 300, "--shoppers", 40, "--sessions", 300, "--days", 10)


@pytest.fixture
def run_market(capsys: pytest.CaptureFixture[str]) -> Run:
    application = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    application.command()(market)

    def run_it(*arguments: object) -> Ran:
        capsys.readouterr()
        status = run(application, [str(argument) for argument in arguments])
        return Ran(status, *capsys.readouterr())

    return run_it


def test_a_market_is_made_and_summed_up(run_market: Run, tmp_path: Path) -> None:
    ran = run_market(*SIZES, "--clicks", "cascade", "--seed", 3, "--out", tmp_path / "made")
    assert ran.status == 0
    made = Market.open(tmp_path / "made")
    assert (made.settings.catalogue.items, made.settings.shoppers, made.settings.sessions) == (300, 40, 300)
    assert (made.settings.days, made.settings.clicks.model, made.seed) == (10, "cascade", 3)
    assert "simulated market" in ran.out
    for words in (made.hash, "cold items", f"{made.manifest.counts['impression_events']:,}"):
        assert words in ran.out
    assert f"Next: shelfwalk build --items {tmp_path}/made/items.parquet" in ran.out
    assert "Writing the log" in ran.err


def test_what_is_not_given_is_as_in_the_standard_market(run_market: Run, tmp_path: Path) -> None:
    run_market("--items", 300, "--sessions", 0, "--out", tmp_path / "made", "--quiet")
    made = Market.open(tmp_path / "made")
    expected = STANDARD.model_dump()
    expected["catalogue"]["items"], expected["sessions"] = 300, 0
    assert made.settings.model_dump() == expected
    assert made.seed == STANDARD_SEED
    assert made.manifest.name is None


def test_quiet_prints_nothing(run_market: Run, tmp_path: Path) -> None:
    assert run_market(*SIZES, "--out", tmp_path / "made", "--quiet") == Ran(0, "", "")


def test_standard_stands_for_its_settings(run_market: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def stand_in(*arguments: object) -> None:
        asked.extend(arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr("shelfwalk.market.market.make_market", stand_in)
    assert run_market("--standard", "--out", tmp_path / "made").status == 130
    assert asked[:4] == [STANDARD, STANDARD_SEED, tmp_path / "made", None]


def test_a_file_is_a_real_catalogue(run_market: Run, tmp_path: Path) -> None:
    pq.write_table(catalogue(products()), tmp_path / "mine.parquet")
    ran = run_market(
        "--catalogue", tmp_path / "mine.parquet", "--sessions", 100, "--shoppers", 9, "--out", tmp_path / "made"
    )
    assert ran.status == 0
    assert Market.open(tmp_path / "made").items().equals(catalogue(products()))


def test_a_file_may_call_its_columns_otherwise(run_market: Run, tmp_path: Path) -> None:
    rows = [(str(n), f"{kind} {n}", f"Home > {kind}", 5 + n) for n, kind in enumerate(("lamp", "desk", "mug") * 30)]
    write_csv(tmp_path / "mine.csv", ("sku", "title", "category", "price"), rows)
    asked = ("--catalogue", tmp_path / "mine.csv", "--sessions", 50, "--shoppers", 9, "--out", tmp_path / "made")
    run_market(*asked).refused("no column 'item_id'", "--column")
    assert run_market(*asked, "--column", "item_id=sku").status == 0
    assert Market.open(tmp_path / "made").items()["item_id"].to_pylist() == [row[0] for row in rows]


def test_a_shelf_is_a_real_catalogue(run_market: Run, small_shop: SmallShop, tmp_path: Path) -> None:
    ran = run_market(
        "--catalogue", small_shop.shelf, "--sessions", 50, "--shoppers", 9, "--out", tmp_path / "made", "--quiet"
    )
    assert ran == Ran(0, "", "")
    assert Market.open(tmp_path / "made").items().equals(small_shop.items())


def test_a_market_is_a_catalogue_for_another(run_market: Run, tmp_path: Path) -> None:
    run_market(*SIZES, "--out", tmp_path / "first", "--quiet")
    ran = run_market("--catalogue", tmp_path / "first", "--sessions", 50, "--out", tmp_path / "second")
    assert ran.status == 0
    assert Market.open(tmp_path / "second").items().equals(Market.open(tmp_path / "first").items())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["Missing option '--out'"]),
        (["--items", 99], ["--items", "greater than or equal to 100"]),
        (["--items", 10_000_001], ["--items", "less than or equal to 10000000"]),
        (["--items", "many"], ["--items", "valid integer"]),
        (["--sessions", -1], ["--sessions", "greater than or equal to 0"]),
        (["--shoppers", 0], ["--shoppers", "greater than or equal to 1"]),
        (["--days", 1], ["--days", "greater than or equal to 2"]),
        (["--seed", -1], ["--seed", "greater than or equal to 0"]),
        (["--clicks", "random"], ['no click model "random"', "dbn, cascade, position"]),
        (["--standard", "--items", 200, "--seed", 1], ["--standard fixes everything", "leave out --items, --seed"]),
        (["--items", 200, "--catalogue", "x.csv"], ["--items is for a generated catalogue"]),
        (["--column", "item_id=sku"], ["--column maps columns of a real catalogue"]),
        (["--catalogue", "x.csv", "--column", "item_id"], ["not of the form OURS=THEIRS"]),
        (["--catalogue", "x.csv", "--column", "item_id=a", "--column", "item_id=b"], ["names item_id twice"]),
        (["--catalogue", "nowhere.csv"], ["There is no file nowhere.csv"]),
    ],
)
def test_mistakes_are_one_sentence(run_market: Run, tmp_path: Path, arguments: list[object], words: list[str]) -> None:
    out = ["--out", tmp_path / "made"] if arguments else []
    run_market(*arguments, *out).refused(*words)
    assert list(tmp_path.iterdir()) == []


def test_a_catalogue_without_categories_is_one_sentence(run_market: Run, tmp_path: Path) -> None:
    pq.write_table(catalogue(product(str(n), f"thing {n}") for n in range(200)), tmp_path / "bare.parquet")
    run_market("--catalogue", tmp_path / "bare.parquet", "--out", tmp_path / "made").refused("categor")
    assert [path.name for path in tmp_path.iterdir()] == ["bare.parquet"]


def test_a_folder_that_is_taken_is_one_sentence(run_market: Run, tmp_path: Path) -> None:
    run_market(*SIZES, "--out", tmp_path / "made", "--quiet")
    before = files_of(tmp_path)
    run_market(*SIZES, "--out", tmp_path / "made").refused("made exists already: name a new folder")
    assert files_of(tmp_path) == before


def test_a_place_that_cannot_be_written_is_one_sentence(run_market: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    run_market(*SIZES, "--out", tmp_path / "file" / "made").refused("file")

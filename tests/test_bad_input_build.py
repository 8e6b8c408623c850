"""Builds that are refused for more than a bad row, and catalogues so small or so alike that little can be learned."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from shelfwalk.channels.names import CHANNELS
from small_shop import Ran, SmallShop, catalogue, files_of, product, write_csv

Run = Callable[..., Ran]
RECIPE = '[tokenizer]\nkind = "residual_kmeans"\n'


@pytest.fixture
def refused_build(small_shop: SmallShop, run_command: Run, tmp_path: Path) -> Callable[..., None]:
    """Assert that a build of the shop's items is refused with these words and leaves all as it was."""
    own = small_shop.copy_of_shelf(tmp_path)
    (tmp_path / "work").mkdir()

    def refuse(words: list[str], *options: object) -> None:
        before = files_of(own)
        defaults = () if "--recipe" in options else ("--recipe", small_shop.recipe_file)
        for out in (tmp_path / "work" / "new.shelf", own):
            ran = run_command("build", "--items", small_shop.items_file, "--out", out, *defaults, *options)
            ran.refused(*words)
        assert files_of(own) == before
        assert not list((tmp_path / "work").iterdir())

    return refuse


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name = ", ["no valid TOML"]),
        ('name = "x"\n', ["neither a [tokenizer] nor a [two_tower]"]),
        (f'name = ""\n{RECIPE}', ["name: string should have at least 1 character"]),
        (f'name = "x"\ncolour = 1\n{RECIPE}', ["colour: there is no such setting"]),
        (f'name = "x"\n{RECIPE}levels = 3\n', ["tokenizer.levels: there is no such setting"]),
        (f'name = "x"\n{RECIPE}level_sizes = [8, 0]\n', ["tokenizer.level_sizes.1: input should be greater"]),
        (f'name = "x"\n{RECIPE}level_sizes = []\n', ["tokenizer.level_sizes", "at least 1 item"]),
        ('name = "x"\n[tokenizer]\nkind = "kmeans"\n', ["tokenizer", "'kmeans'", "'residual_kmeans'", "'rqvae'"]),
        (f'name = "x"\n{RECIPE}[generator]\nwidth = 30\n', ["generator: 4 heads cannot share a width of 30"]),
        (f'name = "x"\n{RECIPE}[training]\nlearning_rate = nan\n', ["training.learning_rate"]),
        (f'name = "x"\n{RECIPE}[bm25]\nk1 = inf\n', ["bm25.k1", "finite"]),
        (f'name = "x"\n{RECIPE}[bm25]\nlanguage = "klingon"\n', ["bm25.language", '"klingon"', "english"]),
    ],
)
def test_a_recipe_with_a_mistake(
    refused_build: Callable[..., None], tmp_path: Path, text: str, words: list[str]
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    refused_build([str(path), *words], "--recipe", path)


def test_a_recipe_that_is_not_there(refused_build: Callable[..., None], tmp_path: Path) -> None:
    refused_build(['no recipe "rqkmean"', "rqkmeans, "], "--recipe", "rqkmean")
    refused_build(["nowhere.toml cannot be read"], "--recipe", tmp_path / "nowhere.toml")
    (tmp_path / "folder.toml").mkdir()
    refused_build(["folder.toml cannot be read"], "--recipe", tmp_path / "folder.toml")
    (tmp_path / "latin.toml").write_bytes(b'name = "caf\xe9"')
    refused_build(["latin.toml is not UTF-8 text"], "--recipe", tmp_path / "latin.toml")


def test_an_encoder_that_is_not_there(refused_build: Callable[..., None], tmp_path: Path) -> None:
    refused_build(["encoder folder", "nowhere", "does not exist"], "--encoder", tmp_path / "nowhere")
    refused_build(["has no model.safetensors"], "--encoder", tmp_path)


def test_an_encoder_that_is_damaged(small_shop: SmallShop, shop_cache: Path, run_command: Run, tmp_path: Path) -> None:
    """Found out only when the build has begun: a new shelf's folder goes again all the same."""
    encoder = tmp_path / "encoder"
    encoder.mkdir()
    (encoder / "model.safetensors").write_bytes(b"not safe tensors")
    build = ("build", "--items", small_shop.items_file, "--recipe", small_shop.recipe_file, "--encoder", encoder)
    ran = run_command(*build, "--out", tmp_path / "new.shelf", "--quiet")
    ran.refused(str(encoder), "could not be loaded as a sentence-transformers folder")
    assert not (tmp_path / "new.shelf").exists()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link.shelf").symlink_to("elsewhere")
    run_command(*build, "--out", tmp_path / "link.shelf", "--quiet").refused("could not be loaded")
    assert list((tmp_path / "link.shelf").iterdir()) == []


def test_training_judgements_that_cannot_be_used(refused_build: Callable[..., None], tmp_path: Path) -> None:
    queries = write_csv(tmp_path / "q.csv", ("query_id", "query"), [("q0", "usb hub")])
    header = ("query_id", "item_id", "grade")
    foreign = write_csv(tmp_path / "foreign.csv", header, [("q0", "nothing", 2)])
    zero = write_csv(tmp_path / "zero.csv", header, [("q0", "usb-hub-dunlo-0", 0)])
    half = write_csv(tmp_path / "half.csv", header, [("q0", "usb-hub-dunlo-0", 0.5)])
    refused_build(["Training judgements need their queries"], "--judgements", zero)
    refused_build(["No judgement of grade 2 or more"], "--queries", queries, "--judgements", foreign)
    refused_build(["No judgement of grade 1 or more"], "--queries", queries, "--judgements", zero)
    refused_build(["column 'grade'", "0.5 is no whole number"], "--queries", queries, "--judgements", half)


def test_a_log_that_cannot_be_used(refused_build: Callable[..., None], tmp_path: Path) -> None:
    header = ("timestamp", "session_id", "user_query", "action_name", "object_id")
    seen = ("2026-01-31T12:00:00Z", "s1", "usb hub", "impression", "usb-hub-dunlo-0")
    foreign = (*seen[:3], "click", "nothing")
    for name, row, words in (("seen", seen, "impressions alone"), ("foreign", foreign, "object_id holds the item ids")):
        events = write_csv(tmp_path / f"{name}.csv", header, [row])
        refused_build(["The log has no click, add_to_cart or purchase", words], "--events", events)
    wrong = write_csv(tmp_path / "wrong.csv", header, [(*seen[:3], "clicked", seen[4])])
    refused_build(["column 'action_name'", "'clicked' is none of impression, click"], "--events", wrong)
    wrong = write_csv(tmp_path / "when.csv", header, [("yesterday", *seen[1:])])
    refused_build(["column 'timestamp'", "'yesterday' is no time"], "--events", wrong)


@pytest.mark.parametrize(
    "query", ["wireless mouse", "Wireless  Mouse!", "wireless mouses", "wireles mouse", "wirelessmouse"]
)
@pytest.mark.parametrize("source", ["judgements", "events"])
def test_training_on_an_evaluation_query(
    refused_build: Callable[..., None], tmp_path: Path, query: str, source: str
) -> None:
    item = "wireless-mouse-dunlo-0"
    kept = write_csv(tmp_path / "kept.csv", ("query_id", "query"), [("e1", "wireless mouse"), ("e2", "ink")])
    if source == "judgements":
        queries = write_csv(tmp_path / "q.csv", ("query_id", "query"), [("q0", query)])
        judgements = write_csv(tmp_path / "j.csv", ("query_id", "item_id", "grade"), [("q0", item, 1)])
        training: tuple[object, ...] = ("--queries", queries, "--judgements", judgements)
    else:
        header = ("timestamp", "session_id", "user_query", "action_name", "object_id")
        row = ("2026-01-31T12:00:00Z", "s1", query, "purchase", item)
        training = ("--events", write_csv(tmp_path / "e.csv", header, [row]))
    refused_build(
        ["1 of 1 training queries are evaluation queries", repr(query), "'wireless mouse'"],
        *(*training, "--evaluation-queries", kept),
    )


def test_a_place_that_is_no_shelf_is_never_written(small_shop: SmallShop, run_command: Run, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("mine")
    (tmp_path / "file").write_text("mine")
    before = files_of(tmp_path)
    build = ("build", "--items", small_shop.items_file, "--recipe", small_shop.recipe_file, "--out")
    run_command(*build, tmp_path / "photos").refused("photos", "not a shelf", "cat.jpg")
    run_command(*build, tmp_path / "file").refused("file", "not a shelf")
    run_command(*build, tmp_path / "file" / "x.shelf").refused("file")
    assert files_of(tmp_path) == before


def test_a_catalogue_without_words_cannot_train(
    small_shop: SmallShop, shop_cache: Path, run_command: Run, tmp_path: Path
) -> None:
    """Found out before anything is encoded or written."""
    items = write_csv(tmp_path / "x.csv", ("item_id", "title"), [("a", "1"), ("b", "2")])
    own = small_shop.copy_of_shelf(tmp_path)
    before = files_of(own), files_of(shop_cache)
    for out in (tmp_path / "new.shelf", own):
        ran = run_command(
            "build", "--items", items, "--recipe", small_shop.recipe_file, "--out", out, "--quiet", "--threads", 1
        )
        ran.refused("no pair of a query and an item to train on")
    assert not (tmp_path / "new.shelf").exists()
    assert (files_of(own), files_of(shop_cache)) == before


SMALL_CATALOGUES = {
    "one item": [product("a", "Altomar usb hub", brand="Altomar")],
    "two items": [product("a", "Altomar usb hub"), product("b", "Brennik desk lamp", category=["Lamps"])],
    "identical titles": [product(f"{number}", "usb hub") for number in range(40)],
}


@pytest.mark.parametrize("case", SMALL_CATALOGUES)
def test_a_catalogue_from_which_little_can_be_learned(
    small_shop: SmallShop, shop_cache: Path, run_command: Run, tmp_path: Path, case: str
) -> None:
    rows = SMALL_CATALOGUES[case]
    pq.write_table(catalogue(rows), tmp_path / "x.parquet")
    out = tmp_path / "x.shelf"
    build = (
        "build",
        "--items",
        tmp_path / "x.parquet",
        "--recipe",
        small_shop.recipe_file,
        "--out",
        out,
        "--quiet",
        "--threads",
        1,
    )
    assert run_command(*build) == Ran(0, "", "")
    for channel in CHANNELS:
        ran = run_command("search", out, "usb hub", "-k", 50, "--channel", channel, "--explain", "--json")
        found = [result["item_id"] for result in json.loads(ran.out)["results"]]
        assert found[0] == rows[0]["item_id"]
        expected = {row["item_id"] for row in rows if channel != "bm25" or "usb" in str(row["title"])}
        assert set(found) == expected
        assert len(found) == len(expected)
    assert run_command("inspect", out).status == 0
    queries = write_csv(tmp_path / "q.csv", ("query_id", "query"), [("q0", "usb hub for a desk")])
    judgements = write_csv(tmp_path / "j.csv", ("query_id", "item_id", "grade"), [("q0", rows[0]["item_id"], 1)])
    files = ("--queries", queries, "--judgements", judgements, "--out", tmp_path / "results")
    figures = json.loads(run_command("evaluate", out, *files, "--json").out)["figures"]
    assert [figures[channel]["R@100"] for channel in CHANNELS] == [1.0] * len(CHANNELS)

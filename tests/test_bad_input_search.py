"""Queries, numbers and places that a search cannot use, and queries that are odd but must be answered."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from shelfwalk.channels.names import CHANNELS
from small_shop import Ran, SmallShop, files_of

Run = Callable[..., Ran]

ODD_QUERIES = {
    "10,000 characters": "usb hub " * 1_250,
    "one word of 10,000 characters": "a" * 10_000,
    "Chinese": "笔记本电脑 充电器",
    "Arabic": "شاحن حاسوب محمول",
    "emoji": "🔌💻🖱️",
    "signs alone": "?! -- %%",
    "a zero byte": "usb\x00hub",
    "lines and tabs": "usb\n\thub",
    "markup": "[bold]usb[/bold] <b>hub</b>",
    "an escape sequence": "\x1b[31musb hub",
    "a lone surrogate, as a terminal makes of broken UTF-8": "usb \udcff hub",
}


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("case", ODD_QUERIES)
def test_an_odd_query_is_answered(small_shop: SmallShop, run_command: Run, case: str, channel: str) -> None:
    arguments = ("search", small_shop.shelf, ODD_QUERIES[case], "--channel", channel, "--explain")
    ran = run_command(*arguments, "--json")
    assert (ran.status, ran.err) == (0, "")
    results = json.loads(ran.out)["results"]
    # BM25 alone may have no word to go by; whatever compares meaning always has an answer.
    words_known = "usb" in ODD_QUERIES[case]
    assert len(results) == (10 if channel != "bm25" or words_known else 0)
    if channel == "bm25":
        assert all("usb-hub" in result["item_id"] for result in results)
    printed = run_command(*arguments)
    assert (printed.status, printed.err) == (0, "")
    assert printed.out


def test_a_very_long_query_means_what_a_short_one_means(small_shop: SmallShop, run_command: Run) -> None:
    found = []
    for query in ("usb hub " * 20, ODD_QUERIES["10,000 characters"]):
        ran = run_command("search", small_shop.shelf, query, "--channel", "dense", "--json")
        found.append([result["item_id"] for result in json.loads(ran.out)["results"]])
    assert found[0] == found[1]


@pytest.mark.parametrize("query", ["", " ", "\t\n", "\u3000"])
def test_an_empty_query(small_shop: SmallShop, run_command: Run, query: str) -> None:
    run_command("search", small_shop.shelf, query).refused("The query is empty")
    run_command("search", small_shop.shelf, query, "--json").refused("The query is empty")


@pytest.mark.parametrize("k", [0, -1, 1_001, 10**12])
def test_k_out_of_range(small_shop: SmallShop, run_command: Run, k: int) -> None:
    run_command("search", small_shop.shelf, "usb", "-k", k).refused(f"k is {k}", "1 to 1000 items")


def test_k_beyond_the_catalogue_gives_every_item(small_shop: SmallShop, run_command: Run) -> None:
    ran = run_command("search", small_shop.shelf, "usb hub", "-k", 1_000, "--json")
    results = json.loads(ran.out)["results"]
    assert len({result["item_id"] for result in results}) == len(results) == 120


@pytest.mark.parametrize("category", ["", " > "])
def test_a_category_without_a_name(small_shop: SmallShop, run_command: Run, category: str) -> None:
    run_command("search", small_shop.shelf, "usb", "--category", category).refused("--category names no category")


def test_a_history_that_nothing_reads_is_told(small_shop: SmallShop, run_command: Run) -> None:
    ran = run_command("search", small_shop.shelf, "usb", "--shopper-history", "usb-hub-dunlo-0", "--json")
    assert (ran.status, ran.err) == (0, "Recipe small reads no history: --shopper-history changes nothing.\n")


def test_an_unknown_channel(small_shop: SmallShop, run_command: Run) -> None:
    run_command("search", small_shop.shelf, "usb", "--channel", "dence").refused('no channel "dence"', *CHANNELS)


@pytest.mark.parametrize("verb", ["search", "inspect", "evaluate"])
def test_a_place_that_is_no_shelf(small_shop: SmallShop, run_command: Run, tmp_path: Path, verb: str) -> None:
    files = ("--queries", small_shop.queries_file, "--judgements", small_shop.judgements_file)
    rest = {"search": ("usb",), "inspect": (), "evaluate": (*files, "--out", tmp_path / "results")}[verb]
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    run_command(verb, tmp_path / "nowhere", *rest).refused("nowhere", "no shelf here", "shelfwalk build")
    for name in ("folder", "file"):
        run_command(verb, tmp_path / name, *rest).refused(name, "not a shelf: give the folder that shelfwalk build")
    assert files_of(tmp_path) == {"file": b"mine"}


@pytest.mark.parametrize("name", ["items.arrow", "vectors.npy", "encoder/model.onnx", "trie/tokens.npy"])
def test_a_damaged_file(small_shop: SmallShop, run_command: Run, tmp_path: Path, name: str) -> None:
    own = small_shop.copy_of_shelf(tmp_path)
    path = own / "generations" / "000001" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    for arguments in (("search", own, "usb"), ("inspect", own)):
        run_command(*arguments).refused(f"{name} (checksum differs)", "the shelf is damaged")
    path.unlink()
    run_command("search", own, "usb").refused(f"{name} (missing)")


def test_a_shelf_of_a_newer_format(small_shop: SmallShop, run_command: Run, tmp_path: Path) -> None:
    own = small_shop.copy_of_shelf(tmp_path)
    path = own / "generations" / "000001" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format_version": 99}))
    run_command("search", own, "usb").refused("99", "newer shelfwalk", "upgrade")
    path.write_text("{")
    run_command("search", own, "usb").refused("manifest.json", "not readable as JSON")
    (own / "CURRENT").write_text("../..")
    run_command("search", own, "usb").refused("CURRENT", "the shelf is damaged")


def test_the_real_command_prints_one_sentence_and_no_traceback(small_shop: SmallShop, tmp_path: Path) -> None:
    """Bytes that are no UTF-8, a mistake and a closed pipe, through a process of its own."""
    command = [sys.executable, "-c", "import sys; from shelfwalk.cli import main; sys.exit(main())"]
    asked = [os.fsencode(part) for part in [*command, "search", str(small_shop.shelf)]]
    answered = subprocess.run([*asked, b"usb \xff hub", b"--json"], capture_output=True, check=False)
    assert (answered.returncode, answered.stderr) == (0, b"")
    assert len(json.loads(answered.stdout)["results"]) == 10
    refused = subprocess.run([*asked, b" "], capture_output=True, check=False)
    assert (refused.returncode, refused.stdout) == (2, b"")
    assert refused.stderr == b"shelfwalk: The query is empty: give at least one word.\n"
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        piped = subprocess.run([*asked, b"usb"], stdout=closed, stderr=subprocess.PIPE, check=False)
    assert b"Traceback" not in piped.stderr

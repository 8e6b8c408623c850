"""`shelfwalk inspect --hourglass`: the codes of a shelf by level, the tables, the picture, and what is refused."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from rich.console import Console

from shelfwalk.commands.hourglass import codes_by_level, print_hourglass
from shelfwalk.errors import UserError
from shelfwalk.shelf import layout
from shelfwalk.shelf.shelf import Shelf
from shelfwalk.tokenizers.capped_clusters import CappedTokenizer
from shelfwalk.tokenizers.cluster_cap import FEWEST_SPARE, CapRule
from shelfwalk.tokenizers.end_codes import with_end_codes
from shelfwalk.tokenizers.hourglass import hourglass_sentence, measure_hourglass
from shelfwalk.tokenizers.item_tokenizer import ItemTokenizer
from shelfwalk.tokenizers.level_removal import Removal, sweep_removals
from shelfwalk.tokenizers.residual_kmeans import ResidualKMeansTokenizer
from shelfwalk.tokenizers.shortened import ShortenedTokenizer
from small_shop import Ran, SmallShop

SIZES = (8, 6, 4)


def shelf_of(tokenizer: ItemTokenizer, folder: Path) -> tuple[Shelf, npt.NDArray[np.int32]]:
    """All of a shelf that the hourglass looks at, and the codes before any removal."""
    vectors = np.random.default_rng(0).normal(size=(200, 6)).astype(np.float32)
    items = pa.table({"item_id": [str(row) for row in range(200)]})
    codes = tokenizer.fit(items, vectors).encode(items, vectors)
    tokenizer.save(folder / layout.TOKENIZER)
    whole, sizes = with_end_codes(codes, tokenizer.level_sizes)
    paths, leaf = np.unique(whole, axis=0, return_inverse=True)
    trie = SimpleNamespace(
        paths=lambda: paths.astype(np.int32),
        posting_items=np.argsort(leaf, kind="stable"),
        posting_offsets=np.append(0, np.cumsum(np.bincount(leaf))),
    )
    facts = {"level_sizes": list(sizes)}
    parts = SimpleNamespace(
        is_generative=True, generative=SimpleNamespace(trie=trie), items=items, recorded=facts, folder=folder
    )
    inner = tokenizer.inner if isinstance(tokenizer, ShortenedTokenizer | CappedTokenizer) else tokenizer
    return parts, inner.encode(items, vectors)  # type: ignore[return-value]


def printed(shelf: Shelf, picture: Path | None = None) -> str:
    out = io.StringIO()
    print_hourglass(shelf, Console(file=out, width=120), picture)
    return out.getvalue()


def test_codes_come_by_item_and_level(tmp_path: Path) -> None:
    shelf, codes = shelf_of(ResidualKMeansTokenizer(SIZES), tmp_path)
    found, sizes = codes_by_level(shelf)
    assert np.array_equal(found, codes)
    assert sizes == SIZES


def test_codes_that_moved_up_are_told_as_those_of_their_level(tmp_path: Path) -> None:
    shelf, codes = shelf_of(ShortenedTokenizer(ResidualKMeansTokenizer(SIZES), Removal(2, most_used=2)), tmp_path)
    found, sizes = codes_by_level(shelf)
    assert sizes == SIZES
    assert np.array_equal(found[:, [0, 2]], codes[:, [0, 2]])
    assert set(found[found[:, 1] < 0, 1].tolist()) == {-1}
    assert "taking codes" not in printed(shelf), "a sweep of what is taken away already"


@pytest.mark.parametrize("largest", [5, 25, 200])
def test_a_cap_changes_nothing_of_how_levels_are_used(tmp_path: Path, largest: int) -> None:
    """Whether it splits nearly every cluster, some, or none and leaves spare tokens only."""
    sizes = (4, 3, 3)
    plain, codes = shelf_of(ResidualKMeansTokenizer(sizes), tmp_path / "plain")
    capped, _ = shelf_of(CappedTokenizer(ResidualKMeansTokenizer(sizes), CapRule(largest)), tmp_path / "capped")
    assert capped.recorded["level_sizes"][-1] >= 3 + FEWEST_SPARE
    found, found_sizes = codes_by_level(capped)
    assert np.array_equal(found, codes)
    assert found_sizes == sizes
    assert printed(capped) == printed(plain)


def test_the_tables_hold_every_figure(tmp_path: Path) -> None:
    shelf, codes = shelf_of(ResidualKMeansTokenizer(SIZES), tmp_path)
    text = printed(shelf)
    hourglass = measure_hourglass(codes, SIZES)
    assert hourglass_sentence(hourglass) in text
    for level in hourglass.levels:
        assert f"{level.use.entropy:.3f}" in text
        assert f"{level.use.gini:.3f}" in text
        assert f"{level.standard_deviation:,.1f}" in text
    rows = [line.split() for line in text.splitlines()]
    level = hourglass.waist or 2
    for taken, removal in (
        (["K", "=", "2"], Removal(level, most_used=2)),
        (["p", "=", "0.5"], Removal(level, share=0.5)),
        (["the", "level"], Removal(level)),
        (["nothing"], Removal(level, most_used=0)),
    ):
        (point,) = sweep_removals(codes, SIZES, [removal])
        (row,) = [row for row in rows if row[: len(taken)] == taken]
        shares = [f"{point.shortened_share:.1%}", f"{point.collision_rate:.1%}"]
        assert row[len(taken) :][:3] == [str(point.head_codes), *shares]


def test_the_picture_is_written(tmp_path: Path) -> None:
    shelf, _ = shelf_of(ResidualKMeansTokenizer(SIZES), tmp_path)
    assert str(tmp_path / "flow.svg") in printed(shelf, tmp_path / "flow.svg")
    assert (tmp_path / "flow.svg").read_text().startswith("<svg")


def test_a_shelf_without_identifiers() -> None:
    with pytest.raises(UserError, match="has no identifiers"):
        print_hourglass(SimpleNamespace(is_generative=False))  # type: ignore[arg-type]


def test_the_command(small_shop: SmallShop, run_command: Callable[..., Ran], tmp_path: Path) -> None:
    ran = run_command("inspect", small_shop.shelf, "--hourglass", "--picture", tmp_path / "flow.svg")
    assert ran.status == 0, ran
    assert "Identifiers of 2 levels have no middle" in ran.out
    assert (tmp_path / "flow.svg").is_file()
    run_command("inspect", small_shop.shelf, "--picture", tmp_path / "x.svg").refused("--picture", "--hourglass")


def test_what_cannot_be_is_refused_before_anything_is_printed(
    small_shop: SmallShop, run_command: Callable[..., Ran], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    inspect = ("inspect", small_shop.shelf, "--hourglass")
    run_command(*inspect, "--json").refused("--json", "--hourglass")
    run_command(*inspect, "--probe", tmp_path / "nope").refused("There is no folder", "nope")
    run_command(*inspect, "--picture", tmp_path).refused(f"{tmp_path} is a folder")
    run_command(*inspect, "--picture", tmp_path / "x.png").refused("x.png does not end in .svg")
    run_command(*inspect, "--picture", tmp_path / "file" / "x.svg").refused("file", "choose another place")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]

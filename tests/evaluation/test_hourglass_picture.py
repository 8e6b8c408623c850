"""The flow of items from level to level: an SVG that stands alone, whose caption says what one sees."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from shelfwalk.evaluation.hourglass_picture import TENTHS, _blocks, _flow, _heights, item_flow, svg_file


def some_codes(items: int = 300, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    wide, narrow = random.integers(20, size=(2, items))
    return np.column_stack((wide, np.where(random.random(items) < 0.7, 3, narrow), random.integers(7, size=items)))


def test_blocks_are_tenths_of_the_codes_by_falling_use() -> None:
    codes = np.repeat(np.arange(20), np.arange(1, 21))
    blocks = _blocks(codes, 20)
    # The two commonest codes of twenty are 19 and 18, with 20 and 19 of 210 items.
    assert set(codes[blocks == 0]) == {18, 19}
    assert set(codes[blocks == TENTHS - 1]) == {0, 1}
    assert _heights(blocks)[0] == pytest.approx(39 / 210)
    assert _heights(blocks).sum() == pytest.approx(1)
    assert _blocks(np.array([-1, 0, -1]), 20).tolist() == [TENTHS, 0, TENTHS]


def test_what_leaves_a_block_arrives_at_the_next_level() -> None:
    codes = some_codes()
    here, there = _blocks(codes[:, 0], 20), _blocks(codes[:, 1], 20)
    flow = _flow(here, there)
    np.testing.assert_allclose(flow.sum(axis=1), _heights(here))
    np.testing.assert_allclose(flow.sum(axis=0), _heights(there))
    assert flow[2, 0] == pytest.approx(np.mean((here == 2) & (there == 0)))


def test_the_picture_says_what_it_shows() -> None:
    codes = some_codes().astype(np.int32)
    picture = item_flow(codes, (20, 20, 7))
    assert "an hourglass." in picture.caption
    told = [int(number) for number in re.findall(r"level \d: (\d+)% of the items", picture.caption)]
    assert told == [round(100 * _heights(_blocks(codes[:, level], size))[0]) for level, size in enumerate((20, 20, 7))]
    assert picture.svg.count("level ") >= 3


@pytest.mark.parametrize("sizes", [(20, 20, 7), (20, 20), (20,)])
def test_the_file_needs_no_page(sizes: tuple[int, ...]) -> None:
    codes = some_codes().astype(np.int32)[:, : len(sizes)]
    codes[:5, -1] = -1
    document = svg_file(item_flow(codes, sizes))
    root = ElementTree.fromstring(document)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    style = root.find("{http://www.w3.org/2000/svg}style")
    assert style is not None
    for name in set(re.findall(r"var\(--([a-z0-9-]+)\)", document)):
        assert f"--{name}:" in str(style.text), name
    assert svg_file(item_flow(codes, sizes)) == document

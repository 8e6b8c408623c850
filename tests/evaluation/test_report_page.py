"""The report: one file that parses, loads nothing, escapes everything, and says what each picture shows."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from shelfwalk.evaluation.drawing import SERIES, draw, label
from shelfwalk.evaluation.evaluate import Evaluation, evaluate
from shelfwalk.evaluation.pictures import codebook_use, wins_and_losses
from shelfwalk.evaluation.report import ReportInput, SampleAnswer, render_report, write_report

if TYPE_CHECKING:
    from conftest import MadeUpShop

VOID = {"meta", "link", "br", "img", "hr", "input"}
ATTACK = "<script>alert('x')</script> & \"$\\frac{1}$\" \x0b\u202e" + "長い" * 40


class Page(HTMLParser):
    """Reads a page strictly: every element must be closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def values(self, attribute: str) -> list[str]:
        return [value for _, name, value in self.attributes if name == attribute]


@pytest.fixture(scope="module")
def content(evaluation: Evaluation) -> ReportInput:
    attacked = replace(evaluation, texts=tuple(ATTACK if n % 2 else text for n, text in enumerate(evaluation.texts)))
    return ReportInput(
        evaluation=attacked,
        title=ATTACK,
        shelf_facts=[("recipe", ATTACK), ("items", "19,406")],
        codebook_use=[np.arange(64), np.ones(64, dtype=int)],
        cluster_sizes=np.array([1, 1, 2, 0, 9, 300]),
        samples=[SampleAnswer(ATTACK, [(1, ATTACK, ATTACK), (2, "Hub", "words: usb, hub")])],
    )


@pytest.fixture(scope="module")
def text(content: ReportInput) -> str:
    return render_report(content)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_page_loads_nothing_from_anywhere(text: str, page: Page) -> None:
    assert "http:" not in text
    assert "https:" not in text
    assert not page.tags.keys() & {"script", "link", "img", "iframe", "object", "embed", "base"}
    assert not page.values("src")
    assert all(value.startswith("#") for value in page.values("href") + page.values("xlink:href"))
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", text))
    assert "@import" not in text
    assert "default-src 'none'; style-src 'unsafe-inline'" in page.values("content")


def test_text_of_users_stays_text(text: str, page: Page) -> None:
    assert "<script" not in text
    assert page.tags["script"] == 0
    assert "".join(page.words).count("<script>alert('x')</script>") >= 6
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]


def test_every_picture_is_described(page: Page) -> None:
    described = [value for tag, name, value in page.attributes if (tag, name) == ("svg", "aria-label")]
    assert page.tags["figure"] == page.tags["svg"] == page.tags["figcaption"] == len(described) == 6
    assert all(len(description) > 60 for description in described)
    assert [value for tag, name, value in page.attributes if (tag, name) == ("svg", "role")] == ["img"] * 6


def test_ids_are_unique_and_references_lead_somewhere(text: str, page: Page) -> None:
    ids = page.values("id")
    assert len(set(ids)) == len(ids)
    references = page.values("href") + page.values("xlink:href")
    references += re.findall(r"url\((#[^)]*)\)", text)
    assert references
    assert {reference.removeprefix("#") for reference in references} <= set(ids)


def test_pictures_follow_the_colours_of_the_page(text: str) -> None:
    drawings = "".join(re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL))
    style = text[text.index("<style>") : text.index("</style>")]
    used = set(re.findall(r"var\(--([a-z0-9-]+)\)", drawings))
    assert {"ink", "faint", "series-1", "series-2"} <= used
    light, _, dark = style.partition("@media (prefers-color-scheme: dark)")
    assert all(f"--{name}:" in light and f"--{name}:" in dark for name in used)
    assert not re.findall(r"#0[1-4]0[1-4]0[1-6]\b", drawings)
    assert not re.findall(r"(?:fill|stroke): (?!none|var)[^;\"]+", drawings), "a fixed colour would vanish in the dark"


def test_page_is_fit_for_a_phone(page: Page) -> None:
    assert "width=device-width, initial-scale=1" in page.values("content")
    assert page.tags["table"] == len([value for value in page.values("class") if value == "wide"])


def test_tables_hold_every_query_and_figure(page: Page, evaluation: Evaluation) -> None:
    words = [word.strip() for word in page.words]
    for measured in evaluation.intervals.values():
        assert f"{measured['R@100'].mean:.3f}" in words
    assert "60 queries" in words
    assert {"19,406", "Hub", "words: usb, hub", evaluation.texts[0]} <= set(words)
    assert page.tags["tr"] >= 60 + 5 * 3


def test_parts_without_data_are_left_out(shop: MadeUpShop) -> None:
    alone = evaluate(shop.channels[-1:], shop.judgements, shop.queries, measures=["nDCG@10"], resamples=20)
    page = Page(render_report(ReportInput(alone, "small")))
    assert page.tags["svg"] == 1
    assert "Sample answers" not in page.words
    assert "Comparisons" not in page.words


def test_report_is_the_same_every_time_and_written_whole(content: ReportInput, text: str, tmp_path: Path) -> None:
    path = tmp_path / "out" / "report.html"
    write_report(path, content)
    assert path.read_text(encoding="utf-8") == text
    assert [found.name for found in path.parent.iterdir()] == ["report.html"]


def test_failed_write_leaves_the_former_report(
    tmp_path: Path, content: ReportInput, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.html"
    path.write_text("before", encoding="utf-8")

    def crash(*_: object) -> None:
        raise OSError("disk on fire")

    monkeypatch.setattr("shelfwalk.files.os.fsync", crash)
    with pytest.raises(OSError, match="on fire"):
        write_report(path, content)
    assert path.read_text(encoding="utf-8") == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_wins_and_losses_counts_and_shows_the_largest(evaluation: Evaluation) -> None:
    values = [evaluation.per_query[channel].values["R@100"] for channel in ("generative", "dense")]
    difference = values[0] - values[1]
    picture = wins_and_losses(evaluation, "generative", "dense")
    assert f"higher on {(difference > 0).sum()}, lower on {(difference < 0).sum()}, equal" in picture.caption
    assert label(evaluation.texts[int(difference.argmax())]) in picture.svg
    assert label(evaluation.texts[int(difference.argmin())]) in picture.svg


def test_channels_that_tie_everywhere_still_make_a_picture(evaluation: Evaluation) -> None:
    assert "higher on 0, lower on 0, equal on 60" in wins_and_losses(evaluation, "dense", "dense").caption


def test_codebook_caption_counts_the_codes_in_use() -> None:
    picture = codebook_use([np.array([6, 2, 0, 0]), np.array([2, 2, 2, 2])])
    assert "level 1 uses 2 of 4 codes, the largest has 75.0%" in picture.caption
    assert "level 2 uses 4 of 4 codes, the largest has 25.0%" in picture.caption


def test_label_is_one_short_printable_line() -> None:
    assert label(" usb\n\thub\x00 ") == "usb hub"
    assert label("a" * 10_000) == "a" * 27 + "…"
    assert label("длинный запрос") == "длинный запрос"


def test_drawing_shows_dollars_and_tags_as_they_are() -> None:
    svg = draw("x", 'a "quoted" <b>', (2, 2), lambda axes: axes.set_title("$a_1$ & <b>", color=SERIES[2]))
    page = Page(svg)
    assert "$a_1$ & <b>" in "".join(page.words)
    assert page.values("aria-label") == ['a "quoted" <b>']
    assert "var(--series-3)" in svg

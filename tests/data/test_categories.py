"""Derived categories on made-up catalogues: the order of evidence, merging, and catalogues too small to learn from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwalk.data.categories import SOURCES, derive_categories
from shelfwalk.data.category_report import Share, category_report, main, read_verdicts
from shelfwalk.data.tables import ATTRIBUTES_TYPE
from shelfwalk.errors import UserError

ICECAT = Path(__file__).resolve().parents[3] / "shared" / "data" / "icecat_chorus"
BRANDS = ("Acme", "Bolt", "Crane")


def catalogue(rows: list[dict[str, Any]]) -> tuple[pa.Table, list[str]]:
    columns: dict[str, Any] = {
        name: pa.array([row.get(name, "") for row in rows], pa.string()) for name in ("title", "brand", "description")
    }
    maps = [list(row.get("attributes", {}).items()) for row in rows]
    columns["attributes"] = pa.array(maps, ATTRIBUTES_TYPE)
    return pa.table(columns), [row.get("name", "") for row in rows]


def titled(phrase: str, count: int, **more: Any) -> list[dict[str, Any]]:
    """Items whose titles end in a type phrase and a specification."""
    return [
        {
            "title": f"{BRANDS[number % 3]} M{number} {phrase} 20 W",
            "name": f"M{number}",
            "brand": BRANDS[number % 3],
            **more,
        }
        for number in range(count)
    ]


def lamps_and_cables() -> list[dict[str, Any]]:
    lamp = {"wattage": "20", "lumen": "400", "lamp base": "E27"}
    cable = {"length": "2", "connector 1": "A", "connector 2": "B"}
    return [*titled("desk lamp", 8, attributes=lamp), *titled("network cable", 8, attributes=cable)]


def derived(rows: list[dict[str, Any]], **options: Any) -> tuple[list[tuple[str, ...]], list[str]]:
    result = derive_categories(*catalogue(rows), **options)
    return list(result.categories), list(result.sources)


def last(extra: dict[str, Any], rows: list[dict[str, Any]] | None = None) -> tuple[tuple[str, ...], str]:
    categories, sources = derived([*(rows or lamps_and_cables()), extra])
    return categories[-1], sources[-1]


def test_a_title_phrase_becomes_head_noun_and_phrase() -> None:
    categories, sources = derived(lamps_and_cables())
    assert set(categories) == {("lamp", "desk lamp"), ("cable", "network cable")}
    assert set(sources) == {"title"}


def test_a_phrase_of_one_word_is_one_level() -> None:
    assert derived(titled("keyboard", 6))[0] == [("keyboard",)] * 6


def test_a_rare_phrase_goes_to_its_head_noun() -> None:
    categories, _ = derived([*titled("desk lamp", 6), *titled("floor lamp", 4), *titled("sofa", 1)])
    assert categories == [("lamp", "desk lamp")] * 6 + [("lamp",)] * 4 + [("sofa",)]


def test_spellings_and_plurals_are_one_category() -> None:
    categories, _ = derived([*titled("desk lamp", 4), *titled("desk lamps", 3)])
    assert set(categories) == {("lamp", "desk lamp")}


def test_a_known_phrase_in_the_naming_part_of_a_title() -> None:
    extra = {"title": "Acme Bright Desk Lamp for network cable drums", "brand": "Acme"}
    assert last(extra) == (("lamp", "desk lamp"), "title")


def test_a_known_phrase_in_a_description() -> None:
    extra = {"title": "Acme Z1", "name": "Z1", "brand": "Acme", "description": "Bright desk lamp, with network cable"}
    assert last(extra) == (("lamp", "desk lamp"), "description")


def test_a_product_type_speaks_in_the_words_of_the_titles() -> None:
    typed = titled("desk lamp", 6, attributes={"product type": "Table light"})
    bare = {"title": "Acme Z1", "name": "Z1", "brand": "Acme", "attributes": {"product type": "Table light"}}
    categories, sources = derived([*typed, bare])
    assert set(categories) == {("lamp", "desk lamp")}
    assert set(sources) == {"attribute"}


def test_a_product_type_that_no_title_explains_speaks_for_itself() -> None:
    rows = [{"title": f"Acme Z{n}", "name": f"Z{n}", "attributes": {"product type": "Garden gnome"}} for n in range(5)]
    categories, sources = derived(rows)
    assert categories == [("gnome", "garden gnome")] * 5
    assert set(sources) == {"attribute"}


def test_a_product_type_that_is_no_words_is_no_evidence() -> None:
    for value in ("1", "16", "Hybrid (2-in-1)", ""):
        extra = {"title": "Acme Z1", "name": "Z1", "attributes": {"product type": value}}
        assert last(extra) == ((), "none")


def test_the_own_title_phrase_overrules_what_others_mean_by_the_product_type() -> None:
    typed = titled("desk lamp", 6, attributes={"product type": "Spare"})
    odd = titled("network cable", 1, attributes={"product type": "Spare"})
    categories, sources = derived([*typed, *titled("network cable", 6), *odd])
    assert categories[-1] == ("cable", "network cable")
    assert sources[-1] == "title"


def test_a_type_counts_only_if_titles_know_and_do_not_contradict_it() -> None:
    known = {"title": "Acme Z1", "name": "Z1", "attributes": {"type": "Antique desk lamp"}}
    unknown = {"title": "Acme Z2", "name": "Z2", "attributes": {"type": "Original"}}
    assert last(known) == (("lamp", "desk lamp"), "attribute")
    assert last(unknown) == ((), "none")
    contradicted = [*lamps_and_cables(), *titled("network cable", 3, attributes={"type": "Desk lamp"})]
    extra = {"title": "Acme Z3", "name": "Z3", "attributes": {"type": "Desk lamp"}}
    assert last(extra, contradicted)[1] != "attribute"


def test_type_attributes_can_be_left_out() -> None:
    rows = [{"title": f"Acme Z{n}", "name": f"Z{n}", "attributes": {"product type": "Garden gnome"}} for n in range(5)]
    assert derived(rows, use_product_types=False) == ([()] * 5, ["none"] * 5)


def test_attribute_names_alone_point_to_a_category() -> None:
    extra = {"title": "Acme Z1", "name": "Z1", "attributes": {"wattage": "9", "lumen": "1", "lamp base": "B22"}}
    assert last(extra) == (("lamp", "desk lamp"), "pattern")


def test_attribute_names_of_a_kind_never_seen_point_nowhere() -> None:
    strange = {f"strange {number}": "1" for number in range(5)}
    extra = {"title": "Acme Z1", "name": "Z1", "attributes": {"wattage": "9", **strange}}
    assert last(extra) == ((), "none")


def test_a_bare_head_noun_is_narrowed_by_attribute_names() -> None:
    more = titled("power cable", 8, attributes={"voltage": "230", "plug type": "C13", "amperage": "10", "cores": "3"})
    rows = [*lamps_and_cables(), *more]
    bare = {"title": "Acme Fine Cable", "brand": "Acme", "attributes": more[0]["attributes"]}
    assert last(bare, rows) == (("cable", "power cable"), "title")
    undecided = {"title": "Acme Fine Cable", "brand": "Acme", "attributes": {"colour": "red"}}
    assert last(undecided, rows) == (("cable",), "title")


def test_titles_that_are_all_the_same() -> None:
    rows = [{"title": "Acme M1 desk lamp 20 W", "name": "M1", "brand": "Acme"} for _ in range(20)]
    assert derived(rows) == ([("lamp", "desk lamp")] * 20, ["title"] * 20)
    assert derived([{"title": "Thing"}] * 20) == ([()] * 20, ["none"] * 20)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_catalogues_of_no_one_or_two_items(count: int) -> None:
    assert derived(titled("desk lamp", count)) == ([("lamp",)] * count, ["title"] * count)
    assert derived([{"title": "Thing", "attributes": {"a": "1"}}] * count) == ([()] * count, ["none"] * count)


def test_names_are_not_needed() -> None:
    table, _ = catalogue(lamps_and_cables())
    result = derive_categories(table)
    assert set(result.sources) == {"none"}


TEXT = st.text(max_size=30)
ROW = st.fixed_dictionaries(
    {
        "title": TEXT | st.sampled_from(["Acme M1 desk lamp 2 W", "Acme M1 lamp (LMP) Black"]),
        "name": TEXT | st.just("M1"),
        "brand": TEXT | st.just("Acme"),
        "description": TEXT,
        "attributes": st.dictionaries(st.sampled_from(["type", "product type", "colour"]), TEXT),
    }
)


@given(st.lists(ROW, max_size=8))
def test_any_catalogue_gets_a_path_or_none_for_every_item(rows: list[dict[str, Any]]) -> None:
    categories, sources = derived(rows)
    assert len(categories) == len(sources) == len(rows)
    assert derived(rows) == (categories, sources)
    for path, source in zip(categories, sources, strict=True):
        assert source in SOURCES
        assert (source == "none") == (path == ())
        assert all(level.strip() for level in path)
        assert len(path) <= 2


def test_report_counts_what_the_derivation_says() -> None:
    lamp = {"wattage": "20", "lumen": "400", "product type": "Light"}
    rows = [*titled("desk lamp", 10, attributes=lamp), *lamps_and_cables(), {"title": "Thing"}]
    report = category_report(*catalogue(rows))
    assert [share.right for share in report.coverage] == [10, 16, 0, 0, 1]
    assert sum(share.value for share in report.coverage) == pytest.approx(1)
    assert report.categories == 2
    assert (report.typed_covered.right, report.typed_covered.total) == (10, 10)
    assert report.typed_purity.value == 1
    assert report.pattern_answered.total == 26
    assert report.pattern_head.right <= report.pattern_head.total == report.pattern_answered.right
    assert report.pattern_exact.value > 0.9


def test_purity_is_the_share_of_the_commonest_type() -> None:
    rows = [
        *titled("desk lamp", 3, attributes={"product type": "Light"}),
        *titled("desk lamp", 2, attributes={"product type": "Torch"}),
        {"title": "Thing", "attributes": {"product type": "Light"}},
    ]
    report = category_report(*catalogue(rows))
    assert (report.typed_covered.right, report.typed_covered.total) == (5, 6)
    assert (report.typed_purity.right, report.typed_purity.total) == (3, 5)


@given(st.integers(0, 300), st.integers(0, 300))
def test_wilson_interval_solves_its_equation(right: int, more: int) -> None:
    share = Share(right, right + more)
    low, high = share.interval
    assert 0 <= low <= share.value <= high <= 1
    for end in (low, high):
        if share.total and 0 < end < 1:
            deviation = (share.value - end) ** 2
            assert deviation == pytest.approx(1.959964**2 * end * (1 - end) / share.total, abs=1e-9)


def test_verdicts_are_read_per_source(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.csv"
    path.write_text("item_id,source,right\na,title,1\nb,title,0\nc,none,0\n")
    assert read_verdicts(path) == {"title": Share(1, 2), "none": Share(0, 1)}
    path.write_text("item_id,right\na,1\n")
    with pytest.raises(UserError, match="needs the columns"):
        read_verdicts(path)


def test_the_report_command_refuses_mistakes_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([]) == 2
    assert main([str(tmp_path)]) == 2
    assert "There is no file" in capsys.readouterr().err


@pytest.mark.skipif(not ICECAT.is_dir(), reason=f"the Icecat catalogue is not at {os.path.relpath(ICECAT)}")
def test_the_report_on_icecat(capsys: pytest.CaptureFixture[str]) -> None:
    sample = Path(__file__).resolve().parents[2] / "docs" / "data" / "icecat_category_sample.csv"
    assert main([str(ICECAT), str(sample)]) == 0
    lines = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    covered = sum(float(lines[f"coverage, {source}"].split(" = ")[1]) for source in SOURCES if source != "none")
    assert covered >= 0.93

    def value(name: str) -> float:
        return float(lines[name].split(" = ")[1].split(" ")[0])

    assert value("pattern, same head noun") >= 0.97
    assert value("of these, purity against the product type") >= 0.8
    assert value("judged right, all with a category") >= 0.94

"""Tables in the docs: made of the results between their markers, and told when they differ.

The last test holds for every document of this project that has such a table.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_results import made_result, write_made_results

from shelfwalk.errors import UserError
from shelfwalk.evaluation.document_tables import RESULTS, differing, main, with_tables

ROOT = Path(__file__).parents[2]
MARKER = "<!-- table: demo; measures: R@100, RR; show: means -->"
DOCUMENT = f"# Title\n\n{MARKER}\nanything | old\n<!-- end -->\n\nText after it.\n"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    values = {"bm25+dense": {"R@100": [0.5, 0.5], "RR": [1.0, 0.5]}, "fused": {"R@100": [0.75, 0.5], "RR": [1.0, 1.0]}}
    labels = {"cold": ["cold start", "no cold start"]}
    write_made_results(folder / "demo.jsonl", [made_result(values, seed=seed, labels=labels) for seed in range(2)])
    return folder


def test_a_table_is_put_between_its_markers_and_nothing_else_changes(results: Path) -> None:
    text = with_tables(DOCUMENT, results, "docs/x.md")
    before, _, after = text.partition(MARKER)
    table, _, rest = after.partition("<!-- end -->")
    assert (before, rest) == ("# Title\n\n", "\n\nText after it.\n")
    assert "| bm25+dense | 0.500 (0.500–0.500) | 0.750 (0.500–1.000) |" in table
    assert "(seeds 0, 1)" in table
    assert "**Differences" not in table
    assert "old" not in table
    assert with_tables(text, results, "docs/x.md") == text, "writing twice changes nothing"


@given(st.text(alphabet="#|\n -<>!a", max_size=60))
def test_a_document_without_a_table_stays_as_it_is(text: str) -> None:
    assert with_tables(text, Path("nowhere"), "x.md") == text


def test_settings_reach_the_table(results: Path) -> None:
    marker = "<!-- table: demo; measures: RR; parts: cold start, all; baseline: fused; show: differences -->"
    text = with_tables(f"{marker}\n<!-- end -->\n", results, "x.md")
    assert "**Differences to fused, cold start (1 query)**" in text
    assert "**Differences to fused, all queries**" in text


def test_of_the_systems_those_that_were_asked_for_are_compared(results: Path) -> None:
    marker = "<!-- table: demo; measures: RR; baseline: fused; systems: *us*; show: means -->"
    text = with_tables(f"{marker}\n<!-- end -->\n", results, "x.md")
    assert "| fused | " in text
    assert "| bm25+dense | " not in text
    with pytest.raises(UserError, match=r"^No system in these results is like tiger/\*: take some of bm25\+dense,"):
        with_tables(f"{marker.replace('*us*', 'tiger/*')}\n<!-- end -->\n", results, "x.md")


def test_the_claims_are_a_table_too(results: Path) -> None:
    text = with_tables("<!-- table: claims -->\n<!-- end -->\n", results, "x.md")
    assert "| claim | published | ours | verdict | why |" in text
    assert "not built yet." in text


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ("x\n<!-- table: demo -->\nno end\n", "x.md, line 2: the table demo has no <!-- end -->"),
        ("<!-- table: demo -->\n<!-- table: demo -->\n<!-- end -->\n", "x.md, line 1: the table demo has no"),
        ("<!-- table: demo; measure: RR -->\n<!-- end -->\n", 'x.md, line 1: "measure: RR" is no setting'),
        ("<!-- table: demo; show -->\n<!-- end -->\n", '"show" is no setting'),
        ("<!-- table: absent -->\n<!-- end -->\n", "Cannot read the results file"),
        ("<!-- table: demo; data: cafe -->\n<!-- end -->\n", "no results on data cafe"),
    ],
)
def test_a_marker_that_makes_no_table_is_refused(results: Path, document: str, complaint: str) -> None:
    with pytest.raises(UserError) as refused:
        with_tables(document, results, "x.md")
    assert complaint in str(refused.value)


def test_checking_finds_what_writing_mends(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, other = tmp_path / "results.md", tmp_path / "other.md"
    path.write_text(DOCUMENT, encoding="utf-8")
    other.write_text("No table.\n", encoding="utf-8")
    arguments = [str(path), str(other), "--results", str(results)]
    assert main([*arguments, "--check"]) == 1
    assert "results.md: a table differs" in capsys.readouterr().out
    assert path.read_text(encoding="utf-8") == DOCUMENT
    assert main([*arguments, "--write"]) == 0
    assert main([*arguments, "--check"]) == 0
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("0.750 (0.500", "0.760 (0.500"), encoding="utf-8")
    assert differing([path, other], results) == [path], "a digit changed by hand is seen"
    assert main([str(tmp_path / "absent.md"), "--check"]) == 2
    assert capsys.readouterr().err.startswith("shelfwalk: The document")


def test_new_results_make_a_document_old(results: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.md"
    path.write_text(with_tables(DOCUMENT, results, "x.md"), encoding="utf-8")
    own = tmp_path / "own"
    values = {"bm25+dense": {"R@100": [0.5, 0.5], "RR": [1.0, 0.5]}, "fused": {"R@100": [0.8, 0.5], "RR": [1.0, 1.0]}}
    write_made_results(own / "demo.jsonl", [made_result(values, seed=seed) for seed in range(2)])
    assert differing([path], results) == []
    assert differing([path], own) == [path]


def test_the_documents_of_this_project_say_what_its_results_say() -> None:
    documents = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    assert [path.name for path in differing(documents, ROOT / RESULTS)] == []

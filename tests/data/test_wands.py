"""The public WANDS layout, on tiny files of made-up furniture."""

from __future__ import annotations

from pathlib import Path

import pytest

from shelfwalk.data.dataset import open_dataset
from shelfwalk.errors import UserError

PRODUCT_COLUMNS = [
    "product_id",
    "product_name",
    "product_class",
    "category hierarchy",
    "product_description",
    "product_features",
    "rating_count",
    "average_rating",
    "review_count",
]
BED = ["0", "oak bed", "Beds", "Furniture / Bedroom Furniture / Beds", "a bed", "material:oak|material : pine", "15.0"]
RUG = ["1", 'round rug 24" wide', "", "", "", "shape:round|washable|:odd||a:b:c", ""]


def write_folder(
    folder: Path,
    products: list[list[str]],
    labels: list[tuple[str, str, str]],
    queries: str = "0\tbed\tBeds\n1\trug\t\n",
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join(PRODUCT_COLUMNS)] + ["\t".join([*row, "4.5", "9.0"]) for row in products]
    (folder / "product.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "query.csv").write_text("query_id\tquery\tquery_class\n" + queries, encoding="utf-8")
    rows = [f"{number}\t{query}\t{item}\t{label}" for number, (query, item, label) in enumerate(labels)]
    (folder / "label.csv").write_text("id\tquery_id\tproduct_id\tlabel\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return folder


LABELS = [("0", "0", "Exact"), ("0", "1", "Irrelevant"), ("1", "1", "Partial")]


@pytest.mark.parametrize("inside", ["", "dataset"])
def test_products_queries_and_labels(inside: str, tmp_path: Path) -> None:
    write_folder(tmp_path / inside, [BED, RUG], LABELS)
    dataset = open_dataset(tmp_path)
    assert dataset.name == "wands"
    bed, rug = dataset.items.to_pylist()
    assert (bed["item_id"], bed["title"], bed["description"]) == ("0", "oak bed", "a bed")
    assert bed["category"] == ["Furniture", "Bedroom Furniture", "Beds"]
    assert bed["attributes"] == [("product class", "Beds"), ("material", "oak; pine")]
    assert bed["popularity"] == 15
    assert rug["title"] == 'round rug 24" wide'
    assert rug["category"] == []
    assert rug["attributes"] == [("shape", "round"), ("washable", ""), ("a", "b:c")]
    assert rug["popularity"] == 0
    assert dataset.queries is not None
    assert dataset.queries.to_pylist() == [{"query_id": "0", "query": "bed"}, {"query_id": "1", "query": "rug"}]
    assert dataset.judgements is not None
    assert dataset.judgements["grade"].to_pylist() == [2, 0, 1]
    assert dataset.events is None
    assert any("not used" in note for note in dataset.notes)


def test_an_unknown_label_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path, [BED], [("0", "0", "Exact"), ("1", "0", "Perfect")])
    with pytest.raises(UserError, match=r"label\.csv, row 2, column 'grade': 'Perfect' is no whole number"):
        open_dataset(tmp_path)


def test_labels_of_absent_products_and_private_queries_are_noted(tmp_path: Path) -> None:
    write_folder(tmp_path, [BED], [("0", "0", "Exact"), ("0", "77", "Exact"), ("88", "0", "Exact")])
    dataset = open_dataset(tmp_path)
    assert (
        '2 of 3 judgements are of an item or a query that is not there; the first has query "0" and item "77".'
        in dataset.notes
    )


def test_a_comma_separated_file_is_not_this_layout(tmp_path: Path) -> None:
    write_folder(tmp_path, [BED], LABELS)
    (tmp_path / "query.csv").write_text("query_id,query\n0,bed\n")
    with pytest.raises(UserError, match=r"query\.csv .* no column 'query_id'"):
        open_dataset(tmp_path)


def test_bad_rows_are_set_aside(tmp_path: Path) -> None:
    write_folder(tmp_path, [BED, ["2", " ", "", "", "", "", ""], BED], [("0", "0", "Exact"), ("0", "0", "Partial")])
    with pytest.raises(UserError, match=r"product\.csv, row 2, column 'title'"):
        open_dataset(tmp_path)
    dataset = open_dataset(tmp_path, skip_bad_rows=True, bad_rows_folder=tmp_path / "aside")
    assert dataset.items.num_rows == 1
    assert sorted(path.name for path in (tmp_path / "aside").iterdir()) == [
        "label.csv.bad-rows.jsonl",
        "product.csv.bad-rows.jsonl",
    ]


def test_broken_utf8_is_refused_where_it_would_change_a_title(tmp_path: Path) -> None:
    write_folder(tmp_path, [BED], LABELS)
    path = tmp_path / "product.csv"
    path.write_bytes(path.read_bytes().replace(b"oak bed", b"oak \xff bed"))
    with pytest.raises(UserError, match="row 1, column 'title': is not valid UTF-8"):
        open_dataset(tmp_path)

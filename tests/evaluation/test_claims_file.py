"""The claims file: the one that comes with shelfwalk is whole, and mistakes in another are named."""

from __future__ import annotations

import ast
from pathlib import Path

import pyarrow as pa
import pytest

from shelfwalk.errors import UserError
from shelfwalk.evaluation.claims import LostShareClaim, RatioClaim, StructuralClaim, read_claims
from shelfwalk.evaluation.metrics import score
from shelfwalk.evaluation.rankings import Rankings
from shelfwalk.evaluation.strata import ALL, PARTS
from shelfwalk.recipes.recipe import recipe_names

ROOT = Path(__file__).parents[2]
PUBLICATIONS = (
    "2605.14434", "2606.04374", "2504.01403", "2407.19829", "2407.21488", "2204.10628", "2305.05065", "2006.02282",
    "2602.23964", "2509.03236", "2602.22647", "2405.07314", "2311.09049", "2507.22224", "2510.24431",
)  # fmt: skip
"""Every publication of which something is to be shown."""
OWN_METRICS = ("HitRate@", "Items@", "Beams@", "pvr@", "ExclusiveR@", "1-AUC")
CLAIM = """
[data.d]
title = "Something"
[[claims]]
id = "a"
claim = "A beats B"
source = "Somewhere"
published = 1.2
kind = "ratio"
data = "d"
metric = "R@10"
treatment = ["rqkmeans/generative"]
control = ["tiger/generative"]
above = 1.0
"""


def test_every_publication_has_claims_with_a_source() -> None:
    claims = read_claims().claims
    for publication in PUBLICATIONS:
        assert any(publication in claim.source for claim in claims), publication


def test_every_test_that_a_claim_names_is_there() -> None:
    named = [name for claim in read_claims().claims if isinstance(claim, StructuralClaim) for name in claim.checked_by]
    assert named
    for name in named:
        file, _, test = name.partition("::")
        functions = {node.name for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8")))
                     if isinstance(node, ast.FunctionDef)}  # fmt: skip
        assert test in functions, name


def test_a_structural_claim_about_what_is_built_is_checked() -> None:
    for claim in read_claims().claims:
        if isinstance(claim, StructuralClaim) and set(claim.recipes) <= {*recipe_names()}:
            assert claim.checked_by, claim.id


def test_metrics_parts_and_published_figures_make_sense() -> None:
    judgements = pa.table({"query_id": ["q"], "item_id": ["a"], "grade": [1]})
    parts = {ALL, *(name for names in PARTS.values() for name in names)}
    for claim in read_claims().claims:
        if isinstance(claim, RatioClaim | LostShareClaim):
            assert claim.stratum in parts
            if not claim.metric.startswith(OWN_METRICS):
                score(Rankings("x", ("q",), [["a"]], [[1.0]]), judgements, [claim.metric])
        if not isinstance(claim, StructuralClaim) and isinstance(claim.published, float):
            above = claim.above if claim.above is not None else -1.0
            below = claim.below if claim.below is not None else 1e9
            assert above < claim.published < below, f"{claim.id}: the published figure itself is outside the band"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "claims.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    claims = read_claims(written(tmp_path, CLAIM))
    (claim,) = claims.claims
    assert isinstance(claim, RatioClaim)
    assert (claim.band, claim.seeds, claims.recipes(claim)) == ("above 1", 3, ("rqkmeans", "tiger"))


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("above = 1.0", "", "claims.a: neither above nor below is given"),
        ("above = 1.0", "above = 1.0\nbelow = 0.9", "claims.a: above is not smaller than below"),
        ("above = 1.0", "above = 1.0\nabout = 3", "claims.a.about: there is no such setting"),
        ('"tiger/generative"', '"tiger"', "claims.a.control.0: string should match"),
        ('data = "d"', 'data = "e"', "the claim a is about data e, not in the file"),
        ('kind = "ratio"', 'kind = "hope"', "claims.a: input tag 'hope'"),
        ('id = "a"', "", "claims.number 1.id: field required"),
        ("[data.d]", '[data.d]\nhash = "short"', "data.d.hash: string should match"),
        ("above = 1.0", "above = 1.0" + CLAIM.partition('title = "Something"')[2], "two claims have the id a"),
        ("[[claims]]", "[claims", "is no valid TOML"),
    ],
)
def test_mistakes_are_named_in_one_sentence(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    with pytest.raises(UserError) as refused:
        read_claims(written(tmp_path, CLAIM.replace(old, new)))
    assert complaint in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_ratio_of_what_is_no_ratio_is_refused(tmp_path: Path) -> None:
    text = CLAIM + '[[claims]]\nid = "b"\nclaim = "x"\nsource = "y"\npublished = 1\nkind = "ratio of ratios"\n'
    with pytest.raises(UserError, match="the claim b divides claims that are no ratios here"):
        read_claims(written(tmp_path, text + 'ratios = ["a", "z"]\nabove = 1\n'))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be read \(FileNotFoundError\)"):
        read_claims(tmp_path / "absent.toml")

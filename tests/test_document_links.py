"""Every link from one of our documents to another leads to a file and a heading that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(text: str) -> set[str]:
    """The anchors of a Markdown document as its hosts make them: words in small letters, hyphens for spaces."""
    found: dict[str, int] = {}
    for heading in re.findall(r"^#{1,6} +(.+?) *$", _FENCED.sub("", text), re.MULTILINE):
        told = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        slug = re.sub(r"[^\w\- ]", "", told).replace(" ", "-")
        found[slug] = found.get(slug, -1) + 1
    return {f"{slug}-{number}" if number else slug for slug, last in found.items() for number in range(last + 1)}


def test_anchors_are_made_as_their_hosts_make_them() -> None:
    text = '# CQ-SID\'s way: a `kind = "x"`\n## [Two](b.md), again\n```\n# no heading\n```\n## Two, again\n'
    assert anchors(text) == {"cq-sids-way-a-kind--x", "two-again", "two-again-1"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    text = _FENCED.sub("", document.read_text())
    for link in _LINK.findall(text):
        if "://" in link or link.startswith("mailto:"):
            continue
        file, _, anchor = link.partition("#")
        target = (document.parent / file).resolve() if file else document
        assert target.exists(), f"{document.name} links to {link}: there is no such file"
        if anchor:
            assert anchor in anchors(target.read_text()), f"{document.name} links to {link}: there is no such heading"

"""How many items get a category, and how often it is right, as far as a machine can tell.

In: an items table and the model names, as for `derive_categories`. Out: a `CategoryReport`.

* Coverage: the share of items per source.
* Agreement with product types: categories are derived again without the product-type attributes; each derived category
  is credited with its commonest product type, and purity is the share of items that have it (Manning, Raghavan &
  Schütze, "Introduction to Information Retrieval", 2008, section 16.3).
* Pattern: the items whose title names their type are split in five; each part is hidden in turn and guessed from
  attribute names alone.

`python -m shelfwalk.data.category_report FOLDER [SAMPLE.csv]` prints it for an icecat_chorus folder, with a reader's
verdicts over a sample of items (columns item_id, source, right) if given.
"""

from __future__ import annotations

import csv
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from shelfwalk.data.categories import SOURCES, ItemEvidence, derive_categories, pattern_guesses
from shelfwalk.data.category_phrases import head_noun, phrase_key
from shelfwalk.data.icecat import read_icecat_products
from shelfwalk.errors import UserError

_PARTS = 5
_SEED = 0
_Z95 = 1.959964


@dataclass(frozen=True)
class Share:
    """`right` of `total`, with the Wilson score interval (Wilson 1927) at 95 %."""

    right: int
    total: int

    @property
    def value(self) -> float:
        """The share itself; 0 of 0 is 0."""
        return self.right / self.total if self.total else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper end of the interval."""
        if not self.total:
            return 0.0, 1.0
        spread = _Z95**2 / self.total
        centre = self.value + spread / 2
        half = (spread * self.value * (1 - self.value) + spread**2 / 4) ** 0.5
        low, high = (centre - half) / (1 + spread), (centre + half) / (1 + spread)
        return min(max(0.0, low), self.value), max(min(1.0, high), self.value)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.right} of {self.total} = {self.value:.3f} [{low:.3f}, {high:.3f}]"


@dataclass(frozen=True)
class CategoryReport:
    """Coverage per source in the order of `SOURCES`; number of distinct paths; the measured shares.

    `typed_covered` is the share of items with a product type that get a category without it, `typed_purity` the share
    of those that agree. `pattern_answered` is the share of hidden items that the pattern dares to guess; of these,
    `pattern_head` is the share with the right head noun, and `pattern_exact`, of those that guess more than a head
    noun, the share with the right phrase.
    """

    coverage: tuple[Share, ...]
    categories: int
    typed_covered: Share
    typed_purity: Share
    pattern_answered: Share
    pattern_exact: Share
    pattern_head: Share


def category_report(items: pa.Table, names: Sequence[str] | None = None) -> CategoryReport:
    """Measure `derive_categories` on a catalogue; deterministic."""
    derived = derive_categories(items, names)
    counts = Counter(derived.sources)
    covered, purity = _agreement_with_product_types(items, names, ItemEvidence.of(items, names).product_types)
    return CategoryReport(
        coverage=tuple(Share(counts[source], items.num_rows) for source in SOURCES),
        categories=len(set(derived.categories) - {()}),
        typed_covered=covered,
        typed_purity=purity,
        **_pattern_held_out(ItemEvidence.of(items, names, use_product_types=False)),
    )


def _agreement_with_product_types(
    items: pa.Table, names: Sequence[str] | None, product_types: Sequence[str]
) -> tuple[Share, Share]:
    without = derive_categories(items, names, use_product_types=False).categories
    together: defaultdict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for path, product_type in zip(without, product_types, strict=True):
        if product_type:
            together[path][product_type] += 1
    covered = sum(counts.total() for path, counts in together.items() if path)
    agreeing = sum(max(counts.values()) for path, counts in together.items() if path)
    return Share(covered, sum(counts.total() for counts in together.values())), Share(agreeing, covered)


def _pattern_held_out(evidence: ItemEvidence) -> dict[str, Share]:
    lexicon = evidence.lexicon()
    phrases = [lexicon.spelling(phrase) if phrase else "" for phrase in evidence.phrases]
    asked = [item for item, phrase in enumerate(phrases) if phrase in lexicon.whole and evidence.pattern.sizes[item]]
    part = np.random.default_rng(_SEED).integers(0, _PARTS, len(phrases))
    pairs: list[tuple[int, str]] = []
    for hidden in range(_PARTS):
        known = [phrase if part[item] != hidden else "" for item, phrase in enumerate(phrases)]
        here = [item for item in asked if part[item] == hidden]
        pairs += zip(here, pattern_guesses(evidence.pattern, lexicon, known, here), strict=True)
    answered = [(phrases[item], guess) for item, guess in pairs if guess]
    whole = [(phrase, guess) for phrase, guess in answered if guess in lexicon.whole]
    exact = sum(phrase == guess for phrase, guess in whole)
    head = sum(phrase_key(head_noun(phrase)) == phrase_key(head_noun(guess)) for phrase, guess in answered)
    return {
        "pattern_answered": Share(len(answered), len(asked)),
        "pattern_exact": Share(exact, len(whole)),
        "pattern_head": Share(head, len(answered)),
    }


def read_verdicts(path: Path) -> dict[str, Share]:
    """A reader's verdicts over a sample, per source; raises UserError for a file without the three columns."""
    if not path.is_file():
        raise UserError(f"There is no file {path}.")
    with path.open(encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text))
    if not rows or set(rows[0]) != {"item_id", "source", "right"}:
        raise UserError(f"{path} needs the columns item_id, source, right and at least one row.")
    sources = [source for source in SOURCES if any(row["source"] == source for row in rows)]
    verdicts = {source: [int(row["right"]) for row in rows if row["source"] == source] for source in sources}
    return {source: Share(sum(right), len(right)) for source, right in verdicts.items()}


def _print_report(folder: Path, sample: Path | None) -> None:
    items, names, _ = read_icecat_products(folder)
    report = category_report(items, names)
    for source, share in zip(SOURCES, report.coverage, strict=True):
        print(f"coverage, {source}: {share.right} = {share.value:.3f}")
    print(f"distinct categories: {report.categories}")
    print(f"items with a product type that get a category without it: {report.typed_covered}")
    print(f"of these, purity against the product type: {report.typed_purity}")
    print(f"pattern, hidden items guessed: {report.pattern_answered}")
    print(f"pattern, same category where more than a head noun is guessed: {report.pattern_exact}")
    print(f"pattern, same head noun: {report.pattern_head}")
    verdicts = read_verdicts(sample) if sample else {}
    for source, share in verdicts.items():
        print(f"judged right, {source}: {share}")
    if judged := [share for source, share in verdicts.items() if source != "none"]:
        together = Share(sum(share.right for share in judged), sum(share.total for share in judged))
        print(f"judged right, all with a category: {together}")


def main(arguments: Sequence[str]) -> int:
    """Print the report; `arguments` are the folder and, if wanted, the verdicts. Returns 2 for a mistake in them."""
    try:
        if len(arguments) not in (1, 2):
            raise UserError("Give the folder of an icecat_chorus dataset, and a file of verdicts if there is one.")
        _print_report(Path(arguments[0]), Path(arguments[1]) if len(arguments) > 1 else None)
    except UserError as mistake:
        print(mistake, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The report: one HTML file that needs nothing else.

In: an evaluation, facts and arrays about the shelf, and sample answers. Out: one page (pages.py) with tables, pictures
and the answers per query.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shelfwalk.evaluation.evaluate import Evaluation
from shelfwalk.evaluation.grids import Grid
from shelfwalk.evaluation.pages import render_page
from shelfwalk.evaluation.pictures import (
    WINS_MEASURE,
    Picture,
    channel_overlap,
    cluster_sizes,
    codebook_use,
    recall_curves,
    wins_and_losses,
)
from shelfwalk.evaluation.table import comparison_sentence, grids, heading
from shelfwalk.files import write_whole

_PLAYED_OFF = (("fused", "bm25+dense"), ("generative", "dense"))


@dataclass(frozen=True)
class SampleAnswer:
    """What one query was answered with: `items` are (rank, title, evidence in words)."""

    query: str
    items: Sequence[tuple[int, str, str]]


@dataclass(frozen=True)
class ReportInput:
    """What the report shows.

    `shelf_facts` are (name, value) pairs; `codebook_use[level]` int [codes] holds items per code; `cluster_sizes` int
    [clusters] holds items per cluster. Empty arrays and lists leave their part of the report out.
    """

    evaluation: Evaluation
    title: str
    shelf_facts: Sequence[tuple[str, str]] = ()
    codebook_use: Sequence[NDArray[np.integer]] = ()
    cluster_sizes: NDArray[np.integer] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    samples: Sequence[SampleAnswer] = ()


def write_report(path: Path, content: ReportInput) -> None:
    """Write the report to `path`, whole or not at all. Raises OSError when the disk refuses."""
    write_whole(path, render_report(content))


def render_report(content: ReportInput) -> str:
    """Return the report as HTML text."""
    evaluation = content.evaluation
    return render_page(
        "report.html",
        title=content.title,
        heading=heading(evaluation),
        facts=content.shelf_facts,
        grids=grids(evaluation),
        comparisons=[comparison_sentence(comparison) for comparison in evaluation.comparisons],
        pictures=_pictures(content),
        samples=content.samples,
        queries=_query_grid(evaluation),
    )


def _pictures(content: ReportInput) -> list[Picture]:
    evaluation = content.evaluation
    pictures = [recall_curves(evaluation)]
    if evaluation.overlap.channels:
        pictures.append(channel_overlap(evaluation))
    pictures += [
        wins_and_losses(evaluation, first, second)
        for first, second in _PLAYED_OFF
        if all(WINS_MEASURE in evaluation.figures.get(channel, {}) for channel in (first, second))
    ]
    if content.codebook_use:
        pictures.append(codebook_use(content.codebook_use))
    if np.any(content.cluster_sizes > 0):
        pictures.append(cluster_sizes(content.cluster_sizes))
    return pictures


def _query_grid(evaluation: Evaluation) -> Grid:
    scored = [values for values in evaluation.per_query.values() if WINS_MEASURE in values.values]
    rows = tuple(
        (text, str(relevant), *(f"{channel.values[WINS_MEASURE][position]:.2f}" for channel in scored))
        for position, (text, relevant) in enumerate(zip(evaluation.texts, evaluation.relevant_counts, strict=True))
    )
    note = f"{WINS_MEASURE} of each channel: the share of the query's relevant items among its first 100 results."
    return Grid("Query by query", ("query", "relevant", *(channel.channel for channel in scored)), rows, note)

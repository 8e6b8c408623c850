"""Rankings of one channel, and TREC run files of them.

In: item ids and scores per query, best first. Out: `Rankings`, and the run format of TREC (`query Q0 item rank score
run`, one line an item) that every evaluation tool reads.

TREC tools ignore the rank column: they sort by score, hold scores as 32-bit floats, and break ties by item id. So the
written scores are made strictly falling 32-bit floats. The format separates fields by white space; white space, control
characters and `%` in an id are therefore percent-encoded (UTF-8 bytes, as in a URL) when written and decoded when read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np
from numpy.typing import NDArray

from shelfwalk.errors import UserError
from shelfwalk.files import write_whole

_UNSAFE = re.compile(r"[\s%\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Rankings:
    """One channel's answers.

    `item_ids[i]` and `scores[i]` belong to `query_ids[i]`, best first; the order counts, the scores only go with it. An
    empty list is an answer without items. Raises ValueError when the lengths differ, a query comes twice, or an item
    comes twice within a query.
    """

    channel: str
    query_ids: tuple[str, ...]
    item_ids: list[list[str]]
    scores: list[list[float]]

    def __post_init__(self) -> None:
        if not len(self.query_ids) == len(self.item_ids) == len(self.scores):
            raise ValueError(f"{self.channel}: query_ids, item_ids and scores differ in length")
        if len(set(self.query_ids)) < len(self.query_ids):
            raise ValueError(f"{self.channel}: a query comes twice")
        for query_id, items, scores in zip(self.query_ids, self.item_ids, self.scores, strict=True):
            if len(items) != len(scores):
                raise ValueError(f"{self.channel}, query {query_id!r}: {len(items)} items but {len(scores)} scores")
            if len(set(items)) < len(items):
                raise ValueError(f"{self.channel}, query {query_id!r}: an item comes twice")


def write_trec_run(rankings: Rankings, path: Path) -> None:
    """Write `rankings` as a TREC run file, whole or not at all.

    Scores are written as strictly falling 32-bit floats, so a score that is not below the one before it is lowered by
    the least step. A query without items has no line, as the format has none for it. Raises ValueError for a score that
    is not finite as a 32-bit float.
    """
    write_whole(path, "".join(_run_lines(rankings)))


def read_trec_run(path: Path, query_ids: Sequence[str] | None = None) -> Rankings:
    """Read a TREC run file as TREC tools do: by falling score, ties by falling item id, the rank column unused.

    `query_ids` gives the queries in the wanted order (those without a line get an empty list); without it the queries
    are those in the file, in order of appearance. The channel is the run's name (last column). Raises UserError for a
    file that cannot be read, a malformed line, an item that comes twice, several run names, or an unknown query.
    """
    channel: str | None = None
    found: dict[str, dict[str, float]] = {query_id: {} for query_id in query_ids or ()}
    for number, line in enumerate(_text_of(path).split("\n"), start=1):
        if not line.strip():
            continue
        query_id, item_id, score, name = _parse_line(line, f"{path}, line {number}")
        if query_ids is not None and query_id not in found:
            raise UserError(f"{path}, line {number}: query {query_id!r} is not one of the queries asked for.")
        answer = found.setdefault(query_id, {})
        if item_id in answer:
            raise UserError(f"{path}, line {number}: item {item_id!r} comes twice for query {query_id!r}; remove one.")
        channel = channel if channel is not None else name
        if name != channel:
            raise UserError(f"{path}, line {number}: a second run {name!r} begins after {channel!r}; split the file.")
        answer[item_id] = score
    ordered = [sorted(answer.items(), key=lambda pair: (pair[1], pair[0]), reverse=True) for answer in found.values()]
    items = [[item_id for item_id, _ in answer] for answer in ordered]
    scores = [[score for _, score in answer] for answer in ordered]
    return Rankings(channel if channel is not None else path.stem, tuple(found), items, scores)


def _run_lines(rankings: Rankings) -> Iterator[str]:
    name = _encoded(rankings.channel)
    for query_id, items, scores in zip(rankings.query_ids, rankings.item_ids, rankings.scores, strict=True):
        falling = _strictly_falling(scores)
        for rank, (item_id, score) in enumerate(zip(items, falling, strict=True), start=1):
            yield f"{_encoded(query_id)} Q0 {_encoded(item_id)} {rank} {score:.9g} {name}\n"


def _strictly_falling(scores: Sequence[float]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        falling = np.asarray(scores, dtype=np.float32)
    for position in range(1, len(falling)):
        falling[position] = min(falling[position], np.nextafter(falling[position - 1], np.float32(-np.inf)))
    if not np.isfinite(falling).all():
        raise ValueError("a score is not finite as a 32-bit float, so no TREC run can hold it")
    return falling


def _encoded(identifier: str) -> str:
    return _UNSAFE.sub(lambda match: quote(match[0], safe=""), identifier)


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"Cannot read the run file {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no UTF-8 text (byte {error.start}); a TREC run file was expected.") from error


def _parse_line(line: str, where: str) -> tuple[str, str, float, str]:
    fields = line.split()
    if len(fields) != 6:
        raise UserError(
            f"{where}: {len(fields)} columns instead of the six of a TREC run (query Q0 item rank score run)."
        )
    try:
        score = float(fields[4])
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise UserError(f"{where}: the score {fields[4]!r} is no finite number.")
    return unquote(fields[0]), unquote(fields[2]), score, unquote(fields[5])

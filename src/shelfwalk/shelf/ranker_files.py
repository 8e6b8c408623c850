"""The ranker of a shelf on disk: its model, what it was made for, and the cache of frequent queries' identifiers.

In: the parts of a ranker. Out: files, and the parts again. A ranker belongs to the tokeniser whose identifiers it
learnt to read: it names that one's codebooks, and is refused beside others.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from shelfwalk.errors import UserError
from shelfwalk.files import write_whole
from shelfwalk.ranking.ranker_settings import RankerSettings
from shelfwalk.ranking.relevance_model import RelevanceModel

_DESCRIPTION = "ranker.json"
_QUERIES = "queries.parquet"


@dataclass(frozen=True)
class SavedRanker:
    """What a ranker is made of; `queries` are those whose pairs it learnt from, `tokenizer` names the codebooks."""

    model: RelevanceModel
    settings: RankerSettings
    tokenizer: str
    queries: tuple[str, ...]

    def save(self, folder: Path) -> None:
        """Write it into `folder`, made if missing."""
        self.model.save(folder)
        pq.write_table(pa.table({"query": pa.array(self.queries, pa.string())}), folder / _QUERIES)
        content = {"tokenizer": self.tokenizer, "settings": self.settings.model_dump(mode="json")}
        write_whole(folder / _DESCRIPTION, json.dumps(content, indent=1) + "\n")

    @classmethod
    def open(cls, folder: Path, tokenizer: str) -> SavedRanker:
        """Read what `save` wrote; raises UserError if it is damaged or was made for another tokeniser."""
        try:
            content = json.loads((folder / _DESCRIPTION).read_text(encoding="utf-8"))
            settings, made_for = RankerSettings.model_validate(content["settings"]), str(content["tokenizer"])
            queries = tuple(pq.read_table(folder / _QUERIES)["query"].to_pylist())
        except (OSError, ValueError, KeyError, TypeError, ValidationError, pa.ArrowException):
            raise UserError(f"The ranker in {folder} is missing or damaged: build the shelf again.") from None
        if settings.match_feature and made_for != tokenizer:
            raise UserError(
                f"The ranker in {folder} reads the identifiers of another tokeniser than this shelf's: build the shelf"
                " again."
            )
        return cls(RelevanceModel.open(folder), settings, made_for, queries)


def tokenizer_name(folder: Path) -> str:
    """Name the codebooks in the folder of a tokeniser, 16 hexadecimal digits; "" where there is no such folder."""
    if not folder.is_dir():
        return ""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.npy")):
        digest.update(str(path.relative_to(folder)).encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]

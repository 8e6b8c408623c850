"""Opens whichever tokeniser a folder holds; needs no torch.

In: a folder that some tokeniser's `save` wrote. Out: that tokeniser, ready to encode.
"""

from __future__ import annotations

from pathlib import Path

from shelfwalk.errors import UserError
from shelfwalk.tokenizers.capped_clusters import CappedTokenizer
from shelfwalk.tokenizers.cqsid import CQSIDTokenizer
from shelfwalk.tokenizers.hierarchical_kmeans import HierarchicalKMeansTokenizer
from shelfwalk.tokenizers.item_tokenizer import ItemTokenizer
from shelfwalk.tokenizers.locality_sensitive_hashing import LSHTokenizer
from shelfwalk.tokenizers.random_codes import RandomTokenizer
from shelfwalk.tokenizers.residual_kmeans import ResidualKMeansTokenizer
from shelfwalk.tokenizers.rqvae import RQVAETokenizer
from shelfwalk.tokenizers.shortened import ShortenedTokenizer
from shelfwalk.tokenizers.swapped import SwappedTokenizer
from shelfwalk.tokenizers.tokenizer_files import DESCRIPTION, read_description
from shelfwalk.tokenizers.uniqueness import UniqueTokenizer


def open_tokenizer(folder: Path) -> ItemTokenizer:
    """Open a saved tokeniser; raises UserError if a file is missing, damaged or of a kind that is not known."""
    kind = read_description(folder)["kind"]
    if kind == ResidualKMeansTokenizer.kind:
        return ResidualKMeansTokenizer.open(folder)
    if kind == HierarchicalKMeansTokenizer.kind:
        return HierarchicalKMeansTokenizer.open(folder)
    if kind == RQVAETokenizer.kind:
        return RQVAETokenizer.open(folder)
    if kind == CQSIDTokenizer.kind:
        return CQSIDTokenizer.open(folder)
    if kind == LSHTokenizer.kind:
        return LSHTokenizer.open(folder)
    if kind == RandomTokenizer.kind:
        return RandomTokenizer.open(folder)
    if kind == CappedTokenizer.kind:
        return CappedTokenizer.open(folder, open_tokenizer)
    if kind == ShortenedTokenizer.kind:
        return ShortenedTokenizer.open(folder, open_tokenizer)
    if kind == SwappedTokenizer.kind:
        return SwappedTokenizer.open(folder, open_tokenizer)
    if kind == UniqueTokenizer.kind:
        return UniqueTokenizer.open(folder, open_tokenizer)
    raise UserError(f"{folder / DESCRIPTION} names the tokeniser '{kind}', which this version of shelfwalk lacks.")

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

_PLAIN = {
    tokenizer.kind: tokenizer.open
    for tokenizer in (
        *(ResidualKMeansTokenizer, HierarchicalKMeansTokenizer, RQVAETokenizer, CQSIDTokenizer),
        *(LSHTokenizer, RandomTokenizer),
    )
}
_AROUND_ANOTHER = {
    tokenizer.kind: tokenizer.open
    for tokenizer in (CappedTokenizer, ShortenedTokenizer, SwappedTokenizer, UniqueTokenizer)
}


def open_tokenizer(folder: Path) -> ItemTokenizer:
    """Open a saved tokeniser; raises UserError if a file is missing, damaged or of a kind that is not known."""
    kind = read_description(folder)["kind"]
    if kind in _PLAIN:
        return _PLAIN[kind](folder)
    if kind in _AROUND_ANOTHER:
        return _AROUND_ANOTHER[kind](folder, open_tokenizer)
    raise UserError(f"{folder / DESCRIPTION} names the tokeniser '{kind}', which this version of shelfwalk lacks.")

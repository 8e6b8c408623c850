"""The codes of a shelf's items by the level that they are of, whatever became of a level or of a cluster.

In: an opened shelf. Out: codes, int32 [items, levels], −1 where an identifier lacks the level, and the level sizes.
"""

from __future__ import annotations

import numpy as np

from shelfwalk.errors import UserError
from shelfwalk.shelf import layout
from shelfwalk.shelf.shelf import Shelf
from shelfwalk.tokenizers.capped_clusters import CappedTokenizer
from shelfwalk.tokenizers.end_codes import without_end_codes
from shelfwalk.tokenizers.item_tokenizer import Codes
from shelfwalk.tokenizers.saved_tokenizer import open_tokenizer
from shelfwalk.tokenizers.shortened import ShortenedTokenizer


def codes_by_level(shelf: Shelf) -> tuple[Codes, tuple[int, ...]]:
    """The codes of all items of a shelf by the level that they are of, int32 [items, levels], and the level sizes.

    Where a repair has taken a level from some identifiers, it is −1 there. Where clusters are capped, an item of a
    group has the code that the group is of, and the last level is as large as before groups got tokens of it. Raises
    UserError for a shelf without identifiers.
    """
    if not shelf.is_generative:
        raise UserError("This shelf has no identifiers, so there is no hourglass to look for: its recipe has none.")
    trie = shelf.generative.trie
    codes = np.full((shelf.items.num_rows, len(shelf.recorded["level_sizes"])), -1, np.int32)
    codes[trie.posting_items] = np.repeat(trie.paths(), np.diff(trie.posting_offsets), axis=0)
    tokenizer = open_tokenizer(shelf.folder / layout.TOKENIZER)
    if isinstance(tokenizer, CappedTokenizer):
        return tokenizer.without_groups(codes), tokenizer.inner.level_sizes
    if isinstance(tokenizer, ShortenedTokenizer) and tokenizer.removal.is_adaptive:
        return tokenizer.levels.levels_of(without_end_codes(codes, tokenizer.level_sizes)), tokenizer.levels.sizes
    return codes, tuple(shelf.recorded["level_sizes"])

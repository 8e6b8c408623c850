"""The tokeniser that a recipe asks for.

In: the recipe's `[tokenizer]` and a seed. Out: an `ItemTokenizer` that is not fitted yet; torch is imported by the ones
that train, when they are fitted.
"""

from __future__ import annotations

from shelfwalk.tokenizers.capped_clusters import CappedTokenizer
from shelfwalk.tokenizers.cluster_cap import CapRule
from shelfwalk.tokenizers.cqsid import CQSIDTokenizer
from shelfwalk.tokenizers.hierarchical_kmeans import HierarchicalKMeansTokenizer
from shelfwalk.tokenizers.item_tokenizer import ItemTokenizer
from shelfwalk.tokenizers.level_removal import Removal
from shelfwalk.tokenizers.locality_sensitive_hashing import LSHTokenizer
from shelfwalk.tokenizers.random_codes import RandomTokenizer
from shelfwalk.tokenizers.residual_kmeans import ResidualKMeansTokenizer
from shelfwalk.tokenizers.rqvae import RQVAETokenizer
from shelfwalk.tokenizers.settings import (
    CqSidSettings,
    HierarchicalKMeansSettings,
    LevelRemovalSettings,
    LSHSettings,
    RandomSettings,
    ResidualKMeansSettings,
    RqVaeSettings,
    SwappedSettings,
    TokenizerSettings,
)
from shelfwalk.tokenizers.shortened import ShortenedTokenizer
from shelfwalk.tokenizers.swapped import SwappedTokenizer
from shelfwalk.tokenizers.training_run import TrainingRun
from shelfwalk.tokenizers.uniqueness import UniqueTokenizer

_Numbered = RqVaeSettings | LSHSettings | RandomSettings


def tokenizer_of(settings: TokenizerSettings, seed: int) -> ItemTokenizer:
    """The tokeniser, not fitted; raises UserError for settings that make none."""
    if isinstance(settings, ResidualKMeansSettings):
        return ResidualKMeansTokenizer(settings.level_sizes, seed=seed, iterations=settings.iterations)
    if isinstance(settings, HierarchicalKMeansSettings):
        return HierarchicalKMeansTokenizer(settings.level_sizes, seed=seed, iterations=settings.iterations)
    if isinstance(settings, RqVaeSettings):
        return _numbered(RQVAETokenizer(settings, TrainingRun(seed)), settings)
    if isinstance(settings, LSHSettings):
        return _numbered(LSHTokenizer(settings.level_sizes, seed=seed), settings)
    if isinstance(settings, RandomSettings):
        return _numbered(RandomTokenizer(settings.level_sizes, seed=seed), settings)
    if isinstance(settings, LevelRemovalSettings):
        removal = Removal(settings.level, settings.most_used, settings.share)
        return ShortenedTokenizer(tokenizer_of(settings.inner, seed), removal)
    if isinstance(settings, SwappedSettings):
        return SwappedTokenizer(tokenizer_of(settings.inner, seed), *settings.levels)
    return _cqsid(settings, seed)


def numbering_levels(settings: TokenizerSettings, levels: int) -> tuple[int, ...]:
    """The levels, from 0, that number the items of an identifier: most items are the first, as they should be."""
    return (levels - 1,) if isinstance(settings, _Numbered) and settings.unique else ()


def _numbered(tokenizer: ItemTokenizer, settings: _Numbered) -> ItemTokenizer:
    return UniqueTokenizer(tokenizer) if settings.unique else tokenizer


def _cqsid(settings: CqSidSettings, seed: int) -> ItemTokenizer:
    tokenizer = CQSIDTokenizer(settings, TrainingRun(seed))
    if settings.cluster_cap == 0:
        return tokenizer
    return CappedTokenizer(tokenizer, CapRule(settings.cluster_cap, settings.most_groups, seed))

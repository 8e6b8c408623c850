"""CQ-SID (arXiv 2605.14434) as an item tokeniser: the category first, then codes that learn from queries.

In: items with their category paths, their vectors, float32 [items, dimensions], and to learn from pairs of queries and
items. Out: codes, int32 [items, levels]; an identifier stands for a cluster of items (capped_clusters.py keeps those
small). Fitting needs torch; opening and encoding need only numpy.

Level 1 is the category of every item that has a known one, and the nearest of all codes otherwise; an item that comes
later with a category that was not there counts as one without.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shelfwalk.errors import UserError
from shelfwalk.tokenizers.category_codes import CategoryCodes
from shelfwalk.tokenizers.item_tokenizer import Codes, Progress, Vectors, checked_vectors, vectors_to_fit
from shelfwalk.tokenizers.learning_pairs import LearningPairs
from shelfwalk.tokenizers.residual_quantisation import Codebook, nearest_codes, residual_codes
from shelfwalk.tokenizers.rqvae_encoder import Layer, latents_of
from shelfwalk.tokenizers.settings import CqSidSettings
from shelfwalk.tokenizers.tokenizer_files import (
    load_arrays,
    read_description,
    save_arrays,
    settings_of,
    write_description,
)
from shelfwalk.tokenizers.training_run import CQSIDLoss, TrainingRun, described, run_of

_ROWS_AT_A_TIME = 65_536


@dataclass(frozen=True)
class _Fitted:
    layers: tuple[Layer, ...]
    codebooks: tuple[Codebook, ...]
    categories: CategoryCodes | None


class CQSIDTokenizer:
    """An `ItemTokenizer` by a residual-quantised autoencoder that knows categories and queries."""

    kind = "cqsid"

    def __init__(self, settings: CqSidSettings | None = None, run: TrainingRun | None = None) -> None:
        self.settings = settings or CqSidSettings()
        self.run = run or TrainingRun()
        self.losses: tuple[CQSIDLoss, ...] = ()
        """One for each epoch of training."""
        self._fitted: _Fitted | None = None

    @property
    def codebooks(self) -> tuple[Codebook, ...]:
        """One a level, float32 [codes, latent width]; raises ValueError before fitting."""
        return self._known.codebooks

    @property
    def categories(self) -> CategoryCodes | None:
        """Which category each of the first codes of level 1 is, None if none is forced; ValueError before fitting."""
        return self._known.categories

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """The number of codes of each level."""
        if self._fitted is None:
            return self.settings.level_sizes
        return tuple(len(codebook) for codebook in self._fitted.codebooks)

    def fit(
        self,
        items: pa.Table,
        vectors: Vectors,
        pairs: LearningPairs | None = None,
        *,
        progress: Progress | None = None,
        checkpoints: Path | None = None,
    ) -> Self:
        """See `ItemTokenizer.fit`; keeps a checkpoint of each epoch, and resumes to the same codes.

        Also raises UserError, before anything is learnt, where the categories cannot be codes of level 1
        (`CategoryCodes.of`), where there is no pair to learn from, and for a pair of an unknown item.
        """
        checked = vectors_to_fit(items, vectors)
        if self.settings.contrast and (pairs is None or len(pairs.pairs) == 0):
            raise UserError(
                "There is no pair of a query and an item for these identifiers to learn from: give a search log or"
                " judgements, or set contrast to 0 in the recipe's tokenizer."
            )
        # Without the contrast as well: an item is then learnt from as often as with it, so that nothing else differs.
        learnt_from = None if pairs is None else pairs.checked(len(checked), checked.shape[1])
        categories = None
        if self.settings.force_category:
            categories = CategoryCodes.of(items, self.settings.level_sizes[0], self.settings.category_depth)
        from shelfwalk.tokenizers.cqsid_training import CQSIDData, train_cqsid

        data = CQSIDData(checked, None if categories is None else categories.codes_of(items), learnt_from)
        trained = train_cqsid(data, self.settings, self.run, progress, checkpoints)
        self._fitted = _Fitted(trained.layers, trained.codebooks, categories)
        self.losses = trained.losses
        return self

    def encode(self, items: pa.Table, vectors: Vectors) -> Codes:
        """See `ItemTokenizer.encode`; no level is ever absent."""
        categories = self._known.categories
        checked = checked_vectors(items, vectors, self._dimensions)
        return self._codes(checked, None if categories is None else categories.codes_of(items))

    def encode_queries(self, vectors: Vectors) -> Codes:
        """The codes of queries, int32 [queries, levels], by their vectors, float32 [queries, dimensions].

        They are in the items' space: the same encoder and codebooks, the nearest code at every level, as a query has no
        category. Raises ValueError for vectors of other dimensions, or that are not finite.
        """
        checked = np.asarray(vectors, np.float32)
        if checked.ndim != 2 or checked.shape[1] != self._dimensions or not np.isfinite(checked).all():
            raise ValueError(f"query vectors must be finite, [queries, {self._dimensions}], not {list(checked.shape)}")
        return self._codes(checked, None)

    @property
    def _dimensions(self) -> int:
        return int(self._known.layers[0][0].shape[1])

    def _codes(self, vectors: Vectors, forced: npt.NDArray[np.int32] | None) -> Codes:
        """The nearest codes; at level 1 those of `forced` [vectors] where they are not −1."""
        layers, codebooks = self._known.layers, self.codebooks
        codes = np.empty((len(vectors), len(codebooks)), np.int32)
        for start in range(0, len(vectors), _ROWS_AT_A_TIME):
            block = slice(start, start + _ROWS_AT_A_TIME)
            latents = latents_of(vectors[block], layers)
            codes[block, 0] = nearest_codes(latents, codebooks[0])
            if forced is not None:
                codes[block, 0] = np.where(forced[block] >= 0, forced[block], codes[block, 0])
            codes[block, 1:] = residual_codes(latents - codebooks[0][codes[block, 0]], codebooks[1:])
        return codes

    def save(self, folder: Path) -> None:
        """Write encoder and codebooks as npy files, and `tokenizer.json`; the decoder is not kept."""
        fitted = self._known
        save_arrays(folder, "codebook", fitted.codebooks)
        save_arrays(folder, "encoder_weight", [weight for weight, _ in fitted.layers])
        save_arrays(folder, "encoder_bias", [bias for _, bias in fitted.layers])
        facts = {
            "level_sizes": self.level_sizes,
            "settings": described(self.settings, self.run),
            "losses": [asdict(loss) for loss in self.losses],
            "categories": None if fitted.categories is None else asdict(fitted.categories),
        }
        write_description(folder, self.kind, facts)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read what `save` wrote; raises UserError if a file is missing or damaged."""
        facts = read_description(folder)
        tokenizer = cls(settings_of(CqSidSettings, facts["settings"]), run_of(facts["settings"]))
        tokenizer.losses = tuple(CQSIDLoss(**loss) for loss in facts["losses"])
        layers = len(tokenizer.settings.hidden_widths) + 1
        weights = load_arrays(folder, "encoder_weight", layers)
        biases = load_arrays(folder, "encoder_bias", layers)
        codebooks = load_arrays(folder, "codebook", len(facts["level_sizes"]))
        known = facts["categories"]
        categories = None
        if known is not None:
            categories = CategoryCodes(known["depth"], tuple(map(tuple, known["paths"])), known["deepest"])
        tokenizer._fitted = _Fitted(tuple(zip(weights, biases, strict=True)), codebooks, categories)
        return tokenizer

    @property
    def _known(self) -> _Fitted:
        if self._fitted is None:
            raise ValueError("the tokeniser is not fitted yet")
        return self._fitted

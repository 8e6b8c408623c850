"""TIGER's RQ-VAE (arXiv 2305.05065) as an item tokeniser: codes of a learnt latent, not of the vector itself.

In: vectors, float32 [items, dimensions], unit length or near. Out: codes, int32 [items, levels]; several items may
share an identifier (uniqueness.py tells them apart). Fitting needs torch; opening and encoding need only numpy.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Self

import pyarrow as pa

from shelfwalk.tokenizers.item_tokenizer import Codes, Progress, Vectors, checked_vectors, vectors_to_fit
from shelfwalk.tokenizers.learning_pairs import LearningPairs
from shelfwalk.tokenizers.residual_quantisation import Codebook, residual_codes
from shelfwalk.tokenizers.rqvae_encoder import Layer, latents_of
from shelfwalk.tokenizers.settings import RqVaeSettings
from shelfwalk.tokenizers.tokenizer_files import (
    load_arrays,
    read_description,
    save_arrays,
    settings_of,
    write_description,
)
from shelfwalk.tokenizers.training_run import EpochLoss, TrainingRun, described, run_of


class RQVAETokenizer:
    """An `ItemTokenizer` by a residual-quantised autoencoder; looks at vectors only."""

    kind = "rqvae"

    def __init__(self, settings: RqVaeSettings | None = None, run: TrainingRun | None = None) -> None:
        self.settings = settings or RqVaeSettings()
        self.run = run or TrainingRun()
        self.losses: tuple[EpochLoss, ...] = ()
        """One for each epoch of training."""
        self._layers: tuple[Layer, ...] = ()
        self._codebooks: tuple[Codebook, ...] = ()

    @property
    def codebooks(self) -> tuple[Codebook, ...]:
        """One a level, float32 [codes, latent width]; raises ValueError before fitting."""
        if not self._codebooks:
            raise ValueError("the tokeniser is not fitted yet")
        return self._codebooks

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """The number of codes of each level."""
        return tuple(len(codebook) for codebook in self._codebooks) or self.settings.level_sizes

    def fit(
        self,
        items: pa.Table,
        vectors: Vectors,
        pairs: LearningPairs | None = None,
        *,
        progress: Progress | None = None,
        checkpoints: Path | None = None,
    ) -> Self:
        """See `ItemTokenizer.fit`; needs no pairs. Keeps a checkpoint of each epoch, and resumes to the same codes."""
        from shelfwalk.tokenizers.rqvae_training import train_rqvae

        trained = train_rqvae(vectors_to_fit(items, vectors), self.settings, self.run, progress, checkpoints)
        self._layers, self._codebooks, self.losses = trained.layers, trained.codebooks, trained.losses
        return self

    def encode(self, items: pa.Table, vectors: Vectors) -> Codes:
        """See `ItemTokenizer.encode`; no level is ever absent."""
        codebooks = self.codebooks
        checked = checked_vectors(items, vectors, self._layers[0][0].shape[1])
        return residual_codes(latents_of(checked, self._layers), codebooks)

    def save(self, folder: Path) -> None:
        """Write encoder and codebooks as npy files, and `tokenizer.json`; the decoder is not kept."""
        save_arrays(folder, "codebook", self.codebooks)
        save_arrays(folder, "encoder_weight", [weight for weight, _ in self._layers])
        save_arrays(folder, "encoder_bias", [bias for _, bias in self._layers])
        facts = {
            "level_sizes": self.level_sizes,
            "settings": described(self.settings, self.run),
            "losses": [asdict(loss) for loss in self.losses],
        }
        write_description(folder, self.kind, facts)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read what `save` wrote; raises UserError if a file is missing or damaged."""
        facts = read_description(folder)
        tokenizer = cls(settings_of(RqVaeSettings, facts["settings"]), run_of(facts["settings"]))
        tokenizer.losses = tuple(EpochLoss(**loss) for loss in facts["losses"])
        tokenizer._codebooks = load_arrays(folder, "codebook", len(tokenizer.settings.level_sizes))
        layers = len(tokenizer.settings.hidden_widths) + 1
        weights = load_arrays(folder, "encoder_weight", layers)
        tokenizer._layers = tuple(zip(weights, load_arrays(folder, "encoder_bias", layers), strict=True))
        return tokenizer

"""Trains a CQ-SID tokeniser: categories in level 1, moving-average codes, query-item contrast, restarts, checkpoints.

In: vectors, float32 [items, dimensions] (unit length, or near), the items' categories as codes of level 1, pairs with
the vectors of their queries, and settings. Out: the encoder's layers and the codebooks as numpy arrays, and the loss of
each epoch.

    L = || x − x̂ ||²  +  β Σ_l || r_l−1 − sg[e_l] ||²  +  γ L_Bi        (CQ-SID, arXiv 2605.14434)

Queries pass through the same encoder and, where the contrast stands behind the quantisation, the same codes (the
nearest of every level: a query has no category), but move no code. With `query_commitment` the second term is added for
them as well. Departures and fill-ins: settings.py, cqsid_losses.py and
cqsid_start.py say which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from shelfwalk.encoders.training_checkpoint import read_checkpoint, training_fingerprint, write_checkpoint
from shelfwalk.tokenizers.cqsid_losses import category_contrast, query_item_contrast
from shelfwalk.tokenizers.cqsid_network import CQSIDNetwork, Quantised
from shelfwalk.tokenizers.cqsid_samples import Samples
from shelfwalk.tokenizers.cqsid_start import start_codebooks
from shelfwalk.tokenizers.item_tokenizer import Progress, Vectors
from shelfwalk.tokenizers.learning_pairs import LearningPairs
from shelfwalk.tokenizers.number_type import bfloat16_is_faster
from shelfwalk.tokenizers.residual_kmeans import rows_to_sample
from shelfwalk.tokenizers.residual_quantisation import Codebook
from shelfwalk.tokenizers.rqvae_encoder import Layer, latents_of
from shelfwalk.tokenizers.rqvae_network import layers_of, squared_distance
from shelfwalk.tokenizers.settings import CqSidSettings
from shelfwalk.tokenizers.torch_threads import torch_threads
from shelfwalk.tokenizers.training_run import WEIGHT_DECAY, CQSIDLoss, TrainingRun, described

_CHECKPOINT = "cqsid.safetensors"
_LEAST_SHARE_OF_EVEN_USE = 0.1


@dataclass(frozen=True)
class CQSIDData:
    """What a tokeniser learns from: `vectors` [items, dimensions], which may be memory-mapped.

    `categories` int32 [items]: the code of level 1 that an item's category is, −1 where it has none; None where no code
    is forced. `pairs` say how often an item is learnt from, and what for; without any, every item is once an epoch.
    """

    vectors: Vectors
    categories: npt.NDArray[np.int32] | None
    pairs: LearningPairs | None

    def arrays(self) -> list[npt.NDArray[np.generic]]:
        """All arrays, for a fingerprint."""
        found: list[npt.NDArray[np.generic]] = [self.vectors]
        if self.categories is not None:
            found.append(self.categories)
        if self.pairs is not None:
            found += [self.pairs.query_vectors, self.pairs.pairs.query_rows, self.pairs.pairs.item_rows]
        return found


@dataclass(frozen=True)
class TrainedCQSID:
    """What is left of a training: what encoding needs, and one loss an epoch."""

    layers: tuple[Layer, ...]
    codebooks: tuple[Codebook, ...]
    losses: tuple[CQSIDLoss, ...]


def train_cqsid(
    data: CQSIDData,
    settings: CqSidSettings,
    run: TrainingRun,
    progress: Progress | None = None,
    checkpoints: Path | None = None,
) -> TrainedCQSID:
    """Train on `data`, or finish the training that `checkpoints` holds."""
    training = _Training(data, settings, run)
    fingerprint = training.fingerprint() if checkpoints else ""
    if checkpoints:
        training.resume(checkpoints / _CHECKPOINT, fingerprint)
    while True:
        if progress is not None:
            progress("CQ-SID epochs", len(training.losses), settings.epochs)
        if len(training.losses) >= settings.epochs:
            return training.result()
        with torch_threads(run.threads):
            training.run_epoch()
        if checkpoints:
            losses = [asdict(loss) for loss in training.losses]
            write_checkpoint(checkpoints / _CHECKPOINT, fingerprint, training.network, training.optimizer, losses)


class _Training:
    """A network under training."""

    def __init__(self, data: CQSIDData, settings: CqSidSettings, run: TrainingRun) -> None:
        self.data = data
        self.settings = settings
        self.losses: list[CQSIDLoss] = []
        self.samples = Samples.of(len(data.vectors), data.pairs)
        self.run = run if run.bfloat16 is not None else replace(run, bfloat16=bfloat16_is_faster())
        widths = [data.vectors.shape[1], *settings.hidden_widths, settings.latent_width]
        # torch draws the first weights from its global generator only: use it, and leave it as it was.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(run.seed)
            self.network = CQSIDNetwork(widths)
        perceptrons = [*self.network.encoder.parameters(), *self.network.decoder.parameters()]
        self.optimizer = torch.optim.AdamW(perceptrons, lr=settings.learning_rate, weight_decay=WEIGHT_DECAY)
        self.categories = None if data.categories is None else torch.from_numpy(data.categories.astype(np.int64))

    def fingerprint(self) -> str:
        return training_fingerprint(described(self.settings, self.run), self.data.arrays())

    def _start_codebooks(self) -> None:
        """Start the codebooks from a sample of the items in which every category is."""
        rows = rows_to_sample(len(self.data.vectors), self.settings.level_sizes, self.run.seed)
        forced = self.data.categories
        if forced is not None:
            _, first = np.unique(forced, return_index=True)
            rows = np.union1d(rows, first)
        vectors = np.asarray(self.data.vectors[rows], np.float32)
        # In numpy, where equal vectors have equal latents: a level must not take rounding for differences.
        latents = latents_of(vectors, layers_of(self.network.encoder))
        for codebook in start_codebooks(
            latents, None if forced is None else forced[rows], self.settings.level_sizes, self.run.seed
        ):
            even = torch.full((len(codebook),), self._batch / len(codebook))
            self.network.add_level(torch.from_numpy(codebook), even)

    def resume(self, path: Path, fingerprint: str) -> None:
        """Take over the checkpoint at `path` if there is one of this training."""
        checkpoint = read_checkpoint(path, fingerprint)
        if checkpoint is None:
            return
        for codebook, counts in zip(checkpoint.under("codebooks"), checkpoint.under("counts"), strict=True):
            self.network.add_level(codebook, counts)
        self.network.load_state_dict(checkpoint.weights)
        checkpoint.restore_optimizer(self.optimizer)
        self.losses = [CQSIDLoss(**loss) for loss in checkpoint.figures]

    def run_epoch(self) -> None:
        """One pass over all samples, after which codes of no use are restarted; the first ones are without codes."""
        if len(self.losses) == self.settings.warm_up_epochs:
            self._start_codebooks()
        random = np.random.default_rng((self.run.seed, len(self.losses)))
        batches = self.samples.batches(self.settings.batch, random)
        used = [torch.zeros(len(codebook), dtype=torch.int64) for codebook in self.network.codebooks]
        parts = np.empty((len(batches), len(fields(CQSIDLoss))))
        for number, batch in enumerate(batches):
            parts[number], quantised, items = self._step(batch)
            for level, codes in enumerate(quantised.codes):
                used[level] += torch.bincount(codes, minlength=len(used[level]))
        self._restart(used, quantised, items, random)
        self.losses.append(CQSIDLoss(*parts.mean(axis=0).tolist()))

    def result(self) -> TrainedCQSID:
        codebooks = tuple(codebook.detach().numpy().copy() for codebook in self.network.codebooks)
        return TrainedCQSID(layers_of(self.network.encoder), codebooks, tuple(self.losses))

    @property
    def _batch(self) -> int:
        return min(self.settings.batch, len(self.samples))

    def _step(self, batch: npt.NDArray[np.int64]) -> tuple[list[float], Quantised, npt.NDArray[np.int32]]:
        """One step on these samples: the parts of the loss, and what the items became."""
        settings, network = self.settings, self.network
        items, queries = self.samples.item_rows[batch], self.samples.query_rows[batch]
        vectors = torch.from_numpy(np.asarray(self.data.vectors[items], np.float32))
        latents = self._encoded(vectors)
        quantised = network.quantise(latents, None if self.categories is None else self.categories[items])
        with torch.autocast("cpu", torch.bfloat16, enabled=bool(self.run.bfloat16)):
            decoded = network.decoder(quantised.values).float()
        embedded = latents if settings.contrast_before_quantisation else quantised.values
        nothing = latents.new_zeros(())
        contrast, query_commitment = self._contrast(embedded, items, queries) if settings.contrast else (nothing,) * 2
        parts = (
            squared_distance(vectors, decoded),
            quantised.commitment,
            contrast,
            self._category_contrast(embedded, items) if settings.category_contrast else nothing,
            query_commitment,
        )
        of_queries = settings.query_commitment or 0.0
        weights = (1.0, settings.commitment, settings.contrast, settings.category_contrast, of_queries)
        loss = torch.stack([weight * part for weight, part in zip(weights, parts, strict=True)]).sum()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        network.move_codes(quantised, settings.decay)
        return [part.item() for part in parts], quantised, items

    def _encoded(self, vectors: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=bool(self.run.bfloat16)):
            latents: Tensor = self.network.encoder(vectors).float()
        return latents

    def _contrast(
        self, embedded: Tensor, items: npt.NDArray[np.int32], queries: npt.NDArray[np.int32]
    ) -> tuple[Tensor, Tensor]:
        """The query-item loss of those items of a batch that have a query, in batches of its own size.

        And the commitment of the queries, 0 where they have none or are compared before quantisation.
        """
        pairs, nothing = np.flatnonzero(queries >= 0), embedded.new_zeros(())
        if self.data.pairs is None or len(pairs) == 0:
            return nothing, nothing
        vectors = torch.from_numpy(np.asarray(self.data.pairs.query_vectors[queries[pairs]], np.float32))
        asked, commitment = self._encoded(vectors), nothing
        if not self.settings.contrast_before_quantisation:
            quantised = self.network.quantise(asked)
            asked = quantised.values
            commitment = nothing if self.settings.query_commitment is None else quantised.commitment
        losses = []
        parts = np.array_split(np.arange(len(pairs)), -(-len(pairs) // self.settings.contrast_batch))
        for part in parts:
            rows = pairs[part]
            names = torch.from_numpy(items[rows]), torch.from_numpy(queries[rows])
            losses.append(query_item_contrast(embedded[rows], asked[part], *names, self.settings.temperature))
        return torch.stack(losses).mean(), commitment

    def _category_contrast(self, embedded: Tensor, items: npt.NDArray[np.int32]) -> Tensor:
        if self.categories is None:
            return embedded.new_zeros(())
        names = torch.from_numpy(items)
        return category_contrast(embedded, names, self.categories[items], self.settings.temperature)

    def _restart(
        self, used: Sequence[Tensor], last: Quantised, items: npt.NDArray[np.int32], random: np.random.Generator
    ) -> None:
        """Move codes that hardly any item chose to residuals of the last batch; a category's code stays its own."""
        for level, codebook in enumerate(self.network.codebooks):
            even = self._batch / len(codebook)
            counts = self.network.counts[level]
            least = min(self.settings.restart_below, _LEAST_SHARE_OF_EVEN_USE * even)
            dead = (counts < least) | (used[level] == 0)
            sources = last.residuals[level].detach()
            if level == 0 and self.categories is not None:
                dead[: int(self.categories.max()) + 1] = False
                sources = sources[self.categories[items] < 0]
            rows = torch.nonzero(dead).squeeze(1)
            if len(rows) and len(sources):
                with torch.no_grad():
                    codebook[rows] = sources[torch.from_numpy(random.integers(len(sources), size=len(rows)))]
                    counts[rows] = even

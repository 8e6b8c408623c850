"""Trains two towers on pairs of a query and an item.

In: the pairs of a log, of judgements or of pseudo-queries, and the pretrained vectors and texts of both sides. Out: the
two towers with the highest held-out recall, or with no pair held out those of the last step, and a report. Loss:
softmax over the right item, the items of the other pairs of the batch and items drawn evenly from the catalogue (mixed
negatives: Yang et al., "Mixed negative sampling for learning two-tower neural networks in recommendations", WWW
Companion 2020), at a temperature. An item that is the same as the right one, or was chosen for the same query elsewhere
in the batch, is no negative. Every random choice is made from (seed, step).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from shelfwalk.data.query_item_pairs import QueryItemPairs
from shelfwalk.encoders.best_head import nearest_by_best_head
from shelfwalk.encoders.training_checkpoint import read_checkpoint, training_fingerprint, write_checkpoint
from shelfwalk.encoders.two_tower import Tower
from shelfwalk.encoders.two_tower_settings import TwoTowerSettings
from shelfwalk.encoders.word_hashing import HashedTexts, hash_texts
from shelfwalk.errors import UserError

CUTOFF = 100
_CATALOGUE_SHARE = 10
_VALIDATION_QUERIES = 1_000
_NEVER = -1e9
_CHECKPOINT = "towers.safetensors"

Floats = npt.NDArray[np.float32]
QueryTower = TypeVar("QueryTower")


@dataclass(frozen=True)
class Side:
    """The texts of one side with their pretrained vectors, float32 [texts, dimensions]."""

    texts: Sequence[str]
    vectors: Floats


@dataclass(frozen=True)
class TwoTowerData:
    """What the towers learn from: pairs of the log, pairs of pseudo-queries, and pairs never trained on.

    All three number the queries and the items by the rows of the two sides.
    """

    queries: Side
    items: Side
    logged: QueryItemPairs
    pseudo: QueryItemPairs
    held_out: QueryItemPairs


@dataclass(frozen=True)
class TwoTowerReport:
    """What training did: recall of the held-out pairs before it and at every validation.

    At 100, of fewer than 1,000 items at `validation_cutoff`; 0 where no pair is held out, and the last step is then the
    best.
    """

    steps: int
    best_step: int
    recall_before: float
    recalls: tuple[float, ...]


class TowerNetwork(nn.Module):
    """One tower while it learns; see `two_tower.Tower` for the formula."""

    def __init__(self, dimensions: int, settings: TwoTowerSettings) -> None:
        super().__init__()
        self.table = nn.EmbeddingBag(settings.buckets, settings.piece_width, mode="sum")
        nn.init.normal_(self.table.weight, std=0.1)
        self.hidden = nn.Linear(dimensions + settings.piece_width, settings.hidden_width)
        self.dropout = nn.Dropout(settings.dropout)
        self.out = nn.Linear(settings.hidden_width, dimensions)
        # Before training a tower gives the pretrained vector.
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def inputs(self, pieces: Tensor, offsets: Tensor, text_vectors: Tensor) -> Tensor:
        """What the hidden layer reads, [texts, dimensions + piece width]."""
        lengths = torch.diff(offsets, append=torch.tensor([len(pieces)]))
        bags = self.table(pieces, offsets) / lengths.clamp(min=1).sqrt()[:, None]
        return torch.cat((text_vectors, bags), dim=1)

    def forward(self, pieces: Tensor, offsets: Tensor, text_vectors: Tensor) -> Tensor:
        """Unit vectors [texts, dimensions] of hashed texts and their pretrained vectors."""
        hidden = self.dropout(torch.relu(self.hidden(self.inputs(pieces, offsets, text_vectors))))
        return nn.functional.normalize(text_vectors + self.out(hidden), dim=-1)

    def trained(self) -> Tower:
        """The tower as arrays, which further training does not change."""
        weights = (self.table.weight, self.hidden.weight.T, self.hidden.bias, self.out.weight.T, self.out.bias)
        return Tower(*(np.array(weight.detach().numpy(), np.float32, order="C") for weight in weights))


def train_two_towers(
    data: TwoTowerData,
    settings: TwoTowerSettings,
    seed: int,
    progress: Callable[[int, float], None] = lambda step, loss: None,
    checkpoints: Path | None = None,
) -> tuple[Tower, Tower, TwoTowerReport]:
    """Train and return (query tower, item tower, report); `progress` is told the finished step and its loss.

    A training that was interrupted goes on from its last validation if it is given the same folder of `checkpoints`.
    Raises UserError where there is no pair to learn from.
    """
    refuse_no_pairs(data)
    return _TwoTowers(data, settings, seed).run(progress, checkpoints)


def refuse_no_pairs(data: TwoTowerData) -> None:
    """Raise UserError where there is no pair to learn from."""
    if not len(data.logged) + len(data.pseudo):
        raise UserError("There is no pair of a query and an item to train on: give a search log or judgements.")


class TowerTraining(ABC, Generic[QueryTower]):
    """One training under way, of towers whose query side a subclass makes."""

    def __init__(self, data: TwoTowerData, settings: TwoTowerSettings, seed: int) -> None:
        torch.manual_seed(seed)
        self._data = data
        self._settings = settings
        self._seed = seed
        self._query_pieces = hash_texts(data.queries.texts, settings.buckets)
        self._item_pieces = hash_texts(data.items.texts, settings.buckets)
        self._item_vectors = data.items.vectors
        """Of the catalogue, by the item tower as it was at the last validation."""
        dimensions = data.items.vectors.shape[1]
        self._query_tower = self._make_query_tower(dimensions)
        self._item_tower = TowerNetwork(dimensions, settings)
        self._networks = nn.ModuleDict({"query": self._query_tower, "item": self._item_tower})
        self._best = deepcopy(self._networks)
        """As the networks were at the validation that is chosen so far."""
        towers = (self._query_tower, self._item_tower)
        tables = [tower.table.weight for tower in towers]
        layers = [weight for tower in towers for name, weight in tower.named_parameters() if name != "table.weight"]
        # A row of a table is moved only by the texts that have its piece: it must not decay while none comes.
        groups = [{"params": tables, "weight_decay": 0.0}, {"params": layers, "weight_decay": settings.weight_decay}]
        self._optimiser = torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)

    def run(
        self, progress: Callable[[int, float], None], checkpoints: Path | None = None
    ) -> tuple[QueryTower, Tower, TwoTowerReport]:
        """Train, or finish the training that `checkpoints` holds; return the chosen towers and what happened."""
        path = None if checkpoints is None else checkpoints / _CHECKPOINT
        fingerprint = "" if path is None else training_fingerprint(*self._told_apart_by())
        recalls = [] if path is None else self._resumed(path, fingerprint)
        # Of a training that goes on it says nothing new, but finds the items' vectors as they were then.
        before = self._held_out_recall()
        recalls = recalls or [before]
        every, steps = self._settings.validate_every, self._settings.steps
        step = min((len(recalls) - 1) * every, steps)
        while step < steps and len(recalls) - 1 - self._chosen(recalls) < self._settings.patience:
            loss = self._train_one(step)
            step += 1
            progress(step, loss)
            if step % every == 0 or step == steps:
                recalls.append(self._held_out_recall())
                if self._chosen(recalls) == len(recalls) - 1:
                    self._best.load_state_dict(self._networks.state_dict())
                if path is not None:
                    self._write(path, fingerprint, recalls)
        best_step = min(self._chosen(recalls) * every, steps)
        towers = self._trained_query_tower(self._best["query"]), self._best["item"].trained()
        return *towers, TwoTowerReport(step, best_step, recalls[0], tuple(recalls[1:]))

    def _chosen(self, recalls: Sequence[float]) -> int:
        """The place of the highest recall, the first of equal ones; the last place where no pair is held out."""
        # With nothing to choose by, the first of the zeros would be the towers as they were before they learnt.
        return recalls.index(max(recalls)) if len(self._data.held_out) else len(recalls) - 1

    def _told_apart_by(self) -> tuple[dict[str, Any], list[npt.NDArray[Any]]]:
        """All that the outcome depends on: plain values, and arrays."""
        data = self._data
        facts = {"towers": type(self).__name__, "seed": self._seed, **self._settings.model_dump()}
        arrays: list[npt.NDArray[Any]] = [data.queries.vectors, data.items.vectors]
        for pairs in (data.logged, data.pseudo, data.held_out):
            arrays += [pairs.query_rows, pairs.item_rows]
        for texts in (self._query_pieces, self._item_pieces):
            arrays += [texts.pieces, texts.offsets]
        return facts, arrays

    def _resumed(self, path: Path, fingerprint: str) -> list[float]:
        """Take up the training at `path`; its recalls, from that before the first step. None where there is none."""
        found = read_checkpoint(path, fingerprint)
        if found is None:
            return []
        for name, networks in (("now.", self._networks), ("best.", self._best)):
            kept = {key.removeprefix(name): value for key, value in found.weights.items() if key.startswith(name)}
            networks.load_state_dict(kept)
        found.restore_optimizer(self._optimiser)
        return [figures["recall"] for figures in found.figures]

    def _write(self, path: Path, fingerprint: str, recalls: Sequence[float]) -> None:
        both = nn.ModuleDict({"now": self._networks, "best": self._best})
        write_checkpoint(path, fingerprint, both, self._optimiser, [{"recall": recall} for recall in recalls])

    def _train_one(self, step: int) -> float:
        torch.manual_seed(self._seed * 1_000_003 + step)
        self._query_tower.train()
        self._item_tower.train()
        query_rows, item_rows, random_rows = self._batch(np.random.default_rng((self._seed, step)))
        queries = self._asked(query_rows)
        candidates = np.concatenate((item_rows, random_rows))
        items = _embed(self._item_tower, self._item_pieces, self._data.items.vectors, candidates)
        logits = self._scores(queries, items) / self._settings.temperature
        wrong = no_negatives(self._alike(query_rows), item_rows, candidates)
        logits = logits.masked_fill(torch.from_numpy(wrong), _NEVER)
        loss = nn.functional.cross_entropy(logits, torch.arange(len(query_rows)))
        for group in self._optimiser.param_groups:
            # Straight down to a tenth.
            group["lr"] = self._settings.learning_rate * (1 - 0.9 * step / self._settings.steps)
        self._optimiser.zero_grad()
        loss.backward()
        self._optimiser.step()
        return float(loss.item())

    def _batch(self, generator: np.random.Generator) -> tuple[npt.NDArray[np.int32], ...]:
        """Query rows and item rows of the pairs, and the rows of the random items."""
        data, size = self._data, self._settings.batch
        logged = size if not len(data.pseudo) else round(size * self._settings.logged_share) if len(data.logged) else 0
        drawn = [
            (part, generator.integers(0, len(part), count))
            for part, count in ((data.logged, logged), (data.pseudo, size - logged))
            if count
        ]
        random_rows = generator.integers(0, len(data.items.texts), self._settings.random_items).astype(np.int32)
        query_rows = np.concatenate([part.query_rows[pairs] for part, pairs in drawn])
        return query_rows, np.concatenate([part.item_rows[pairs] for part, pairs in drawn]), random_rows

    @torch.no_grad()
    def _held_out_recall(self) -> float:
        """The mean over held-out queries (at most 1,000) of the share of their items among the nearest; 0 without any.

        The nearest are as many as `validation_cutoff` says. Keeps the items' vectors as they are now.
        """
        every_item = np.arange(len(self._data.items.texts), dtype=np.int32)
        items = _embed(self._item_tower.eval(), self._item_pieces, self._data.items.vectors, every_item).numpy()
        self._item_vectors = items
        queries = np.unique(self._data.held_out.query_rows)
        if not len(queries):
            return 0.0
        if len(queries) > _VALIDATION_QUERIES:
            queries = np.sort(np.random.default_rng(self._seed).choice(queries, _VALIDATION_QUERIES, replace=False))
        self._query_tower.eval()
        cutoff = validation_cutoff(len(items))
        return mean_recall(queries, self._asked(queries).numpy(), items, self._data.held_out, cutoff)

    @abstractmethod
    def _make_query_tower(self, dimensions: int) -> TowerNetwork:
        """The query side; nothing else may draw a random number."""

    @abstractmethod
    def _trained_query_tower(self, network: Any) -> QueryTower:
        """A query side as arrays, which further training does not change."""

    def _asked(self, rows: npt.NDArray[np.int32]) -> Tensor:
        """The vectors of the queries at these rows."""
        return _embed(self._query_tower, self._query_pieces, self._data.queries.vectors, rows)

    def _alike(self, rows: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """A number for each query, int32 [rows], the same for queries of which nothing tells them apart."""
        return rows

    def _scores(self, queries: Tensor, items: Tensor) -> Tensor:
        """Of every query with every item, [queries, items]."""
        return queries @ items.T


class _TwoTowers(TowerTraining[Tower]):
    def _make_query_tower(self, dimensions: int) -> TowerNetwork:
        return TowerNetwork(dimensions, self._settings)

    def _trained_query_tower(self, network: TowerNetwork) -> Tower:
        return network.trained()


def validation_cutoff(items: int) -> int:
    """How many of the nearest of so many items a validation looks at: 100, but at most a tenth, and at least one."""
    # Of a hundred items the nearest hundred are all: a recall that is 1 before anything is learnt can choose nothing.
    return max(min(CUTOFF, items // _CATALOGUE_SHARE), 1)


def no_negatives(
    query_rows: npt.NDArray[np.int32], item_rows: npt.NDArray[np.int32], candidates: npt.NDArray[np.int32]
) -> npt.NDArray[np.bool_]:
    """Which candidates must not count against a pair, bool [pairs, candidates].

    Those are the items of the batch's other pairs of the same query, and every copy of the right item but the one at
    the pair's own place. The first `len(item_rows)` candidates are the right items of the pairs, in their order.
    """
    same_query = query_rows[:, None] == query_rows[None, :]
    masked: npt.NDArray[np.bool_] = item_rows[:, None] == candidates[None, :]
    for_query = np.zeros_like(masked)
    for_query[:, : len(item_rows)] = same_query
    masked |= for_query
    own = np.arange(len(item_rows))
    masked[own, own] = False
    return masked


def mean_recall(
    queries: npt.NDArray[np.int32],
    query_vectors: Floats,
    item_vectors: Floats,
    right: QueryItemPairs,
    cutoff: int = CUTOFF,
) -> float:
    """The mean over `queries`, int32 [queries], of the share of the items of `right` among the `cutoff` nearest.

    `query_vectors` float32 [queries, dimensions], or [queries, heads, dimensions] where the nearest is so to any head,
    are aligned with `queries`, `item_vectors` with the catalogue. A query with more than `cutoff` items needs `cutoff`
    of them for a share of 1.
    """
    heads = query_vectors if query_vectors.ndim == 3 else query_vectors[:, None]
    _, found = nearest_by_best_head(heads, item_vectors, cutoff)
    items_of: dict[int, set[int]] = {}
    for query, item in zip(right.query_rows.tolist(), right.item_rows.tolist(), strict=True):
        items_of.setdefault(query, set()).add(item)
    shares = [
        len(items_of[query].intersection(rows)) / min(len(items_of[query]), cutoff)
        for query, rows in zip(queries.tolist(), map(np.ndarray.tolist, found), strict=True)
    ]
    return float(np.mean(shares))


def _embed(tower: TowerNetwork, pieces: HashedTexts, vectors: Floats, rows: npt.NDArray[np.int32]) -> Tensor:
    taken = pieces.take(rows)
    # Rows are taken before they become tensors: vectors that are memory-mapped stay on the disk.
    text_vectors = torch.from_numpy(np.asarray(vectors[rows]))
    embedded: Tensor = tower(torch.from_numpy(taken.pieces), torch.from_numpy(taken.offsets[:-1]), text_vectors)
    return embedded

"""The settings of two towers and their training: a recipe's `[two_tower]` and `[shopper_tower]`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from shelfwalk.settings import Settings


class TwoTowerSettings(Settings):
    """Size of the towers, and how they learn."""

    buckets: int = Field(default=32_768, ge=16)
    """Rows of the table of hashed words and letter trigrams."""
    piece_width: int = Field(default=128, ge=1)
    hidden_width: int = Field(default=512, ge=1)
    temperature: float = Field(default=0.05, gt=0)
    batch: int = Field(default=512, ge=2)
    random_items: int = Field(default=512, ge=0)
    """Negatives drawn evenly from the catalogue for each batch, beside the items of its other pairs."""
    steps: int = Field(default=1_000, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    logged_share: float = Field(default=0.8, ge=0, le=1)
    """Share of a batch that is pairs of the log or of judgements, where there are any; the rest is pseudo-queries."""
    validate_every: int = Field(default=100, ge=1)
    patience: int = Field(default=5, ge=1)
    """Validations without a higher held-out recall before training stops."""


class ShopperTowerSettings(Settings):
    """What the query tower has beyond DSSM's: several heads, and the shopper's history.

    The publication (DPSR, arXiv 2006.02282) leaves the values open as far as we know it: all of these are defaults of
    our own.
    """

    heads: int = Field(default=4, ge=1)
    head_temperature: float = Field(default=0.1, gt=0)
    """In training an item's score is the mean over heads, weighted by a softmax of its cosines at this temperature; a
    search takes the highest, which is the same at a temperature of 0."""
    history_length: int = Field(default=20, ge=0)
    """Items of a shopper's history that are looked at; 0 for none."""
    history_pooling: Literal["attention", "mean"] = "attention"
